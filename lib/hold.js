'use strict'

// What keeps the process alive: pending calls and waits, delayed messages, `ref()`.

const { inRoot } = require('./scope.js')

const FOREVER = 2 ** 31 - 1

class Hold {
  #count = 0
  #held = false
  /** Whether messages are to be sent later: they hold the process, and the core says when none is left. */
  #delaying = false
  #keepAlive = undefined
  #idle
  #hasDelays

  /** `idle` is called whenever nothing is pending any more; it calls `settle` at the end of the turn. */
  constructor(idle, hasDelays) {
    this.#idle = idle
    this.#hasDelays = hasDelays
  }

  hold() {
    if (this.#count++ !== 0) return
    if (this.#keepAlive === undefined) {
      this.#keepAlive = inRoot(() => setInterval(() => {}, FOREVER))
    } else {
      this.#keepAlive.ref()
    }
  }

  /** Lets go at the end of the turn: a caller in a loop holds again before that. */
  release() {
    if (--this.#count === 0) this.#idle()
  }

  /** A delayed message is pending. */
  holdForDelays() {
    if (this.#delaying) return
    this.#delaying = true
    this.hold()
  }

  /** Keeps the process alive whether or not anything is pending, or lets go of it again. */
  set(held) {
    if (held === this.#held) return
    this.#held = held
    if (held) this.hold()
    else this.release()
  }

  /** The turn of the loop is over: if nothing is pending, the process may end. */
  settle() {
    if (this.#delaying && !this.#hasDelays()) {
      this.#delaying = false
      this.#count--
    }
    if (this.#count === 0) this.#keepAlive?.unref()
  }

  dispose() {
    clearInterval(this.#keepAlive)
  }
}

module.exports = { Hold }
