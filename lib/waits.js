'use strict'

// Promises that an event of the core settles, by key: calls, joins, waiting sends, close.
//
// A key is the number of its slot and a count of the slot's uses, so news that comes for a wait that was settled already
// finds nothing.

const { makeError } = require('./errors.js')

const USES = 128
/** Keys stay small integers of V8's. */
const MAX_SLOTS = 2 ** 24

let resolveIt
let rejectIt
/** One for all promises: what it is given is stored by who made the promise. */
const executor = (resolve, reject) => {
  resolveIt = resolve
  rejectIt = reject
}

class Waits {
  /** By slot: the key of its present use. */
  #keys = []
  #resolves = []
  #rejects = []
  #free = []

  /** A key that nothing uses. */
  key() {
    if (this.#free.length > 0) return this.#keys[this.#free.pop()]
    const slot = this.#keys.length
    if (slot === MAX_SLOTS) {
      throw makeError('ERR_IRIS_AT_CAPACITY', `${MAX_SLOTS} calls and waits are pending`)
    }
    this.#keys.push(slot * USES)
    this.#resolves.push(undefined)
    this.#rejects.push(undefined)
    return slot * USES
  }

  promise(key) {
    const promise = new Promise(executor)
    const slot = key >> 7
    this.#resolves[slot] = resolveIt
    this.#rejects[slot] = rejectIt
    return promise
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

  /** Calls `then` with what comes for a key. */
  on(key, then) {
    this.#resolves[key >> 7] = then
  }

  /** Whether nothing has come for a key. */
  waits(key) {
    return this.#keys[key >> 7] === key
  }

  /** Frees a key; answers nothing to whoever waits, who was answered or is just being. */
  forget(key) {
    const slot = key >> 7
    if (this.#keys[slot] !== key) return
    this.#keys[slot] = slot * USES + ((key + 1) & (USES - 1))
    this.#resolves[slot] = undefined
    this.#rejects[slot] = undefined
    this.#free.push(slot)
  }

  /** What settles the promise of a key, which is free again; `undefined`: it was settled. */
  takeResolve(key) {
    if (!this.waits(key)) return undefined
    const resolve = this.#resolves[key >> 7]
    this.forget(key)
    return resolve
  }

  /** What fails the promise of a key, which is free again; `undefined`: it was settled. */
  takeReject(key) {
    if (!this.waits(key)) return undefined
    const reject = this.#rejects[key >> 7]
    this.forget(key)
    return reject
  }

  /** What fails each promise that waits. */
  takeRejects() {
    const waiting = this.#rejects.filter((reject) => reject !== undefined)
    this.#keys.forEach((key, slot) => {
      if (this.#rejects[slot] !== undefined) this.forget(key)
    })
    return waiting
  }
}

module.exports = { Waits }
