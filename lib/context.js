'use strict'

const { toBytes } = require('./bytes.js')
const { encodeReply } = require('./codecs.js')
const { makeError, wrongType } = require('./errors.js')

const EMPTY = Buffer.alloc(0)

/** What a handler gets beside its message: one for each actor, one for each call. */
class Context {
  #lane
  #pid
  #low
  #high
  /** Set by the dispatch loop before each message. */
  _sender = null
  /** Messages in a row that may be handed over to the actor without the core before others; 0: none. */
  _direct = 0
  /** The hooks of a virtual actor. */
  _hooks = undefined

  /** The key of the call, if this loop made it; -1: another's. */
  _here

  constructor(lane, pid, low = 0, high = 0, here = -1) {
    this.#lane = lane
    this.#pid = pid
    this.#low = low
    this.#high = high
    this._here = here
  }

  get pid() {
    return this.#pid
  }

  get runtime() {
    return this.#lane.runtime
  }

  get sender() {
    return this._sender
  }

  get isCall() {
    return this.#high !== 0
  }

  /** Only the branches of a speculating actor are ever told to end. */
  get signal() {
    return undefined
  }

  get state() {
    return this.#lane.stateOf(this.#pid)
  }

  set state(value) {
    this.#lane.setState(this.#pid, value)
  }

  send(pid, data) {
    return this.#lane.send(pid, data, this.#pid)
  }

  call(pid, data, options) {
    return this.#lane.call(pid, data, options, this.#pid)
  }

  reply(data) {
    const codec = this.#lane.codecOf(this.#pid)
    let bytes = EMPTY
    if (codec !== undefined) bytes = encodeReply(codec, data)
    else if (data !== undefined) bytes = toBytes(data, 'a reply')
    const high = this._take()
    if (high === 0) {
      throw makeError(
        'ERR_IRIS_STALE_REPLY',
        `actor ${this.#pid}: nothing waits for this reply (it is no call, or was answered already)`,
      )
    }
    // A caller that has given up is no fault of the handler: its reply is dropped and counted.
    this.#lane.reply(this.#low, high, bytes, this._here)
  }

  /** Answers the call with bytes, for who has staged the reply. */
  _settle(bytes) {
    const high = this._take()
    if (high !== 0) this.#lane.reply(this.#low, high, bytes, this._here)
  }

  monitor(target) {
    if (typeof target !== 'number') throw wrongType('target', 'a number', target)
    return this.#lane.monitor(target, this.#pid)
  }

  link(pid) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    this.#lane.link(this.#pid, pid)
  }

  stop() {
    return this.#lane.stop(this.#pid, false, undefined)
  }

  /** The core has heard of the call that is in hand: this is its id. */
  _adopt(low, high) {
    if (this.#high >= 0) return
    this.#low = low
    this.#high = high
  }

  /** Takes the unanswered call, for the dispatch loop: its high half, 0 if there is none, -1 if the core has not heard of it. */
  _take() {
    const high = this.#high
    this.#high = 0
    return high
  }

  get [Symbol.toStringTag]() {
    return 'Context'
  }
}

module.exports = { Context }
