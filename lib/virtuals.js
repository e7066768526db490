'use strict'

// The virtual actors of a loop: the hooks that wake them and put them to sleep. The core says whose turn it is; hooks are run
// one by one between batches of messages, and count as messages for the time slice.
//
// The hooks of an actor lie where its context will be, and then in its context: a million dormant actors of one handler share
// them, and have nothing else on this side.

const { Context } = require('./context.js')
const { crashText } = require('./errors.js')

const ON_ACTIVATE = 1
const ON_DEACTIVATE = 2

const isThenable = (value) =>
  value !== undefined && value !== null && typeof value.then === 'function'

class Virtuals {
  /** The pid whose hook is running right now, synchronously; 0 outside. */
  current = 0
  #lane
  #native
  #turns
  #actors
  #failures
  /** Hooks that are due, oldest first, and how many of them were run. */
  #due = []
  #next = 0
  /** The hooks of the last spawn. */
  #last = { onActivate: undefined, onDeactivate: undefined }

  constructor(lane, border, { turns, actors, failures }) {
    this.#lane = lane
    this.#native = border.native
    this.#turns = turns
    this.#actors = actors
    this.#failures = failures
  }

  /** Answers what the native spawn does, and the hooks (`undefined`: none); `run` is the spawner's async context. */
  spawn(budget, capacity, idleMs, onActivate, onDeactivate, run) {
    const hooks = this.#share(onActivate, onDeactivate, run)
    // The core asks for the activation of whoever has a hook: its context must be there.
    let bits = hooks === undefined ? 0 : ON_ACTIVATE
    if (onDeactivate !== undefined) bits |= ON_DEACTIVATE
    return [this.#native.spawnVirtual(budget, capacity, 0, idleMs ?? -1, bits), hooks]
  }

  #share(onActivate, onDeactivate, run) {
    if (onActivate === undefined && onDeactivate === undefined) return undefined
    const last = this.#last
    if (run === undefined && last.onActivate === onActivate && last.onDeactivate === onDeactivate) {
      return last
    }
    const bound = (hook) => hook && (run === undefined ? hook : (ctx) => run(hook, ctx))
    const hooks = { onActivate: bound(onActivate), onDeactivate: bound(onDeactivate) }
    if (run === undefined) this.#last = hooks
    return hooks
  }

  /** The core asks for a hook. */
  note(key, pid, activate) {
    this.#due.push({ key, pid, activate })
    this.#turns.arm()
  }

  /** Whether hooks are due. */
  get pending() {
    return this.#next < this.#due.length
  }

  /** Runs the hooks that are due; `true`: the slice is over, and some are left. */
  work() {
    while (this.pending) {
      const { key, pid, activate } = this.#due[this.#next++]
      // One that was killed meanwhile has no hook to run.
      if (this.#native.hookIsDue(pid)) this.#run(key, pid, activate !== 0)
      if (this.#turns.sliceIsOver()) return true
    }
    this.#due.length = 0
    this.#next = 0
    return false
  }

  #run(key, pid, activate) {
    const { contexts } = this.#actors
    let context = contexts[key]
    if (activate) {
      const hooks = context
      context = new Context(this.#lane, pid)
      context._hooks = hooks
      contexts[key] = context
    }
    const hooks = context?._hooks
    const hook = activate ? hooks?.onActivate : hooks?.onDeactivate
    if (hook === undefined) {
      this.#done(key, pid, activate, undefined)
      return
    }
    let result
    try {
      this.current = pid
      result = hook(context)
      if (isThenable(result)) {
        this.#await(key, pid, activate, result)
        return
      }
    } catch (error) {
      this.#failed(pid, error)
      return
    } finally {
      this.current = 0
    }
    // It may have killed its own actor.
    if (this.#native.hookIsDue(pid)) this.#done(key, pid, activate, result)
  }

  async #await(key, pid, activate, promise) {
    let result
    try {
      result = await promise
    } catch (error) {
      this.#failed(pid, error)
      return
    }
    if (!this.#lane.disposed && this.#native.hookIsDue(pid)) this.#done(key, pid, activate, result)
  }

  #done(key, pid, activate, result) {
    const actors = this.#actors
    if (activate) {
      if (result !== undefined) actors.states.set(pid, result)
    } else {
      actors.contexts[key] = actors.contexts[key]?._hooks
      actors.states.delete(pid)
    }
    if (this.#native.hookDone(pid)) this.#turns.arm()
  }

  /** A hook threw: the actor ends as if its handler had. */
  #failed(pid, error) {
    const text = crashText(error)
    if (this.#lane.disposed) {
      this.#failures.crashed(pid, text, error)
      return
    }
    this.#actors.doubt(pid)
    this.#failures.during(pid, text, error, () => this.#native.crashNow(pid, text[0], text[1]))
  }

  dispose() {
    this.#due.length = 0
    this.#next = 0
  }
}

module.exports = { Virtuals }
