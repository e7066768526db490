'use strict'

// What a Worker of `spawnThreaded` runs: it joins the runtime, loads the handler's module and spawns its actor, again and again
// if it is told so, each time in the place of one that has failed.

const { parentPort } = require('node:worker_threads')
const { wrongType } = require('./errors.js')
const { laneOf } = require('./handle.js')
const { NodeRuntime } = require('./runtime.js')

parentPort.once('message', async ({ port, id, url, options, old }) => {
  let runtime
  let handler
  const failed = (thrown) => {
    const { name, code, message, stack } = thrown instanceof Error ? thrown : new Error(thrown)
    port.postMessage({ error: { name, code, message, stack } })
  }
  const actor = () =>
    options.capacity === undefined
      ? runtime.spawn(handler, options)
      : runtime.spawnBounded(handler, options)
  const spawn = (old) => {
    try {
      port.postMessage({ pid: old === 0 ? actor() : laneOf(runtime).replace(old, actor) })
    } catch (error) {
      failed(error)
    }
  }
  // It listens from the beginning: that keeps the thread, whoever began it ends it.
  port.on('message', async (what) => {
    if (what !== 'leave') {
      spawn(what)
      return
    }
    await runtime.close()
    port.close()
  })
  try {
    runtime = NodeRuntime.attach(id)
    handler = (await import(url)).default
    if (typeof handler !== 'function') {
      throw wrongType(`the default export of ${url}`, 'a function', handler)
    }
  } catch (error) {
    failed(error)
    return
  }
  spawn(old)
})
