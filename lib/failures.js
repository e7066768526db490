'use strict'

// What crashed actors threw, on its way to the crash hook.

class Failures {
  /** Errors by pid, until the core reports the failure: the core keeps texts, not JS values. */
  #thrown = new Map()
  #gone = []
  #report

  constructor(report) {
    this.#report = report
  }

  /** An actor crashed that the core does not know, or does not know any more: nobody else will report what it threw. */
  crashed(pid, text, error) {
    this.report({ pid, reason: 'crash', message: text[0], stack: text[1], error })
  }

  /** `tell` tells the core of a crash; `false`: the actor was gone already. */
  during(pid, text, error, tell) {
    this.#thrown.set(pid, error)
    if (tell()) return
    this.#thrown.delete(pid)
    this.crashed(pid, text, error)
  }

  /** An actor has ended. The core reports at once if nobody replaces it. */
  forget(pid) {
    if (this.#thrown.has(pid)) this.#gone.push(pid)
  }

  /** What the core has told so far is dealt with. */
  settle() {
    for (const pid of this.#gone) this.#thrown.delete(pid)
    this.#gone.length = 0
  }

  /** The core reports a failure. */
  ended(pid, reason, message, stack) {
    const error = this.#thrown.get(pid)
    this.#thrown.delete(pid)
    this.report({ pid, reason, message, stack, error })
  }

  report(info) {
    try {
      this.#report(info)
    } catch {
      // The hook and the logger are the user's: what they throw must not stop the lane.
    }
  }
}

module.exports = { Failures }
