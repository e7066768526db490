'use strict'

// `offload(fn, { strategy: 'actor' })`: a pool of Workers that run one function.

const { availableParallelism } = require('node:os')
const { join } = require('node:path')
const { Worker } = require('node:worker_threads')
const { makeError, outOfRange, wrongType } = require('./errors.js')
const { inRoot } = require('./scope.js')
const { moduleUrl } = require('./threads.js')

const MOST_WORKERS = 256

function integer(name, value, most) {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw outOfRange(name, `an integer from 1 to ${most}`, value)
  }
  return value
}

/** What a Worker loads: the source of a function, or the URL of a module whose default export it is. */
function work(fn) {
  if (typeof fn !== 'function') {
    if (typeof fn === 'string' || fn instanceof URL) return { url: moduleUrl(fn) }
    throw wrongType('fn', 'a function or the URL of a module', fn)
  }
  const source = Function.prototype.toString.call(fn)
  const why = `offload \`${fn.name || 'anonymous'}\` as the URL of a module whose default export it is`
  if (/\{\s*\[native code\]\s*\}$/.test(source)) {
    throw makeError('ERR_IRIS_NOT_COMPILABLE', `a built-in or bound function has no source: ${why}`)
  }
  try {
    // Says now what the Worker would say later: methods and classes are no expressions.
    new Function(`return (${source})`)
  } catch (error) {
    const text = `its source is no expression (${error.message}): ${why}`
    throw makeError('ERR_IRIS_NOT_COMPILABLE', text)
  }
  return { source }
}

/** An error that a Worker caught, as far as it can be told: class name, message, stack, and the fields that clone. */
function revived({ name, message, stack, fields }) {
  const Class = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }[name]
  const error = new (Class ?? Error)(message)
  if (error.name !== name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  }
  error.stack = stack
  return Object.assign(error, fields)
}

class Pool {
  #work
  #size
  #bound
  #timeout
  #name
  #idle = []
  #workers = new Set()
  #waiting = []
  #closed = false

  constructor(fn, { pool = availableParallelism(), queue = 1024, timeoutMs }) {
    this.#work = work(fn)
    this.#name = fn.name || (this.#work.url ?? 'anonymous')
    this.#size = integer('pool', pool, MOST_WORKERS)
    this.#bound = integer('queue', queue, 2 ** 30)
    if (timeoutMs !== undefined) {
      if (typeof timeoutMs !== 'number') throw wrongType('timeoutMs', 'a number', timeoutMs)
      if (!(timeoutMs > 0 && timeoutMs <= 2 ** 31 - 1)) {
        throw outOfRange('timeoutMs', 'positive milliseconds below 2^31', timeoutMs)
      }
    }
    this.#timeout = timeoutMs
  }

  async call(args) {
    if (this.#closed) {
      throw makeError('ERR_IRIS_RUNTIME_CLOSED', `the pool of ${this.#name} is closed`)
    }
    const free = this.#idle.length > 0 || this.#workers.size < this.#size
    if (!free && this.#waiting.length >= this.#bound) {
      const text = `${this.#bound} calls of ${this.#name} wait already; try again later`
      throw makeError('ERR_IRIS_MAILBOX_FULL', text)
    }
    return new Promise((resolve, reject) => {
      const job = { args, resolve, reject, worker: undefined, timer: undefined }
      if (this.#timeout !== undefined) {
        job.timer = setTimeout(() => this.#expire(job), this.#timeout)
      }
      this.#waiting.push(job)
      this.#next()
    })
  }

  #next() {
    while (this.#waiting.length > 0) {
      let worker = this.#idle.pop()
      if (worker === undefined) {
        if (this.#workers.size >= this.#size) return
        worker = this.#start()
      }
      const job = this.#waiting.shift()
      try {
        worker.postMessage(job.args)
      } catch (error) {
        // An argument that cannot be cloned: the Worker has not heard of it.
        this.#idle.push(worker)
        this.#settle(job, 'reject', error)
        continue
      }
      job.worker = worker
      worker.job = job
      worker.ref()
    }
  }

  #start() {
    const worker = inRoot(
      () => new Worker(join(__dirname, 'offload-worker.js'), { workerData: this.#work }),
    )
    worker.unref()
    this.#workers.add(worker)
    worker.on('message', ({ value, error }) => {
      const { job } = worker
      worker.job = undefined
      worker.unref()
      this.#idle.push(worker)
      if (error === undefined) this.#settle(job, 'resolve', value)
      else this.#settle(job, 'reject', revived(error))
      this.#next()
    })
    worker.on('error', (error) => this.#lose(worker, error))
    worker.on('exit', () => this.#lose(worker))
    return worker
  }

  /** A Worker has died: so has its call; the next call starts another. */
  #lose(worker, error) {
    if (!this.#workers.delete(worker)) return
    this.#idle = this.#idle.filter((other) => other !== worker)
    const text = `a Worker of ${this.#name} ended before it answered`
    if (worker.job !== undefined) {
      const lost = makeError('ERR_IRIS_ACTOR_EXITED', text, { cause: error })
      this.#settle(worker.job, 'reject', lost)
    }
    if (!this.#closed) this.#next()
  }

  #settle(job, how, value) {
    clearTimeout(job.timer)
    job[how](value)
  }

  /** What runs too long is ended with its Worker, what waits too long never begins. */
  #expire(job) {
    const text = `${this.#name} did not answer within ${this.#timeout} ms`
    job.reject(makeError('ERR_IRIS_TIMEOUT', text))
    if (job.worker === undefined) {
      this.#waiting = this.#waiting.filter((other) => other !== job)
      return
    }
    job.worker.terminate()
  }

  explain() {
    const { size } = this.#workers
    return `${this.#name}: actor, ${size} of ${this.#size} Worker(s), ${this.#waiting.length} waiting of ${this.#bound}`
  }

  async close() {
    this.#closed = true
    const text = `the pool of ${this.#name} was closed`
    for (const job of this.#waiting.splice(0)) {
      this.#settle(job, 'reject', makeError('ERR_IRIS_RUNTIME_CLOSED', text))
    }
    await Promise.all([...this.#workers].map((worker) => worker.terminate()))
  }
}

function actorOf(fn, options) {
  const pool = new Pool(fn, options)
  const offloaded = (...args) => pool.call(args)
  offloaded.explain = () => pool.explain()
  offloaded.close = () => pool.close()
  return offloaded
}

module.exports = { actorOf }
