'use strict'

// NodeRuntime's methods: full mailboxes.

const { laneOf, openLane } = require('./handle.js')
const { wrongType } = require('./errors.js')
const check = require('./options.js')

class Pressure {
  mailboxSize(pid) {
    return laneOf(this).native.mailboxSize(pid)
  }

  mailboxBackpressure(pid) {
    return laneOf(this).native.mailboxBackpressure(pid)
  }

  setOverflowPolicy(pid, policy, target) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    check.overflow(policy, target, 'policy')
    laneOf(this).native.setOverflowPolicy(pid, policy, target)
  }

  setWatermarks(high, critical) {
    openLane(this)
    check.integer(high, 'high', 1, 2 ** 30)
    laneOf(this).native.setWatermarks(high, check.integer(critical, 'critical', high, 2 ** 30))
  }

  setSystemCapacity(actors) {
    openLane(this)
    laneOf(this).native.setSystemCapacity(check.limit(actors, 'actors'))
  }

  setMessageCapacity(messages) {
    openLane(this)
    laneOf(this).native.setMessageCapacity(check.limit(messages, 'messages'))
  }

  setLoadShedding(on) {
    openLane(this)
    laneOf(this).shedLoad(check.flag(on, 'on'))
  }

  isLoadSheddingActive() {
    return laneOf(this).native.isLoadSheddingActive()
  }
}

module.exports = { Pressure }
