'use strict'

// NodeRuntime's methods: names and paths.

const { laneOf } = require('./handle.js')
const { pairs } = require('./system.js')

class Names {
  register(name, pid, options) {
    if (options === undefined) laneOf(this).native.register(name, pid)
    else laneOf(this).mesh.register(name, pid, options)
  }

  unregister(name) {
    return laneOf(this).native.unregister(name)
  }

  whereis(name) {
    return laneOf(this).native.whereis(name)
  }

  resolve(name) {
    return laneOf(this).native.whereis(name)
  }

  // --- paths ------------------------------------------------------------------------------------

  registerPath(path, pid) {
    laneOf(this).native.registerPath(path, pid)
  }

  unregisterPath(path) {
    return laneOf(this).native.unregisterPath(path)
  }

  whereisPath(path) {
    return laneOf(this).native.whereisPath(path)
  }

  listChildren(prefix) {
    return pairs(laneOf(this).native.listChildren(prefix, false))
  }

  listChildrenDirect(prefix) {
    return pairs(laneOf(this).native.listChildren(prefix, true))
  }
}

module.exports = { Names }
