'use strict'

// Turns of the event loop. The first work after idle arms one drain as a microtask, so a burst is handled in the turn that
// made it; once the time slice is over, the drain goes on from setImmediate, so timers, I/O and `await` run in between. The
// slice is counted from the first drain of a turn of the loop, however many drains the turn has.

const { inRoot } = require('./scope.js')

/** Most messages between two looks at the clock; fewer as soon as handlers take long. */
const MAX_STRIDE = 4

class Turns {
  /** Longest time that the loop was held in one go, in milliseconds. */
  longestHold = 0
  /** Times that the loop was given back because the time slice was over. */
  yields = 0
  /** Messages until the next look at the clock. */
  left = 1
  /** Whether a drain is running, or will. */
  running = false
  #armed = false
  /** Whether this turn of the loop has had no slice yet. */
  #fresh = true
  #disposed = false
  #sliceStart = 0
  #lastLook = 0
  #stride = 1
  #trigger = undefined
  #border = undefined
  #sliceMs
  #work
  #over

  /** `work` handles messages until there are none (`false`) or the slice is over (`true`); `over` is called after a turn. */
  constructor(sliceMs, work, over) {
    this.#sliceMs = sliceMs
    this.#work = work
    this.#over = over
  }

  begin(border) {
    this.#border = border
    this.#prepare()
  }

  /** Registers the next microtask drain now, outside of any context of whoever will trigger it. */
  #prepare() {
    new Promise((resolve) => {
      this.#trigger = resolve
    }).then(() => {
      this.#prepare()
      this.#drain()
    })
  }

  /** There is something to do. */
  arm() {
    if (this.running || this.#armed) return
    this.#armed = true
    if (!this.#fresh && this.sliceIsOver()) {
      inRoot(() => setImmediate(() => this.#drainFresh()))
    } else {
      this.#trigger()
    }
  }

  /** Another thread has woken the loop. */
  wake() {
    if (this.#armed || this.running || this.#disposed) return
    this.#armed = true
    this.#drainFresh()
  }

  /** Whether there is time for more in this turn, in which the caller does something of its own. */
  mayGoOn() {
    if (this.#disposed) return true
    if (this.#fresh && !this.running) inRoot(() => this.#beginSlice())
    return !this.sliceIsOver()
  }

  sliceIsOver() {
    if (--this.left > 0) return false
    return this.look()
  }

  /** Looks at the clock; sets how many messages may pass until the next look. */
  look() {
    const border = this.#border
    border.native.poll()
    const now = border.clock[0]
    const since = now - this.#lastLook
    this.#lastLook = now
    this.#stride = since * 8 > this.#sliceMs ? 1 : Math.min(MAX_STRIDE, this.#stride * 2)
    this.left = this.#stride
    const held = now - this.#sliceStart
    if (held > this.longestHold) this.longestHold = held
    return held >= this.#sliceMs
  }

  #drainFresh() {
    this.#fresh = true
    this.#drain()
  }

  #drain() {
    // A drain that was armed before the runtime was closed.
    if (this.#disposed) return
    this.running = true
    this.#armed = false
    if (this.#fresh) this.#beginSlice()
    let more = false
    try {
      more = this.#work()
    } finally {
      this.running = false
    }
    if (more) {
      this.yields++
      this.#armed = true
      setImmediate(() => this.#drainFresh())
    }
  }

  #beginSlice() {
    this.#fresh = false
    this.#border.native.poll()
    this.#sliceStart = this.#lastLook = this.#border.clock[0]
    this.left = this.#stride = 1
    setImmediate(this.#turnOver)
  }

  /** This turn of the loop is over: the next drain begins a slice of its own. */
  #turnOver = () => {
    this.#fresh = true
    this.#over()
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
