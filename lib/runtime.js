'use strict'

// NodeRuntime. Its methods are in files of their own where they share a concern: runtime-*.js.

const { VERSION } = require('../binding.js')
const { closed, wrongType } = require('./errors.js')
const { install, lend } = require('./handle.js')
const { Lane } = require('./lane.js')
const { Reports } = require('./reports.js')
const { Inspection } = require('./runtime-inspection.js')
const { OtherNodes } = require('./runtime-mesh.js')
const { Names } = require('./runtime-names.js')
const { Pressure } = require('./runtime-pressure.js')
const { Supervision } = require('./runtime-supervision.js')
const { Speculation } = require('./runtime-vortex.js')
const { Watching } = require('./runtime-watching.js')
const { BOUNDED, PUSH, Spawning } = require('./spawning.js')
const { Staff } = require('./threads.js')
const check = require('./options.js')

/** Bytes of a buffer: what V8 takes everywhere. */
const MAX_BUFFER = 2 ** 32

/** The runtimes of this thread, by id: who attaches to one that is here gets it. */
const here = new Map()

/** The constructor's second argument where a runtime is joined, not made. */
const JOIN = Symbol('join')

class NodeRuntime {
  #lane
  #attached
  #open = true
  #closing = undefined
  #spawning
  #staff = new Staff()
  #reports

  static {
    lend((runtime, open) => {
      const lane = runtime.#lane
      if (open && !runtime.#open) throw closed()
      return lane
    })
  }

  constructor(options, join, id) {
    this.#attached = join === JOIN
    const o = this.#attached ? check.attach(id, options) : check.runtime(options)
    this.#reports = new Reports(o.logger, o.onCrash)
    this.#lane = new Lane(
      this,
      o,
      (info) => this.#reports.crashed(info),
      () => this.#closedElsewhere(),
      (text) => this.#reports.log(text),
    )
    this.#spawning = new Spawning(this, this.#lane, o.tracing)
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
    return this.#spawning.push(handler, options, PUSH)
  }

  spawnBounded(handler, options, capacity) {
    return this.#spawning.bounded(handler, options, capacity)
  }

  spawnVirtual(handler, options, idleTimeoutMs) {
    return this.#spawning.virtual(handler, options, idleTimeoutMs)
  }

  spawnWithMailbox(handler, options) {
    return this.#spawning.pull(handler, options, 0)
  }

  spawnChild(parent, handler, options) {
    this.#spawning.checkParent(parent)
    return this.#spawning.push(handler, options, BOUNDED, parent)
  }

  spawnChildWithMailbox(parent, handler, options) {
    this.#spawning.checkParent(parent)
    return this.#spawning.pull(handler, options, parent)
  }

  spawnChildPool(parent, handler, workers, options) {
    return this.#spawning.pool(parent, handler, workers, options)
  }

  spawnThreaded(url, options) {
    const log = (text) => this.#reports.log(text)
    return this.#spawning.threaded(url, options, this.#staff, log)
  }

  spawnWithPathObserved(options, path) {
    return this.#spawning.observed(options, path)
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

  onCrash(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#checkOpen()
    this.#reports.onCrash = hook ?? undefined
  }

  onPressure(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    this.#checkOpen()
    this.#lane.watchPressure(
      hook ? (pid, level) => this.#reports.tellPressure(hook, pid, level) : undefined,
    )
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
}

install(NodeRuntime, Names, Pressure, Watching, Supervision, OtherNodes, Inspection, Speculation)

module.exports = { NodeRuntime }
