'use strict'

// What every spawn checks and does.

const { availableParallelism } = require('node:os')
const { codecOption, tracing } = require('./codecs.js')
const { makeError, outOfRange, wrongType } = require('./errors.js')
const { openLane } = require('./handle.js')
const { Pool } = require('./pool.js')
const { Thread, Threads, moduleUrl } = require('./threads.js')
const check = require('./options.js')

const DEFAULT_BUDGET = 100
/** Most members of a pool. */
const MAX_WORKERS = 65_536
const PUSH = ['budget', 'reentrant', 'system', 'codec', 'vortex']
const BOUNDED = [...PUSH, 'capacity', 'overflow', 'target']
const PULL = ['budget', 'capacity', 'codec']
/** Most threads of one call. */
const MAX_THREADS = 1024
const THREADED = [
  ...BOUNDED,
  'threads',
  'routing',
  'worker',
  'onReplace',
  'maxRestarts',
  'withinMs',
]
const VIRTUAL = [
  'budget',
  'idleTimeoutMs',
  'capacity',
  'overflow',
  'target',
  'onActivate',
  'onDeactivate',
  'codec',
]

/** What the spawn in another thread is told; a codec goes by its name. */
function checkThreaded(options) {
  const { budget, capacity, reentrant, system, overflow, target, codec, vortex } = options
  check.vortex(vortex)
  check.optional(budget, check.budget)
  check.optional(capacity, check.capacity)
  check.optional(reentrant, check.flag, 'reentrant')
  check.optional(system, check.flag, 'system')
  if (overflow !== undefined || target !== undefined) check.overflow(overflow ?? 'dropnew', target)
  if (overflow !== undefined && capacity === undefined) {
    throw outOfRange('capacity', 'given with overflow: an unbounded mailbox is never full', 0)
  }
  const name = typeof codec === 'string' ? codec : codecOption(codec)?.name
  const all = { budget, capacity, reentrant, system, overflow, target, codec: name, vortex }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

class Spawning {
  #runtime
  #lane
  /** Whether mailboxes are bounded that do not say. */
  #bounded
  /** Whether handlers run in the trace context of who sends to them. */
  #tracing

  constructor(runtime, lane, traces) {
    this.#runtime = runtime
    this.#lane = lane
    this.#bounded = lane.native.bounded
    this.#tracing = traces
  }

  /** `known` are the options that there are; `make` spawns something else than a push actor. */
  push(handler, options, known, parent = 0, make = undefined) {
    check.callable(handler, 'handler')
    openLane(this.#runtime)
    let budget = DEFAULT_BUDGET
    let capacity = 0
    let reentrant = false
    let system = false
    let codec
    let overflow
    let target
    let vortex
    if (typeof options === 'number') {
      budget = check.budget(options)
    } else if (options !== undefined) {
      const o = check.object(options, 'options', known)
      budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
      capacity = check.optional(o.capacity, check.capacity) ?? 0
      reentrant = check.optional(o.reentrant, check.flag, 'reentrant') ?? false
      system = check.optional(o.system, check.flag, 'system') ?? false
      codec = codecOption(o.codec)
      vortex = this.#speculates(o.vortex)
      ;({ overflow, target } = o)
      if (overflow !== undefined || target !== undefined) {
        check.overflow(overflow ?? 'dropnew', target)
        if (capacity === 0 && !this.#bounded) {
          throw outOfRange('capacity', 'given with overflow: an unbounded mailbox is never full', 0)
        }
      }
      if (target !== undefined && !this.#lane.native.isAlive(target)) {
        throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `the overflow target ${target} is no live actor`)
      }
    }
    if (this.#tracing) codec = tracing(codec)
    const pid =
      make === undefined
        ? this.#lane.spawn(handler, budget, capacity, reentrant, parent, system, codec, vortex)
        : make(budget, capacity, codec)
    if (overflow !== undefined) this.#setOverflow(pid, overflow, target)
    return pid
  }

  #speculates(option) {
    const vortex = check.vortex(option)
    if (vortex !== undefined && this.#lane.native.vortexEnter === undefined) {
      throw outOfRange('vortex', 'left out: this build of iris has no speculation', option)
    }
    return vortex
  }

  bounded(handler, options, capacity) {
    // The seed's positional form: (handler, budget, capacity).
    const o = typeof options === 'number' ? { budget: options, capacity } : options
    if (o === undefined || o?.capacity === undefined) {
      check.callable(handler, 'handler')
      throw wrongType('capacity', 'a number', undefined)
    }
    return this.push(handler, o, BOUNDED)
  }

  virtual(handler, options, idleTimeoutMs) {
    // The seed's positional form: (handler, budget, idleTimeoutMs).
    const o = typeof options === 'number' ? { budget: options, idleTimeoutMs } : (options ?? {})
    return this.push(handler, o, VIRTUAL, 0, (budget, capacity, codec) =>
      this.#lane.spawnVirtual(handler, budget, capacity, {
        idleMs: check.optional(o.idleTimeoutMs ?? undefined, check.millis, 'idleTimeoutMs'),
        onActivate: check.optional(o.onActivate, check.callable, 'onActivate'),
        onDeactivate: check.optional(o.onDeactivate, check.callable, 'onDeactivate'),
        codec,
      }),
    )
  }

  pull(handler, options, parent) {
    check.callable(handler, 'handler')
    openLane(this.#runtime)
    const o =
      typeof options === 'number' ? { budget: options } : check.object(options, 'options', PULL)
    const budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
    const capacity = check.optional(o.capacity, check.capacity) ?? 0
    return this.#lane.spawnPull(handler, budget, capacity, parent, codecOption(o.codec))
  }

  observed(options, path) {
    // The seed's positional form: (budget, path).
    const o =
      typeof options === 'number' || options === undefined
        ? { budget: options, path }
        : check.object(options, 'options', ['budget', 'path', 'capacity'])
    openLane(this.#runtime)
    const budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
    const capacity = check.optional(o.capacity, check.capacity) ?? 0
    const taken = this.#runtime.whereisPath(o.path)
    if (taken !== null) {
      throw makeError(
        'ERR_IRIS_NAME_TAKEN',
        `path ${o.path} belongs to pid ${taken}; unregister it first`,
      )
    }
    const pid = this.#lane.spawnObserved(budget, capacity)
    try {
      this.#runtime.registerPath(o.path, pid)
    } catch (error) {
      // Another thread was faster.
      this.#lane.kill(pid)
      throw error
    }
    return pid
  }

  pool(parent, handler, workers, options) {
    this.checkParent(parent)
    check.callable(handler, 'handler')
    check.integer(workers, 'workers', 1, MAX_WORKERS)
    const o =
      typeof options === 'number'
        ? { budget: options }
        : check.object(options, 'options', [...BOUNDED, 'routing'])
    const { routing = 'roundrobin', ...each } = o
    check.routing(routing)
    const spawn = () => this.push(handler, each, BOUNDED, parent)
    return new Pool(this.#runtime, this.#lane, spawn, workers, routing)
  }

  /** `staff` knows whom the runtime has started; `log` hears of their failures. */
  async threaded(url, options, staff, log) {
    const href = moduleUrl(url)
    const o = check.object(options, 'options', THREADED)
    const { threads, routing = 'roundrobin', worker, onReplace, maxRestarts, withinMs } = o
    const count = check.optional(threads, check.integer, 'threads', 1, MAX_THREADS)
    check.routing(routing)
    const restarts = {
      routing,
      onReplace: check.optional(onReplace, check.callable, 'onReplace'),
      maxRestarts: check.optional(maxRestarts, check.integer, 'maxRestarts', 0, 2 ** 31) ?? 3,
      withinMs: check.optional(withinMs, check.millis, 'withinMs') ?? 5000,
    }
    const spawn = checkThreaded(o)
    const { target } = spawn
    openLane(this.#runtime)
    if (target !== undefined && !this.#lane.native.isAlive(target)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `the overflow target ${target} is no live actor`)
    }
    const start = (old) => new Thread(this.#runtime.id, href, spawn, worker, log, old)
    const made = new Threads(this.#runtime, this.#lane, start, restarts, log)
    staff.add(made)
    await made.begin(count ?? availableParallelism())
    return made
  }

  checkParent(parent) {
    openLane(this.#runtime)
    if (typeof parent !== 'number') throw wrongType('parent', 'a number', parent)
    if (!this.#lane.native.isAlive(parent)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `the parent ${parent} is no live actor`)
    }
  }

  #setOverflow(pid, policy, target) {
    try {
      this.#lane.native.setOverflowPolicy(pid, policy, target)
    } catch (error) {
      // Another thread has just ended the target.
      this.#lane.kill(pid)
      throw error
    }
  }
}

module.exports = { BOUNDED, PUSH, Spawning }
