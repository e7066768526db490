// What the specs share. Tests wait for events; `eventually` is for states that no event announces, and asserts no duration.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { NodeRuntime } from '../index.mjs'

export { turn }

export const root = fileURLToPath(new URL('..', import.meta.url))
export const index = new URL('../index.mjs', import.meta.url).href

/** A runtime for one test: silent, and closed when the test is over. */
export function runtime(t, options = {}) {
  const rt = new NodeRuntime({ logger: null, ...options })
  t.after(() => rt.close({ timeoutMs: 0 }))
  return rt
}

/** A promise and the functions that settle it. */
export function deferred() {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

/** Resolves as soon as `condition` holds, looking once a turn of the event loop. */
export async function eventually(condition) {
  while (!(await condition())) await turn()
}

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0)

/** Both sums of the contract. */
export function assertBalanced(metrics) {
  const { attempted, accepted, refused, handled, inFlight, queued, expired, dead } = metrics
  const { forwarded, dropped, parked } = metrics
  const shown = JSON.stringify(metrics)
  assert.equal(attempted, accepted + sum(refused), shown)
  const gone = expired + forwarded + sum(dropped) + sum(dead)
  assert.equal(accepted, handled + inFlight + queued + parked + gone, shown)
  assert.equal(metrics.spawned, metrics.actors + sum(metrics.exited), shown)
}

/** Waits until nothing is queued or in flight; answers the books then. */
export async function quiet(rt) {
  let metrics
  await eventually(() => {
    metrics = rt.getMetrics()
    return metrics.queued + metrics.inFlight + metrics.parked === 0
  })
  assertBalanced(metrics)
  return metrics
}

/** Runs an ES module in a process of its own; `NodeRuntime` is imported. */
export function run(code, { args = [], env = {}, onStdout } = {}) {
  const source = `import { NodeRuntime } from ${JSON.stringify(index)};${code}`
  const child = spawn(process.execPath, [...args, '--input-type=module', '-e', source], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      out[name] += text
      if (name === 'stdout') onStdout?.(out.stdout, child)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exit, signal) => resolve({ exit, signal, ...out }))
  })
}

/** `assert.rejects` for an error of iris. */
export const rejects = (promise, code) => assert.rejects(promise, { code })

/** `assert.throws` for an error of iris. */
export const throws = (f, code) => assert.throws(f, { code })
