'use strict'

// Buffers that wait to be sent, by id: what must be detached when they are. The memory is the core's.

const { ARM } = require('./border.js')
const { wrongType } = require('./errors.js')

class Buffers {
  #native
  #views = new Map()
  /** Ids by the pid of the actor that they end with. */
  #owned = new Map()

  constructor(border) {
    this.#native = border.native
  }

  /** `owner` 0: nobody but this thread and the runtime. */
  allocate(size, owner) {
    const [id, buffer] = this.#native.allocateBuffer(size, owner)
    this.#views.set(id, { buffer, owner })
    if (owner !== 0) {
      const ids = this.#owned.get(owner)
      if (ids === undefined) this.#owned.set(owner, new Set([id]))
      else ids.add(id)
    }
    return { id, buffer }
  }

  /** Answers as the native `send`; only what was taken is gone. */
  send(pid, id, sender) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    if (typeof id !== 'number') throw wrongType('id', 'a number', id)
    const view = this.#views.get(id)
    try {
      const answer = this.#native.sendBuffer(pid, id, view?.buffer, sender)
      if (answer === undefined || answer === ARM) this.#forget(id, view)
      return answer
    } catch (error) {
      if (error.code !== 'ERR_IRIS_RUNTIME_CLOSED') this.#forget(id, view)
      throw error
    }
  }

  free(id) {
    if (typeof id !== 'number') throw wrongType('id', 'a number', id)
    this.#forget(id, this.#views.get(id))
    return this.#native.freeBuffer(id)
  }

  #forget(id, view) {
    if (view === undefined) return
    this.#views.delete(id)
    const ids = this.#owned.get(view.owner)
    if (ids?.delete(id) && ids.size === 0) this.#owned.delete(view.owner)
  }

  /** An actor of this loop has ended: so have its buffers. */
  ended(pid) {
    const ids = this.#owned.get(pid)
    if (ids === undefined) return
    this.#owned.delete(pid)
    for (const id of ids) this.#views.delete(id)
  }

  dispose() {
    this.#views.clear()
    this.#owned.clear()
  }
}

module.exports = { Buffers }
