'use strict'

// Monitors whose watcher is a function of this loop. The core sends each end once, under the key of a wait.

const { crashText } = require('./errors.js')
const { bindTo, callersContext } = require('./scope.js')
const { SystemMessage } = require('./system.js')

class Watches {
  #native
  #waits
  #log
  /** The key of the wait of a monitor that is still to come, by its reference. */
  #keys = new Map()

  /** `log` is told what a callback threw. */
  constructor(border, { waits }, log) {
    this.#native = border.native
    this.#waits = waits
    this.#log = log
  }

  monitor(target, callback) {
    const tell = bindTo(callersContext(), callback)
    const key = this.#waits.key()
    let reference = 0
    this.#waits.on(key, ({ pid, reason, message, stack }) => {
      // Taken back while the news was on its way.
      if (!this.#keys.delete(reference)) return
      const metadata = { ref: reference }
      if (message !== undefined) metadata.message = message
      if (stack !== undefined) metadata.stack = stack
      this.#tell(tell, new SystemMessage('DOWN', pid, null, reason, Object.freeze(metadata)))
    })
    try {
      reference = this.#native.monitor(target, undefined, key)
    } catch (error) {
      this.#waits.forget(key)
      throw error
    }
    this.#keys.set(reference, key)
    return reference
  }

  demonitor(reference) {
    const key = this.#keys.get(reference)
    this.#keys.delete(reference)
    const was = this.#native.demonitor(reference)
    if (key === undefined) return was
    // Otherwise the news is on its way, and frees the key when it comes.
    if (was) this.#waits.forget(key)
    return true
  }

  /** `await` for callbacks that are async functions: what they throw is logged, and ends nothing. */
  async #tell(callback, message) {
    try {
      await callback(message)
    } catch (error) {
      this.#log(`iris: a monitor's callback failed: ${crashText(error)[0]}`)
    }
  }
}

module.exports = { Watches }
