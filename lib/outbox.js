'use strict'

// The outbox: what this thread sends to its own unbounded actors waits here, as bytes and numbers, until the next crossing.
// Whatever entry of the core is called next sends it first, so it overtakes nothing.

const { lengthOf } = require('./bytes.js')
const { align, OUT_BYTES, OUT_COUNT, OUT_MAX, SMALL_MAX, STAGE } = require('./border.js')

class Outbox {
  #ctl
  #stage
  #pids
  #lengths
  /** For each call (its length is inverted): its key, and its timeout in milliseconds. */
  #calls
  /** Messages that it takes: none while load is shed, since then the core must be asked. */
  #max = OUT_MAX

  constructor({ ctl, stage, outPids, outLengths, outCalls }) {
    this.#ctl = ctl
    this.#stage = stage
    this.#pids = outPids
    this.#lengths = outLengths
    this.#calls = outCalls
  }

  /** Takes a message, and the key and timeout of a call (-1: it is none); `false`: it is too large, or there is no room. */
  post(pid, data, sender, call, timeoutMs) {
    const ctl = this.#ctl
    const count = ctl[OUT_COUNT]
    const used = ctl[OUT_BYTES]
    const length = lengthOf(data)
    // An empty array may be what a transfer left: toBytes looks.
    if (length > SMALL_MAX || length === 0 || count >= this.#max || used + length > STAGE)
      return false
    this.#stage.set(data, used)
    this.#pids[2 * count] = pid
    this.#pids[2 * count + 1] = sender
    if (call < 0) {
      this.#lengths[count] = length
    } else {
      this.#calls[2 * count] = call
      this.#calls[2 * count + 1] = timeoutMs
      this.#lengths[count] = ~length
    }
    ctl[OUT_BYTES] = used + align(length)
    ctl[OUT_COUNT] = count + 1
    return true
  }

  /** While load is shed no message is promised: the core decides about each. */
  shut(on) {
    this.#max = on ? 0 : OUT_MAX
  }
}

module.exports = { Outbox }
