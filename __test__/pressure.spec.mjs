// onPressure: every change of a mailbox's level, and nothing else.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { deferred, eventually, index, quiet, runtime } from './support.mjs'

/** A runtime that keeps the levels it was told of. */
function watched(t, options) {
  const told = []
  const rt = runtime(t, { onPressure: (pid, level) => void told.push([pid, level]), ...options })
  return { rt, told, levels: () => told.splice(0).map(([, level]) => level) }
}

describe('onPressure', () => {
  test('hears of HIGH, CRITICAL and NORMAL of a bounded mailbox, once each', async (t) => {
    const { rt, told } = watched(t)
    const pid = rt.spawnBounded(() => {}, { capacity: 10 })
    for (let i = 0; i < 12; i++) rt.send(pid, 'x')
    assert.deepEqual(told, [], 'never inside of send')
    await quiet(rt)
    await eventually(() => told.length === 3)
    assert.deepEqual(told, [
      [pid, 'HIGH'],
      [pid, 'CRITICAL'],
      [pid, 'NORMAL'],
    ])
  })

  test('hears nothing below the marks', async (t) => {
    const { rt, told } = watched(t)
    const pid = rt.spawnBounded(() => {}, { capacity: 10 })
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 4; i++) rt.send(pid, 'x')
      await quiet(rt)
    }
    assert.deepEqual(told, [])
  })

  test('hears of unbounded ones by the watermarks, also when those are moved', async (t) => {
    const { rt, levels } = watched(t)
    const gate = deferred()
    const pid = rt.spawn(() => gate.promise)
    rt.setWatermarks(3, 5)
    for (let i = 0; i < 5; i++) rt.send(pid, 'x')
    await eventually(() => rt.mailboxSize(pid) === 4)
    await eventually(() => rt.mailboxBackpressure(pid) === 'HIGH')
    const seen = levels()
    assert.equal(seen.at(-1), 'HIGH')
    rt.setWatermarks(100, 200)
    await eventually(() => levels().at(-1) === 'NORMAL')
    gate.resolve()
    await quiet(rt)
  })

  const ways = {
    send: (rt, pid) => rt.send(pid, 'x'),
    sendMany: (rt, pid) => rt.sendMany(pid, ['x', 'x', 'x', 'x']),
    sendNamed: (rt) => rt.sendNamed('full', 'x'),
    sendAsync: (rt, pid) => rt.sendAsync(pid, 'x'),
    sendWithBackpressure: (rt, pid) => rt.sendWithBackpressure(pid, 'x'),
    call: (rt, pid) => rt.call(pid, 'x').catch(() => {}),
    sendAfter: (rt, pid) => rt.sendAfter(pid, 0, 'x'),
  }
  for (const [name, way] of Object.entries(ways)) {
    test(`watches ${name}`, async (t) => {
      const { rt, told, levels } = watched(t)
      const gate = deferred()
      const pid = rt.spawnBounded(() => gate.promise, { capacity: 4 })
      rt.register('full', pid)
      rt.send(pid, 'first')
      await eventually(() => rt.getMetrics().inFlight === 1)
      for (let i = 0; i < 4; i++) way(rt, pid)
      await eventually(() => told.length === 2)
      assert.deepEqual(levels(), ['HIGH', 'CRITICAL'])
      gate.resolve()
      await quiet(rt)
      await eventually(() => told.at(-1)?.[1] === 'NORMAL')
      assert.deepEqual(levels(), ['HIGH', 'NORMAL'])
    })
  }

  test('can be set late, hears then of what is full, and can be taken away', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const pid = rt.spawnBounded(() => gate.promise, { capacity: 2 })
    rt.sendMany(pid, ['x', 'x', 'x'])
    await eventually(() => rt.getMetrics().inFlight === 1)
    rt.sendMany(pid, ['x', 'x', 'x'])
    const told = []
    rt.onPressure((...news) => void told.push(news))
    await eventually(() => told.length === 1)
    assert.deepEqual(told, [[pid, 'CRITICAL']])
    rt.onPressure(null)
    gate.resolve()
    await quiet(rt)
    assert.equal(told.length, 1)
  })

  test('that throws, rejects or sends does no harm', async (t) => {
    const errors = []
    const other = []
    const rt = runtime(t, { logger: { error: (text) => void errors.push(text) } })
    const sink = rt.spawn((m) => void other.push(`${m}`))
    let n = 0
    rt.onPressure((_pid, level) => {
      rt.send(sink, level)
      if (n++ === 0) throw new Error('thrown')
      return n === 2 ? Promise.reject(new Error('rejected')) : undefined
    })
    const pid = rt.spawnBounded(() => {}, { capacity: 2 })
    rt.sendMany(pid, ['x', 'x'])
    await eventually(() => other.length === 3)
    assert.deepEqual(other, ['HIGH', 'CRITICAL', 'NORMAL'])
    await eventually(() => errors.length === 2)
    assert.match(errors[0], /onPressure hook failed: .*thrown/)
    assert.match(errors[1], /rejected/)
  })

  test('gives the loop back when thousands of levels change at once', async (t) => {
    let told = 0
    const busy = () => {
      told++
      const end = performance.now() + 0.05
      while (performance.now() < end);
    }
    const rt = runtime(t, { timeSliceMs: 1, onPressure: busy })
    const pids = Array.from({ length: 300 }, () => rt.spawnBounded(() => {}, { capacity: 1 }))
    for (const pid of pids) rt.send(pid, 'x')
    await eventually(() => told === 600)
    assert.ok(rt.getMetrics().loop.yields > 0)
  })

  test('hears of mailboxes of other threads of the runtime', async (t) => {
    const { rt, told } = watched(t)
    const worker = new Worker(
      `const { workerData, parentPort } = require('node:worker_threads')
       import(workerData.index).then(({ NodeRuntime }) => {
         const rt = NodeRuntime.attach(workerData.id).ref()
         parentPort.postMessage(rt.spawnBounded(() => {}, { capacity: 2 }))
       })`,
      { eval: true, workerData: { index, id: rt.id } },
    )
    const pid = await new Promise((resolve) => worker.once('message', resolve))
    rt.sendMany(pid, ['x', 'x'])
    await eventually(() => told.at(-1)?.[1] === 'NORMAL')
    assert.equal(told[0][0], pid)
    await worker.terminate()
  })
})
