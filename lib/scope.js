'use strict'

// Async context: a handler runs in the AsyncLocalStorage context of its spawn, and the dispatch loop in none.

const { AsyncResource, AsyncLocalStorage, executionAsyncResource } = require('node:async_hooks')

const root = new AsyncResource('iris')

/** Runs `f` outside of any AsyncLocalStorage context of the caller. */
const inRoot = (f) => root.runInAsyncScope(f)

// From Node 24 on the stores live in a frame of V8's; before that they are symbols on the execution resource.
const FRAMES = Number.parseInt(process.versions.node, 10) >= 24

/** Whether a symbol is the key of a store, for those that were seen; the description of one is slow to get. */
const seen = new Map()

function isStore(symbol) {
  const known = seen.get(symbol)
  if (known !== undefined) return known
  const is = symbol.description === 'kResourceStore'
  // Each store has a key of its own: who makes many is not kept in memory by us.
  if (seen.size >= 64) seen.clear()
  seen.set(symbol, is)
  return is
}

/** The keys of the stores on an execution resource. */
const storesOn = (resource) => Object.getOwnPropertySymbols(resource).filter(isStore)

// Whoever loads iris first may do so inside of a context.
for (const key of storesOn(root)) root[key] = undefined

function hasStore() {
  if (FRAMES) return true
  const resource = executionAsyncResource()
  for (const key of Object.getOwnPropertySymbols(resource)) {
    if (isStore(key) && resource[key] !== undefined) return true
  }
  return false
}

/** What runs functions in the caller's AsyncLocalStorage context; `undefined`: it has none. */
const callersContext = () => (hasStore() ? AsyncLocalStorage.snapshot() : undefined)

/** `handler`, bound to a context of `callersContext`. */
const bindTo = (run, handler) =>
  run === undefined ? handler : (message, ctx) => run(handler, message, ctx)

module.exports = { inRoot, callersContext, bindTo }
