'use strict'

// NodeRuntime's methods: seeing inside.

const { plainName } = require('./codecs.js')
const { laneOf, openLane } = require('./handle.js')
const { wrongType } = require('./errors.js')
const check = require('./options.js')

/** `[state, kind, ...]` of the native half as an object. */
function actorInfo(pid, fields, behaviorVersion) {
  const [state, kind, budget, capacity, queue, highWater, handled, ageMs, names, paths] = fields
  const [codec, lane, host, parent, children, restarts, health] = fields.slice(10)
  return {
    pid,
    state,
    kind,
    budget,
    capacity: capacity === 0 ? null : capacity,
    queue,
    highWater,
    handled,
    ageMs,
    names,
    paths,
    codec: plainName(codec),
    behaviorVersion,
    lane: lane === undefined ? null : { lane, host },
    parent: parent ?? null,
    children,
    restarts,
    health,
  }
}

/** The native half's flat list of lanes as objects. */
function lanes(flat) {
  const all = []
  for (let i = 0; i < flat.length; i += 5) {
    const [lane, host, turns, busyMs, longestHoldMs] = flat.slice(i, i + 5)
    all.push({ lane, host, turns, busyMs, longestHoldMs })
  }
  return all
}

const camelCase = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())

class Inspection {
  listActors() {
    return laneOf(this).native.listActors()
  }

  actorInfo(pid) {
    const fields = laneOf(this).native.actorInfo(pid)
    if (fields === null) return null
    return actorInfo(pid, fields, laneOf(this).isPush(pid) ? laneOf(this).versionOf(pid) : null)
  }

  getMetrics() {
    const flat = laneOf(this).native.metrics()
    const metrics = {}
    for (let i = 0; i < flat.length; i += 3) {
      const [group, name, value] = flat.slice(i, i + 3)
      if (group === undefined) metrics[camelCase(name)] = value
      else metrics[group] = { ...metrics[group], [name]: value }
    }
    metrics.mesh = {}
    const mesh = laneOf(this).native.meshMetrics()
    for (let i = 0; i < mesh.length; i += 2) metrics.mesh[camelCase(mesh[i])] = mesh[i + 1]
    metrics.lanes = lanes(laneOf(this).native.lanes())
    metrics.loop = { longestHoldMs: laneOf(this).longestHold, yields: laneOf(this).yields }
    return metrics
  }

  prometheus() {
    return laneOf(this).native.prometheus()
  }

  onDeadLetter(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    openLane(this)
    laneOf(this).tracing.onDeadLetter(hook ?? undefined)
  }

  setActorHealth(pid, health) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    laneOf(this).native.setActorHealth(pid, health)
  }
}

module.exports = { Inspection }
