// Load shedding: by every way that a message can come, and every way to spawn; system messages excepted.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred, eventually, runtime as made, quiet, rejects, throws } from './support.mjs'

const FULL = 'ERR_IRIS_AT_CAPACITY'
const runtime = (t) => made(t).ref()

test('at the message capacity every send is refused and counted, system messages are not', async (t) => {
  const rt = runtime(t)
  const gate = deferred()
  let ctx
  rt.send(
    rt.spawn((_m, c) => {
      ctx = c
    }),
    'x',
  )
  const pid = rt.spawn(() => gate.promise)
  const probe = rt.spawnWithPathObserved(100, '/probe')
  rt.register('full', pid)
  rt.send(pid, 'first')
  await eventually(() => rt.getMetrics().inFlight === 1 && ctx !== undefined)
  rt.setMessageCapacity(2)
  rt.sendMany(pid, ['a', 'b'])
  assert.equal(rt.isLoadSheddingActive(), false)
  rt.setLoadShedding(true)
  assert.equal(rt.isLoadSheddingActive(), true)
  assert.equal(rt.send(pid, 'x'), false)
  assert.equal(rt.sendMany(pid, ['x', 'y']), 0)
  assert.equal(rt.sendNamed('full', 'x'), false)
  assert.deepEqual(rt.sendWithBackpressure(pid, 'x'), [false, 'NORMAL'])
  assert.equal(ctx.send(pid, 'x'), false)
  assert.equal(rt.sendBuffer(pid, rt.allocateBuffer(1).id), false)
  assert.equal(await rt.sendAsync(pid, 'x'), false)
  await rejects(rt.call(pid, 'x'), FULL)
  await rejects(ctx.call(pid, 'x'), FULL)
  rt.sendAfter(pid, 0, 'x')
  await eventually(() => rt.getMetrics().refused.shed === 11)
  const target = rt.spawn(() => {})
  rt.monitor(target, probe)
  rt.kill(target)
  await eventually(() => rt.getMessages(probe).some((m) => m.typeName === 'DOWN'))
  rt.setMessageCapacity(null)
  assert.equal(rt.isLoadSheddingActive(), false)
  assert.equal(rt.send(pid, 'x'), true)
  gate.resolve()
  await quiet(rt)
})

test('at the system capacity every spawn is refused, and nothing is spawned', (t) => {
  const rt = runtime(t)
  const pid = rt.spawn(() => {})
  rt.setSystemCapacity(1)
  rt.setLoadShedding(true)
  const spawns = [
    () => rt.spawn(() => {}),
    () => rt.spawnBounded(() => {}, { capacity: 1 }),
    () => rt.spawnVirtual(() => {}),
    () => rt.spawnWithMailbox(() => {}),
    () => rt.spawnWithPathObserved(1, '/probe'),
    () => rt.spawnChild(pid, () => {}),
    () => rt.spawnChildWithMailbox(pid, () => {}),
    () => rt.spawnChildPool(pid, () => {}, 2),
  ]
  for (const spawn of spawns) throws(spawn, FULL)
  assert.deepEqual(rt.listActors(), [pid])
  assert.equal(rt.send(pid, 'x'), true, 'messages have a capacity of their own')
  rt.setLoadShedding(false)
  assert.equal(rt.isAlive(rt.spawn(() => {})), true)
})
