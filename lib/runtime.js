'use strict'

const { availableParallelism } = require('node:os')
const { VERSION } = require('../binding.js')
const { Lane } = require('./lane.js')
const { Pool } = require('./pool.js')
const { Staff, Thread, Threads, moduleUrl } = require('./threads.js')
const { codecOption, plainName, tracing } = require('./codecs.js')
const { closed, crashText, makeError, outOfRange, wrongType } = require('./errors.js')
const { carryOut, plan } = require('./supervisors.js')
const { isBytes, toBytes } = require('./bytes.js')
const { pairs } = require('./system.js')
const check = require('./options.js')

const DEFAULT_BUDGET = 100
/** Bytes of a buffer: what V8 takes everywhere. */
const MAX_BUFFER = 2 ** 32
/** Most members of a pool. */
const MAX_WORKERS = 65_536
const PUSH = ['budget', 'reentrant', 'system', 'codec']
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

/** `[state, kind, ...]` of the native half as an object. */
function actorInfo(pid, fields, behaviorVersion) {
  const [state, kind, budget, capacity, queue, highWater, handled, ageMs, names, paths] = fields
  const [codec, lane, host, parent, children, restarts, health] = fields.slice(10)
  return {
    pid,
    state,
    kind,
    budget,
    capacity: capacity === 0 ? null : capacity,
    queue,
    highWater,
    handled,
    ageMs,
    names,
    paths,
    codec: plainName(codec),
    behaviorVersion,
    lane: lane === undefined ? null : { lane, host },
    parent: parent ?? null,
    children,
    restarts,
    health,
  }
}

/** The native half's flat list of lanes as objects. */
function lanes(flat) {
  const all = []
  for (let i = 0; i < flat.length; i += 5) {
    const [lane, host, turns, busyMs, longestHoldMs] = flat.slice(i, i + 5)
    all.push({ lane, host, turns, busyMs, longestHoldMs })
  }
  return all
}

/** A supervisor of the native half as an object. The global one has no path. */
function supervisor([path, strategy, maxRestarts, withinMs, children]) {
  return {
    path: path === '\0' ? null : path,
    strategy,
    maxRestarts,
    withinMs,
    children: children.map(([id, pid, restart, restarts, hasFactory]) => ({
      id: id ?? null,
      pid: pid ?? null,
      restart,
      restarts,
      hasFactory: hasFactory === 1,
    })),
  }
}

const camelCase = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())

/** The runtimes of this thread, by id: who attaches to one that is here gets it. */
const here = new Map()

/** The constructor's second argument where a runtime is joined, not made. */
const JOIN = Symbol('join')

/** What the spawn in another thread is told; a codec goes by its name. */
function checkThreaded({ budget, capacity, reentrant, system, overflow, target, codec }) {
  check.optional(budget, check.budget)
  check.optional(capacity, check.capacity)
  check.optional(reentrant, check.flag, 'reentrant')
  check.optional(system, check.flag, 'system')
  if (overflow !== undefined || target !== undefined) check.overflow(overflow ?? 'dropnew', target)
  if (overflow !== undefined && capacity === undefined) {
    throw outOfRange('capacity', 'given with overflow: an unbounded mailbox is never full', 0)
  }
  const name = typeof codec === 'string' ? codec : codecOption(codec)?.name
  const all = { budget, capacity, reentrant, system, overflow, target, codec: name }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** Whether a logger takes fields before the text, as pino's do. */
function takesFields(logger) {
  try {
    return typeof logger?.bindings === 'function' && typeof logger.child === 'function'
  } catch {
    return false
  }
}

/** What an actor threw as an error that any serializer can show: it may have thrown anything. */
function errorOf({ error, message, stack }) {
  const shown = new Error(message)
  shown.stack = stack ?? message
  try {
    return error instanceof Error && error.stack === stack ? error : shown
  } catch {
    return shown
  }
}

/** The user's logger has failed: what it should have said is not lost. */
function complain(text) {
  try {
    console.error(text)
  } catch {
    // There is nowhere left to say it.
  }
}

class NodeRuntime {
  #lane
  #attached
  #open = true
  #closing = undefined
  /** Whether mailboxes are bounded that do not say. */
  #bounded
  #staff = new Staff()
  #onCrash
  #logger
  /** Whether handlers run in the trace context of who sends to them. */
  #tracing

  constructor(options, join, id) {
    this.#attached = join === JOIN
    const o = this.#attached ? check.attach(id, options) : check.runtime(options)
    this.#onCrash = o.onCrash
    this.#logger = o.logger
    this.#tracing = o.tracing
    this.#lane = new Lane(
      this,
      o,
      (info) => this.#crashed(info),
      () => this.#closedElsewhere(),
      (text) => this.#log(text),
    )
    this.#bounded = this.#lane.native.bounded
    if (o.onPressure !== undefined) this.onPressure(o.onPressure)
    here.set(this.id, new WeakRef(this))
  }

  static attach(id, options) {
    check.attach(id, options)
    const runtime = here.get(id)?.deref()
    if (runtime?.closed) throw closed()
    return runtime ?? new NodeRuntime(options, JOIN, id)
  }

  get version() {
    return VERSION
  }

  get id() {
    return this.#lane.native.id
  }

  get attached() {
    return this.#attached
  }

  get closed() {
    return !this.#open
  }

  ref() {
    this.#checkOpen()
    this.#lane.hold(true)
    return this
  }

  unref() {
    this.#checkOpen()
    this.#lane.hold(false)
    return this
  }

  // --- spawning ---------------------------------------------------------------------------------

  spawn(handler, options) {
    return this.#spawn(handler, options, PUSH)
  }

  spawnBounded(handler, options, capacity) {
    // The seed's positional form: (handler, budget, capacity).
    const o = typeof options === 'number' ? { budget: options, capacity } : options
    if (o === undefined || o?.capacity === undefined) {
      check.callable(handler, 'handler')
      throw wrongType('capacity', 'a number', undefined)
    }
    return this.#spawn(handler, o, BOUNDED)
  }

  spawnVirtual(handler, options, idleTimeoutMs) {
    // The seed's positional form: (handler, budget, idleTimeoutMs).
    const o = typeof options === 'number' ? { budget: options, idleTimeoutMs } : (options ?? {})
    return this.#spawn(handler, o, VIRTUAL, 0, (budget, capacity, codec) =>
      this.#lane.spawnVirtual(handler, budget, capacity, {
        idleMs: check.optional(o.idleTimeoutMs ?? undefined, check.millis, 'idleTimeoutMs'),
        onActivate: check.optional(o.onActivate, check.callable, 'onActivate'),
        onDeactivate: check.optional(o.onDeactivate, check.callable, 'onDeactivate'),
        codec,
      }),
    )
  }

  #spawn(handler, options, known, parent = 0, make = undefined) {
    check.callable(handler, 'handler')
    this.#checkOpen()
    let budget = DEFAULT_BUDGET
    let capacity = 0
    let reentrant = false
    let system = false
    let codec
    let overflow
    let target
    if (typeof options === 'number') {
      budget = check.budget(options)
    } else if (options !== undefined) {
      const o = check.object(options, 'options', known)
      budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
      capacity = check.optional(o.capacity, check.capacity) ?? 0
      reentrant = check.optional(o.reentrant, check.flag, 'reentrant') ?? false
      system = check.optional(o.system, check.flag, 'system') ?? false
      codec = codecOption(o.codec)
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
        ? this.#lane.spawn(handler, budget, capacity, reentrant, parent, system, codec)
        : make(budget, capacity, codec)
    if (overflow !== undefined) this.#setOverflow(pid, overflow, target)
    return pid
  }

  spawnWithMailbox(handler, options) {
    return this.#spawnPull(handler, options, 0)
  }

  spawnWithPathObserved(options, path) {
    // The seed's positional form: (budget, path).
    const o =
      typeof options === 'number' || options === undefined
        ? { budget: options, path }
        : check.object(options, 'options', ['budget', 'path', 'capacity'])
    this.#checkOpen()
    const budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
    const capacity = check.optional(o.capacity, check.capacity) ?? 0
    const taken = this.whereisPath(o.path)
    if (taken !== null) {
      throw makeError(
        'ERR_IRIS_NAME_TAKEN',
        `path ${o.path} belongs to pid ${taken}; unregister it first`,
      )
    }
    const pid = this.#lane.spawnObserved(budget, capacity)
    try {
      this.registerPath(o.path, pid)
    } catch (error) {
      // Another thread was faster.
      this.kill(pid)
      throw error
    }
    return pid
  }

  getMessages(pid) {
    const mailbox = this.#observed(pid)
    const messages = []
    for (let m = mailbox.tryRecv(); m !== null; m = mailbox.tryRecv()) messages.push(m)
    return messages
  }

  selectiveRecv(pid, matcher, options) {
    try {
      return this.#observed(pid).selectiveRecv(matcher, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #observed(pid) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return this.#lane.observed(pid)
  }

  spawnChild(parent, handler, options) {
    this.#checkParent(parent)
    return this.#spawn(handler, options, BOUNDED, parent)
  }

  spawnChildWithMailbox(parent, handler, options) {
    this.#checkParent(parent)
    return this.#spawnPull(handler, options, parent)
  }

  spawnChildPool(parent, handler, workers, options) {
    this.#checkParent(parent)
    check.callable(handler, 'handler')
    check.integer(workers, 'workers', 1, MAX_WORKERS)
    const o =
      typeof options === 'number'
        ? { budget: options }
        : check.object(options, 'options', [...BOUNDED, 'routing'])
    const { routing = 'roundrobin', ...each } = o
    check.routing(routing)
    const spawn = () => this.spawnChild(parent, handler, each)
    return new Pool(this, this.#lane, spawn, workers, routing)
  }

  async spawnThreaded(url, options) {
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
    this.#checkOpen()
    if (target !== undefined && !this.#lane.native.isAlive(target)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `the overflow target ${target} is no live actor`)
    }
    const log = (text) => this.#log(text)
    const start = () => new Thread(this.id, href, spawn, worker, log)
    const made = new Threads(this, start, restarts, log)
    this.#staff.add(made)
    await made.begin(count ?? availableParallelism())
    return made
  }

  #checkParent(parent) {
    this.#checkOpen()
    if (typeof parent !== 'number') throw wrongType('parent', 'a number', parent)
    if (!this.#lane.native.isAlive(parent)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `the parent ${parent} is no live actor`)
    }
  }

  #spawnPull(handler, options, parent) {
    check.callable(handler, 'handler')
    this.#checkOpen()
    const o =
      typeof options === 'number' ? { budget: options } : check.object(options, 'options', PULL)
    const budget = check.optional(o.budget, check.budget) ?? DEFAULT_BUDGET
    const capacity = check.optional(o.capacity, check.capacity) ?? 0
    return this.#lane.spawnPull(handler, budget, capacity, parent, codecOption(o.codec))
  }

  #setOverflow(pid, policy, target) {
    try {
      this.#lane.native.setOverflowPolicy(pid, policy, target)
    } catch (error) {
      // Another thread has just ended the target.
      this.kill(pid)
      throw error
    }
  }

  // --- messages ---------------------------------------------------------------------------------

  send(pid, data) {
    return this.#lane.send(pid, data)
  }

  sendMany(pid, messages) {
    this.#checkOpen()
    return this.#lane.sendMany(pid, messages)
  }

  sendNamed(name, data) {
    const lane = this.#lane
    const pid = lane.native.whereis(name)
    if (pid !== null) return lane.send(pid, data)
    return lane.sendTo('sendNamed', name, lane.native.named(name), data)
  }

  sendPath(path, data) {
    const lane = this.#lane
    const pid = lane.native.whereisPath(path)
    if (pid !== null) return lane.send(pid, data)
    return lane.sendTo('sendPath', path, lane.native.namedByPath(path), data)
  }

  call(pid, data, options) {
    return this.#lane.call(pid, data, options)
  }

  sendAfter(pid, delayMs, data) {
    this.#checkOpen()
    return this.#lane.delay('sendAfter', pid, check.millis(delayMs, 'delayMs'), data)
  }

  sendInterval(pid, intervalMs, data) {
    this.#checkOpen()
    return this.#lane.delay('sendInterval', pid, check.millis(intervalMs, 'intervalMs'), data)
  }

  cancelTimer(timer) {
    this.#checkOpen()
    if (typeof timer !== 'number') throw wrongType('timer', 'a number', timer)
    return this.#lane.native.cancelTimer(timer)
  }

  sendAsync(pid, data, options) {
    try {
      const o = check.object(options, 'options', ['signal'])
      return this.#lane.sendAsync(pid, data, check.optional(o.signal, check.signal))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  sendWithBackpressure(pid, data) {
    const accepted = this.#lane.send(pid, data)
    return [accepted, this.#lane.native.mailboxBackpressure(pid)]
  }

  // --- buffers ----------------------------------------------------------------------------------

  allocateBuffer(size) {
    this.#checkOpen()
    return this.#lane.allocateBuffer(check.integer(size, 'size', 0, MAX_BUFFER))
  }

  sendBuffer(pid, id) {
    return this.#lane.sendBuffer(pid, id)
  }

  sendUserWithBackpressure(pid, id) {
    const accepted = this.#lane.sendBuffer(pid, id)
    return [accepted, this.#lane.native.mailboxBackpressure(pid)]
  }

  freeBuffer(id) {
    this.#checkOpen()
    return this.#lane.freeBuffer(id)
  }

  // --- full mailboxes ---------------------------------------------------------------------------

  mailboxSize(pid) {
    return this.#lane.native.mailboxSize(pid)
  }

  mailboxBackpressure(pid) {
    return this.#lane.native.mailboxBackpressure(pid)
  }

  setOverflowPolicy(pid, policy, target) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    check.overflow(policy, target, 'policy')
    this.#lane.native.setOverflowPolicy(pid, policy, target)
  }

  setWatermarks(high, critical) {
    this.#checkOpen()
    check.integer(high, 'high', 1, 2 ** 30)
    this.#lane.native.setWatermarks(high, check.integer(critical, 'critical', high, 2 ** 30))
  }

  setSystemCapacity(actors) {
    this.#checkOpen()
    this.#lane.native.setSystemCapacity(check.limit(actors, 'actors'))
  }

  setMessageCapacity(messages) {
    this.#checkOpen()
    this.#lane.native.setMessageCapacity(check.limit(messages, 'messages'))
  }

  setLoadShedding(on) {
    this.#checkOpen()
    this.#lane.shedLoad(check.flag(on, 'on'))
  }

  isLoadSheddingActive() {
    return this.#lane.native.isLoadSheddingActive()
  }

  // --- names ------------------------------------------------------------------------------------

  register(name, pid) {
    this.#lane.native.register(name, pid)
  }

  unregister(name) {
    return this.#lane.native.unregister(name)
  }

  whereis(name) {
    return this.#lane.native.whereis(name)
  }

  resolve(name) {
    return this.#lane.native.whereis(name)
  }

  // --- paths ------------------------------------------------------------------------------------

  registerPath(path, pid) {
    this.#lane.native.registerPath(path, pid)
  }

  unregisterPath(path) {
    return this.#lane.native.unregisterPath(path)
  }

  whereisPath(path) {
    return this.#lane.native.whereisPath(path)
  }

  listChildren(prefix) {
    return pairs(this.#lane.native.listChildren(prefix, false))
  }

  listChildrenDirect(prefix) {
    return pairs(this.#lane.native.listChildren(prefix, true))
  }

  // --- supervisors ------------------------------------------------------------------------------

  createPathSupervisor(path, options) {
    this.#checkOpen()
    return this.#createSupervisor(path, check.supervisor(options))
  }

  #createSupervisor(path, { strategy, maxRestarts, withinMs, restart, backoff }) {
    return this.#lane.native.createPathSupervisor(
      path,
      strategy,
      maxRestarts,
      withinMs,
      restart,
      backoff,
    )
  }

  removePathSupervisor(path) {
    return this.#lane.native.removePathSupervisor(path)
  }

  pathSupervisorWatch(path, pid) {
    this.#lane.native.superviseWatch(path, pid)
  }

  pathSupervisorChildren(path) {
    return this.#lane.native.supervisorChildren(path)
  }

  pathSuperviseWithFactory(path, pid, factory, strategy, options) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    check.callable(factory, 'factory')
    check.strategy(strategy)
    const { id, restart, ...rest } = check.supervised(options)
    // Before anything is made: a supervisor that is not there is made by this.
    this.#lane.native.supervisorChildren(path)
    if (!this.#lane.native.isAlive(pid)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `pid ${pid}: no such actor to supervise`)
    }
    this.#lane.supervisors.supervise(path, pid, factory, strategy, restart, id)
    // After it: what is refused makes no supervisor.
    this.#createSupervisor(path, { ...rest, strategy })
  }

  terminateChild(path, pid) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return this.#lane.terminate(path, pid)
  }

  watchPath(prefix) {
    return this.#lane.native.watchPath(prefix)
  }

  childrenCount() {
    return this.childPids().length
  }

  childPids() {
    return this.#lane.native.childPids()
  }

  supervise(path, children, options) {
    this.#checkOpen()
    if (typeof path !== 'string') throw wrongType('path', 'a string', path)
    this.#lane.native.supervisorChildren(path)
    check.children(children)
    check.supervisor(options)
    const at = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
    return carryOut(this, this.#lane, plan(at, children, options))
  }

  onSupervision(hook) {
    this.#checkOpen()
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#lane.supervisors.listen(0, hook ?? undefined)
  }

  onRestart(hook) {
    this.#checkOpen()
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#lane.supervisors.listen(1, hook ?? undefined)
  }

  // --- hot swap ---------------------------------------------------------------------------------

  hotSwap(pid, handler) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return this.#lane.swap(pid, check.callable(handler, 'handler'))
  }

  behaviorVersion(pid) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    this.#lane.checkPush(pid)
    return this.#lane.versionOf(pid)
  }

  rollbackBehavior(pid, steps = 1) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return this.#lane.rollback(pid, check.integer(steps, 'steps', 1, 2 ** 53))
  }

  // --- life and death ---------------------------------------------------------------------------

  stop(pid, options) {
    const o = check.object(options, 'options', ['drain', 'timeoutMs'])
    const drain = check.optional(o.drain, check.flag, 'drain') ?? false
    return this.#lane.stop(pid, drain, check.optional(o.timeoutMs, check.millis, 'timeoutMs'))
  }

  kill(pid) {
    return this.#lane.kill(pid)
  }

  join(pid, options) {
    try {
      const o = check.wait(options, undefined)
      return this.#lane.join(pid, o)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  isAlive(pid) {
    return this.#lane.native.isAlive(pid)
  }

  monitor(target, watcher) {
    this.#checkOpen()
    if (typeof target !== 'number') throw wrongType('target', 'a number', target)
    if (typeof watcher !== 'number' && typeof watcher !== 'function') {
      throw wrongType('watcher', 'a pid or a function', watcher)
    }
    return this.#lane.monitor(target, watcher)
  }

  demonitor(reference) {
    this.#checkOpen()
    if (typeof reference !== 'number') throw wrongType('reference', 'a number', reference)
    return this.#lane.demonitor(reference)
  }

  link(a, b) {
    this.#checkOpen()
    if (typeof a !== 'number') throw wrongType('a', 'a number', a)
    if (typeof b !== 'number') throw wrongType('b', 'a number', b)
    this.#lane.link(a, b)
  }

  unlink(a, b) {
    this.#checkOpen()
    if (typeof a !== 'number') throw wrongType('a', 'a number', a)
    if (typeof b !== 'number') throw wrongType('b', 'a number', b)
    return this.#lane.native.unlink(a, b)
  }

  setTrapExit(pid, traps) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return this.#lane.native.setTrapExit(pid, check.flag(traps, 'traps'))
  }

  onCrash(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#checkOpen()
    this.#onCrash = hook ?? undefined
  }

  onPressure(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#checkOpen()
    this.#lane.watchPressure(
      hook ? (pid, level) => this.#tellPressure(hook, pid, level) : undefined,
    )
  }

  // --- other nodes ------------------------------------------------------------------------------

  configureMesh(options) {
    this.#checkOpen()
    this.#lane.mesh.configure(options)
  }

  listen(address, options) {
    return this.#lane.mesh.listen(address, options)
  }

  unlisten(address) {
    this.#checkOpen()
    return this.#lane.mesh.unlisten(address)
  }

  listening() {
    this.#checkOpen()
    return this.#lane.native.listening()
  }

  resolveRemote(address, name, options) {
    return this.#lane.mesh.resolve(address, name, options)
  }

  resolveRemotePy(address, name, options) {
    return this.#lane.mesh.resolve(address, name, options)
  }

  isNodeUp(address, options) {
    return this.#lane.mesh.isUp(address, options)
  }

  remotePid(address, pid) {
    return this.#lane.mesh.proxy(address, pid)
  }

  sendRemote(address, pid, data) {
    const bytes = toBytes(data, 'data')
    return this.#lane.send(this.#lane.mesh.proxy(address, pid), bytes)
  }

  monitorRemote(address, pid, watcher) {
    if (watcher !== undefined && typeof watcher !== 'number' && typeof watcher !== 'function') {
      throw wrongType('watcher', 'a pid or a function', watcher)
    }
    const proxy = this.#lane.mesh.proxy(address, pid, true)
    if (watcher !== undefined) this.#lane.monitor(proxy, watcher)
    return proxy
  }

  disconnect(address) {
    this.#checkOpen()
    return this.#lane.native.disconnect(address)
  }

  exportPid(pid) {
    this.#checkOpen()
    return this.#lane.native.exportPid(pid)
  }

  importPid(bytes) {
    this.#checkOpen()
    if (!isBytes(bytes)) throw wrongType('bytes', 'a Buffer or a Uint8Array', bytes)
    return this.#lane.native.importPid(toBytes(bytes, 'bytes'))
  }

  isRemote(pid) {
    return this.#lane.native.isRemote(pid)
  }

  remoteInfo(pid, options) {
    return this.#lane.mesh.info(pid, options)
  }

  nodes() {
    this.#checkOpen()
    return this.#lane.mesh.nodes()
  }

  onDeadLetter(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#checkOpen()
    this.#lane.tracing.onDeadLetter(hook ?? undefined)
  }

  setActorHealth(pid, health) {
    this.#checkOpen()
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    this.#lane.native.setActorHealth(pid, health)
  }

  supervisionTree() {
    return this.#lane.native.supervisionTree().map(supervisor)
  }

  // --- seeing inside ----------------------------------------------------------------------------

  listActors() {
    return this.#lane.native.listActors()
  }

  actorInfo(pid) {
    const fields = this.#lane.native.actorInfo(pid)
    if (fields === null) return null
    return actorInfo(pid, fields, this.#lane.isPush(pid) ? this.#lane.versionOf(pid) : null)
  }

  getMetrics() {
    const flat = this.#lane.native.metrics()
    const metrics = {}
    for (let i = 0; i < flat.length; i += 3) {
      const [group, name, value] = flat.slice(i, i + 3)
      if (group === undefined) metrics[camelCase(name)] = value
      else metrics[group] = { ...metrics[group], [name]: value }
    }
    metrics.mesh = {}
    const mesh = this.#lane.native.meshMetrics()
    for (let i = 0; i < mesh.length; i += 2) metrics.mesh[camelCase(mesh[i])] = mesh[i + 1]
    metrics.lanes = lanes(this.#lane.native.lanes())
    metrics.loop = { longestHoldMs: this.#lane.longestHold, yields: this.#lane.yields }
    return metrics
  }

  prometheus() {
    return this.#lane.native.prometheus()
  }

  // --- closing ----------------------------------------------------------------------------------

  close(options) {
    try {
      const o = check.object(options, 'options', ['timeoutMs'])
      const timeoutMs = check.optional(o.timeoutMs, check.millis, 'timeoutMs') ?? 5000
      this.#closing ??= this.#close(timeoutMs)
      return this.#closing
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async #close(timeoutMs) {
    this.#open = false
    try {
      await this.#lane.close(timeoutMs)
      await this.#staff.end()
    } catch (error) {
      // The owner was faster.
      if (!this.#lane.disposed) throw error
    } finally {
      this.#dispose()
    }
  }

  /** The owner has closed the runtime that this thread had joined. */
  #closedElsewhere() {
    this.#open = false
    this.#closing ??= Promise.resolve()
    this.#dispose()
  }

  #dispose() {
    this.#lane.dispose()
    this.#staff.end()
    here.delete(this.id)
  }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    await this.close()
  }

  #checkOpen() {
    if (!this.#open) throw closed()
  }

  #crashed(info) {
    const { pid, reason, message, stack, error } = info
    const report = { pid, reason, message: message ?? reason, stack, error }
    const text = `iris: actor ${pid} ended with ${reason}: `
    if (takesFields(this.#logger)) {
      const fields = { actor: pid, reason, err: errorOf(report) }
      this.#log(text + report.message, fields, stack)
    } else {
      this.#log(text + (stack ?? report.message))
    }
    this.#tellHook(report)
  }

  /** `await` for hooks that are async functions: what they throw is logged, and ends nothing. */
  async #tellHook(report) {
    try {
      await this.#onCrash?.(report)
    } catch (error) {
      this.#log(`iris: the onCrash hook failed: ${crashText(error)[0]}`)
    }
  }

  async #tellPressure(hook, pid, level) {
    try {
      await hook(pid, level)
    } catch (error) {
      this.#log(`iris: the onPressure hook failed: ${crashText(error)[0]}`)
    }
  }

  /** Logs; `fields` are for loggers that take them. */
  #log(text, fields, stack = text) {
    try {
      if (fields === undefined) this.#logger?.error(text)
      else this.#logger.error(fields, text)
    } catch {
      complain(stack === text ? text : `${text}\n${stack}`)
    }
  }
}

module.exports = { NodeRuntime }
