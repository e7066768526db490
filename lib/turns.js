'use strict'

// Turns of the event loop. The first work after idle arms one drain as a microtask, so a burst is handled in the turn that
// made it; once the time slice is over, the drain goes on from setImmediate, so timers, I/O and `await` run in between. The
// slice is counted from the first drain of a turn of the loop, however many drains the turn has. After its first messages a
// thread of the core watches its end, so the loop goes on for no more than the handler that was running then, and asking the
// clock costs a message nothing.

const { LOOK } = require('./border.js')
const { inRoot } = require('./scope.js')

/** Looks at the clock, one after each message, with which a slice begins: most are over before that. */
const FIRST_LOOKS = 4
/** Messages between two looks at the clock when the core's thread is late, or could not be had. */
const STRIDE = 64

class Turns {
  /** Longest time that the loop was held in one go, in milliseconds. */
  longestHold = 0
  /** Times that the loop was given back because the time slice was over. */
  yields = 0
  /** Messages until the next look at the clock, if the core does not ask for one before: `nudged[LOOK]` is not 0 then. */
  left = 1
  nudged = new Int32Array(2)
  /** Whether a drain is running, or will. */
  running = false
  /** Whether answers of other nodes are looked for at the end of a turn. */
  lingers = false
  #armed = false
  /** Whether this turn of the loop has had no slice yet. */
  #fresh = true
  #disposed = false
  #sliceStart = 0
  #looks = 0
  #trigger = undefined
  #border = undefined
  #sliceMs
  #drainer
  #over

  /** `over` is called after a turn. */
  constructor(sliceMs, over) {
    this.#sliceMs = sliceMs
    this.#over = over
  }

  /** `drain.work()` handles messages until there are none (`false`) or the slice is over (`true`); `drain.rest()` comes after it. */
  begin(border, drain) {
    this.#border = border
    this.#drainer = drain
    this.nudged = border.nudged
    this.#prepare()
  }

  /** Registers the next microtask drain now, outside of any context of whoever will trigger it. */
  #prepare() {
    new Promise((resolve) => {
      this.#trigger = resolve
    }).then(() => {
      this.#prepare()
      this.#drain(false)
    })
  }

  /** There is something to do. */
  arm() {
    if (this.running || this.#armed) return
    this.#armed = true
    if (!this.#fresh && this.sliceIsOver()) {
      inRoot(() => setImmediate(this.#drain, true))
    } else {
      this.#trigger()
    }
  }

  /** Another thread has woken the loop. */
  wake() {
    if (this.#armed || this.running || this.#disposed) return
    this.#armed = true
    this.#drain(true)
  }

  /** Whether there is time for more in this turn, in which the caller does something of its own. */
  mayGoOn() {
    if (this.#disposed) return true
    if (this.#fresh && !this.running) inRoot(() => this.#beginSlice())
    return !this.sliceIsOver()
  }

  sliceIsOver() {
    if (--this.left > 0 && this.nudged[LOOK] === 0) return false
    return this.look()
  }

  /** Looks at the clock, and at what other threads have stopped; sets how many messages may pass until the next look. */
  look() {
    const { native, clock } = this.#border
    this.nudged[LOOK] = 0
    native.poll()
    const held = clock[0] - this.#sliceStart
    if (held > this.longestHold) this.longestHold = held
    if (held >= this.#sliceMs) return true
    // It goes on for long enough to be worth a watch by another thread.
    if (++this.#looks === FIRST_LOOKS) native.endSlice(this.#sliceStart + this.#sliceMs)
    this.left = this.#looks < FIRST_LOOKS ? 1 : STRIDE
    return false
  }

  /**
   * `fresh`: a turn of the loop begins. A function by itself, as every frame between the loop and a handler makes what the
   * handler throws dearer: an error notes them all.
   */
  #drain = (fresh) => {
    if (fresh) this.#fresh = true
    // A drain that was armed before the runtime was closed.
    if (this.#disposed) return
    this.running = true
    this.#armed = false
    if (this.#fresh) this.#beginSlice()
    let more = false
    try {
      more = this.#drainer.work()
    } finally {
      this.running = false
      this.#drainer.rest()
    }
    if (more) {
      this.yields++
      this.#armed = true
      setImmediate(this.#drain, true)
    }
  }

  #beginSlice() {
    this.#fresh = false
    this.nudged[LOOK] = 0
    this.#border.native.beginSlice()
    this.#sliceStart = this.#border.clock[0]
    this.#looks = 0
    this.left = 1
    setImmediate(this.#turnOver)
  }

  /** This turn of the loop is over: the next drain begins a slice of its own. */
  #turnOver = () => {
    this.#fresh = true
    this.#over()
    if (this.lingers && !this.#armed && !this.#disposed && this.#border.native.linger()) this.wake()
  }

  /** Sees to it that `over` is called at the end of this turn. */
  note() {
    if (this.#fresh) setImmediate(this.#turnOver)
  }

  dispose() {
    this.#disposed = true
  }
}

module.exports = { Turns }
