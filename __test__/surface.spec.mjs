// index.d.ts and what is there: the same names, no more and no fewer.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as esm from '../index.mjs'
import { deferred, root, runtime } from './support.mjs'

const types = readFileSync(join(root, 'index.d.ts'), 'utf8')

/** Names that stand one level deep in an interface or a class of index.d.ts. */
function members(name) {
  const body = new RegExp(`^export (?:interface|class) ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(
    types,
  )
  const names = body[1].matchAll(/^ {2}(?:readonly )?(\[Symbol\.\w+\]|\w+)\??[(:<]/gm)
  return [...new Set(Array.from(names, ([, member]) => member))].sort()
}

const namesOf = (object) =>
  Reflect.ownKeys(object)
    .map((key) =>
      typeof key === 'symbol' ? `[${key.description.replace(/^nodejs\./, 'Symbol.')}]` : key,
    )
    .sort()

test('the module exports what is declared', () => {
  const values = types.matchAll(/^export (?:class|const|function) (\w+)/gm)
  // Overloads are declared more than once.
  const declared = new Set(Array.from(values, ([, name]) => name))
  assert.deepEqual([...declared, 'default'].sort(), Object.keys(esm).sort())
})

test('NodeRuntime has the calls that are declared', () => {
  assert.deepEqual(members('NodeRuntime'), namesOf(esm.NodeRuntime.prototype))
})

test('getMetrics, actorInfo, join and onCrash answer what is declared', async (t) => {
  const report = deferred()
  const rt = runtime(t, { onCrash: report.resolve })
  const pid = rt.spawn(() => {
    throw new Error('boom')
  })
  const metrics = rt.getMetrics()
  assert.deepEqual(members('Metrics'), namesOf(metrics))
  assert.deepEqual(members('ActorInfo'), namesOf(rt.actorInfo(pid)))
  rt.send(pid, '')
  assert.deepEqual(members('ExitInfo'), namesOf(await rt.join(pid)))
  assert.deepEqual(members('CrashReport'), namesOf(await report.promise))
  const reasons = /export type ExitReason =(.*?)\n\n/s.exec(types)[1].matchAll(/\| '(\w+)'/g)
  assert.deepEqual(Array.from(reasons, ([, reason]) => reason).sort(), namesOf(metrics.exited))
  for (const group of ['refused', 'dropped', 'loop']) {
    const body = new RegExp(`^ {2}${group}: \\{\\n(.*?)^ {2}\\}`, 'ms').exec(types)[1]
    const names = Array.from(body.matchAll(/^ {4}(\w+):/gm), ([, name]) => name)
    assert.deepEqual(names.sort(), namesOf(metrics[group]), group)
  }
})

test('a Context has what is declared', async (t) => {
  const rt = runtime(t)
  const names = deferred()
  rt.send(
    rt.spawn((_message, ctx) => {
      const known = namesOf(Object.getPrototypeOf(ctx))
      names.resolve(known.filter((name) => !/^_|^constructor$|toStringTag/.test(name)))
    }),
    '',
  )
  assert.deepEqual(members('Context'), await names.promise)
})
