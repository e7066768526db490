'use strict'

// NodeRuntime's methods: supervisors.

const { laneOf, openLane } = require('./handle.js')
const { makeError, wrongType } = require('./errors.js')
const { carryOut, plan } = require('./supervisors.js')
const check = require('./options.js')

/** A supervisor of the native half as an object. The global one has no path. */
function supervisor([path, strategy, maxRestarts, withinMs, children]) {
  return {
    path: path === '\0' ? null : path,
    strategy,
    maxRestarts,
    withinMs,
    children: children.map(([id, pid, restart, restarts, hasFactory]) => ({
      id: id ?? null,
      pid: pid ?? null,
      restart,
      restarts,
      hasFactory: hasFactory === 1,
    })),
  }
}

function createSupervisor(lane, path, { strategy, maxRestarts, withinMs, restart, backoff }) {
  return lane.native.createPathSupervisor(path, strategy, maxRestarts, withinMs, restart, backoff)
}

class Supervision {
  createPathSupervisor(path, options) {
    openLane(this)
    return createSupervisor(laneOf(this), path, check.supervisor(options))
  }

  removePathSupervisor(path) {
    return laneOf(this).native.removePathSupervisor(path)
  }

  pathSupervisorWatch(path, pid) {
    laneOf(this).native.superviseWatch(path, pid)
  }

  pathSupervisorChildren(path) {
    return laneOf(this).native.supervisorChildren(path)
  }

  pathSuperviseWithFactory(path, pid, factory, strategy, options) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    check.callable(factory, 'factory')
    check.strategy(strategy)
    const { id, restart, ...rest } = check.supervised(options)
    // Before anything is made: a supervisor that is not there is made by this.
    laneOf(this).native.supervisorChildren(path)
    if (!laneOf(this).native.isAlive(pid)) {
      throw makeError('ERR_IRIS_NO_SUCH_ACTOR', `pid ${pid}: no such actor to supervise`)
    }
    laneOf(this).supervisors.supervise(path, pid, factory, strategy, restart, id)
    // After it: what is refused makes no supervisor.
    createSupervisor(laneOf(this), path, { ...rest, strategy })
  }

  terminateChild(path, pid) {
    openLane(this)
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    return laneOf(this).terminate(path, pid)
  }

  watchPath(prefix) {
    return laneOf(this).native.watchPath(prefix)
  }

  childrenCount() {
    return this.childPids().length
  }

  childPids() {
    return laneOf(this).native.childPids()
  }

  supervise(path, children, options) {
    openLane(this)
    if (typeof path !== 'string') throw wrongType('path', 'a string', path)
    laneOf(this).native.supervisorChildren(path)
    check.children(children)
    check.supervisor(options)
    const at = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
    return carryOut(this, laneOf(this), plan(at, children, options))
  }

  onSupervision(hook) {
    openLane(this)
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    laneOf(this).supervisors.listen(0, hook ?? undefined)
  }

  onRestart(hook) {
    openLane(this)
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    laneOf(this).supervisors.listen(1, hook ?? undefined)
  }

  supervisionTree() {
    return laneOf(this).native.supervisionTree().map(supervisor)
  }
}

module.exports = { Supervision }
