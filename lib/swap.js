'use strict'

// The versions of actors whose handler was swapped. Those of all others are 1, and cost nothing.

const { outOfRange } = require('./errors.js')

/** Older versions that are kept of each actor. */
const KEPT = 16

class Versions {
  /** By pid: `{ version, last, past }`; `last` is the highest that ever was, `past` are older ones with their handlers. */
  #known = new Map()

  of(pid) {
    return this.#known.get(pid)?.version ?? 1
  }

  /** `old` goes into the history; answers the number of the version that comes after it: no number names two handlers. */
  push(pid, old) {
    let known = this.#known.get(pid)
    if (known === undefined) {
      known = { version: 1, last: 1, past: [] }
      this.#known.set(pid, known)
    }
    known.past.push({ version: known.version, handler: old })
    if (known.past.length > KEPT) known.past.shift()
    known.version = ++known.last
    return known.version
  }

  /** Goes back that many versions; answers the version that is then in force. What came after it is forgotten. */
  back(pid, steps) {
    const known = this.#known.get(pid)
    const kept = known?.past.length ?? 0
    if (steps > kept) {
      throw outOfRange('steps', `at most ${kept}, the versions that are kept of pid ${pid}`, steps)
    }
    const there = known.past.splice(kept - steps)[0]
    known.version = there.version
    return there
  }

  forget(pid) {
    this.#known.delete(pid)
  }
}

module.exports = { Versions }
