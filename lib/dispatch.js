'use strict'

// The lane of one event loop: what must run inside V8. The core decides who runs; this file carries bytes over the border in
// batches and calls the handlers. See docs/architecture.md, "A message's way".
//
// Turns of the event loop. The first work after idle arms one drain as a microtask, so a burst is handled in the turn that
// made it; once the time slice is over, the drain goes on from setImmediate, so timers, I/O and `await` run in between. The
// slice is counted from the first drain of a turn of the loop, however many drains the turn has.

const { markAsUntransferable } = require('node:worker_threads')
const { createLane } = require('../binding.js')
const { Context } = require('./context.js')
const { FastBuffer, copyBytes, isBytes, lengthOf, toBytes } = require('./bytes.js')
const { aborted, closed, crashText, makeError, wrongType } = require('./errors.js')
const { Mailbox } = require('./mailbox.js')
const { bindTo, callersContext, inRoot } = require('./scope.js')
const { Versions } = require('./swap.js')
const { wait } = require('./options.js')

// The same numbers stand in src/node/hot.rs and src/node/face.rs.
const SMALL_MAX = 4096
const BATCH_MAX = 512
const RECORD = 6
const FLAG_CALL = 1
const FLAG_SENDER = 2
const FLAG_BIG = 4
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
/** Bytes that `sendMany` packs for one crossing. */
const PACK = 2 ** 20
/** The low bits of a pid: its slot, which is the key of its handler. */
const SLOT_MASK = 2 ** 23 - 1
/** Most messages between two looks at the clock; fewer as soon as handlers take long. */
const MAX_STRIDE = 4
const FOREVER = 2 ** 31 - 1

/** Entries that the drain itself calls: it sees what they leave for the lane to do. After any other, the lane is armed. */
const OF_THE_DRAIN = ['take', 'slab', 'poll', 'suspend', 'crash', 'cut', 'big', 'events', 'dispose']

/** Memory of our own, not cleared and never transferred. */
function memory(bytes) {
  const { buffer } = Buffer.allocUnsafeSlow(bytes)
  markAsUntransferable(buffer)
  return buffer
}

const isThenable = (value) =>
  value !== undefined && value !== null && typeof value.then === 'function'

class Lane {
  runtime
  native
  /** Longest time that the loop was held in one go, in milliseconds. */
  longestHold = 0
  /** Times that the loop was given back because the time slice was over. */
  yields = 0
  versions = new Versions()

  #ctl = new Int32Array(memory(64))
  #records = new Int32Array(memory(BATCH_MAX * RECORD * 4))
  #senders = new Float64Array(memory(BATCH_MAX * 8))
  #clock = new Float64Array(memory(8))

  // The outbox: what this thread sends to its own unbounded actors waits here, as bytes and numbers, until the next crossing.
  #stage = new Uint8Array(memory(STAGE))
  #outPids = new Float64Array(memory(OUT_MAX * 16))
  #outLengths = new Int32Array(memory(OUT_MAX * 4))
  /** For each call (its length is inverted): its key, and its timeout in milliseconds. */
  #outCalls = new Float64Array(memory(OUT_MAX * 16))

  /** Messages that the outbox takes: none while load is shed, since then the core must be asked. */
  #outMax = OUT_MAX

  // By handler key (the slot of the pid).
  #handlers = []
  #contexts = []
  /** What runs a handler in the AsyncLocalStorage context of its spawn, where that had one. */
  #scopes = []
  /** The pid; negative if the core must be asked before a message is promised: bounded, or about to end. */
  #pids = new Float64Array(1024)
  /** Pids of the actors whose next message does not wait for the promise of the last. */
  #reentrant = new Set()
  #gone = []
  /** Pids of the actors whose end was asked for; the process lives until they have ended, in time or not. */
  #stopping = new Set()
  /** Mailboxes of pull actors, by the key that their signals bear. */
  #mailboxes = new Map()
  #nextMailbox = 0
  /** The children of parents that live on this loop. */
  #children = new Map()
  #parents = new Map()
  /** Place in the batch of a message whose handler ended its own actor and gave the slot to another. */
  #orphan = -1

  #slab = memory(0)
  #position = 0
  #count = 0
  #careful = false

  #running = false
  #armed = false
  #closing = false
  #disposed = false
  #fresh = true
  #sliceStart = 0
  #lastLook = 0
  #stride = 1
  #left = 1
  #sliceMs
  #trigger = undefined

  // Promises by key: calls, joins, close.
  #resolves = []
  #rejects = []
  #freeWaits = []
  #nextWait = 0
  #holding = 0
  /** Whether messages are to be sent later: they hold the process, and the core says when none is left. */
  #delaying = false
  #held = false
  #keepAlive = undefined
  /** What crashed actors threw, until the core reports their failure. */
  #thrown = new Map()
  #report
  #callTimeoutMs

  constructor(runtime, options, report) {
    this.runtime = runtime
    this.#sliceMs = options.timeSliceMs
    this.#callTimeoutMs = options.callTimeoutMs
    this.#report = report
    this.#ctl.fill(0)
    const shared = {
      ctl: this.#ctl,
      records: this.#records,
      senders: this.#senders,
      stage: this.#stage,
      outPids: this.#outPids,
      outLengths: this.#outLengths,
      outCalls: this.#outCalls,
      clock: this.#clock,
    }
    inRoot(() => {
      try {
        this.native = createLane(
          options.native,
          shared,
          () => this.#wake(),
          // No closure of this lane: the native half refers to it for as long as the lane refers to the native half.
          makeError,
        )
      } catch (error) {
        // napi-rs gives its errors a code of its own.
        const [, code, message] = /^(ERR_IRIS_\w+): (.*)$/s.exec(error.message) ?? []
        throw code === undefined ? error : makeError(code, message)
      }
      this.#prepare()
    })
    for (const [name, entry] of Object.entries(this.native)) {
      if (typeof entry !== 'function' || OF_THE_DRAIN.includes(name)) continue
      this.native[name] = (a, b, c, d, e) => {
        const answer = entry(a, b, c, d, e)
        if (this.#ctl[ARMED] !== 0) {
          this.#ctl[ARMED] = 0
          this.#arm()
        }
        return answer
      }
    }
  }

  // --- actors -----------------------------------------------------------------------------------

  spawn(handler, budget, capacity, reentrant, parent = 0) {
    const run = callersContext()
    const answer = this.native.spawn(budget, capacity, parent)
    const pid = Math.abs(answer)
    this.#enter(answer, pid, bindTo(run, handler), parent)
    const key = pid & SLOT_MASK
    if (this.#scopes[key] !== run) this.#scopes[key] = run
    if (reentrant) this.#reentrant.add(pid)
    return pid
  }

  /** The slot of `pid` has a new actor; `answer` is negative if the core must be asked about its mailbox. */
  #enter(answer, pid, handler, parent) {
    if (parent !== 0) this.#adopt(parent, pid)
    const key = pid & SLOT_MASK
    if (key >= this.#pids.length) {
      const grown = new Float64Array(Math.max(key + 1, this.#pids.length * 2))
      grown.set(this.#pids)
      this.#pids = grown
    }
    const at = this.#ctl[FINISHED]
    if (this.#ctl[IN_HANDLER] !== 0 && this.#records[at * RECORD] === key) this.#orphan = at
    this.#pids[key] = answer
    this.#handlers[key] = handler
    this.#contexts[key] = undefined
  }

  #adopt(parent, child) {
    const children = this.#children.get(parent)
    if (children === undefined) this.#children.set(parent, new Set([child]))
    else children.add(child)
    this.#parents.set(child, parent)
  }

  #orphaned(pid) {
    this.#children.delete(pid)
    const parent = this.#parents.get(pid)
    if (parent === undefined) return
    this.#parents.delete(pid)
    const siblings = this.#children.get(parent)
    siblings?.delete(pid)
    if (siblings?.size === 0) this.#children.delete(parent)
  }

  /** Spawns a pull actor: `body` gets its mailbox in a microtask, in the caller's async context. */
  spawnPull(body, budget, capacity, parent = 0) {
    const key = this.#nextMailbox++
    const mailbox = new Mailbox(this, budget)
    const answer = this.native.spawnPull(budget, capacity, parent, key)
    const pid = Math.abs(answer)
    this.#enter(answer, pid, undefined, parent)
    Mailbox.begin(mailbox, pid)
    this.#mailboxes.set(key, mailbox)
    this.#runPull(body, mailbox, pid)
    return pid
  }

  async #runPull(body, mailbox, pid) {
    await undefined
    if (this.#disposed) return
    try {
      // One that was stopped before it began does not begin.
      if (this.native.isAlive(pid)) await body(mailbox)
    } catch (error) {
      this.#pullFailed(pid, error)
      return
    }
    if (this.#disposed) return
    this.#doubt(pid)
    this.native.finishPull(pid, false)
  }

  #pullFailed(pid, error) {
    const text = crashText(error)
    const failure = { pid, reason: 'crash', message: text[0], stack: text[1], error }
    if (this.#disposed) {
      this.#reportFailure(failure)
      return
    }
    this.#doubt(pid)
    this.#thrown.set(pid, error)
    if (this.native.finishPull(pid, true, text[0], text[1])) return
    this.#thrown.delete(pid)
    this.#reportFailure(failure)
  }

  /** Whether the native half is gone. */
  get disposed() {
    return this.#disposed
  }

  /** Whether there is time for more in this turn of the loop. */
  mayGoOn() {
    if (this.#disposed) return true
    if (!this.#fresh) return !this.#sliceIsOver()
    this.#beginSlice()
    return true
  }

  /** Whether `pid` is, or was until just now, an actor whose handler this loop calls. */
  isPush(pid) {
    return this.#knows(pid) && typeof this.#handlers[pid & SLOT_MASK] === 'function'
  }

  /** Throws unless `pid` is a live actor whose handler this loop calls. */
  checkPush(pid) {
    if (!this.native.isAlive(pid)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `pid ${pid}: no such actor`)
    }
    if (!this.isPush(pid)) {
      throw makeError(
        'ERR_IRIS_NOT_LOCAL',
        `pid ${pid} has no handler on this thread: swap it where it was spawned; pull actors have none`,
      )
    }
  }

  /** The next message is handled by `handler`, in the context of the spawn; answers the version. */
  swap(pid, handler) {
    this.checkPush(pid)
    const key = pid & SLOT_MASK
    const version = this.versions.push(pid, this.#handlers[key])
    this.#handlers[key] = bindTo(this.#scopes[key], handler)
    return version
  }

  /** Goes back to an older handler; answers its version. */
  rollback(pid, steps) {
    this.checkPush(pid)
    const { version, handler } = this.versions.back(pid, steps)
    this.#handlers[pid & SLOT_MASK] = handler
    return version
  }

  /** The core must be asked from now on whether this actor takes messages. */
  #doubt(pid) {
    if (typeof pid !== 'number') return
    const key = pid & SLOT_MASK
    if (this.#pids[key] === pid) this.#pids[key] = -pid
    const children = this.#children.get(pid)
    if (children !== undefined) for (const child of children) this.#doubt(child)
  }

  /** Whether this loop still knows `pid` as an actor: it has not ended, or ended just now. */
  #knows(pid) {
    return Math.abs(this.#pids[pid & SLOT_MASK]) === pid
  }

  stop(pid, drain, timeoutMs) {
    this.#doubt(pid)
    const stopped = this.native.stop(pid, drain, timeoutMs)
    if (stopped === ENDING && this.#knows(pid) && !this.#stopping.has(pid)) {
      const key = this.#wait()
      // The core tells of a failure before it answers joins, so this is the last that is heard of the actor.
      this.#resolves[key] = () => {
        if (this.#stopping.delete(pid)) this.#release()
      }
      this.native.join(pid, key)
      this.#stopping.add(pid)
      this.#hold()
    }
    return stopped !== 0
  }

  kill(pid) {
    this.#doubt(pid)
    return this.native.kill(pid)
  }

  /** The pid whose handler is running right now, synchronously; 0 outside. */
  get current() {
    const ctl = this.#ctl
    const at = ctl[FINISHED]
    if (ctl[IN_HANDLER] === 0 || at === this.#orphan) return 0
    return Math.abs(this.#pids[this.#records[at * RECORD]])
  }

  // --- sending ----------------------------------------------------------------------------------

  send(pid, data, sender = 0) {
    if (
      typeof pid === 'number' &&
      this.#pids[pid & SLOT_MASK] === pid &&
      pid > 0 &&
      isBytes(data) &&
      (sender === 0 || this.#knows(sender)) &&
      this.#post(pid, data, sender, -1, 0)
    ) {
      return true
    }
    const bytes = toBytes(data, 'data')
    if (this.#closing) throw closed()
    // What an actor tries after its end is refused; 0 is nobody's pid.
    const to = sender === 0 || typeof pid !== 'number' || this.#knows(sender) ? pid : 0
    const answer = this.native.send(to, bytes, sender)
    return answer === undefined ? true : this.#sent(answer, pid)
  }

  /** Puts a message into the outbox; `false`: it is too large, or there is no room. */
  #post(pid, data, sender, call, timeoutMs) {
    const ctl = this.#ctl
    const count = ctl[OUT_COUNT]
    const used = ctl[OUT_BYTES]
    const length = lengthOf(data)
    // An empty array may be what a transfer left: toBytes looks.
    if (length > SMALL_MAX || length === 0 || count >= this.#outMax || used + length > STAGE)
      return false
    this.#stage.set(data, used)
    this.#outPids[2 * count] = pid
    this.#outPids[2 * count + 1] = sender
    if (call < 0) {
      this.#outLengths[count] = length
    } else {
      this.#outCalls[2 * count] = call
      this.#outCalls[2 * count + 1] = timeoutMs
      this.#outLengths[count] = ~length
    }
    ctl[OUT_BYTES] = used + length
    ctl[OUT_COUNT] = count + 1
    if (!this.#running && !this.#armed) this.#arm()
    return true
  }

  #sent(answer, pid) {
    if (answer === ARM) {
      this.#arm()
      return true
    }
    if (answer === CLOSED) throw closed()
    if (answer === NOT_A_PID) throw wrongType('pid', 'a number', pid)
    return false
  }

  sendMany(pid, messages) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (
      messages === null ||
      messages === undefined ||
      typeof messages[Symbol.iterator] !== 'function'
    ) {
      throw wrongType('messages', 'an iterable', messages)
    }
    if (typeof messages === 'string' || ArrayBuffer.isView(messages)) {
      throw wrongType('messages', 'an iterable of messages', messages)
    }
    // Every message is looked at before the first is sent: a wrong one in the middle sends none.
    const all = Array.from(messages, (m, i) => toBytes(m, `messages[${i}]`))
    if (this.#closing) throw closed()
    let accepted = 0
    for (let from = 0; from < all.length; ) {
      let size = 0
      let to = from
      do size += 4 + lengthOf(all[to++])
      while (to < all.length && size + lengthOf(all[to]) <= PACK)
      accepted += this.#sendPack(pid, all, from, to, size)
      from = to
    }
    return accepted
  }

  /** Sends messages `from` to `to` in one crossing: each is its length and its bytes, `size` bytes in all. */
  #sendPack(pid, all, from, to, size) {
    const packed = Buffer.allocUnsafe(size)
    let at = 0
    for (let i = from; i < to; i++) {
      at = packed.writeUInt32LE(lengthOf(all[i]), at)
      packed.set(all[i], at)
      at += lengthOf(all[i])
    }
    const accepted = this.native.sendPacked(pid, packed, to - from)
    if (accepted >= 0) return accepted
    this.#arm()
    return -accepted - 1
  }

  /** Sends later: `entry` is `sendAfter` or `sendInterval`. */
  delay(entry, pid, ms, data) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    const bytes = toBytes(data, 'data')
    if (this.#closing) throw closed()
    const timer = this.native[entry](pid, ms, bytes)
    if (!this.#delaying) {
      this.#delaying = true
      this.#hold()
    }
    return timer
  }

  /** Sends, and waits for room where the policy is `block`. */
  async sendAsync(pid, data, signal) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    const bytes = toBytes(data, 'data')
    if (this.#closing) throw closed()
    if (signal?.aborted) throw aborted(signal)
    let token = null
    let key = 0
    const took = this.#waitFor((k) => {
      key = k
      token = this.native.sendAsync(pid, bytes, k)
    }, true)
    if (token === false) {
      this.#forget(key)
      this.#release()
      return false
    }
    if (token === null || signal === undefined) return (await took).length !== 0
    const abort = () => {
      if (!this.native.forgetSend(pid, token)) return
      const reject = this.#rejects[key]
      this.#forget(key)
      this.#release()
      reject(aborted(signal))
    }
    signal.addEventListener('abort', abort, { once: true })
    try {
      return (await took).length !== 0
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** While load is shed no message is promised: the core decides about each. */
  shedLoad(on) {
    this.native.setLoadShedding(on)
    this.#outMax = on ? 0 : OUT_MAX
  }

  // --- waiting ----------------------------------------------------------------------------------

  /** A key for something that an event settles. */
  #wait() {
    return this.#freeWaits.length > 0 ? this.#freeWaits.pop() : this.#nextWait++
  }

  #promiseOf(key) {
    return new Promise((resolve, reject) => {
      this.#resolves[key] = resolve
      this.#rejects[key] = reject
    })
  }

  /** A promise that an event settles; `hold` keeps the process alive until then. */
  #waitFor(start, hold) {
    const key = this.#wait()
    try {
      start(key)
    } catch (error) {
      this.#forget(key)
      throw error
    }
    if (hold) this.#hold()
    return this.#promiseOf(key)
  }

  #forget(key) {
    this.#resolves[key] = undefined
    this.#rejects[key] = undefined
    this.#freeWaits.push(key)
  }

  #hold() {
    if (this.#holding++ === 0) {
      if (this.#keepAlive === undefined) {
        this.#keepAlive = inRoot(() => setInterval(() => {}, FOREVER))
      } else {
        this.#keepAlive.ref()
      }
    }
  }

  #release() {
    // Let go at the end of the turn: a caller in a loop holds again before that.
    if (--this.#holding === 0 && this.#fresh) setImmediate(this.#turnOver)
  }

  /** Keeps the process alive whether or not anything is pending, or lets go of it again. */
  hold(held) {
    if (held === this.#held) return
    this.#held = held
    if (held) this.#hold()
    else this.#release()
  }

  call(pid, data, options, caller) {
    try {
      return this.#call(pid, data, options, caller)
    } catch (error) {
      return this.#refused(error)
    }
  }

  /** A rejection that gives the loop back once the slice is over: `try { await rt.call() } catch { retry }` is a loop. */
  #refused(error) {
    if (this.#disposed) return Promise.reject(error)
    if (this.#fresh && !this.#running) inRoot(() => this.#beginSlice())
    if (!this.#sliceIsOver()) return Promise.reject(error)
    return new Promise((_resolve, reject) => {
      setImmediate(() => reject(error))
    })
  }

  #call(pid, data, options, caller) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (this.#closing) throw closed()
    if (caller !== undefined && !this.#knows(caller)) {
      throw makeError('ERR_IRIS_ACTOR_EXITED', `pid ${caller}, which makes this call, has ended`)
    }
    const simple = options === undefined
    const { timeoutMs, signal } = simple ? EMPTY_WAIT : wait(options, this.#callTimeoutMs)
    if (signal?.aborted) throw aborted(signal)
    if (pid === this.current && pid !== 0) {
      throw makeError(
        'ERR_IRIS_SELF_CALL',
        `pid ${pid} called itself and would wait for itself; use send`,
      )
    }
    const ms = simple ? this.#callTimeoutMs : timeoutMs
    if (signal === undefined && isBytes(data)) {
      // The outcome comes as an event, a refusal too, so the call can wait in the outbox.
      const key = this.#wait()
      if (this.#post(pid, data, caller ?? 0, key, ms)) {
        this.#hold()
        return this.#promiseOf(key)
      }
      this.#forget(key)
    }
    const bytes = toBytes(data, 'data')
    const key = this.#wait()
    try {
      if (this.native.call(pid, bytes, ms, key, caller) === ARM) this.#arm()
    } catch (error) {
      this.#forget(key)
      throw error
    }
    this.#hold()
    const reply = this.#promiseOf(key)
    return signal === undefined ? reply : this.#abortable(reply, key, signal)
  }

  async #abortable(reply, key, signal) {
    const low = this.#ctl[CALL_LOW]
    const high = this.#ctl[CALL_HIGH]
    const abort = () => {
      if (!this.native.cancelCall(low, high)) return
      const reject = this.#rejects[key]
      this.#forget(key)
      this.#release()
      reject(aborted(signal))
    }
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await reply
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  join(pid, { timeoutMs, signal }) {
    if (signal?.aborted) return Promise.reject(aborted(signal))
    let key = 0
    const exit = this.#waitFor((k) => {
      key = k
      this.native.join(pid, k)
    }, false)
    if (this.#stopping.has(pid)) {
      const release = () => this.#release()
      this.#hold()
      exit.then(release, release)
    }
    if (timeoutMs === undefined && signal === undefined) return exit
    return this.#joinWithin(exit, key, pid, timeoutMs, signal)
  }

  async #joinWithin(exit, key, pid, timeoutMs, signal) {
    const giveUp = (error) => {
      // Too late to take it back: the news is on its way.
      if (!this.native.forgetJoin(pid, key)) return
      const reject = this.#rejects[key]
      this.#forget(key)
      reject(error)
    }
    const abort = () => giveUp(aborted(signal))
    const late = () => giveUp(makeError('ERR_IRIS_TIMEOUT', `pid ${pid} did not end in time`))
    const timer =
      timeoutMs === undefined
        ? undefined
        : inRoot(() => setTimeout(late, Math.min(timeoutMs, FOREVER)))
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await exit
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  close(timeoutMs) {
    this.#closing = true
    this.#pids.forEach((pid, key) => {
      if (pid > 0) this.#pids[key] = -pid
    })
    return this.#waitFor((key) => this.native.close(timeoutMs, key), true)
  }

  /** After the core is gone: nothing is called any more. */
  dispose() {
    this.#disposed = true
    clearInterval(this.#keepAlive)
    this.native.dispose()
    this.#handlers = []
    this.#contexts = []
    this.#scopes = []
    this.#reentrant.clear()
    for (const mailbox of this.#mailboxes.values()) Mailbox.close(mailbox)
    this.#mailboxes.clear()
  }

  // --- answering --------------------------------------------------------------------------------

  /** Answers a call; `false`: it was over. */
  reply(low, high, bytes) {
    const key = this.native.reply(low, high, bytes)
    if (key >= 0) this.#resolveHere(key, bytes)
    return key !== -2
  }

  #resolveHere(key, bytes) {
    const resolve = this.#resolves[key]
    this.#forget(key)
    this.#release()
    resolve(copyBytes(bytes))
  }

  /** Fails the call of this context, if it is one and unanswered. */
  #failCall(context, error, low, text) {
    const high = context._take()
    if (high === 0) return
    const key = this.native.failCall(low, high, text[0], text[1])
    if (key < 0) return
    const reject = this.#rejects[key]
    this.#forget(key)
    this.#release()
    reject(error)
  }

  // --- the drain --------------------------------------------------------------------------------

  /** Registers the next microtask drain now, outside of any context of whoever will trigger it. */
  #prepare() {
    new Promise((resolve) => {
      this.#trigger = resolve
    }).then(() => {
      this.#prepare()
      this.#drain()
    })
  }

  #arm() {
    if (this.#running || this.#armed) return
    this.#armed = true
    if (!this.#fresh && this.#sliceIsOver()) {
      inRoot(() => setImmediate(() => this.#drainFresh()))
    } else {
      this.#trigger()
    }
  }

  /** Another thread has woken the loop. */
  #wake() {
    if (this.#armed || this.#running || this.#disposed) return
    this.#armed = true
    this.#drainFresh()
  }

  #sliceIsOver() {
    if (--this.#left > 0) return false
    return this.#look()
  }

  /** Looks at the clock; sets how many messages may pass until the next look. */
  #look() {
    this.native.poll()
    const now = this.#clock[0]
    const since = now - this.#lastLook
    this.#lastLook = now
    this.#stride = since * 8 > this.#sliceMs ? 1 : Math.min(MAX_STRIDE, this.#stride * 2)
    this.#left = this.#stride
    const held = now - this.#sliceStart
    if (held > this.longestHold) this.longestHold = held
    return held >= this.#sliceMs
  }

  #drainFresh() {
    this.#fresh = true
    this.#drain()
  }

  #drain() {
    // A drain that was armed before the runtime was closed.
    if (this.#disposed) return
    this.#running = true
    this.#armed = false
    if (this.#fresh) this.#beginSlice()
    let more = false
    try {
      more = this.#work()
    } finally {
      this.#ctl[IN_HANDLER] = 0
      this.#running = false
    }
    if (more) {
      this.yields++
      this.#armed = true
      setImmediate(() => this.#drainFresh())
    }
  }

  #beginSlice() {
    this.#fresh = false
    this.native.poll()
    this.#sliceStart = this.#lastLook = this.#clock[0]
    this.#left = this.#stride = 1
    setImmediate(this.#turnOver)
  }

  /** This turn of the loop is over: the next drain begins a slice of its own, and the process may end. */
  #turnOver = () => {
    this.#fresh = true
    if (this.#delaying && !this.native.hasDelays()) {
      this.#delaying = false
      this.#holding--
    }
    if (this.#holding === 0) this.#keepAlive?.unref()
  }

  /** Handles messages until there are none (`false`) or the slice is over (`true`). */
  #work() {
    const ctl = this.#ctl
    const records = this.#records
    const handlers = this.#handlers
    const { native } = this
    for (;;) {
      if (this.#position >= this.#count) {
        ctl[IN_HANDLER] = 0
        // A user can take the memory away with `message.buffer.transfer()` (Node 22): nobody may write to it then.
        if (this.#slab.byteLength !== SLAB) this.#newSlab()
        native.take()
        const n = ctl[TAKEN]
        this.#position = 0
        this.#orphan = -1
        this.#count = Math.max(n, 0)
        this.#careful = ctl[CONTROL] !== 0
        if (n <= 0) {
          if (n === -1) return false
          // The core opens no turns while there are events, nor without room for their messages.
          if (n === -2) this.#newSlab()
          if (ctl[EVENTS] !== 0) this.#events()
          this.#forgetGone()
          continue
        }
      }
      const slab = this.#slab
      const count = this.#count
      while (this.#position < count) {
        const i = this.#position
        ctl[FINISHED] = i
        ctl[IN_HANDLER] = 1
        if (ctl[CONTROL] !== 0) {
          ctl[CONTROL] = 0
          this.#careful = true
        }
        if (this.#careful) {
          const end = native.cut(i)
          if (end >= 0) {
            this.#position = end
            ctl[FINISHED] = end
            continue
          }
        }
        const at = i * RECORD
        const key = records[at]
        const flags = records[at + 3]
        if (flags === 0) {
          const message =
            slab.byteLength === 0
              ? native.big(i)
              : new FastBuffer(slab, records[at + 1], records[at + 2])
          const context = this.#contexts[key] ?? this.#newContext(key)
          context._sender = null
          const handler = handlers[key]
          let result
          let promised = false
          try {
            result = handler(message, context)
            promised = result !== undefined && isThenable(result)
          } catch (error) {
            this.#position = this.#crashed(i, context, error, 0)
            continue
          }
          this.#position = promised ? this.#awaits(i, context, result, 0) : i + 1
        } else {
          this.#position = this.#special(i, at, key, flags)
        }
        if (--this.#left <= 0) {
          ctl[FINISHED] = this.#position
          ctl[IN_HANDLER] = 0
          if (this.#look()) return true
        }
      }
      ctl[FINISHED] = count
      ctl[IN_HANDLER] = 0
    }
  }

  #newSlab() {
    this.#slab = memory(SLAB)
    this.native.slab(new Uint8Array(this.#slab))
  }

  /** The context of an actor for all its messages but calls; a reentrant one gets its own for each message. */
  #newContext(key) {
    const pid = Math.abs(this.#pids[key])
    const context = new Context(this, pid)
    if (!this.#reentrant.has(pid)) this.#contexts[key] = context
    return context
  }

  /** A message that is a call, has a sender, or is large; answers the next position. */
  #special(i, at, key, flags) {
    const message =
      (flags & FLAG_BIG) !== 0 || this.#slab.byteLength === 0
        ? this.native.big(i)
        : new FastBuffer(this.#slab, this.#records[at + 1], this.#records[at + 2])
    const isCall = (flags & FLAG_CALL) !== 0
    const low = this.#records[at + 4]
    const context = isCall
      ? new Context(this, Math.abs(this.#pids[key]), low, this.#records[at + 5])
      : (this.#contexts[key] ?? this.#newContext(key))
    context._sender = (flags & FLAG_SENDER) !== 0 ? this.#senders[i] : null
    const handler = this.#handlers[key]
    let result
    try {
      result = handler(message, context)
      if (isBytes(result) || !isThenable(result)) {
        if (isCall) this.#answer(context, low, result)
        return i + 1
      }
    } catch (error) {
      return this.#crashed(i, context, error, low)
    }
    return this.#awaits(i, context, result, low)
  }

  /** The reply of a handler that returned, unless it has replied; nothing if this was no call. */
  #answer(context, low, result) {
    if (!context.isCall) return
    // A result that is no message throws here, while the call can still be failed with it.
    const bytes = result === undefined || result === null ? EMPTY : toBytes(result, 'a reply')
    this.reply(low, context._take(), bytes)
  }

  /** The handler answered a promise: the actor waits for it, the lane does not. */
  #awaits(i, context, promise, low) {
    // Not by key: the handler may have ended its actor and given the slot to another.
    if (this.#reentrant.has(context.pid)) {
      this.#outcome(promise, context, low, true)
      return i + 1
    }
    const next = this.native.suspend(i)
    this.#outcome(promise, context, low, false)
    return next
  }

  /** `await` and nothing else reads the promise: it may be any thenable, and what it runs must not throw at the lane. */
  async #outcome(promise, context, low, reentrant) {
    try {
      const result = await promise
      if (this.#disposed) return
      this.#answer(context, low, result)
    } catch (error) {
      this.#failed(context, error, low, reentrant)
      return
    }
    if (!reentrant && this.native.resume(context.pid)) this.#arm()
  }

  /** A promise was broken: the actor dies of it, a reentrant one in the middle of whatever else it does. */
  #failed(context, error, low, reentrant) {
    const { pid } = context
    const text = crashText(error)
    const failure = { pid, reason: 'crash', message: text[0], stack: text[1], error }
    if (this.#disposed) {
      this.#reportFailure(failure)
      return
    }
    this.#failCall(context, error, low, text)
    this.#thrown.set(pid, error)
    this.#doubt(pid)
    const { native } = this
    const there = reentrant
      ? native.crashNow(pid, text[0], text[1])
      : native.crashAwaited(pid, text[0], text[1])
    if (!there) {
      // The actor was gone already: nobody else will report what its handler threw.
      this.#thrown.delete(pid)
      this.#reportFailure(failure)
    }
    this.#events()
  }

  /** The handler of message `i` threw; answers the next position. */
  #crashed(i, context, error, low) {
    const { pid } = context
    const text = crashText(error)
    this.#doubt(pid)
    this.#failCall(context, error, low, text)
    this.#thrown.set(pid, error)
    const answer = this.native.crash(i, text[0], text[1])
    if (answer >= 0) return answer
    this.#thrown.delete(pid)
    this.#reportFailure({ pid, reason: 'crash', message: text[0], stack: text[1], error })
    return -answer
  }

  // --- events -----------------------------------------------------------------------------------

  #events() {
    for (const [kind, key, a, b, c, d] of this.native.events()) {
      if (kind === 3) {
        this.#doubt(a)
        this.#gone.push(a)
      } else if (kind === 5) {
        this.#pullSignal(key, a)
      } else if (kind === 4) {
        const error = this.#thrown.get(a)
        this.#thrown.delete(a)
        this.#reportFailure({ pid: a, reason: b, message: c, stack: d, error })
      } else {
        const settle = kind === 1 ? this.#rejects[key] : this.#resolves[key]
        this.#forget(key)
        if (kind === 0) {
          this.#release()
          settle(a)
        } else if (kind === 1) {
          this.#release()
          const error = makeError(a, b)
          if (c !== undefined) error.stack = c
          settle(error)
        } else {
          settle({ pid: a, reason: b, message: c, stack: d })
        }
      }
    }
  }

  /** 0: there is a message; 1: none will come; 2: the actor is gone. */
  #pullSignal(key, signal) {
    const mailbox = this.#mailboxes.get(key)
    if (mailbox === undefined) return
    if (signal === 0) {
      Mailbox.look(mailbox)
      return
    }
    if (signal === 2) {
      this.#mailboxes.delete(key)
      this.#doubt(mailbox.pid)
      this.#gone.push(mailbox.pid)
    }
    Mailbox.close(mailbox)
  }

  /** Between batches only: a handler may be needed until its batch is over. */
  #forgetGone() {
    for (const pid of this.#gone) {
      this.#reentrant.delete(pid)
      this.versions.forget(pid)
      this.#orphaned(pid)
      const key = pid & SLOT_MASK
      // A new actor may have the slot already.
      if (this.#pids[key] !== -pid) continue
      this.#pids[key] = 0
      this.#handlers[key] = undefined
      this.#contexts[key] = undefined
      this.#scopes[key] = undefined
    }
    this.#gone.length = 0
  }

  #reportFailure(info) {
    try {
      this.#report(info)
    } catch {
      // The hook and the logger are the user's: what they throw must not stop the lane.
    }
  }
}

const EMPTY = Buffer.alloc(0)
const EMPTY_WAIT = { timeoutMs: 0, signal: undefined }

module.exports = { Lane }
