'use strict'

// What crashed actors threw, on its way to the crash hook.

const { crashName, crashText } = require('./errors.js')

/** Stacks that are written out in one turn of the loop: they cost more than a restart does. */
const MAX_STACKS = 16

class Failures {
  #stacks = 0
  /** Errors by pid, until the core reports the failure: the core keeps texts, not JS values. */
  #thrown = new Map()
  #gone = []
  #report

  constructor(report) {
    this.#report = report
  }

  /**
   * The text and the stack of what an actor threw. In a storm of crashes only the text: who reports one on this loop has the
   * error itself.
   */
  describe(error) {
    return ++this.#stacks > MAX_STACKS ? [crashName(error), undefined] : crashText(error)
  }

  /** A turn of the loop is over. */
  newTurn() {
    this.#stacks = 0
  }

  /** An actor crashed that the core does not know, or does not know any more: nobody else will report what it threw. */
  crashed(pid, text, error) {
    const stack = text[1] ?? crashText(error)[1]
    this.report({ pid, reason: 'crash', message: text[0], stack, error })
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
    const known = this.#thrown.has(pid)
    const error = this.#thrown.get(pid)
    this.#thrown.delete(pid)
    this.report({
      pid,
      reason,
      message,
      stack: stack ?? (known ? crashText(error)[1] : undefined),
      error,
    })
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
