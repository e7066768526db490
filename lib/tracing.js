'use strict'

// What happens in a runtime, for whoever subscribes: Node's diagnostics channels, and the hook for dead letters. Nothing is
// asked of the core while nobody listens.

const { channel } = require('node:diagnostics_channel')
const { crashText } = require('./errors.js')

const SPAWN = channel('iris:spawn')
const EXIT = channel('iris:exit')
const RESTART = channel('iris:restart')
const DEAD_LETTER = channel('iris:deadletter')
const NODE_UP = channel('iris:nodeup')
const NODE_DOWN = channel('iris:nodedown')

// The same numbers stand in src/runtime/events.rs.
const SPAWNS = 1
const EXITS = 2
const DEAD_LETTERS = 4
const NODES = 8

class Tracing {
  #lane
  #runtime
  #native
  #supervisors
  #log
  #hook = undefined
  #nodes = { up: undefined, down: undefined }
  #watched = 0
  #restarts = false

  constructor(lane, supervisors, log) {
    this.#lane = lane
    this.#runtime = lane.runtime
    this.#native = lane.native
    this.#supervisors = supervisors
    this.#log = log
    this.look()
  }

  /** Looks who listens: before each spawn and after each turn of the loop that had work. */
  look() {
    if (this.#lane.closing || this.#lane.disposed) return
    const wanted =
      (SPAWN.hasSubscribers ? SPAWNS : 0) |
      (EXIT.hasSubscribers ? EXITS : 0) |
      (DEAD_LETTER.hasSubscribers || this.#hook !== undefined ? DEAD_LETTERS : 0) |
      (NODE_UP.hasSubscribers || NODE_DOWN.hasSubscribers || this.#nodes.up || this.#nodes.down
        ? NODES
        : 0)
    if (wanted !== this.#watched) {
      this.#watched = wanted
      this.#native.watchEvents(wanted)
    }
    if (!this.#restarts && RESTART.hasSubscribers) {
      this.#restarts = true
      this.#supervisors.listen(2, (event) => {
        if (event.event === 'restarted') RESTART.publish({ ...event, runtime: this.#runtime })
      })
    }
  }

  /** `hook` hears of dead letters; `undefined`: nobody but the channel does. */
  onDeadLetter(hook) {
    this.#hook = hook
    this.look()
  }

  /** `hook` hears of nodes that are `'up'` or `'down'`; `undefined`: nobody but the channel does. */
  onNode(which, hook) {
    this.#nodes[which] = hook
    this.look()
  }

  /** The core has news. */
  tell() {
    const runtime = this.#runtime
    for (const [kind, pid, a, b, c, d] of this.#native.takeNews()) {
      if (kind === 0) {
        SPAWN.publish({ runtime, pid, parent: a ?? null })
      } else if (kind === 1) {
        EXIT.publish({ runtime, pid, reason: a, message: b, stack: c })
      } else if (kind === 3) {
        const node = { id: pid, address: a ?? null }
        if (b === undefined) {
          NODE_UP.publish({ runtime, ...node })
          this.#tellHook('onNodeUp', this.#nodes.up, node)
        } else {
          NODE_DOWN.publish({ runtime, ...node, reason: b })
          this.#tellHook('onNodeDown', this.#nodes.down, { ...node, reason: b })
        }
      } else {
        const letter = { pid, reason: a, data: b ?? null, sender: c ?? null, isCall: d === 1 }
        if (DEAD_LETTER.hasSubscribers) DEAD_LETTER.publish({ runtime, ...letter })
        this.#tellHook('onDeadLetter', this.#hook, letter)
      }
    }
  }

  async #tellHook(name, hook, news) {
    try {
      await hook?.(news)
    } catch (error) {
      this.#log(`iris: the ${name} hook failed: ${crashText(error)[0]}`)
    }
  }
}

module.exports = { Tracing }
