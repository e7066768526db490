'use strict'

// What a loop knows of its actors, by the slot of their pids.

const { decoding } = require('./codecs.js')
const { makeError } = require('./errors.js')
const { bindTo } = require('./scope.js')
const { Versions } = require('./swap.js')

/** The low bits of a pid: its slot, which is the key of its handler. */
const SLOT_MASK = 2 ** 23 - 1

class Actors {
  /** Of a pull actor: its mailbox. */
  handlers = []
  contexts = []
  /** The pid; negative if the core must be asked before a message is promised: bounded, or about to end. */
  pids = new Float64Array(1024)
  /** Pids of the actors whose next message does not wait for the promise of the last. */
  reentrant = new Set()
  versions = new Versions()
  /** What actors speak that take more than bytes, by pid. */
  codecs = new Map()
  /** What makes a speculating actor's handler of a handler, by pid. */
  wraps = new Map()
  /** `ctx.state` of those that have one, by pid. */
  states = new Map()
  /** What runs a handler in the AsyncLocalStorage context of its spawn, where that had one. */
  #scopes = []
  #gone = []
  /** The children of parents that live on this loop. */
  #children = new Map()
  #parents = new Map()

  /** The slot of `pid` has a new actor; `answer` is negative if the core must be asked about its mailbox. */
  enter(answer, handler, parent) {
    const pid = Math.abs(answer)
    if (parent !== 0) this.#adopt(parent, pid)
    const key = pid & SLOT_MASK
    if (key >= this.pids.length) {
      const grown = new Float64Array(Math.max(key + 1, this.pids.length * 2))
      grown.set(this.pids)
      this.pids = grown
    }
    this.pids[key] = answer
    this.handlers[key] = handler
    this.contexts[key] = undefined
  }

  /** `run` is what `callersContext` answered to the spawn. */
  enterPush(answer, handler, run, reentrant, parent) {
    this.enter(answer, bindTo(run, handler), parent)
    const pid = Math.abs(answer)
    const key = pid & SLOT_MASK
    if (this.#scopes[key] !== run) this.#scopes[key] = run
    if (reentrant) this.reentrant.add(pid)
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

  /** Whether this loop still knows `pid` as an actor: it has not ended, or ended just now. */
  knows(pid) {
    return Math.abs(this.pids[pid & SLOT_MASK]) === pid
  }

  /** Whether messages for `pid` may be promised as they are: an actor of this loop without bound or codec, and not about to end. */
  takesBytes(pid) {
    return this.pids[pid & SLOT_MASK] === pid && pid > 0
  }

  /** Whether `pid` is, or was until just now, an actor whose handler this loop calls. */
  isPush(pid) {
    return this.knows(pid) && typeof this.handlers[pid & SLOT_MASK] === 'function'
  }

  /** Throws unless this loop calls the handler of `pid`, a live actor. */
  checkPush(pid) {
    if (!this.isPush(pid)) {
      throw makeError(
        'ERR_IRIS_NOT_LOCAL',
        `pid ${pid} has no handler on this thread: swap it where it was spawned; pull actors have none`,
      )
    }
  }

  /** The next message is handled by `handler`, in the context of the spawn; answers the version. */
  swap(pid, handler) {
    const key = pid & SLOT_MASK
    const version = this.versions.push(pid, this.handlers[key])
    const decoded = decoding(this.codecs.get(pid), handler)
    this.handlers[key] = bindTo(this.#scopes[key], this.wraps.get(pid)?.(decoded) ?? decoded)
    return version
  }

  /** Goes back to an older handler; answers its version. */
  rollback(pid, steps) {
    const { version, handler } = this.versions.back(pid, steps)
    this.handlers[pid & SLOT_MASK] = handler
    return version
  }

  /** The core must be asked from now on whether this actor takes messages. */
  doubt(pid) {
    if (typeof pid !== 'number') return
    const key = pid & SLOT_MASK
    if (this.pids[key] === pid) this.pids[key] = -pid
    const children = this.#children.get(pid)
    if (children !== undefined) for (const child of children) this.doubt(child)
  }

  doubtAll() {
    this.pids.forEach((pid, key) => {
      if (pid > 0) this.pids[key] = -pid
    })
  }

  /** The actor has ended: it is forgotten when its batch is over. */
  ended(pid) {
    this.doubt(pid)
    this.#gone.push(pid)
  }

  /** Between batches only: a handler may be needed until its batch is over. */
  forgetEnded() {
    for (const pid of this.#gone) {
      this.reentrant.delete(pid)
      this.codecs.delete(pid)
      this.wraps.delete(pid)
      this.versions.forget(pid)
      this.states.delete(pid)
      this.#orphaned(pid)
      const key = pid & SLOT_MASK
      // A new actor may have the slot already.
      if (this.pids[key] !== -pid) continue
      this.pids[key] = 0
      this.handlers[key] = undefined
      this.contexts[key] = undefined
      this.#scopes[key] = undefined
    }
    this.#gone.length = 0
  }

  dispose() {
    this.handlers = []
    this.contexts = []
    this.#scopes = []
    this.states.clear()
    this.reentrant.clear()
    this.codecs.clear()
    this.wraps.clear()
  }
}

module.exports = { Actors, SLOT_MASK }
