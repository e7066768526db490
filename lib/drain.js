'use strict'

// The drain: takes batches of messages from the core and calls the handlers. The core decides who runs.

const { Context } = require('./context.js')
const { FastBuffer, isBytes, toBytes } = require('./bytes.js')
const { encodeReply } = require('./codecs.js')
const { crashText } = require('./errors.js')
const { Mailbox } = require('./mailbox.js')
const { systemMessage } = require('./system.js')
const { SLOT_MASK } = require('./actors.js')
const {
  CONTROL,
  DIRECT,
  EVENTS,
  FINISHED,
  FLAG_BIG,
  FLAG_CALL,
  FLAG_SENDER,
  FLAG_SYSTEM,
  HANDED,
  HANDS,
  HAND_CALL,
  HAND_HIGH,
  HAND_LOW,
  IN_HANDLER,
  LOOK,
  OUT_COUNT,
  PLAIN_SHIFT,
  RECORD,
  SLAB,
  SLEEPS,
  TAKEN,
  TOLD,
  USED,
  align,
  memory,
} = require('./border.js')

const EMPTY = Buffer.alloc(0)

/** Bytes that are copied one by one, four at a time; a call of `set` and a view cost more. */
const FEW = 256
/** From this many messages in a row to one actor on it is worth a look whether they keep anybody waiting. */
const LONG_ROW = 16

// How handing over ended: there may be more for the core to say, the slice is over, or the lane is done and sleeps.
const MORE = 0
const OVER = 1
const DONE = 2

/** Whether this is the mailbox of a pull actor that waits for any message. */
const waitsForAny = (handler) => typeof handler === 'object' && Mailbox.takesAny(handler)

const isThenable = (value) =>
  value !== undefined && value !== null && typeof value.then === 'function'

class Drain {
  #lane
  #turns
  #actors
  #requests
  #failures
  #events
  #told
  #virtuals
  #native
  #ctl
  #records
  #senders
  #callKeys
  #stage
  #stageWords
  #outPids
  #outLengths
  #outCalls

  #slab = memory(0)
  #slabWords = new Int32Array(this.#slab)
  #position = 0
  #count = 0
  #careful = false
  /** Place in the batch of a message whose handler ended its own actor and gave the slot to another. */
  #orphan = -1
  /** The text of the last crash that the core was told without a stack: it knows that one. */
  #said = undefined
  /** Whether the lane sleeps in the eyes of the core while messages are handed over, and bytes of the outbox that were. */
  #asleep = false
  #handedBytes = 0

  /** `events` fetches what the core has to tell; `told` deals with what it has told already. */
  constructor(lane, border, { turns, actors, requests, failures, virtuals, events, told }) {
    this.#lane = lane
    this.#turns = turns
    this.#actors = actors
    this.#requests = requests
    this.#failures = failures
    this.#virtuals = virtuals
    this.#events = events
    this.#told = told
    this.#native = border.native
    this.#ctl = border.ctl
    this.#records = border.records
    this.#senders = border.senders
    this.#callKeys = border.callKeys
    this.#stage = border.stage
    this.#stageWords = new Int32Array(border.stage.buffer)
    this.#outPids = border.outPids
    this.#outLengths = border.outLengths
    this.#outCalls = border.outCalls
  }

  /** The pid whose handler is running right now, synchronously; 0 outside. */
  get current() {
    const ctl = this.#ctl
    const at = ctl[FINISHED]
    if (ctl[IN_HANDLER] === 0 || at === this.#orphan) return 0
    return Math.abs(this.#actors.pids[this.#records[at * RECORD]])
  }

  /** A slot was given to a new actor. */
  reused(key) {
    const at = this.#ctl[FINISHED]
    if (this.#ctl[IN_HANDLER] !== 0 && this.#records[at * RECORD] === key) this.#orphan = at
  }

  /** No handler runs, however `work` has ended. */
  rest() {
    this.#ctl[IN_HANDLER] = 0
  }

  /** Handles messages until there are none (`false`) or the slice is over (`true`); then the caller says `rest`. */
  work() {
    const ctl = this.#ctl
    const records = this.#records
    const native = this.#native
    const turns = this.#turns
    const virtuals = this.#virtuals
    const { handlers, contexts } = this.#actors
    const { nudged } = turns
    for (;;) {
      if (this.#position >= this.#count) {
        ctl[IN_HANDLER] = 0
        if (ctl[TOLD] !== 0) {
          // The last message crashed its actor, and a restart is asked for.
          this.#told()
          this.#actors.forgetEnded()
          if (turns.sliceIsOver()) return true
        }
        if (virtuals.pending && virtuals.work()) return true
        // A user can take the memory away with `message.buffer.transfer()` (Node 22): nobody may write to it then.
        if (this.#slab.byteLength !== SLAB) this.#newSlab()
        if (ctl[DIRECT] !== 0 && ctl[OUT_COUNT] !== 0 && nudged[LOOK] === 0) {
          const next = this.#handOver()
          if (next !== MORE) return next === OVER
          if (ctl[TOLD] !== 0) continue
        }
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
          const told = ctl[EVENTS] !== 0
          if (told) this.#events()
          this.#actors.forgetEnded()
          if (told && turns.sliceIsOver()) return true
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
          const context = contexts[key] ?? this.#newContext(key, records[at + 4])
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
        if (--turns.left <= 0 || nudged[LOOK] !== 0) {
          ctl[FINISHED] = this.#position
          ctl[IN_HANDLER] = 0
          if (turns.look()) return true
        }
      }
      ctl[FINISHED] = count
      ctl[IN_HANDLER] = 0
    }
  }

  /**
   * Everything that waited for actors of this loop is done, and nobody else can give them anything unnoticed: what they have
   * sent each other meanwhile, and send from now on, is handed over here, for as long as the core is asked nothing. It hears
   * of that first when it is, and then has what is in hand as a batch of one (docs/adr/0027).
   */
  #handOver() {
    const ctl = this.#ctl
    const turns = this.#turns
    const outPids = this.#outPids
    const outLengths = this.#outLengths
    const from = this.#stageWords
    const to = this.#slabWords
    const slab = this.#slab
    const { handlers, contexts, pids } = this.#actors
    const { nudged } = turns
    if (ctl[DIRECT] !== HANDS) {
      this.#asleep = ctl[DIRECT] === SLEEPS
      this.#handedBytes = 0
      ctl[HANDED] = 0
      ctl[DIRECT] = HANDS
    }
    ctl[FINISHED] = 0
    this.#orphan = -1
    let used = ctl[USED]
    let at = this.#handedBytes
    let last = 0
    let row = 0
    for (let handed = ctl[HANDED]; ; ) {
      const count = ctl[OUT_COUNT]
      if (handed === count) {
        this.#handedBytes = at
        // Nobody has given a lane that sleeps anything: it sleeps on.
        return this.#asleep ? DONE : MORE
      }
      const pid = outPids[2 * handed]
      const sender = outPids[2 * handed + 1]
      let length = outLengths[handed]
      const isCall = length < 0
      if (isCall) length = ~length
      const key = pid & SLOT_MASK
      let context = contexts[key]
      if (
        // It may have ended, or belong to another thread.
        !(pid > 0) ||
        pids[key] !== pid ||
        (context === undefined
          ? isCall || !waitsForAny(handlers[key])
          : context._direct === 0 ||
            // There the life of the caller counts too.
            (isCall && sender !== 0)) ||
        used + length > SLAB ||
        // A user took the memory away.
        to.length !== SLAB / 4
      ) {
        return MORE
      }
      if (pid !== last) {
        last = pid
        row = 1
      } else if (context !== undefined && ++row > context._direct) {
        // Its budget is used up: the others first, if there are any.
        const wait = count - handed > 1 && (row < LONG_ROW || !this.#onlyFor(pid, handed, count))
        if (wait) return MORE
        row = 1
      }
      if (length <= FEW) {
        for (let i = at >> 2, j = used >> 2, end = (at + length + 3) >> 2; i < end; )
          to[j++] = from[i++]
      } else {
        new Uint8Array(slab).set(this.#stage.subarray(at, at + length), used)
      }
      const message = new FastBuffer(slab, used, length)
      at += align(length)
      used += align(length)
      ctl[USED] = used
      if (context === undefined) {
        Mailbox.give(handlers[key], message)
        ctl[HANDED] = ++handed
        if (--turns.left <= 0 || nudged[LOOK] !== 0) return turns.look() ? OVER : MORE
        continue
      }
      this.#records[0] = key
      ctl[IN_HANDLER] = 1
      if (isCall) {
        ctl[HAND_CALL] = 1
        context = new Context(this.#lane, pid, 0, -1, this.#outCalls[2 * handed])
      } else {
        ctl[HAND_CALL] = 0
        context._sender = sender === 0 ? null : sender
      }
      const handler = handlers[key]
      let result
      let promised = false
      try {
        result = handler(message, context)
        promised = result !== undefined && !isBytes(result) && isThenable(result)
        if (isCall && !promised) this.#answer(context, 0, result)
      } catch (error) {
        const low = this.#takenOver(context, isCall)
        this.#crashed(0, context, error, low)
      }
      if (promised) this.#awaits(0, context, result, this.#takenOver(context, isCall))
      if (ctl[DIRECT] === 0) {
        // The core was asked something, and has heard of everything: the batch of one is over.
        this.#position = 1
        this.#count = 1
        ctl[FINISHED] = 1
        ctl[IN_HANDLER] = 0
        // What was told comes first; the clock is looked at after it.
        if (ctl[TOLD] !== 0) return MORE
        return (--turns.left <= 0 || nudged[LOOK] !== 0) && turns.look() ? OVER : MORE
      }
      ctl[HANDED] = ++handed
      ctl[IN_HANDLER] = 0
      if (--turns.left <= 0 || nudged[LOOK] !== 0) return turns.look() ? OVER : MORE
    }
  }

  /** What is in hand is not over: the core hears of it. Answers the low half of its call, and its context knows both. */
  #takenOver(context, isCall) {
    const ctl = this.#ctl
    if (ctl[DIRECT] === HANDS) this.#native.flush()
    if (!isCall) return 0
    context._adopt(ctl[HAND_LOW], ctl[HAND_HIGH])
    return ctl[HAND_LOW]
  }

  /** Whether all that waits in the outbox from `at` on is for one actor. */
  #onlyFor(pid, at, count) {
    for (let i = at; i < count; i++) if (this.#outPids[2 * i] !== pid) return false
    return true
  }

  #newSlab() {
    this.#slab = memory(SLAB)
    this.#slabWords = new Int32Array(this.#slab)
    this.#native.slab(new Uint8Array(this.#slab))
  }

  /** The context of an actor for all its messages but calls; a reentrant one gets its own for each message. */
  #newContext(key, direct) {
    const actors = this.#actors
    const pid = Math.abs(actors.pids[key])
    const context = new Context(this.#lane, pid)
    if (!actors.reentrant.has(pid)) {
      actors.contexts[key] = context
      context._direct = direct
    }
    return context
  }

  /** A message that is a call, has a sender, is large, or comes from the runtime itself; answers the next position. */
  #special(i, at, key, flags) {
    const records = this.#records
    const actors = this.#actors
    let message
    if ((flags & FLAG_SYSTEM) !== 0) message = systemMessage(this.#native.system(i))
    else if ((flags & FLAG_BIG) !== 0 || this.#slab.byteLength === 0) message = this.#native.big(i)
    else message = new FastBuffer(this.#slab, records[at + 1], records[at + 2])
    const isCall = (flags & FLAG_CALL) !== 0
    const low = records[at + 4]
    if (isCall && actors.contexts[key] === undefined) this.#newContext(key, flags >> PLAIN_SHIFT)
    const context = isCall
      ? new Context(this.#lane, Math.abs(actors.pids[key]), low, records[at + 5], this.#callKeys[i])
      : (actors.contexts[key] ?? this.#newContext(key, low))
    context._sender = (flags & FLAG_SENDER) !== 0 ? this.#senders[i] : null
    const handler = actors.handlers[key]
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
    const { codecs } = this.#actors
    const codec = codecs.size === 0 ? undefined : codecs.get(context.pid)
    let bytes = EMPTY
    if (codec !== undefined) bytes = encodeReply(codec, result)
    else if (result !== undefined && result !== null) bytes = toBytes(result, 'a reply')
    this.#requests.reply(low, context._take(), bytes, context._here)
  }

  /** The handler answered a promise: the actor waits for it, the lane does not. */
  #awaits(i, context, promise, low) {
    // Not by key: the handler may have ended its actor and given the slot to another.
    if (this.#actors.reentrant.has(context.pid)) {
      this.#outcome(promise, context, low, true)
      return i + 1
    }
    // From now on it gets one message a turn.
    context._direct = 0
    const next = this.#native.suspend(i)
    this.#outcome(promise, context, low, false)
    return next
  }

  /** `await` and nothing else reads the promise: it may be any thenable, and what it runs must not throw at the lane. */
  async #outcome(promise, context, low, reentrant) {
    try {
      const result = await promise
      if (this.#lane.disposed) return
      this.#answer(context, low, result)
    } catch (error) {
      this.#failed(context, error, low, reentrant)
      return
    }
    if (!reentrant && this.#native.resume(context.pid)) this.#turns.arm()
  }

  /** A promise was broken: the actor dies of it, a reentrant one in the middle of whatever else it does. */
  #failed(context, error, low, reentrant) {
    const { pid } = context
    const text = crashText(error)
    if (this.#lane.disposed) {
      this.#failures.crashed(pid, text, error)
      return
    }
    this.#requests.fail(low, context._take(), error, text)
    this.#actors.doubt(pid)
    const native = this.#native
    this.#failures.during(pid, text, error, () =>
      reentrant
        ? native.crashNow(pid, text[0], text[1])
        : native.crashAwaited(pid, text[0], text[1]),
    )
    this.#events()
  }

  /** The handler of message `i` threw; answers the next position. */
  #crashed(i, context, error, low) {
    const { pid } = context
    const text = this.#failures.describe(error)
    this.#actors.doubt(pid)
    this.#requests.fail(low, context._take(), error, text)
    const failures = this.#failures
    const message = text === this.#said ? undefined : text[0]
    this.#said = text[1] === undefined ? text : undefined
    const answer = this.#native.crash(i, message, text[1])
    if (answer >= 0) {
      // If all that there is to tell is told, nobody reports a failure.
      if (this.#ctl[TOLD] === 0) failures.expect(pid, error)
      return answer
    }
    failures.unheard(pid, text, error)
    return -answer
  }
}

module.exports = { Drain }
