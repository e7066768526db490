'use strict'

// What is asked and answered later: calls, joins, sends that wait for room; and the replies to calls.

const { copyBytes, isBytes } = require('./bytes.js')
const { decodeReply, encode } = require('./codecs.js')
const {
  ANSWERED,
  ANSWERED_MAX,
  ARM,
  CALL_ENDED,
  CALL_HIGH,
  CALL_LOW,
  DIRECT,
  HANDS,
  HAND_CALL,
  HAND_HIGH,
  HAND_LOW,
} = require('./border.js')
const { aborted, closed, makeError, wrongType } = require('./errors.js')
const { wait } = require('./options.js')
const { inRoot } = require('./scope.js')

const FOREVER = 2 ** 31 - 1
const EMPTY_WAIT = { timeoutMs: 0, signal: undefined }

/** `wait`, but `abort` is called if the signal comes first. */
async function abortable(promise, signal, abort) {
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

class Requests {
  #lane
  #native
  #ctl
  #answered
  #nudged
  #turns
  #actors
  #waits
  #hold
  #outbox
  #speech
  #callTimeoutMs
  /** Pids of the actors whose end was asked for; the process lives until they have ended, in time or not. */
  #stopping = new Set()

  constructor(lane, border, { turns, actors, waits, hold, outbox, speech }, callTimeoutMs) {
    this.#lane = lane
    this.#native = border.native
    this.#ctl = border.ctl
    this.#answered = border.answered
    this.#nudged = border.nudged
    this.#turns = turns
    this.#actors = actors
    this.#waits = waits
    this.#hold = hold
    this.#outbox = outbox
    this.#speech = speech
    this.#callTimeoutMs = callTimeoutMs
  }

  // --- calls ------------------------------------------------------------------------------------

  call(pid, data, options, caller) {
    try {
      return this.#call(pid, data, options, caller)
    } catch (error) {
      return this.#refused(error)
    }
  }

  /** A rejection that gives the loop back once the slice is over: `try { await rt.call() } catch { retry }` is a loop. */
  #refused(error) {
    if (this.#turns.mayGoOn()) return Promise.reject(error)
    return new Promise((_resolve, reject) => {
      setImmediate(() => reject(error))
    })
  }

  #call(pid, data, options, caller) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (this.#lane.closing) throw closed()
    if (caller !== undefined && !this.#actors.knows(caller)) {
      throw makeError('ERR_IRIS_ACTOR_EXITED', `pid ${caller}, which makes this call, has ended`)
    }
    const simple = options === undefined
    const { timeoutMs, signal } = simple ? EMPTY_WAIT : wait(options, this.#callTimeoutMs)
    if (signal?.aborted) throw aborted(signal)
    if (pid === this.#lane.current && pid !== 0) {
      throw makeError(
        'ERR_IRIS_SELF_CALL',
        `pid ${pid} called itself and would wait for itself; use send`,
      )
    }
    const ms = simple ? this.#callTimeoutMs : timeoutMs
    const codec = this.#speech.codecOf(pid)
    if (codec === undefined) return this.#ask(pid, data, ms, signal, caller)
    const reply = this.#ask(pid, encode(codec, data), ms, signal, caller)
    return reply.then((bytes) => decodeReply(codec, bytes))
  }

  #ask(pid, data, ms, signal, caller) {
    const key = this.#waits.key()
    // The outcome comes as an event, a refusal too, so the call can wait in the outbox.
    if (
      signal === undefined &&
      isBytes(data) &&
      this.#outbox.post(pid, data, caller ?? 0, key, ms)
    ) {
      this.#turns.arm()
      this.#hold.hold()
      return this.#waits.promise(key)
    }
    try {
      const bytes = this.#speech.plainBytesFor(pid, data, 'data')
      if (this.#native.call(pid, bytes, ms, key, caller) === ARM) this.#turns.arm()
    } catch (error) {
      this.#waits.forget(key)
      throw error
    }
    this.#hold.hold()
    const reply = this.#waits.promise(key)
    if (signal === undefined) return reply
    const low = this.#ctl[CALL_LOW]
    const high = this.#ctl[CALL_HIGH]
    return abortable(reply, signal, () => {
      if (this.#native.cancelCall(low, high)) this.#abandon(key, signal)
    })
  }

  /** The core has let go of a pending wait: it ends with the signal's reason. */
  #abandon(key, signal) {
    const reject = this.#waits.takeReject(key)
    if (reject === undefined) return
    this.#hold.release()
    reject(aborted(signal))
  }

  /**
   * Answers a call; `false`: it was over. `here` is the key of a call that this loop made itself: unless the core may have
   * ended such a call meanwhile, it is answered on the spot, and the drain tells the core later.
   */
  reply(low, high, bytes, here) {
    const ctl = this.#ctl
    if (high < 0) {
      if (ctl[DIRECT] === HANDS) {
        ctl[HAND_CALL] = 0
        this.done(here, copyBytes(bytes))
        return true
      }
      // The handler that runs has asked the core something meanwhile.
      return this.reply(ctl[HAND_LOW], ctl[HAND_HIGH], bytes, here)
    }
    const count = ctl[ANSWERED]
    if (
      here >= 0 &&
      this.#nudged[CALL_ENDED] === 0 &&
      count < ANSWERED_MAX &&
      this.#turns.running &&
      this.#waits.waits(here)
    ) {
      this.#answered[2 * count] = low
      this.#answered[2 * count + 1] = high
      ctl[ANSWERED] = count + 1
      this.done(here, copyBytes(bytes))
      return true
    }
    const key = this.#native.reply(low, high, bytes)
    // The caller is on this very loop.
    if (key >= 0) this.done(key, copyBytes(bytes))
    return key !== -2
  }

  /** Fails a call with what its handler threw; `high` 0: it was none, or was answered. */
  fail(low, high, error, text) {
    if (high === 0) return
    const key = this.#native.failCall(low, high, text[0], text[1])
    const reject = key < 0 ? undefined : this.#waits.takeReject(key)
    if (reject === undefined) return
    this.#hold.release()
    reject(error)
  }

  // --- sends that wait --------------------------------------------------------------------------

  /** Sends, and waits for room where the policy is `block`. */
  async sendAsync(pid, data, signal) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (this.#lane.closing) throw closed()
    const bytes = this.#speech.bytesFor(pid, data)
    if (signal?.aborted) throw aborted(signal)
    let token = null
    let key = 0
    const took = this.#waits.begin((k) => {
      key = k
      token = this.#native.sendAsync(pid, bytes, k)
    })
    if (token === false) {
      this.#waits.forget(key)
      return false
    }
    this.#hold.hold()
    if (token === null || signal === undefined) return (await took).length !== 0
    const abort = () => {
      if (this.#native.forgetSend(pid, token)) this.#abandon(key, signal)
    }
    return (await abortable(took, signal, abort)).length !== 0
  }

  // --- ends -------------------------------------------------------------------------------------

  /** An actor was told to stop and has not ended yet: the process lives until it has. */
  stopping(pid) {
    if (!this.#actors.knows(pid) || this.#stopping.has(pid)) return
    const key = this.#waits.key()
    // The core tells of a failure before it answers joins, so this is the last that is heard of the actor.
    this.#waits.on(key, () => {
      if (this.#stopping.delete(pid)) this.#hold.release()
    })
    this.#native.join(pid, key)
    this.#stopping.add(pid)
    this.#hold.hold()
  }

  join(pid, { timeoutMs, signal }) {
    if (signal?.aborted) return Promise.reject(aborted(signal))
    let key = 0
    const exit = this.#waits.begin((k) => {
      key = k
      this.#native.join(pid, k)
    })
    if (this.#stopping.has(pid)) {
      const release = () => this.#hold.release()
      this.#hold.hold()
      exit.then(release, release)
    }
    if (timeoutMs === undefined && signal === undefined) return exit
    return this.#joinWithin(exit, key, pid, timeoutMs, signal)
  }

  /** As `join`, of a member of a pool. */
  joinMember(pid) {
    return this.#waits.begin((key) => this.#native.joinMember(pid, key))
  }

  async #joinWithin(exit, key, pid, timeoutMs, signal) {
    const giveUp = (error) => {
      // Too late to take it back: the news is on its way.
      if (this.#native.forgetJoin(pid, key)) this.#waits.takeReject(key)?.(error)
    }
    const abort = () => giveUp(aborted(signal))
    const late = () => giveUp(makeError('ERR_IRIS_TIMEOUT', `pid ${pid} did not end in time`))
    const timer =
      timeoutMs === undefined
        ? undefined
        : inRoot(() => setTimeout(late, Math.min(timeoutMs, FOREVER)))
    try {
      return await (signal === undefined ? exit : abortable(exit, signal, abort))
    } finally {
      clearTimeout(timer)
    }
  }

  /** Closes the runtime or, with `leave`, this thread's part in it. */
  close(timeoutMs, leave) {
    const end = leave ? this.#native.detach : this.#native.close
    const ended = this.#waits.begin((key) => end(timeoutMs, key))
    this.#hold.hold()
    return ended
  }

  /** What is still asked is asked of nobody. */
  dispose() {
    for (const reject of this.#waits.takeRejects()) reject(closed())
  }

  // --- outcomes ---------------------------------------------------------------------------------

  /** A call, a waiting send or a close came out well. */
  done(key, value) {
    const resolve = this.#waits.takeResolve(key)
    // It was answered on the spot.
    if (resolve === undefined) return
    this.#hold.release()
    resolve(value)
  }

  /** A call failed. */
  failed(key, code, message, stack) {
    const reject = this.#waits.takeReject(key)
    if (reject === undefined) return
    this.#hold.release()
    const error = makeError(code, message)
    if (stack !== undefined) error.stack = stack
    reject(error)
  }

  /** An actor that was joined has ended. */
  joined(key, info) {
    this.#waits.takeResolve(key)?.(info)
  }
}

module.exports = { Requests }
