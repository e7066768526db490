'use strict'

// NodeRuntime's methods: other nodes.

const { isBytes, toBytes } = require('./bytes.js')
const { laneOf, openLane } = require('./handle.js')
const { wrongType } = require('./errors.js')
const check = require('./options.js')

class OtherNodes {
  configureMesh(options) {
    openLane(this)
    laneOf(this).mesh.configure(options)
  }

  listen(address, options) {
    return laneOf(this).mesh.listen(address, options)
  }

  unlisten(address) {
    openLane(this)
    return laneOf(this).mesh.unlisten(address)
  }

  listening() {
    openLane(this)
    return laneOf(this).native.listening()
  }

  resolveRemote(address, name, options) {
    return laneOf(this).mesh.resolve(address, name, options)
  }

  resolveRemotePy(address, name, options) {
    return laneOf(this).mesh.resolve(address, name, options)
  }

  isNodeUp(address, options) {
    return laneOf(this).mesh.isUp(address, options)
  }

  remotePid(address, pid) {
    return laneOf(this).mesh.proxy(address, pid)
  }

  sendRemote(address, pid, data) {
    const bytes = toBytes(data, 'data')
    return laneOf(this).send(laneOf(this).mesh.proxy(address, pid), bytes)
  }

  monitorRemote(address, pid, watcher) {
    if (watcher !== undefined && typeof watcher !== 'number' && typeof watcher !== 'function') {
      throw wrongType('watcher', 'a pid or a function', watcher)
    }
    const proxy = laneOf(this).mesh.proxy(address, pid, true)
    if (watcher !== undefined) laneOf(this).monitor(proxy, watcher)
    return proxy
  }

  disconnect(address) {
    openLane(this)
    return laneOf(this).native.disconnect(address)
  }

  exportPid(pid) {
    openLane(this)
    return laneOf(this).native.exportPid(pid)
  }

  importPid(bytes) {
    openLane(this)
    if (!isBytes(bytes)) throw wrongType('bytes', 'a Buffer or a Uint8Array', bytes)
    return laneOf(this).native.importPid(toBytes(bytes, 'bytes'))
  }

  joinCluster(seeds, options) {
    return laneOf(this).mesh.join(seeds, options)
  }

  onNodeUp(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    openLane(this)
    laneOf(this).tracing.onNode('up', hook ?? undefined)
  }

  onNodeDown(hook) {
    if (hook !== null && hook !== undefined) check.callable(hook, 'hook')
    openLane(this)
    laneOf(this).tracing.onNode('down', hook ?? undefined)
  }

  isRemote(pid) {
    return laneOf(this).native.isRemote(pid)
  }

  remoteInfo(pid, options) {
    return laneOf(this).mesh.info(pid, options)
  }

  nodes() {
    openLane(this)
    return laneOf(this).mesh.nodes()
  }
}

module.exports = { OtherNodes }
