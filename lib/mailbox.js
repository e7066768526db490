'use strict'

// The mailbox of a pull actor. Its messages stay in the core until they are taken; here are the waits, in their order.
//
// A scan of a selective receive is a cursor: a matcher and the place that it has come to. The cursor of the last matcher is
// kept, so a matcher never sees again what it has refused. Taking a message out of the middle moves what is behind it, and so
// all cursors behind it, up by one place.

const { FastBuffer, toBytes } = require('./bytes.js')
const { encodeReply } = require('./codecs.js')
const { AHEAD, AHEAD_AT, AHEAD_DONE, SHOWN_MAX, SLAB, align, memory } = require('./border.js')
const { aborted, makeError, outOfRange, wrongType } = require('./errors.js')
const { bindTo, callersContext, inRoot } = require('./scope.js')
const { wait } = require('./options.js')
const { systemMessage } = require('./system.js')

const EMPTY = Buffer.alloc(0)
const FOREVER = 2 ** 31 - 1
/** AHEAD: all that there is has been shown. */
const ALL = 2
/** No message: inside of this file, since a codec may make a message of `null`. */
const NONE = Symbol('none')

/** A call that a pull actor received. */
class CallMessage {
  #lane
  #low
  #high
  #data
  #codec

  constructor(lane, data, codec, low, high) {
    this.#lane = lane
    this.#data = data
    this.#codec = codec
    this.#low = low
    this.#high = high
  }

  get data() {
    return this.#data
  }

  reply(data) {
    let bytes = EMPTY
    if (this.#codec !== undefined) bytes = encodeReply(this.#codec, data)
    else if (data !== undefined) bytes = toBytes(data, 'a reply')
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

/**
 * Messages that the core has shown to the mailbox of one actor of a loop: they are given out here, for as long as the core is
 * asked nothing. It hears of that first when it is, and shows the rest anew (docs/adr/0043).
 */
class Ahead {
  #native
  #ctl
  #lengths
  #slab = memory(0)
  #at = 0
  #count = 0
  /** The mailbox that they are for. */
  owner = undefined
  /** Whether they are all that it has. */
  all = false

  constructor(border) {
    this.#native = border.native
    this.#ctl = border.ctl
    this.#lengths = border.shown
  }

  /** The next message for `mailbox`, or `undefined`. */
  next(mailbox) {
    const ctl = this.#ctl
    if (ctl[AHEAD] === 0 || this.owner !== mailbox) return undefined
    const i = ctl[AHEAD_DONE]
    // A user can take the memory away with `message.buffer.transfer()` (Node 22).
    if (i === this.#count || this.#slab.byteLength === 0) return undefined
    const length = this.#lengths[i]
    const message = new FastBuffer(this.#slab, this.#at, length)
    this.#at += align(length)
    ctl[AHEAD_DONE] = i + 1
    return message
  }

  /** Asks the core; answers a number if it has shown as many messages, else as the native `pull`. */
  ask(mailbox, pid, most) {
    if (this.#slab.byteLength !== SLAB) this.#newSlab()
    let answer = this.#native.pull(pid, most)
    if (answer === -1) {
      this.#newSlab()
      answer = this.#native.pull(pid, most)
    }
    if (typeof answer === 'number') {
      this.owner = mailbox
      this.#count = answer
      this.all = this.#ctl[AHEAD] === ALL
      this.#at = this.#ctl[AHEAD_AT]
    }
    return answer
  }

  #newSlab() {
    this.#slab = memory(SLAB)
    this.#native.pullSlab(new Uint8Array(this.#slab))
  }
}

class Mailbox {
  #lane
  #ahead
  #native
  #pid = 0
  #budget
  #codec
  #closed = false
  /** `{ resolve, reject, cursor, run }`, oldest first. */
  #waits = []
  #cursor = undefined
  #serving = false
  /** The core has said that there is nothing, and not yet that there is something: so it need not be asked. */
  #dry = false
  /** Messages to be shown the next time, and how many of the last have not been taken. */
  #most = 2
  #left = 0
  /** Whether they were all there were; the core says when another comes. */
  #all = false
  #later = false
  /** Messages taken since this actor last waited. */
  #burst = 0

  constructor(lane, ahead, budget, codec) {
    this.#lane = lane
    this.#ahead = ahead
    this.#codec = codec
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
    return this.#recv(options, null)
  }

  /** `none` is what the promise is of if no message comes. */
  #recv(options, none) {
    try {
      const { timeoutMs, signal } = wait(options, undefined)
      if (signal?.aborted) throw aborted(signal)
      // What this thread has sent it meanwhile comes with the drain.
      let looked = this.#dry && !this.#closed
      if (looked) {
        this.#burst = 0
      } else if (this.#waits.length === 0 && this.#mayTake()) {
        const message = this.#take()
        if (message !== NONE) return Promise.resolve(message)
        if (this.#closed) return Promise.resolve(none)
        looked = true
      }
      return this.#wait(none, undefined, undefined, timeoutMs, signal, looked)
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
    const message = this.#take()
    return message === NONE ? null : message
  }

  selectiveRecv(matcher, options) {
    try {
      if (typeof matcher !== 'function') throw wrongType('matcher', 'a function', matcher)
      const { timeoutMs, signal } = wait(options, undefined)
      if (signal?.aborted) throw aborted(signal)
      if (this.#cursor?.matcher !== matcher) this.#cursor = { matcher, place: 0 }
      return this.#wait(null, this.#cursor, callersContext(), timeoutMs, signal, false)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const message = await this.#recv(undefined, NONE)
      if (message === NONE) return
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

  /** For the drain: whether the actor waits for any message at all, and has none. */
  static takesAny(mailbox) {
    if (!mailbox.#dry || mailbox.#serving || mailbox.#closed) return false
    const waits = mailbox.#waits
    return waits.length !== 0 && waits[0].cursor === undefined
  }

  /** For the drain, which has asked: a message that the core has not seen. */
  static give(mailbox, message) {
    mailbox.#waits.shift().resolve(message)
  }

  /** For the lane: the actor should look. */
  static look(mailbox) {
    mailbox.#dry = false
    mailbox.#all = false
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

  /** The next message, or `NONE`. */
  #take() {
    const ahead = this.#ahead
    for (;;) {
      const message = ahead.next(this)
      if (message !== undefined) {
        if (--this.#left === 0) this.#dry = this.#all
        return this.#codec === undefined ? message : this.#codec.decode(message)
      }
      if (this.#closed && this.#lane.disposed) return NONE
      // Twice as many if all of the last were taken before the core was asked anything else.
      this.#most =
        this.#left === 0 ? Math.min(this.#most * 2, SHOWN_MAX) : Math.max(this.#most >> 1, 2)
      const answer = ahead.ask(this, this.#pid, this.#most)
      this.#left = 0
      if (answer === null) {
        this.#dry = true
        this.#burst = 0
        return NONE
      }
      if (typeof answer !== 'number') return this.#received(answer)
      // Unless what the question armed has asked the core meanwhile, they are there now.
      this.#left = answer
      this.#all = ahead.all
    }
  }

  #received(message) {
    if (message === false) {
      this.#closed = true
      return NONE
    }
    const codec = this.#codec
    if (!Array.isArray(message)) return codec === undefined ? message : codec.decode(message)
    if (message.length !== 3) return systemMessage(message)
    const [data, low, high] = message
    if (codec === undefined) return new CallMessage(this.#lane, data, codec, low, high)
    try {
      return new CallMessage(this.#lane, codec.decode(data), codec, low, high)
    } catch (error) {
      // Nobody will answer it.
      this.#lane.failCall(low, high, error)
      throw error
    }
  }

  #wait(none, cursor, run, timeoutMs, signal, looked) {
    const entry = { none, cursor, run, resolve: undefined, reject: undefined }
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
      giveUp(entry.resolve, entry.none)
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
        let answer = NONE
        try {
          answer = entry.cursor === undefined ? this.#take() : this.#scan(entry)
        } catch (error) {
          settle = entry.reject
          answer = error
        }
        const done = settle === entry.reject || answer !== NONE || this.#closed
        // The matcher may have ended waits.
        at = this.#waits.indexOf(entry, 0)
        if (at < 0) {
          at = 0
        } else if (done) {
          this.#waits.splice(at, 1)
          settle(answer === NONE ? entry.none : answer)
        } else {
          at++
        }
      }
    } finally {
      this.#serving = false
    }
  }

  /** The first message that the matcher of `entry` takes, from its cursor on; `NONE`: none yet. */
  #scan({ cursor, run }) {
    const matches = bindTo(run, cursor.matcher)
    for (;;) {
      if (this.#closed && this.#lane.disposed) return NONE
      const peeked = this.#native.peek(this.#pid, cursor.place)
      if (peeked === null) return NONE
      if (peeked === false) return this.#received(false)
      const [shown, next] = peeked
      cursor.place = next - 1
      const data = this.#shown(shown)
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

  /** What a matcher is shown. */
  #shown(shown) {
    if (Array.isArray(shown)) return systemMessage(shown)
    return this.#codec === undefined ? shown : this.#codec.decode(shown)
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

module.exports = { Ahead, Mailbox, CallMessage }
