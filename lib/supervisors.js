'use strict'

// Factories of supervised actors, and trees of them. The core decides who is restarted, and asks for replacements here.

const { AsyncLocalStorage } = require('node:async_hooks')
const { STARTED, TOLD_MAX } = require('./border.js')
const { crashText, describe, makeError } = require('./errors.js')
const { callersContext } = require('./scope.js')

/** The start that an async factory is at, for what it spawns after its first `await`. */
let starts

const isThenable = (value) => typeof value?.then === 'function'
const AsyncFunction = (async () => {}).constructor

class Supervisors {
  #lane
  #native
  #ctl
  #told
  #hold
  #log
  /** By the key under which the core asks. */
  #factories = new Map()
  #next = 0
  /** Async factories under way. */
  waiting = 0
  /** Who hears of what supervisors do: `onSupervision`, `onRestart`. */
  #hooks = [undefined, undefined, undefined]
  #listens = false

  constructor(lane, border, { hold }, log) {
    this.#lane = lane
    this.#native = border.native
    this.#ctl = border.ctl
    this.#told = border.told
    this.#hold = hold
    this.#log = log
  }

  /** Has `pid` replaced by what `factory` answers when it ends; `at`: the path that each of them is registered under. */
  supervise(path, pid, factory, strategy, restart, id, at) {
    const key = this.#next++
    const run = callersContext()
    const isAsync = factory instanceof AsyncFunction
    this.#factories.set(key, {
      factory: run === undefined ? factory : (old) => run(factory, old),
      isAsync,
      at,
    })
    try {
      this.#native.superviseFactory(path, pid, key, strategy, restart, id)
    } catch (error) {
      this.#factories.delete(key)
      throw error
    }
  }

  forget(key) {
    this.#factories.delete(key)
  }

  /** The core asks for a replacement of `old`; `atHand`: it takes what is spawned from now on for that. */
  start(key, ticket, old, atHand) {
    const known = this.#factories.get(key)
    if (known === undefined) {
      this.#native.startOver(ticket, 0, 'its factory is gone')
      return
    }
    if (!atHand) this.#native.startAtHand(ticket)
    let answer
    try {
      answer = known.isAsync ? this.#begin(known.factory, ticket, old) : known.factory(old)
    } catch (error) {
      this.#failed(ticket, error)
      return
    }
    if (typeof answer === 'number') {
      this.#place(answer, known.at)
      if (this.#ctl[STARTED] !== 0) this.#native.flush()
      // The core hears of it with whatever it is asked next.
      this.#told[TOLD_MAX * 4] = ticket
      this.#told[TOLD_MAX * 4 + 1] = answer
      this.#ctl[STARTED] = 1
    } else {
      this.#later(ticket, answer, known.at)
    }
  }

  #begin(factory, ticket, old) {
    starts ??= new AsyncLocalStorage()
    return starts.run(ticket, factory, old)
  }

  async #later(ticket, answer, at) {
    this.#native.startAtHand(0)
    this.waiting++
    this.#hold.hold()
    try {
      const pid = isThenable(answer) ? await answer : answer
      if (this.#lane.disposed) return
      if (typeof pid !== 'number') throw new TypeError(`it must answer a pid, got ${describe(pid)}`)
      this.#started(ticket, pid, at)
    } catch (error) {
      if (!this.#lane.disposed) this.#failed(ticket, error)
    } finally {
      this.waiting--
      this.#hold.release()
    }
  }

  #started(ticket, pid, at) {
    this.#place(pid, at)
    this.#native.startOver(ticket, pid)
  }

  /** Registers a replacement at its path. */
  #place(pid, at) {
    if (at !== undefined && this.#native.whereisPath(at) === null) {
      try {
        // Nobody hands the path over if its supervisor had given up.
        this.#native.registerPath(at, pid)
      } catch {
        // It is another's by now, or the actor has ended: then the start fails.
      }
    }
  }

  #failed(ticket, error) {
    const [message, stack] = crashText(error)
    this.#native.startOver(ticket, 0, `its factory failed: ${stack ?? message}`)
  }

  /** Whether it is an async factory, past its first `await`, that runs. */
  isPast() {
    return starts?.getStore() !== undefined
  }

  /** Spawns for an async factory. */
  spawning(make) {
    const ticket = starts.getStore()
    return starts.exit(() => {
      this.#native.startAtHand(ticket)
      try {
        return make()
      } finally {
        this.#native.startAtHand(0)
      }
    })
  }

  /** `which`: 0 hears of everything, 1 of restarts, 2 (no user's) of everything. */
  listen(which, hook) {
    this.#hooks[which] = hook
    if (hook === undefined || this.#listens) return
    this.#listens = true
    this.#native.supervisorNews()
  }

  /** Something that a supervisor did. */
  news(event, path, id, oldPid, pid, reason, message, stack, restarts) {
    const news = {
      event,
      path,
      id: id ?? null,
      oldPid: oldPid ?? null,
      pid: pid ?? null,
      reason,
      message,
      stack,
      restarts,
    }
    this.#hooks[2]?.(news)
    this.#tell(this.#hooks[0], news)
    if (event === 'restarted') this.#tell(this.#hooks[1], news)
  }

  async #tell(hook, news) {
    try {
      await hook?.(news)
    } catch (error) {
      this.#log(`iris: a supervision hook failed: ${crashText(error)[0]}`)
    }
  }

  dispose() {
    this.#factories.clear()
  }
}

/** A supervisor and its children, as `rt.supervise` made them. */
class Supervisor {
  #runtime
  #path
  #paths

  constructor(runtime, paths) {
    this.#runtime = runtime
    this.#path = paths[0]
    this.#paths = paths
  }

  get path() {
    return this.#path
  }

  /** Live children, those of the supervisors below too, in start order. */
  get children() {
    return this.#paths.flatMap((path) => this.#runtime.pathSupervisorChildren(path))
  }

  whereis(id) {
    return this.#runtime.whereisPath(`${this.#path}/${id}`)
  }

  async stop() {
    await stopAll(this.#runtime, this.#paths)
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.stop()
  }

  get [Symbol.toStringTag]() {
    return 'Supervisor'
  }
}

/** Stops the children of supervisors in reverse order, then the supervisors. */
async function stopAll(runtime, paths) {
  for (const path of paths.toReversed?.() ?? [...paths].reverse()) {
    for (const pid of runtime.pathSupervisorChildren(path).reverse()) {
      runtime.terminateChild(path, pid)
      await runtime.join(pid)
    }
    runtime.removePathSupervisor(path)
  }
}

/** What `rt.supervise` is to do, one step each: make a supervisor, or start a child. */
function plan(path, specs, options, steps = []) {
  steps.push({ path, options })
  for (const { id, children, start, restart, workers, ...rest } of specs) {
    const at = `${path === '/' ? '' : path}/${id}`
    if (children !== undefined) {
      plan(at, children, { ...rest, restart }, steps)
    } else if (workers === undefined) {
      steps.push({ sup: path, at, id, start, restart })
    } else {
      for (let i = 0; i < workers; i++) {
        steps.push({ sup: path, at: `${at}/${i}`, id: `${id}/${i}`, start, restart })
      }
    }
  }
  return steps
}

/** Carries a plan out; answers a promise as soon as something in it does. If a step fails, what was begun is undone. */
function carryOut(runtime, lane, steps) {
  const made = []
  const undo = () => {
    for (const path of [...made].reverse()) {
      for (const pid of runtime.pathSupervisorChildren(path).reverse()) {
        runtime.terminateChild(path, pid)
      }
      runtime.removePathSupervisor(path)
    }
  }
  const child = ({ sup, at, id, start, restart }, pid) => {
    if (typeof pid !== 'number') {
      throw makeError(
        'ERR_IRIS_INVALID_TYPE',
        `start of ${id} must answer a pid, got ${describe(pid)}`,
      )
    }
    if (!runtime.isAlive(pid)) {
      throw makeError(
        'ERR_IRIS_NO_SUCH_ACTOR',
        `start of ${id} answered pid ${pid}, which does not live`,
      )
    }
    if (runtime.whereisPath(at) !== pid) runtime.registerPath(at, pid)
    lane.supervisors.supervise(sup, pid, start, undefined, restart, id, at)
  }
  const step = (each) => {
    if (each.sup === undefined) {
      if (!runtime.createPathSupervisor(each.path, each.options)) {
        throw makeError('ERR_IRIS_NAME_TAKEN', `there is a supervisor at ${each.path} already`)
      }
      made.push(each.path)
      return undefined
    }
    const pid = each.start()
    if (!isThenable(pid)) return child(each, pid)
    return Promise.resolve(pid).then((p) => child(each, p))
  }
  const rest = async (first, from) => {
    try {
      await first
      for (let i = from; i < steps.length; i++) await step(steps[i])
    } catch (error) {
      undo()
      throw error
    }
    return new Supervisor(runtime, made)
  }
  try {
    for (let i = 0; i < steps.length; i++) {
      const pending = step(steps[i])
      if (pending !== undefined) return rest(pending, i + 1)
    }
  } catch (error) {
    undo()
    throw error
  }
  return new Supervisor(runtime, made)
}

module.exports = { Supervisors, plan, carryOut }
