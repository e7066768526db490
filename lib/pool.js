'use strict'

// Children that share the work. A member that failed is replaced; one that was stopped or killed is not.

/** Ends that nobody asked for. */
const FAILED = new Set(['crash', 'panic', 'timeout'])

/** Who of many gets the next message. */
class Routing {
  #runtime
  #shortest
  #next = 0

  constructor(runtime, routing) {
    this.#runtime = runtime
    this.#shortest = routing === 'shortest'
  }

  send(pids, data) {
    const { length } = pids
    const first = this.#pick(pids)
    for (let i = 0; i < length; i++) {
      if (this.#runtime.send(pids[(first + i) % length], data)) return true
    }
    // Wrong data throws, and a refusal is counted, even when there is nobody left.
    return length === 0 && this.#runtime.send(0, data)
  }

  call(pids, data, options) {
    return this.#runtime.call(pids[this.#pick(pids)] ?? 0, data, options)
  }

  /** The place of the member whose turn it is. */
  #pick(pids) {
    const { length } = pids
    if (!this.#shortest) {
      this.#next = (this.#next + 1) % Math.max(length, 1)
      return this.#next
    }
    let best = 0
    let least = Infinity
    for (let i = 0; i < length && least > 0; i++) {
      const size = this.#runtime.mailboxSize(pids[i]) ?? Infinity
      if (size < least) {
        best = i
        least = size
      }
    }
    return best
  }
}

class Pool {
  #runtime
  #lane
  #spawn
  #routing
  #pids = []

  constructor(runtime, lane, spawn, workers, routing) {
    this.#runtime = runtime
    this.#lane = lane
    this.#spawn = spawn
    this.#routing = new Routing(runtime, routing)
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
    return this.#routing.send(this.#pids, data)
  }

  call(data, options) {
    return this.#routing.call(this.#pids, data, options)
  }

  get [Symbol.toStringTag]() {
    return 'Pool'
  }

  #add(at) {
    const pid = this.#spawn()
    this.#pids[at] = pid
    this.#watch(pid)
    return pid
  }

  async #watch(pid) {
    let reason
    try {
      reason = (await this.#lane.joinMember(pid)).reason
    } catch {
      // This thread has left the runtime.
      return
    }
    const at = this.#pids.indexOf(pid)
    try {
      if (FAILED.has(reason)) {
        this.#lane.replace(pid, () => this.#add(at))
        return
      }
    } catch {
      // The parent or the runtime has ended, or load is shed.
    }
    this.#pids.splice(this.#pids.indexOf(pid), 1)
  }
}

module.exports = { FAILED, Pool, Routing }
