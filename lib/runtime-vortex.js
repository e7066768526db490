'use strict'

// NodeRuntime's methods: speculation.

const { openLane } = require('./handle.js')
const { wrongType } = require('./errors.js')

class Speculation {
  vortexSetAutoGhostPolicy(policy) {
    const { native } = openLane(this)
    if (typeof policy !== 'string') throw wrongType('policy', 'a string', policy)
    return native.vortexSetPolicy?.(policy) ?? false
  }

  vortexGetAutoGhostPolicy() {
    return openLane(this).native.vortexPolicy?.() ?? null
  }

  vortexGetAutoResolutionCounts() {
    const [primaryWins, ghostWins] = openLane(this).native.vortexCounts?.() ?? [0, 0, 0]
    return [primaryWins, ghostWins]
  }

  vortexGetAutoReplayCount() {
    return openLane(this).native.vortexCounts?.()[2] ?? 0
  }

  vortexResetAutoTelemetry() {
    openLane(this).native.vortexReset?.()
  }
}

module.exports = { Speculation }
