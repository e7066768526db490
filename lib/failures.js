'use strict'

// What crashed actors threw, on its way to the crash hook.

const { crashName, crashText, sameCrash } = require('./errors.js')

/** Stacks that are written out in one turn of the loop: they cost more than a restart does. */
const MAX_STACKS = 16

class Failures {
  #stacks = 0
  /** The last error that was described in short, and how: in a storm the next is often the same. */
  #last = { name: undefined, message: undefined, text: undefined }
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
    if (++this.#stacks <= MAX_STACKS) return crashText(error)
    const last = this.#last
    if (!sameCrash(error, last)) last.text = [crashName(error), undefined]
    return last.text
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
    this.expect(pid, error)
    if (!tell()) this.unheard(pid, text, error)
  }

  /** The core may report a crash. */
  expect(pid, error) {
    this.#thrown.set(pid, error)
  }

  /** The actor was gone already: the core has nothing to say of it. */
  unheard(pid, text, error) {
    this.#thrown.delete(pid)
    this.crashed(pid, text, error)
  }

  /** An actor has ended. The core reports at once if nobody replaces it. */
  forget(pid) {
    if (this.#thrown.has(pid)) this.#gone.push(pid)
  }

  /** What the core has told so far is dealt with. */
  settle() {
    if (this.#gone.length === 0) return
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
