'use strict'

// What V8 and the core share: the native functions of one lane, and the memory through which batches cross without a
// handle a message. The same numbers stand in src/node/hot.rs and src/node/face.rs.

const { markAsUntransferable } = require('node:worker_threads')
const { createLane } = require('../binding.js')
const { makeError } = require('./errors.js')

/** Messages up to this size travel in shared memory; larger ones one by one. */
const SMALL_MAX = 4096
const BATCH_MAX = 512
/**
 * 32-bit numbers a record: key, offset, length, flags, call low, call high. Where there is no call, low is how many messages in
 * a row may be handed over to the actor without the core before others.
 */
const RECORD = 6
const FLAG_CALL = 1
const FLAG_SENDER = 2
const FLAG_BIG = 4
const FLAG_SYSTEM = 8
/** Where the flags of a call say how many messages in a row may be handed over to its actor. */
const PLAIN_SHIFT = 8

// Places in the control array.
const FINISHED = 0
const IN_HANDLER = 1
const CONTROL = 2
const EVENTS = 3
const TAKEN = 4
const CALL_LOW = 5
const CALL_HIGH = 6
const OUT_COUNT = 7
const OUT_BYTES = 8
const ARMED = 9
const ANSWERED = 10
const FAR_MAX = 11
const DIRECT = 12
const HANDED = 13
const USED = 14
const HAND_CALL = 15
const HAND_LOW = 16
const HAND_HIGH = 17
const TOLD = 18
const STARTED = 19
const AHEAD = 20
const AHEAD_DONE = 21
const AHEAD_AT = 22

/** DIRECT: messages of the outbox are being handed over without the core. */
const HANDS = 2
/** DIRECT: they may be, and the lane sleeps. */
const SLEEPS = 3

// Words that any thread may set.
/** Look at the clock, and at CONTROL, before the next message. */
const LOOK = 0
/** A call of this loop has ended otherwise than by its reply, and the news waits among the events. */
const CALL_ENDED = 1
/** Leases have ended: what another thread takes must be asked again. */
const LEASE_ENDED = 2

// Answers of the sends; accepted and nothing to do is `undefined`.
const ARM = 1
const CLOSED = 2
const NOT_A_PID = 3
/** `stop` answers: it was not alive (0), has ended (1), or will end. */
const ENDING = 2

/** Bytes of a slab: what a kept message can keep alive beside itself. */
const SLAB = 16384
/** Bytes and messages of the outbox. */
const STAGE = 65536
const OUT_MAX = 1024
/** Events that are told as numbers at a time (`TOLD_MAX` of src/node/entries.rs). */
const TOLD_MAX = 64
/** Calls that this loop has answered itself, until the core is told. */
const ANSWERED_MAX = 512

/** Entries that the drain itself calls: it sees what they leave for the lane to do. After any other, the lane is armed. */
const OF_THE_DRAIN = [
  'take',
  'slab',
  'poll',
  'beginSlice',
  'endSlice',
  'suspend',
  'crash',
  'cut',
  'big',
  'system',
  'events',
  'dispose',
]

/** Messages that `pull` shows at a time (`SHOWN_MAX` of src/node/mailbox.rs). */
const SHOWN_MAX = 128

/** Messages start at multiples of 8 bytes. */
const align = (length) => (length + 7) & ~7

/** Memory of our own, not cleared and never transferred. */
function memory(bytes) {
  const { buffer } = Buffer.allocUnsafeSlow(bytes)
  markAsUntransferable(buffer)
  return buffer
}

class Border {
  /** The native functions. */
  native
  ctl = new Int32Array(memory(128))
  records = new Int32Array(memory(BATCH_MAX * RECORD * 4))
  senders = new Float64Array(memory(BATCH_MAX * 8))
  clock = new Float64Array(memory(8))
  /** Events that are numbers: kind, key and two more of each; behind them a ticket, and the pid that its factory answered. */
  told = new Float64Array(memory(TOLD_MAX * 32 + 16))
  stage = new Uint8Array(memory(STAGE))
  outPids = new Float64Array(memory(OUT_MAX * 16))
  outLengths = new Int32Array(memory(OUT_MAX * 4))
  outCalls = new Float64Array(memory(OUT_MAX * 16))
  /** The keys of calls in the batch that this very loop made; -1: another's. */
  callKeys = new Int32Array(memory(BATCH_MAX * 4))
  /** The lengths of the messages that `pull` has shown. */
  shown = new Int32Array(memory(SHOWN_MAX * 4))
  answered = new Int32Array(memory(ANSWERED_MAX * 8))
  /** LOOK, CALL_ENDED and LEASE_ENDED. */
  nudged = new Int32Array(new SharedArrayBuffer(12))

  /** `wake` is called when another thread woke the loop, `arm` when this very thread gave the lane something to do. */
  constructor(options, wake, arm) {
    this.ctl.fill(0)
    const { ctl, records, senders, clock, stage, outPids, outLengths, outCalls } = this
    const { callKeys, answered, shown, nudged, told } = this
    const out = { stage, outPids, outLengths, outCalls, answered, shown }
    const shared = { ctl, records, senders, callKeys, clock, nudged, told, ...out }
    try {
      // No closure of this lane makes errors: the native half refers to it for as long as the lane refers to the native half.
      this.native = createLane(options, shared, wake, makeError)
    } catch (error) {
      // napi-rs gives its errors a code of its own.
      const [, code, message] = /^(ERR_IRIS_\w+): (.*)$/s.exec(error.message) ?? []
      throw code === undefined ? error : makeError(code, message)
    }
    for (const [name, entry] of Object.entries(this.native)) {
      if (typeof entry !== 'function' || OF_THE_DRAIN.includes(name)) continue
      this.native[name] = (a, b, c, d, e, f) => {
        const answer = entry(a, b, c, d, e, f)
        if (ctl[ARMED] !== 0) {
          ctl[ARMED] = 0
          arm()
        }
        return answer
      }
    }
  }
}

module.exports = {
  Border,
  memory,
  align,
  SMALL_MAX,
  RECORD,
  FLAG_CALL,
  FLAG_SENDER,
  FLAG_BIG,
  FLAG_SYSTEM,
  PLAIN_SHIFT,
  FINISHED,
  IN_HANDLER,
  CONTROL,
  EVENTS,
  TAKEN,
  CALL_LOW,
  CALL_HIGH,
  OUT_COUNT,
  OUT_BYTES,
  ANSWERED,
  LOOK,
  CALL_ENDED,
  LEASE_ENDED,
  FAR_MAX,
  DIRECT,
  HANDED,
  USED,
  HAND_CALL,
  HAND_LOW,
  HAND_HIGH,
  TOLD,
  STARTED,
  TOLD_MAX,
  AHEAD,
  AHEAD_DONE,
  AHEAD_AT,
  HANDS,
  SLEEPS,
  ANSWERED_MAX,
  SHOWN_MAX,
  ARM,
  CLOSED,
  NOT_A_PID,
  ENDING,
  SLAB,
  STAGE,
  OUT_MAX,
}
