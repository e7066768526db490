'use strict'

// NodeRuntime's methods: monitors, links, hot swap.

const { laneOf, openLane } = require('./handle.js')
const { wrongType } = require('./errors.js')
const check = require('./options.js')

class Watching {
  monitor(target, watcher) {
    openLane(this)
    if (typeof target !== 'number') throw wrongType('target', 'a number', target)
    if (typeof watcher !== 'number' && typeof watcher !== 'function') {
      throw wrongType('watcher', 'a pid or a function', watcher)
    }
    return laneOf(this).monitor(target, watcher)
  }

  demonitor(reference) {
    openLane(this)
    if (typeof reference !== 'number') throw wrongType('reference', 'a number', reference)
    return laneOf(this).demonitor(reference)
  }

  link(a, b) {
    openLane(this)
    if (typeof a !== 'number') throw wrongType('a', 'a number', a)
    if (typeof b !== 'number') throw wrongType('b', 'a number', b)
    laneOf(this).link(a, b)
  }

  unlink(a, b) {
    openLane(this)
    if (typeof a !== 'number') throw wrongType('a', 'a number', a)
    if (typeof b !== 'number') throw wrongType('b', 'a number', b)
    return laneOf(this).native.unlink(a, b)
  }

  setTrapExit(pid, traps) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return laneOf(this).native.setTrapExit(pid, check.flag(traps, 'traps'))
  }

  hotSwap(pid, handler) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return laneOf(this).swap(pid, check.callable(handler, 'handler'))
  }

  behaviorVersion(pid) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    laneOf(this).checkPush(pid)
    return laneOf(this).versionOf(pid)
  }

  rollbackBehavior(pid, steps = 1) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return laneOf(this).rollback(pid, check.integer(steps, 'steps', 1, 2 ** 53))
  }
}

module.exports = { Watching }
