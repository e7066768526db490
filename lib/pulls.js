'use strict'

// The pull actors of a loop: functions that own a mailbox.

const { crashText } = require('./errors.js')
const { Mailbox } = require('./mailbox.js')

class Pulls {
  #lane
  #native
  #actors
  #failures
  /** By the key that their signals bear. */
  #mailboxes = new Map()
  #next = 0

  constructor(lane, border, { actors, failures }) {
    this.#lane = lane
    this.#native = border.native
    this.#actors = actors
    this.#failures = failures
  }

  /** Spawns a pull actor: `body` gets its mailbox in a microtask, in the caller's async context. `enter` is told of its pid. */
  spawn(body, budget, capacity, parent, enter) {
    const key = this.#next++
    const mailbox = new Mailbox(this.#lane, budget)
    const answer = this.#native.spawnPull(budget, capacity, parent, key)
    const pid = Math.abs(answer)
    enter(answer)
    Mailbox.begin(mailbox, pid)
    this.#mailboxes.set(key, mailbox)
    this.#run(body, mailbox, pid)
    return pid
  }

  async #run(body, mailbox, pid) {
    await undefined
    if (this.#lane.disposed) return
    try {
      // One that was stopped before it began does not begin.
      if (this.#native.isAlive(pid)) await body(mailbox)
    } catch (error) {
      this.#failed(pid, error)
      return
    }
    if (this.#lane.disposed) return
    this.#actors.doubt(pid)
    this.#native.finishPull(pid, false)
  }

  #failed(pid, error) {
    const text = crashText(error)
    if (this.#lane.disposed) {
      this.#failures.crashed(pid, text, error)
      return
    }
    this.#actors.doubt(pid)
    this.#failures.during(pid, text, error, () =>
      this.#native.finishPull(pid, true, text[0], text[1]),
    )
  }

  /** 0: there is a message; 1: none will come; 2: the actor is gone. */
  signal(key, signal) {
    const mailbox = this.#mailboxes.get(key)
    if (mailbox === undefined) return
    if (signal === 0) {
      Mailbox.look(mailbox)
      return
    }
    if (signal === 2) {
      this.#mailboxes.delete(key)
      this.#actors.ended(mailbox.pid)
    }
    Mailbox.close(mailbox)
  }

  dispose() {
    for (const mailbox of this.#mailboxes.values()) Mailbox.close(mailbox)
    this.#mailboxes.clear()
  }
}

module.exports = { Pulls }
