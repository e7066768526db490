'use strict'

// What happens in a runtime, for whoever subscribes: Node's diagnostics channels, and the hook for dead letters. Nothing is
// asked of the core while nobody listens.

const { channel } = require('node:diagnostics_channel')
const { crashText } = require('./errors.js')

const SPAWN = channel('iris:spawn')
const EXIT = channel('iris:exit')
const RESTART = channel('iris:restart')
const DEAD_LETTER = channel('iris:deadletter')

// The same numbers stand in src/runtime/events.rs.
const SPAWNS = 1
const EXITS = 2
const DEAD_LETTERS = 4

class Tracing {
  #lane
  #runtime
  #native
  #supervisors
  #log
  #hook = undefined
  #watched = 0
  #restarts = false

  constructor(lane, supervisors, log) {
    this.#lane = lane
    this.#runtime = lane.runtime
    this.#native = lane.native
    this.#supervisors = supervisors
    this.#log = log
    this.look()
  }

  /** Looks who listens: before each spawn and after each turn of the loop that had work. */
  look() {
    if (this.#lane.closing || this.#lane.disposed) return
    const wanted =
      (SPAWN.hasSubscribers ? SPAWNS : 0) |
      (EXIT.hasSubscribers ? EXITS : 0) |
      (DEAD_LETTER.hasSubscribers || this.#hook !== undefined ? DEAD_LETTERS : 0)
    if (wanted !== this.#watched) {
      this.#watched = wanted
      this.#native.watchEvents(wanted)
    }
    if (!this.#restarts && RESTART.hasSubscribers) {
      this.#restarts = true
      this.#supervisors.listen(2, (event) => {
        if (event.event === 'restarted') RESTART.publish({ ...event, runtime: this.#runtime })
      })
    }
  }

  /** `hook` hears of dead letters; `undefined`: nobody but the channel does. */
  onDeadLetter(hook) {
    this.#hook = hook
    this.look()
  }

  /** The core has news. */
  tell() {
    const runtime = this.#runtime
    for (const [kind, pid, a, b, c, d] of this.#native.takeNews()) {
      if (kind === 0) {
        SPAWN.publish({ runtime, pid, parent: a ?? null })
      } else if (kind === 1) {
        EXIT.publish({ runtime, pid, reason: a, message: b, stack: c })
      } else {
        const letter = { pid, reason: a, data: b ?? null, sender: c ?? null, isCall: d === 1 }
        if (DEAD_LETTER.hasSubscribers) DEAD_LETTER.publish({ runtime, ...letter })
        if (this.#hook !== undefined) this.#tellHook(letter)
      }
    }
  }

  async #tellHook(letter) {
    try {
      await this.#hook(letter)
    } catch (error) {
      this.#log(`iris: the onDeadLetter hook failed: ${crashText(error)[0]}`)
    }
  }
}

module.exports = { Tracing }
