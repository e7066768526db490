'use strict'

// The pull actors of a loop: functions that own a mailbox.

const { crashText, makeError } = require('./errors.js')
const { Ahead, Mailbox } = require('./mailbox.js')

class Pulls {
  #lane
  #native
  #actors
  #failures
  #ahead
  /** By the key that their signals bear. */
  #mailboxes = new Map()
  /** The mailboxes of actors that keep what they get, by pid. */
  #observed = new Map()
  #next = 0

  constructor(lane, border, { actors, failures }) {
    this.#lane = lane
    this.#native = border.native
    this.#actors = actors
    this.#failures = failures
    this.#ahead = new Ahead(border)
  }

  /** Spawns a pull actor: `body` gets its mailbox in a microtask, in the caller's async context. `enter` is told of its pid. */
  spawn(body, budget, capacity, parent, codec, enter) {
    const key = this.#next++
    const mailbox = new Mailbox(this.#lane, this.#ahead, budget, codec)
    const answer = this.#native.spawnPull(budget, capacity, parent, key)
    const pid = Math.abs(answer)
    enter(answer, mailbox)
    Mailbox.begin(mailbox, pid)
    this.#mailboxes.set(key, mailbox)
    this.#run(body, mailbox, pid)
    return pid
  }

  /** Spawns an actor that keeps what it gets until somebody asks for it. */
  observe(budget, capacity, enter) {
    const key = this.#next++
    const mailbox = new Mailbox(this.#lane, this.#ahead, budget)
    const answer = this.#native.spawnPull(budget, capacity, 0, key)
    const pid = Math.abs(answer)
    enter(answer, mailbox)
    Mailbox.begin(mailbox, pid)
    this.#mailboxes.set(key, mailbox)
    this.#observed.set(pid, mailbox)
    return pid
  }

  /** The mailbox of an observed actor of this thread. */
  observed(pid) {
    const mailbox = this.#observed.get(pid)
    if (mailbox !== undefined && this.#native.isAlive(pid)) return mailbox
    if (!this.#native.isAlive(pid)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `pid ${pid}: no such actor`)
    }
    throw makeError(
      'ERR_IRIS_NOT_LOCAL',
      `pid ${pid} is no observed actor of this thread: ask where it was spawned with spawnWithPathObserved`,
    )
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
      this.#observed.delete(mailbox.pid)
      this.#actors.ended(mailbox.pid)
    }
    Mailbox.close(mailbox)
    // Nobody else will: it has no function that returns.
    if (signal === 1 && this.#observed.has(mailbox.pid)) this.#native.finishPull(mailbox.pid, false)
  }

  dispose() {
    for (const mailbox of this.#mailboxes.values()) Mailbox.close(mailbox)
    this.#mailboxes.clear()
    this.#observed.clear()
  }
}

module.exports = { Pulls }
