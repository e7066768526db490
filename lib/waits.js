'use strict'

// Promises that an event of the core settles, by key: calls, joins, waiting sends, close.

class Waits {
  resolves = []
  rejects = []
  #free = []
  #next = 0

  /** A key that nothing uses. */
  key() {
    return this.#free.length > 0 ? this.#free.pop() : this.#next++
  }

  promise(key) {
    return new Promise((resolve, reject) => {
      this.resolves[key] = resolve
      this.rejects[key] = reject
    })
  }

  /** The promise of what `start` asks the core for under a key; what `start` throws is thrown. */
  begin(start) {
    const key = this.key()
    try {
      start(key)
    } catch (error) {
      this.forget(key)
      throw error
    }
    return this.promise(key)
  }

  /** Frees a key; answers nothing to whoever waits, who was answered or is just being. */
  forget(key) {
    this.resolves[key] = undefined
    this.rejects[key] = undefined
    this.#free.push(key)
  }

  /** What fails each promise that waits. */
  takeRejects() {
    const waiting = this.rejects.filter((reject) => reject !== undefined)
    this.rejects = []
    this.resolves = []
    return waiting
  }

  /** What fails the promise of a key, which is free again. */
  takeReject(key) {
    const reject = this.rejects[key]
    this.forget(key)
    return reject
  }
}

module.exports = { Waits }
