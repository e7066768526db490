'use strict'

// Children that share the work. A member that failed is replaced; one that was stopped or killed is not.

/** Ends that nobody asked for. */
const FAILED = new Set(['crash', 'panic', 'timeout'])

class Pool {
  #runtime
  #spawn
  #shortest
  #pids = []
  #next = 0

  constructor(runtime, spawn, workers, routing) {
    this.#runtime = runtime
    this.#spawn = spawn
    this.#shortest = routing === 'shortest'
    try {
      while (this.#pids.length < workers) this.#add(this.#pids.length)
    } catch (error) {
      for (const pid of this.#pids) runtime.kill(pid)
      throw error
    }
  }

  get pids() {
    return this.#pids.filter((pid) => this.#runtime.isAlive(pid))
  }

  get size() {
    return this.pids.length
  }

  [Symbol.iterator]() {
    return this.pids[Symbol.iterator]()
  }

  send(data) {
    const { length } = this.#pids
    const first = this.#pick()
    for (let i = 0; i < length; i++) {
      if (this.#runtime.send(this.#pids[(first + i) % length], data)) return true
    }
    // Wrong data throws, and a refusal is counted, even when there is nobody left.
    return length === 0 && this.#runtime.send(0, data)
  }

  call(data, options) {
    return this.#runtime.call(this.#pids[this.#pick()] ?? 0, data, options)
  }

  get [Symbol.toStringTag]() {
    return 'Pool'
  }

  /** The place of the member whose turn it is. */
  #pick() {
    const { length } = this.#pids
    if (!this.#shortest) {
      this.#next = (this.#next + 1) % Math.max(length, 1)
      return this.#next
    }
    let best = 0
    let least = Infinity
    for (let i = 0; i < length && least > 0; i++) {
      const size = this.#runtime.mailboxSize(this.#pids[i]) ?? Infinity
      if (size < least) {
        best = i
        least = size
      }
    }
    return best
  }

  #add(at) {
    const pid = this.#spawn()
    this.#pids[at] = pid
    this.#watch(pid)
  }

  async #watch(pid) {
    let reason
    try {
      reason = (await this.#runtime.join(pid)).reason
    } catch {
      // This thread has left the runtime.
      return
    }
    const at = this.#pids.indexOf(pid)
    if (at < 0) return
    try {
      if (FAILED.has(reason)) {
        this.#add(at)
        return
      }
    } catch {
      // The parent or the runtime has ended, or load is shed.
    }
    this.#pids.splice(at, 1)
  }
}

module.exports = { Pool }
