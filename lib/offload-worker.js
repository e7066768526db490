'use strict'

// What a Worker of an offloaded function runs.

const { parentPort, workerData } = require('node:worker_threads')

const { source, url } = workerData

/** The function. Its source sees globals and `require`, nothing of where it was written. */
const loaded = (async () => {
  if (source !== undefined) return new Function('require', `return (${source})`)(require)
  const { default: fn } = await import(url)
  if (typeof fn !== 'function') throw new TypeError(`the default export of ${url} is no function`)
  return fn
})()
// Whoever calls hears of it.
loaded.catch(() => {})

const told = (thrown) => {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', message: `thrown: ${String(thrown)}`, stack: '', fields: {} }
  }
  const { name, message, stack } = thrown
  const unbound = thrown instanceof ReferenceError && source !== undefined
  const hint = unbound
    ? ' (an offloaded function sees nothing of where it was written: pass it as an argument, or offload a module)'
    : ''
  const fields = {}
  for (const [key, value] of Object.entries(thrown)) {
    if (['string', 'number', 'boolean'].includes(typeof value)) fields[key] = value
  }
  return { name: String(name), message: `${message}${hint}`, stack: String(stack), fields }
}

parentPort.on('message', async (args) => {
  try {
    const value = await (await loaded)(...args)
    parentPort.postMessage({ value })
  } catch (error) {
    parentPort.postMessage({ error: told(error) })
  }
})
