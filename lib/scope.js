'use strict'

// Async context: a handler runs in the AsyncLocalStorage context of its spawn, and the dispatch loop in none.

const { AsyncResource, AsyncLocalStorage, executionAsyncResource } = require('node:async_hooks')

const root = new AsyncResource('iris')

/** Runs `f` outside of any AsyncLocalStorage context of the caller. */
const inRoot = (f) => root.runInAsyncScope(f)

// From Node 24 on the stores live in a frame of V8's; before that they are symbols on the execution resource.
const FRAMES = Number.parseInt(process.versions.node, 10) >= 24

/** The keys of the stores on an execution resource. */
const storesOn = (resource) =>
  Object.getOwnPropertySymbols(resource).filter(
    ({ description }) => description === 'kResourceStore',
  )

// Whoever loads iris first may do so inside of a context.
for (const key of storesOn(root)) root[key] = undefined

function hasStore() {
  if (FRAMES) return true
  const resource = executionAsyncResource()
  return storesOn(resource).some((key) => resource[key] !== undefined)
}

/** What runs functions in the caller's AsyncLocalStorage context; `undefined`: it has none. */
const callersContext = () => (hasStore() ? AsyncLocalStorage.snapshot() : undefined)

/** `handler`, bound to a context of `callersContext`. */
const bindTo = (run, handler) =>
  run === undefined ? handler : (message, ctx) => run(handler, message, ctx)

module.exports = { inRoot, callersContext, bindTo }
