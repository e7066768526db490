'use strict'

// The mailbox of a pull actor. Its messages stay in the core until they are taken; here are the waits, in their order.
//
// A scan of a selective receive is a cursor: a matcher and the place that it has come to. The cursor of the last matcher is
// kept, so a matcher never sees again what it has refused. Taking a message out of the middle moves what is behind it, and so
// all cursors behind it, up by one place.

const { toBytes } = require('./bytes.js')
const { aborted, makeError, outOfRange, wrongType } = require('./errors.js')
const { bindTo, callersContext, inRoot } = require('./scope.js')
const { wait } = require('./options.js')
const { systemMessage } = require('./system.js')

const EMPTY = Buffer.alloc(0)
const FOREVER = 2 ** 31 - 1

/** A call that a pull actor received. */
class CallMessage {
  #lane
  #low
  #high
  #data

  constructor(lane, data, low, high) {
    this.#lane = lane
    this.#data = data
    this.#low = low
    this.#high = high
  }

  get data() {
    return this.#data
  }

  reply(data) {
    const bytes = data === undefined ? EMPTY : toBytes(data, 'a reply')
    const high = this.#high
    this.#high = 0
    if (high === 0 || !this.#lane.reply(this.#low, high, bytes, -1)) {
      throw makeError(
        'ERR_IRIS_STALE_REPLY',
        'nothing waits for this reply: the call was answered already, or is over',
      )
    }
  }
}

class Mailbox {
  #lane
  #native
  #pid = 0
  #budget
  #closed = false
  /** `{ resolve, reject, cursor, run }`, oldest first. */
  #waits = []
  #cursor = undefined
  #serving = false
  #later = false
  /** Messages taken since this actor last waited. */
  #burst = 0

  constructor(lane, budget) {
    this.#lane = lane
    this.#native = lane.native
    this.#budget = budget
  }

  get pid() {
    return this.#pid
  }

  get size() {
    return this.#lane.disposed ? 0 : (this.#native.mailboxSize(this.#pid) ?? 0)
  }

  get closed() {
    return this.#closed
  }

  recv(options) {
    try {
      const { timeoutMs, signal } = wait(options, undefined)
      if (signal?.aborted) throw aborted(signal)
      let looked = false
      if (this.#waits.length === 0 && this.#mayTake()) {
        const message = this.#take()
        if (message !== null || this.#closed) return Promise.resolve(message)
        looked = true
      }
      return this.#wait(undefined, undefined, timeoutMs, signal, looked)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  monitor(target) {
    if (typeof target !== 'number') throw wrongType('target', 'a number', target)
    return this.#lane.monitor(target, this.#pid)
  }

  link(pid) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    this.#lane.link(this.#pid, pid)
  }

  tryRecv() {
    return this.#take()
  }

  selectiveRecv(matcher, options) {
    try {
      if (typeof matcher !== 'function') throw wrongType('matcher', 'a function', matcher)
      const { timeoutMs, signal } = wait(options, undefined)
      if (signal?.aborted) throw aborted(signal)
      if (this.#cursor?.matcher !== matcher) this.#cursor = { matcher, place: 0 }
      return this.#wait(this.#cursor, callersContext(), timeoutMs, signal, false)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const message = await this.recv()
      if (message === null) return
      yield message
    }
  }

  get [Symbol.toStringTag]() {
    return 'Mailbox'
  }

  /** For the lane: the actor has its pid. */
  static begin(mailbox, pid) {
    mailbox.#pid = pid
  }

  /** For the lane: the actor should look. */
  static look(mailbox) {
    mailbox.#serve()
  }

  /** For the lane: nothing comes any more. */
  static close(mailbox) {
    mailbox.#closed = true
    mailbox.#serve()
  }

  /** Whether another message may be taken in this turn of the loop. */
  #mayTake() {
    return ++this.#burst <= this.#budget && this.#lane.mayGoOn()
  }

  /** The next message; `null`: none. */
  #take() {
    if (this.#closed && this.#lane.disposed) return null
    const message = this.#native.pull(this.#pid)
    if (message === null) {
      this.#burst = 0
      return null
    }
    return this.#received(message)
  }

  #received(message) {
    if (message === false) {
      this.#closed = true
      return null
    }
    if (!Array.isArray(message)) return message
    if (message.length !== 3) return systemMessage(message)
    const [data, low, high] = message
    return new CallMessage(this.#lane, data, low, high)
  }

  #wait(cursor, run, timeoutMs, signal, looked) {
    const entry = { cursor, run, resolve: undefined, reject: undefined }
    const promise = new Promise((resolve, reject) => {
      entry.resolve = resolve
      entry.reject = reject
    })
    this.#waits.push(entry)
    // A microtask of its own: a matcher does not run inside of the call.
    if (!looked) this.#serveLater()
    return timeoutMs === undefined && signal === undefined
      ? promise
      : this.#within(promise, entry, timeoutMs, signal)
  }

  async #within(promise, entry, timeoutMs, signal) {
    const giveUp = (settle, value) => {
      const at = this.#waits.indexOf(entry)
      if (at < 0) return
      this.#waits.splice(at, 1)
      settle(value)
    }
    // What has come in time is taken first.
    const late = () => {
      this.#serve()
      giveUp(entry.resolve, null)
    }
    const abort = () => giveUp(entry.reject, aborted(signal))
    // A wait does not hold the process.
    const timer =
      timeoutMs === undefined
        ? undefined
        : inRoot(() => setTimeout(late, Math.min(timeoutMs, FOREVER)).unref())
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  #serveLater() {
    if (this.#later) return
    this.#later = true
    const serve = () => {
      this.#later = false
      this.#serve()
    }
    if (this.#burst <= this.#budget && this.#lane.mayGoOn()) {
      inRoot(() => queueMicrotask(serve))
    } else {
      // The others of this loop first.
      this.#burst = 0
      inRoot(() => setImmediate(serve))
    }
  }

  /** Gives the waits what there is for them. */
  #serve() {
    if (this.#serving) {
      this.#serveLater()
      return
    }
    this.#serving = true
    try {
      for (let at = 0; at < this.#waits.length; ) {
        const entry = this.#waits[at]
        let settle = entry.resolve
        let answer = null
        try {
          answer = entry.cursor === undefined ? this.#take() : this.#scan(entry)
        } catch (error) {
          settle = entry.reject
          answer = error
        }
        const done = settle === entry.reject || answer !== null || this.#closed
        // The matcher may have ended waits.
        at = this.#waits.indexOf(entry, 0)
        if (at < 0) {
          at = 0
        } else if (done) {
          this.#waits.splice(at, 1)
          settle(answer)
        } else {
          at++
        }
      }
    } finally {
      this.#serving = false
    }
  }

  /** The first message that the matcher of `entry` takes, from its cursor on; `null`: none yet. */
  #scan({ cursor, run }) {
    const matches = bindTo(run, cursor.matcher)
    for (;;) {
      if (this.#closed && this.#lane.disposed) return null
      const peeked = this.#native.peek(this.#pid, cursor.place)
      if (peeked === null) return null
      if (peeked === false) return this.#received(false)
      const [shown, next] = peeked
      const data = Array.isArray(shown) ? systemMessage(shown) : shown
      cursor.place = next - 1
      const answer = matches(data)
      if (typeof answer?.then === 'function') {
        throw outOfRange('what a matcher answers', 'a boolean, not a promise', answer)
      }
      if (!answer) {
        cursor.place = next
        continue
      }
      const message = this.#native.takePeeked(this.#pid, next)
      this.#tookAt(next - 1, message !== null)
      if (message !== null) return this.#received(message)
    }
  }

  /** The message at `place` was taken out; if it was gone before, nobody knows whether what is behind it has moved. */
  #tookAt(place, took) {
    const cursors = new Set(this.#waits.map(({ cursor }) => cursor)).add(this.#cursor)
    for (const cursor of cursors) {
      if (cursor === undefined || cursor.place <= place) continue
      cursor.place = took ? cursor.place - 1 : place
    }
  }
}

module.exports = { Mailbox, CallMessage }
