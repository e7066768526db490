'use strict'

// What the actors that this loop speaks to want to hear. That an actor takes bytes as they are is looked up once: its codec
// was there before anybody knew its pid.

const { copyBytes, isMessage, toBytes } = require('./bytes.js')
const { encode, getCodec } = require('./codecs.js')

/** Pids that are remembered; a direct-mapped cache. */
const KNOWN = 256

const EMPTY = Buffer.alloc(0)

class Speech {
  #native
  #actors
  /** Actors elsewhere that take bytes as they are. */
  #raw = new Float64Array(KNOWN)

  constructor(border, actors) {
    this.#native = border.native
    this.#actors = actors
  }

  /** The codec of whoever has this pid, on whatever thread; `undefined`: bytes as they are. */
  codecOf(pid) {
    if (typeof pid !== 'number' || this.#actors.takesBytes(pid)) return undefined
    const own = this.#actors.codecs.get(pid)
    if (own !== undefined) return own
    if (this.#actors.knows(pid) || this.#raw[pid & (KNOWN - 1)] === pid) return undefined
    const name = this.#native.codecOf(pid)
    if (typeof name === 'string') return getCodec(name, `pid ${pid} speaks it, but `)
    // Otherwise there is no such actor.
    if (name === null) this.#raw[pid & (KNOWN - 1)] = pid
    return undefined
  }

  /** `data` as the bytes that `pid` wants; wrong data throws, unless nobody is there to say what is right. */
  bytesFor(pid, data) {
    const codec = this.codecOf(pid)
    return codec === undefined ? this.plainBytesFor(pid, data, 'data') : encode(codec, data)
  }

  /** As `bytesFor`, for a pid that is known to have no codec. */
  plainBytesFor(pid, data, what) {
    if (isMessage(data) || !this.#isGone(pid)) return toBytes(data, what)
    return EMPTY
  }

  /** As `bytesFor`, for each of `messages`, before any is sent. */
  allBytesFor(pid, messages) {
    const codec = this.codecOf(pid)
    // A codec may use the memory of its last message again.
    if (codec !== undefined) return Array.from(messages, (m) => copyBytes(encode(codec, m)))
    return Array.from(messages, (m, i) => this.plainBytesFor(pid, m, `messages[${i}]`))
  }

  /** Whether this was an actor's pid: it may have had a codec. */
  #isGone(pid) {
    return typeof pid === 'number' && this.#native.codecOf(pid) === undefined
  }
}

module.exports = { Speech }
