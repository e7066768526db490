'use strict'

// Actors of other threads that this one sends to often: it has leased them, and may promise them messages as it does to its own
// until the core calls the leases off, all at once. They are few, or the core is asked each time.

const { FAR_MAX, LEASE_ENDED, OUT_COUNT } = require('./border.js')

/** Pids that are remembered; a direct-mapped cache. */
const KNOWN = 256

class Far {
  #native
  #ctl
  #nudged
  #actors
  #leased = new Float64Array(KNOWN)
  #last = 0

  constructor(border, actors) {
    this.#native = border.native
    this.#ctl = border.ctl
    this.#nudged = border.nudged
    this.#actors = actors
  }

  /** Whether a message for `pid` may be promised. */
  takes(pid) {
    if (typeof pid !== 'number' || this.#leased[pid & (KNOWN - 1)] !== pid || pid <= 0) return false
    if (this.#nudged[LEASE_ENDED] === 0) return true
    this.#nudged[LEASE_ENDED] = 0
    this.#leased.fill(0)
    return false
  }

  /** A message was promised: it waits for others only as long as the core finds right. */
  posted() {
    if (this.#ctl[OUT_COUNT] >= this.#ctl[FAR_MAX]) this.#native.flush()
  }

  /** The core has taken a message for `pid`: the second in a row makes it worth a lease. */
  sent(pid) {
    if (this.#last !== pid) {
      this.#last = pid
      return
    }
    const actors = this.#actors
    if (actors.knows(pid) || actors.codecs.has(pid)) return
    // Before the lease is asked for: a lease that ends after that is noticed.
    if (this.#nudged[LEASE_ENDED] !== 0) {
      this.#nudged[LEASE_ENDED] = 0
      this.#leased.fill(0)
    }
    if (this.#native.codecOf(pid) === null && this.#native.lease(pid)) {
      this.#leased[pid & (KNOWN - 1)] = pid
    }
  }
}

module.exports = { Far }
