'use strict'

// What a Worker of `spawnThreaded` runs: it joins the runtime, loads the handler's module and spawns its actor, again and again
// if it is told so.

const { parentPort } = require('node:worker_threads')
const { wrongType } = require('./errors.js')
const { NodeRuntime } = require('./runtime.js')

parentPort.once('message', async ({ port, id, url, options }) => {
  let runtime
  let handler
  const failed = (thrown) => {
    const { name, code, message, stack } = thrown instanceof Error ? thrown : new Error(thrown)
    port.postMessage({ error: { name, code, message, stack } })
  }
  const spawn = () => {
    try {
      const { capacity } = options
      const pid =
        capacity === undefined
          ? runtime.spawn(handler, options)
          : runtime.spawnBounded(handler, options)
      port.postMessage({ pid })
    } catch (error) {
      failed(error)
    }
  }
  // It listens from the beginning: that keeps the thread, whoever began it ends it.
  port.on('message', async (what) => {
    if (what === 'spawn') {
      spawn()
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
  spawn()
})
