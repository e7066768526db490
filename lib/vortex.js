'use strict'

// Speculating actors: what two branches of a message do is staged, and one of them commits (docs/vortex.md). A speculating
// actor's handler is a function that runs races; the dispatch loop knows nothing of it. Who wins is decided in src/vortex.

const { copyBytes, isBytes, toBytes } = require('./bytes.js')
const { encodeReply } = require('./codecs.js')
const { Context } = require('./context.js')
const { closed, crashText, makeError, wrongType } = require('./errors.js')

const PRIMARY = 0
const GHOST = 1
const NAMES = ['primary', 'ghost']

// Events and verdicts: src/node/vortex.rs has the same. Those of the primary are followed by those of the ghost.
const SLOW = 0
const FINISHED = 1
const FAILED = 3
const GRACE_OVER = 5
const GONE = 6
const START = 1
const HOLD = 2
const COMMIT = 3
const CRASH = 5
const DROP = 6

// What becomes of a branch's effects.
const STAGED = 0
const DIRECT = 1
const DROPPED = 2

const EMPTY = Buffer.alloc(0)
const FOREVER = 2 ** 31 - 1

const isThenable = (value) =>
  value !== undefined && value !== null && typeof value.then === 'function'

const notStaged = (pid, what) =>
  makeError(
    'ERR_IRIS_NOT_STAGED',
    `actor ${pid} speculates: ctx.${what} answers something before the safe point, so it cannot be staged; runtime.${what} is not staged either way`,
  )

/** `ctx` of one branch: effects wait for its safe point. After it, the winner's is that of any handler; the loser's does nothing. */
class BranchContext extends Context {
  #lane
  #real
  #mode = STAGED
  #staged = []
  #replied = false
  #state = undefined
  #abort = undefined

  constructor(lane, real, sender) {
    super(lane, real.pid)
    this.#lane = lane
    this.#real = real
    this._sender = sender
  }

  get signal() {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#mode === DROPPED) this.#abort.abort(this.#lost())
    }
    return this.#abort.signal
  }

  get isCall() {
    return this.#mode !== DROPPED && !this.#replied && this.#real.isCall
  }

  get state() {
    return this.#state === undefined ? super.state : this.#state.value
  }

  set state(value) {
    if (this.#mode === DIRECT) super.state = value
    else if (this.#mode === STAGED) this.#state = { value }
  }

  send(pid, data) {
    if (this.#mode === DIRECT) return super.send(pid, data)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (this.#lane.closing) throw closed()
    const bytes = copyBytes(this.#lane.bytesFor(pid, data))
    if (this.#mode === DROPPED || !this.#lane.native.isAlive(pid)) return false
    this.#staged.push(() => this.#lane.sendBytes(pid, bytes, this.pid))
    return true
  }

  call(pid, data, options) {
    if (this.#mode === STAGED) return Promise.reject(notStaged(this.pid, 'call'))
    if (this.#mode === DROPPED) return Promise.reject(this.#lost())
    return super.call(pid, data, options)
  }

  monitor(target) {
    this.#checkDirect('monitor')
    return super.monitor(target)
  }

  link(pid) {
    this.#checkDirect('link')
    super.link(pid)
  }

  reply(data) {
    if (this.#mode === DIRECT && !this.#replied) {
      this.#real.reply(data)
      return
    }
    const bytes = this.#encode(data === undefined ? EMPTY : data, data === undefined)
    if (!this.isCall) {
      throw makeError(
        'ERR_IRIS_STALE_REPLY',
        `actor ${this.pid}: nothing waits for this reply (it is no call, was answered already, or another branch was faster)`,
      )
    }
    this.#stageReply(bytes)
  }

  stop() {
    if (this.#mode === DIRECT) return super.stop()
    if (this.#mode === DROPPED || !this.#lane.native.isAlive(this.pid)) return false
    this.#staged.push(() => super.stop())
    return true
  }

  /** The handler has returned `result`: it is the reply, unless there was one. What is no reply throws. */
  _finish(result) {
    if (this.isCall) this.#stageReply(this.#encode(result, result === undefined || result === null))
  }

  #encode(data, isEmpty) {
    const codec = this.#lane.codecOf(this.pid)
    if (codec !== undefined) return copyBytes(encodeReply(codec, isEmpty ? undefined : data))
    return isEmpty ? EMPTY : copyBytes(toBytes(data, 'a reply'))
  }

  #stageReply(bytes) {
    this.#replied = true
    this.#staged.push(() => this.#real._settle(bytes))
  }

  /** What was staged becomes visible, in its order. */
  _commit() {
    this.#mode = DIRECT
    if (this.#state !== undefined) super.state = this.#state.value
    this.#state = undefined
    const staged = this.#staged
    this.#staged = []
    for (const effect of staged) effect()
  }

  /** What was staged is dropped. */
  _lose() {
    this.#mode = DROPPED
    this.#staged = []
    this.#abort?.abort(this.#lost())
  }

  #lost() {
    return makeError(
      'ERR_IRIS_ABORTED',
      `actor ${this.pid}: this branch of the message has lost, or its actor has ended`,
    )
  }

  #checkDirect(what) {
    if (this.#mode === STAGED) throw notStaged(this.pid, what)
    if (this.#mode === DROPPED) throw this.#lost()
  }
}

/** A message and its branches. */
class Race {
  #vortex
  #number
  #handler
  #messages
  #real
  #sender
  #contexts = []
  #errors = []
  #timer = undefined
  #over = false
  #crashed = false
  #resolve = undefined
  #reject = undefined

  constructor(vortex, number, handler, message, real) {
    this.#vortex = vortex
    this.#number = number
    this.#handler = handler
    // A handler may change its message.
    this.#messages = [message, Buffer.isBuffer(message) ? copyBytes(message) : message]
    this.#real = real
    this.#sender = real.sender
  }

  get pid() {
    return this.#real.pid
  }

  /** What a handler does: returns, throws, or answers a promise. */
  run() {
    this.#attempt(PRIMARY)
    if (this.#over) {
      if (this.#crashed) throw this.#errors[PRIMARY].error
      return undefined
    }
    if (this.#contexts[GHOST] === undefined) {
      const ms = this.#vortex.native.vortexGhostAfter(this.#number)
      if (ms >= 0) this.#after(ms, SLOW)
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** The actor has ended. */
  gone() {
    if (!this.#over) this.#tell(GONE)
  }

  #after(ms, event) {
    this.#timer = setTimeout(() => this.#tell(event), Math.min(ms, FOREVER))
    // As an async handler, it does not hold the process by itself.
    this.#timer.unref()
  }

  #attempt(branch) {
    const context = new BranchContext(this.#vortex.lane, this.#real, this.#sender)
    this.#contexts[branch] = context
    let result
    let promised = false
    try {
      result = this.#handler(this.#messages[branch], context)
      promised = !isBytes(result) && isThenable(result)
    } catch (error) {
      this.#failed(branch, error)
      return
    }
    if (promised) this.#await(branch, result)
    else this.#finished(branch, result)
  }

  async #await(branch, promise) {
    let result
    try {
      result = await promise
    } catch (error) {
      this.#failed(branch, error)
      return
    }
    this.#finished(branch, result)
  }

  #finished(branch, result) {
    if (this.#over) return
    try {
      this.#contexts[branch]._finish(result)
    } catch (error) {
      this.#failed(branch, error)
      return
    }
    this.#tell(FINISHED + branch)
  }

  #failed(branch, error) {
    if (this.#over) return
    this.#errors[branch] = { error }
    this.#tell(FAILED + branch)
  }

  /** Says what has happened, and does what follows. */
  #tell(event) {
    const verdict = this.#vortex.step(this.#number, event)
    if (verdict === START) this.#attempt(GHOST)
    else if (verdict === HOLD) {
      clearTimeout(this.#timer)
      this.#after(this.#vortex.native.vortexGrace(this.#number), GRACE_OVER)
    } else if (verdict >= COMMIT) this.#end(verdict)
  }

  #end(verdict) {
    this.#over = true
    clearTimeout(this.#timer)
    this.#vortex.over(this)
    const winner = verdict === CRASH || verdict === DROP ? undefined : verdict - COMMIT
    if (winner !== undefined) this.#contexts[winner]._commit()
    this.#contexts.forEach((context, branch) => {
      if (branch !== winner) context._lose()
    })
    if (verdict === CRASH) {
      this.#crashed = true
      this.#reject?.(this.#errors[PRIMARY].error)
      return
    }
    const failure = winner === undefined ? undefined : this.#errors[1 - winner]
    if (failure !== undefined) this.#vortex.recovered(this.pid, NAMES[1 - winner], failure.error)
    this.#resolve?.()
  }
}

class Vortex {
  lane
  native
  #log
  #wraps
  /** The races that are not over, by pid. */
  #races = new Map()

  constructor(lane, border, actors, log) {
    this.lane = lane
    this.native = border.native
    this.#wraps = actors.wraps
    this.#log = log
  }

  /** The new actor speculates; answers what its handler is. */
  enter(pid, handler, [ghostAfterMs, graceMs, maxRate]) {
    this.native.vortexEnter(pid, ghostAfterMs, graceMs, maxRate)
    const wrap = (inner) => (message, context) => this.#run(pid, inner, message, context)
    this.#wraps.set(pid, wrap)
    return wrap(handler)
  }

  #run(pid, handler, message, context) {
    const number = this.native.vortexBegin(pid)
    // It has just ended.
    if (number === 0) return undefined
    const race = new Race(this, number, handler, message, context)
    const others = this.#races.get(pid)
    if (others === undefined) this.#races.set(pid, new Set([race]))
    else others.add(race)
    return race.run()
  }

  step(number, event) {
    return this.lane.disposed ? DROP : this.native.vortexStep(number, event)
  }

  over(race) {
    const { pid } = race
    const others = this.#races.get(pid)
    if (others?.delete(race) && others.size === 0) this.#races.delete(pid)
  }

  /** A branch failed and the other committed: the actor lives, and somebody hears of it all the same. */
  recovered(pid, name, error) {
    this.#log(
      `iris: actor ${pid}: the ${name} of a message failed, the other branch was committed: ${crashText(error)[0]}`,
    )
  }

  ended(pid) {
    if (!this.#wraps.has(pid)) return
    this.native.vortexForget(pid)
    // What listens to the signal runs when the loop has dealt with its events.
    for (const race of this.#races.get(pid) ?? []) queueMicrotask(() => race.gone())
  }

  dispose() {
    for (const races of [...this.#races.values()]) for (const race of races) race.gone()
  }
}

module.exports = { Vortex }
