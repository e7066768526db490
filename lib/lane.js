'use strict'

// The lane of one event loop: what must run inside V8. See docs/architecture.md, "A message's way".
//
//   border.js    memory and functions that V8 and the core share
//   outbox.js    messages on their way to the core
//   far.js       actors of other threads that messages may be promised to
//   speech.js    who wants them how; codecs.js: the codecs
//   turns.js     when the drain runs, and for how long
//   drain.js     takes messages from the core and calls the handlers
//   actors.js    handlers, contexts, pids, versions, children
//   pulls.js     pull actors; mailbox.js: their mailboxes
//   virtuals.js  the hooks of virtual actors
//   vortex.js    the branches of speculating actors
//   requests.js  calls, joins, waiting sends, replies
//   waits.js     their promises
//   watching.js  monitors with callbacks
//   supervisors.js  factories of supervised actors
//   mesh.js      other nodes
//   telemetry.js  trace contexts (OpenTelemetry), as a codec
//   hold.js      what keeps the process alive
//   buffers.js   buffers that wait to be sent
//   failures.js  what crashed actors threw

const { ARM, Border, CALL_ENDED, CLOSED, ENDING, NOT_A_PID, TOLD } = require('./border.js')
const { isBytes, lengthOf, toBytes } = require('./bytes.js')
const { decoding, encode } = require('./codecs.js')
const { closed, crashText, makeError, wrongType } = require('./errors.js')
const { callersContext, inRoot } = require('./scope.js')
const { Actors, SLOT_MASK } = require('./actors.js')
const { Buffers } = require('./buffers.js')
const { Drain } = require('./drain.js')
const { Failures } = require('./failures.js')
const { Far } = require('./far.js')
const { Hold } = require('./hold.js')
const { Mesh } = require('./mesh.js')
const { Outbox } = require('./outbox.js')
const { Pulls } = require('./pulls.js')
const { Requests } = require('./requests.js')
const { Speech } = require('./speech.js')
const { Tracing } = require('./tracing.js')
const { Turns } = require('./turns.js')
const { Virtuals } = require('./virtuals.js')
const { Vortex } = require('./vortex.js')
const { Waits } = require('./waits.js')
const { Supervisors } = require('./supervisors.js')
const { Watches } = require('./watching.js')

/** Bytes that `sendMany` packs for one crossing. */
const PACK = 2 ** 20

class Lane {
  runtime
  native
  /** Other nodes. */
  mesh
  /** Whether the runtime is closing: nothing new is taken. */
  closing = false
  /** Whether the native half is gone. */
  disposed = false

  #turns
  #nudged
  #ctl
  #told
  /** Whether events that are numbers are being dealt with. */
  #telling = false
  #actors = new Actors()
  #outbox
  #speech
  #far
  #drain
  #hold
  #requests
  #pulls
  #watches
  #supervisors
  #buffers
  #virtuals
  #vortex
  #failures
  #tellPressure
  tracing
  /** Whether another thread owns the runtime: it goes on when this one leaves. */
  #attached
  /** Called when another thread has closed the runtime. */
  #onClosed

  constructor(runtime, options, report, onClosed, log) {
    this.runtime = runtime
    this.#attached = options.native.attach !== undefined
    this.#onClosed = onClosed
    const actors = this.#actors
    const failures = new Failures(report)
    const turns = new Turns(options.timeSliceMs, () => {
      failures.newTurn()
      hold.settle()
      this.tracing.look()
    })
    const hold = new Hold(
      () => turns.note(),
      () => this.native.hasDelays(),
    )
    inRoot(() => {
      const border = new Border(
        options.native,
        () => turns.wake(),
        () => turns.arm(),
      )
      this.native = border.native
      this.#nudged = border.nudged
      this.#ctl = border.ctl
      this.#told = border.told
      const outbox = new Outbox(border)
      const waits = new Waits()
      const speech = new Speech(border, actors)
      this.#speech = speech
      this.#far = new Far(border, actors)
      const shared = { turns, actors, waits, hold, outbox, failures, speech }
      const requests = new Requests(this, border, shared, options.callTimeoutMs)
      this.#outbox = outbox
      this.#requests = requests
      this.#pulls = new Pulls(this, border, shared)
      this.#watches = new Watches(border, shared, log)
      this.#supervisors = new Supervisors(this, border, shared, log)
      this.#buffers = new Buffers(border)
      this.mesh = new Mesh(this, border, shared)
      this.#vortex = new Vortex(this, border, actors, log)
      const events = () => this.#events()
      const told = () => this.#hearTold()
      const virtuals = new Virtuals(this, border, shared)
      this.#virtuals = virtuals
      this.#drain = new Drain(this, border, { ...shared, requests, virtuals, events, told })
      turns.begin(border, this.#drain)
    })
    this.tracing = new Tracing(this, this.#supervisors, log)
    this.#turns = turns
    this.#hold = hold
    this.#failures = failures
  }

  get longestHold() {
    return this.#turns.longestHold
  }

  get yields() {
    return this.#turns.yields
  }

  // --- actors -----------------------------------------------------------------------------------

  spawn(
    handler,
    budget,
    capacity,
    reentrant,
    parent = 0,
    system = false,
    codec = undefined,
    vortex = undefined,
  ) {
    const supervisors = this.#supervisors
    if (supervisors.waiting !== 0 && supervisors.isPast()) {
      return supervisors.spawning(() =>
        this.spawn(handler, budget, capacity, reentrant, parent, system, codec, vortex),
      )
    }
    this.tracing.look()
    const run = callersContext()
    const answer = this.native.spawn(budget, capacity, parent, system)
    const pid = Math.abs(answer)
    this.#drain.reused(pid & SLOT_MASK)
    const decoded = decoding(codec, handler)
    this.#actors.enterPush(
      this.#speaks(answer, codec),
      vortex === undefined ? decoded : this.#vortex.enter(pid, decoded, vortex),
      run,
      reentrant,
      parent,
    )
    return pid
  }

  /** A new actor speaks `codec`, before anybody knows its pid: then nobody may promise it bytes. */
  #speaks(answer, codec) {
    if (codec === undefined) return answer
    const pid = Math.abs(answer)
    this.native.setCodec(pid, codec.name)
    this.#actors.codecs.set(pid, codec)
    return -pid
  }

  /** `idleMs` and the hooks may be `undefined`. */
  spawnVirtual(handler, budget, capacity, { idleMs, onActivate, onDeactivate, codec }) {
    this.tracing.look()
    const run = callersContext()
    const virtuals = this.#virtuals
    const [answer, hooks] = virtuals.spawn(budget, capacity, idleMs, onActivate, onDeactivate, run)
    const pid = Math.abs(answer)
    this.#drain.reused(pid & SLOT_MASK)
    this.#actors.enterPush(this.#speaks(answer, codec), decoding(codec, handler), run, false, 0)
    this.#actors.contexts[pid & SLOT_MASK] = hooks
    return pid
  }

  spawnObserved(budget, capacity) {
    this.tracing.look()
    return this.#pulls.observe(budget, capacity, (answer, mailbox) => {
      this.#drain.reused(Math.abs(answer) & SLOT_MASK)
      this.#actors.enter(answer, mailbox, 0)
    })
  }

  /** The mailbox of an observed actor of this thread. */
  observed(pid) {
    return this.#pulls.observed(pid)
  }

  /** `ctx.state` of an actor. */
  stateOf(pid) {
    return this.#actors.states.get(pid)
  }

  setState(pid, value) {
    // One that has ended keeps nothing.
    if (this.#actors.knows(pid)) this.#actors.states.set(pid, value)
  }

  spawnPull(body, budget, capacity, parent = 0, codec = undefined) {
    const supervisors = this.#supervisors
    if (supervisors.waiting !== 0 && supervisors.isPast()) {
      return supervisors.spawning(() => this.spawnPull(body, budget, capacity, parent, codec))
    }
    this.tracing.look()
    return this.#pulls.spawn(body, budget, capacity, parent, codec, (answer, mailbox) => {
      this.#drain.reused(Math.abs(answer) & SLOT_MASK)
      this.#actors.enter(this.#speaks(answer, codec), mailbox, parent)
    })
  }

  /** The codec of an actor of this loop. */
  codecOf(pid) {
    return this.#actors.codecs.get(pid)
  }

  /** Whether there is time for more in this turn of the loop. */
  mayGoOn() {
    return this.#turns.mayGoOn()
  }

  /** Whether `pid` is, or was until just now, an actor whose handler this loop calls. */
  isPush(pid) {
    return this.#actors.isPush(pid)
  }

  /** Throws unless `pid` is a live actor whose handler this loop calls. */
  checkPush(pid) {
    if (!this.native.isAlive(pid)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `pid ${pid}: no such actor`)
    }
    this.#actors.checkPush(pid)
  }

  swap(pid, handler) {
    this.checkPush(pid)
    return this.#actors.swap(pid, handler)
  }

  rollback(pid, steps) {
    this.checkPush(pid)
    return this.#actors.rollback(pid, steps)
  }

  /** The version of the handler of `pid`. */
  versionOf(pid) {
    return this.#actors.versions.of(pid)
  }

  stop(pid, drain, timeoutMs) {
    this.#actors.doubt(pid)
    const stopped = this.native.stop(pid, drain, timeoutMs)
    if (stopped === ENDING) this.#requests.stopping(pid)
    return stopped !== 0
  }

  kill(pid) {
    this.#actors.doubt(pid)
    return this.native.kill(pid)
  }

  /** The pid whose handler is running right now, synchronously; 0 outside. */
  get current() {
    return this.#drain.current || this.#virtuals.current
  }

  // --- sending ----------------------------------------------------------------------------------

  send(pid, data, sender = 0) {
    const actors = this.#actors
    if (
      typeof pid === 'number' &&
      actors.pids[pid & SLOT_MASK] === pid &&
      pid > 0 &&
      isBytes(data) &&
      (sender === 0 || actors.knows(sender)) &&
      this.#outbox.post(pid, data, sender, -1, 0)
    ) {
      const turns = this.#turns
      if (!turns.running) turns.arm()
      return true
    }
    if (this.closing) throw closed()
    if (this.#far.takes(pid) && isBytes(data) && (sender === 0 || actors.knows(sender))) {
      // Negative: for another thread.
      if (this.#outbox.post(-pid, data, sender, -1, 0)) {
        if (!this.#turns.running) this.#turns.arm()
        this.#far.posted()
        return true
      }
    }
    const bytes = this.#speech.bytesFor(pid, data)
    // What an actor tries after its end is refused; 0 is nobody's pid.
    const to = sender === 0 || typeof pid !== 'number' || actors.knows(sender) ? pid : 0
    const answer = this.native.send(to, bytes, sender)
    if (answer !== undefined) return this.#sent(answer, pid)
    this.#far.sent(pid)
    return true
  }

  /** `data` as the bytes that `pid` wants. */
  bytesFor(pid, data) {
    return this.#speech.bytesFor(pid, data)
  }

  /** Sends what `bytesFor` has answered; after the runtime has begun to close, nothing. */
  sendBytes(pid, bytes, sender) {
    const answer = this.closing ? CLOSED : this.native.send(pid, bytes, sender)
    if (answer === undefined) this.#far.sent(pid)
    else if (answer === ARM) this.#turns.arm()
  }

  #sent(answer, pid) {
    if (answer === ARM) {
      this.#turns.arm()
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
    const all = this.#speech.allBytesFor(pid, messages)
    if (this.closing) throw closed()
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
    this.#turns.arm()
    return -accepted - 1
  }

  /** Sends later: `entry` is `sendAfter` or `sendInterval`. */
  delay(entry, pid, ms, data) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (this.closing) throw closed()
    const bytes = this.#speech.bytesFor(pid, data)
    const timer = this.native[entry](pid, ms, bytes)
    this.#hold.holdForDelays()
    return timer
  }

  sendAsync(pid, data, signal) {
    return this.#requests.sendAsync(pid, data, signal)
  }

  /** Memory under an id; that of a handler's ends with its actor. */
  allocateBuffer(size) {
    return this.#buffers.allocate(size, this.current)
  }

  sendBuffer(pid, id) {
    if (this.closing) throw closed()
    const answer = this.#buffers.send(pid, id, this.current)
    return answer === undefined ? true : this.#sent(answer, pid)
  }

  freeBuffer(id) {
    return this.#buffers.free(id)
  }

  shedLoad(on) {
    this.native.setLoadShedding(on)
    this.#outbox.shut(on)
  }

  // --- asking -----------------------------------------------------------------------------------

  call(pid, data, options, caller) {
    return this.#requests.call(pid, data, options, caller)
  }

  /** Fails a call that its receiver could not read. */
  failCall(low, high, error) {
    this.#requests.fail(low, high, error, crashText(error))
  }

  /** Answers a call; `false`: it was over. */
  reply(low, high, bytes, here) {
    return this.#requests.reply(low, high, bytes, here)
  }

  join(pid, options) {
    return this.#requests.join(pid, options)
  }

  /** As `join`, of a member of a pool: if it has failed, what it left waits for `replace`. */
  joinMember(pid) {
    return this.#requests.joinMember(pid)
  }

  /** Whom `spawn` spawns takes the place of a member that has failed, and what it left. */
  replace(old, spawn) {
    const number = this.native.beginReplacement()
    let pid = 0
    try {
      pid = spawn()
    } finally {
      this.native.endReplacement(number, old, pid)
    }
    return pid
  }

  get supervisors() {
    return this.#supervisors
  }

  terminate(path, pid) {
    this.#actors.doubt(pid)
    return this.native.terminateChild(path, pid)
  }

  /** `entry` is `sendNamed` or `sendPath`; `holder` is who has ended and is being replaced, if anybody. */
  sendTo(entry, label, holder, data) {
    const codec = holder === null ? undefined : this.#speech.codecOf(holder)
    // Looked at before it is sent: wrong data throws whether or not there is anybody.
    const bytes = codec === undefined ? toBytes(data, 'data') : encode(codec, data)
    if (this.closing) throw closed()
    const answer = this.native[entry](label, bytes)
    return answer === undefined ? true : this.#sent(answer, label)
  }

  /** `watcher` is a pid or a function. */
  monitor(target, watcher) {
    return typeof watcher === 'function'
      ? this.#watches.monitor(target, watcher)
      : this.native.monitor(target, watcher)
  }

  demonitor(reference) {
    return this.#watches.demonitor(reference)
  }

  link(a, b) {
    this.#actors.doubt(a)
    this.#actors.doubt(b)
    this.native.link(a, b)
  }

  /** Keeps the process alive whether or not anything is pending, or lets go of it again. */
  hold(held) {
    this.#hold.set(held)
  }

  /** Ends the runtime, or only this thread's part in it. */
  async close(timeoutMs) {
    this.closing = true
    this.#actors.doubtAll()
    await this.#requests.close(timeoutMs, this.#attached)
  }

  /** After the core is gone: nothing is called any more. */
  dispose() {
    if (this.disposed) return
    this.closing = true
    this.disposed = true
    this.mesh.dispose()
    this.#requests.dispose()
    this.#turns.dispose()
    this.#hold.dispose()
    this.native.dispose()
    this.#actors.dispose()
    this.#pulls.dispose()
    this.#buffers.dispose()
    this.#virtuals.dispose()
    this.#vortex.dispose()
    this.#supervisors.dispose()
  }

  // --- events -----------------------------------------------------------------------------------

  /** What the core has to tell beside messages. */
  #events() {
    // Before they are fetched: what comes later is seen then.
    this.#nudged[CALL_ENDED] = 0
    // A factory that is called below may come here again: then what is told stays as it is.
    const events = this.native.events(!this.#telling)
    if (typeof events === 'number') {
      this.#tell(events)
    } else {
      for (const event of events) {
        if (typeof event === 'number') this.#pulls.signal(Math.floor(event / 4), event % 4)
        else if (event[0] === 0) this.#requests.done(event[1], event[2])
        else this.#event(event)
      }
    }
    // The drain asks the core for more, which hears of starts then.
    if (!this.#turns.running && !this.disposed) this.native.flush()
    this.#failures.settle()
  }

  /** What the core has told with its answer to a crash. */
  #hearTold() {
    const count = this.#ctl[TOLD]
    this.#ctl[TOLD] = 0
    this.#tell(count)
    this.#failures.settle()
  }

  /** Events that are numbers: ends and starts. */
  #tell(count) {
    const told = this.#told
    this.#telling = true
    try {
      let atHand = true
      for (let at = 0; at < count * 4; at += 4) {
        if (told[at] === 3) {
          this.#ended(told[at + 2])
        } else {
          this.#supervisors.start(told[at + 1], told[at + 2], told[at + 3] || null, atHand)
          atHand = false
        }
      }
    } finally {
      this.#telling = false
    }
  }

  #event([kind, key, a, b, c, d, ...rest]) {
    if (kind === 1) this.#requests.failed(key, a, b, c)
    else if (kind === 2) this.#requests.joined(key, { pid: a, reason: b, message: c, stack: d })
    else if (kind === 3) this.#ended(a)
    else if (kind === 4) this.#failures.ended(a, b, c, d)
    else if (kind === 6) this.#virtuals.note(key, a, b)
    else if (kind === 7) this.#tellLevels()
    else if (kind === 8) this.#news(key, a)
    else if (kind === 9) this.#supervisors.start(key, a, b ?? null, false)
    else if (kind === 10) this.#supervisors.forget(key)
    else if (kind === 12) this.tracing.tell()
    else this.#supervisors.news(a, b, c, d, ...rest)
  }

  #ended(pid) {
    this.#failures.forget(pid)
    if (this.#actors.wraps.size !== 0) this.#vortex.ended(pid)
    this.#actors.ended(pid)
    this.#buffers.ended(pid)
  }

  /** `tell` hears of every level that changes; `undefined`: nobody does. */
  watchPressure(tell) {
    this.#tellPressure = tell
    this.native.watchPressure(tell !== undefined)
  }

  #tellLevels() {
    const changes = this.native.pressures()
    for (let i = 0; i < changes.length; i += 2) this.#tellPressure?.(changes[i], changes[i + 1])
  }

  /** Something happened to the runtime itself, on some thread. */
  #news(what, on) {
    if (what === 1) {
      this.#outbox.shut(on !== 0)
    } else if (this.#attached) {
      this.closing = true
      this.#actors.doubtAll()
      // The drain that is running looks at the core once more.
      inRoot(() => setImmediate(this.#onClosed))
    }
  }
}

module.exports = { Lane }
