'use strict'

// Actors with a thread each: Workers that have joined the runtime, and what happens when one of them or its actor ends.

const { isAbsolute, join } = require('node:path')
const { pathToFileURL } = require('node:url')
const { MessageChannel, Worker } = require('node:worker_threads')
const { makeError, outOfRange, wrongType } = require('./errors.js')
const { FAILED, Routing } = require('./pool.js')
const { inRoot } = require('./scope.js')

/** How often a process that would end looks whether the threads have finished what they were sent, in milliseconds. */
const LOOK_AGAIN = 5

/** The module of a handler as text that `import` takes. */
function moduleUrl(value) {
  if (value instanceof URL) return value.href
  if (typeof value !== 'string') throw wrongType('url', 'a URL or an absolute path', value)
  if (/^(file|data|node):/.test(value)) return value
  if (!isAbsolute(value)) {
    throw outOfRange('url', "absolute: new URL('./handler.mjs', import.meta.url)", value)
  }
  return pathToFileURL(value).href
}

/** One Worker and its actor. */
class Thread {
  pid = 0
  exited
  #worker
  #port
  #answer = undefined

  /** `failed` is told what the Worker dies of, if nobody waits for its actor. */
  constructor(id, url, options, workerOptions, failed, old = 0) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#worker = inRoot(() => new Worker(join(__dirname, 'thread.js'), workerOptions))
    this.exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#refuse(makeError('ERR_IRIS_ACTOR_EXITED', `a thread of ${url} ended too early`))
        resolve()
      })
    })
    this.#worker.on('error', (error) => {
      if (this.#answer === undefined)
        failed(`iris: a thread of ${url} failed: ${error?.stack ?? error}`)
      this.#refuse(error)
    })
    port1.on('message', ({ pid, error }) => {
      if (error !== undefined) this.#refuse(revived(error))
      else this.#settle('resolve', pid)
    })
    this.#worker.postMessage({ port: port2, id, url, options, old }, [port2])
  }

  /** The pid of its first actor, or of the one that takes the place of `old`. */
  spawned(old = 0) {
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject }
      this.#worker.ref()
      if (old !== 0) this.#port.postMessage(old)
    })
  }

  #settle(how, value) {
    const answer = this.#answer
    this.#answer = undefined
    // It holds the process only while somebody waits for it.
    this.#worker.unref()
    this.#port.unref()
    answer?.[how](value)
  }

  #refuse(error) {
    this.#settle('reject', error)
  }

  /** Lets it finish, and go. */
  leave() {
    this.#port.postMessage('leave')
    return this.exited
  }

  async terminate() {
    await this.#worker.terminate()
  }
}

/** An error of another thread. */
function revived({ name, code, message, stack }) {
  const error =
    typeof code === 'string' && code.startsWith('ERR_IRIS_')
      ? makeError(code, message)
      : Object.assign(new Error(message), code === undefined ? {} : { code })
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  error.stack = stack
  return error
}

/** The pids of actors that have a thread each; a thread that is replaced has its new pid in the same place. */
class Threads extends Array {
  #runtime
  #lane
  #start
  #routing
  #restarts
  #onReplace
  #log
  #members = []
  /** When members were replaced, in milliseconds. */
  #replaced = []
  #ending = false

  static get [Symbol.species]() {
    return Array
  }

  constructor(runtime, lane, start, { routing, maxRestarts, withinMs, onReplace }, log) {
    super()
    this.#runtime = runtime
    this.#lane = lane
    this.#start = start
    this.#routing = new Routing(runtime, routing)
    this.#restarts = { maxRestarts, withinMs }
    this.#onReplace = onReplace
    this.#log = log
    // They are no elements.
    for (const name of ['send', 'call', 'stop']) {
      Object.defineProperty(this, name, { value: this[name].bind(this), enumerable: false })
    }
  }

  /** Starts that many threads; all or none. */
  async begin(count) {
    const threads = Array.from({ length: count }, () => this.#start())
    try {
      const pids = await Promise.all(threads.map((thread) => thread.spawned()))
      threads.forEach((thread, i) => {
        this.#add(thread, pids[i], i)
      })
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.terminate()))
      throw error
    }
    return this
  }

  send(data) {
    return this.#routing.send(this, data)
  }

  call(data, options) {
    return this.#routing.call(this, data, options)
  }

  /** Stops the actors; answers when their threads have ended. */
  async stop(options) {
    const members = [...this.#members]
    for (const { pid } of members) this.#runtime.stop(pid, options)
    await Promise.all(members.map((thread) => thread.exited))
  }

  /** Whether an actor has something to do. */
  get busy() {
    return this.some((pid) => {
      const info = this.#runtime.actorInfo(pid)
      return info !== null && (info.state !== 'idle' || info.queue > 0)
    })
  }

  /** The runtime is closed. */
  async end() {
    this.#ending = true
    await Promise.all(this.#members.map((thread) => thread.terminate()))
  }

  #add(thread, pid, at) {
    thread.pid = pid
    this[at] = pid
    this.#members[at] = thread
    this.#watch(thread, pid)
  }

  async #watch(thread, pid) {
    let reason
    try {
      reason = (await this.#lane.joinMember(pid)).reason
    } catch {
      // The runtime has been closed.
      return
    }
    if (this.#ending) return
    const lost = reason === 'disconnected' || reason === 'timeout'
    if (!lost && !FAILED.has(reason)) {
      this.#remove(thread)
      thread.leave()
      return
    }
    // A handler that never returns has its thread for ever.
    if (reason === 'timeout') thread.terminate()
    try {
      this.#checkIntensity()
      const next = lost ? this.#start(pid) : thread
      const replacement = await next.spawned(lost ? 0 : pid)
      if (this.#ending) return void next.terminate()
      this.#add(next, replacement, this.#members.indexOf(thread))
      this.#tell(replacement, pid)
    } catch (error) {
      if (this.#ending) return
      // Nobody takes what it has left.
      this.#lane.replace(pid, () => 0)
      this.#log(`iris: the thread of actor ${pid} (${reason}) is not replaced: ${error.message}`)
      this.#remove(thread)
      thread.terminate()
    }
  }

  /** Throws if members were replaced too often lately. */
  #checkIntensity() {
    const { maxRestarts, withinMs } = this.#restarts
    const now = performance.now()
    this.#replaced = this.#replaced.filter((at) => now - at < withinMs)
    if (this.#replaced.length >= maxRestarts) {
      throw new Error(`more than ${maxRestarts} replacements in ${withinMs} ms`)
    }
    this.#replaced.push(now)
  }

  #tell(pid, old) {
    try {
      this.#onReplace?.(pid, old)
    } catch (error) {
      this.#log(`iris: the onReplace hook failed: ${error?.stack ?? error}`)
    }
  }

  #remove(thread) {
    const at = this.#members.indexOf(thread)
    if (at < 0) return
    this.#members.splice(at, 1)
    this.splice(at, 1)
  }
}

/** The threads of one runtime. */
class Staff {
  #all = new Set()
  #hold = undefined

  add(threads) {
    this.#all.add(threads)
    if (this.#hold !== undefined) return
    // Workers that have been sent something are no reason for the process to live, but what they were sent is.
    this.#hold = () => {
      if ([...this.#all].some((threads) => threads.busy)) {
        inRoot(() => setTimeout(() => {}, LOOK_AGAIN))
      }
    }
    process.on('beforeExit', this.#hold)
  }

  async end() {
    if (this.#hold !== undefined) process.off('beforeExit', this.#hold)
    await Promise.all([...this.#all].map((threads) => threads.end()))
    this.#all.clear()
  }
}

module.exports = { Staff, Thread, Threads, moduleUrl }
