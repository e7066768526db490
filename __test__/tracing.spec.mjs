import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import test from 'node:test'
import { NodeRuntime } from '../index.mjs'

/** Collects what a channel publishes until `count` events have come. */
function collect(name, count) {
  const got = []
  const done = Promise.withResolvers?.() ?? {}
  const promise =
    done.promise ??
    new Promise((resolve) => {
      done.resolve = resolve
    })
  const listener = (event) => {
    got.push(event)
    if (got.length === count) done.resolve(got)
  }
  subscribe(name, listener)
  return { got, promise, stop: () => unsubscribe(name, listener) }
}

test('channels tell of spawns and exits, also to who subscribes late', async () => {
  const rt = new NodeRuntime({ logger: null })
  const before = rt.spawn(() => {})
  const spawns = collect('iris:spawn', 2)
  const exits = collect('iris:exit', 2)
  const parent = rt.spawn(() => {
    throw new RangeError('too far')
  })
  const child = rt.spawnChild(parent, () => {})
  rt.send(parent, 'go')

  assert.deepEqual(
    (await spawns.promise).map(({ runtime, ...e }) => [runtime === rt, e]),
    [
      [true, { pid: parent, parent: null }],
      [true, { pid: child, parent }],
    ],
  )
  const [first, second] = await exits.promise
  assert.deepEqual([first.pid, first.reason], [child, 'parent_exit'])
  assert.deepEqual([second.pid, second.reason], [parent, 'crash'])
  assert.match(second.message, /too far/)
  assert.match(second.stack, /tracing\.spec/)
  spawns.stop()
  exits.stop()
  rt.stop(before)
  await rt.join(before)
  assert.equal(exits.got.length, 2, 'nobody listens any more')
  await rt.close()
})

test('a restart is told by its channel', async () => {
  const restarts = collect('iris:restart', 1)
  const rt = new NodeRuntime({ logger: null })
  const start = () =>
    rt.spawn((msg) => {
      if (msg.toString() === 'die') throw new Error('as asked')
    })
  const pid = start()
  rt.pathSuperviseWithFactory('/svc/one', pid, start, 'restartone')
  rt.send(pid, 'die')
  const [event] = await restarts.promise
  assert.deepEqual(
    [event.runtime, event.event, event.path, event.oldPid, event.reason],
    [rt, 'restarted', '/svc/one', pid, 'crash'],
  )
  restarts.stop()
  await rt.close()
})

test('dead letters go to the hook and the channel, with their bytes', async () => {
  const rt = new NodeRuntime({ logger: null })
  const channel = collect('iris:deadletter', 3)
  const letters = []
  rt.onDeadLetter((letter) => {
    letters.push(letter)
    throw new Error('a hook that throws ends nothing')
  })
  const pid = rt.spawn(() => {
    throw new Error('no')
  })
  rt.send(pid, 'first')
  rt.send(pid, 'second')
  const call = rt.call(pid, 'third')
  await assert.rejects(call, { code: 'ERR_IRIS_ACTOR_EXITED' })
  await channel.promise
  const seen = letters.map((l) => [l.pid, l.reason, l.data?.toString() ?? null, l.isCall])
  assert.deepEqual(seen, [
    [pid, 'crash', null, false],
    [pid, 'crash', 'second', false],
    [pid, 'crash', 'third', true],
  ])
  assert.equal(rt.getMetrics().dead.crash, 3)
  rt.onDeadLetter(null)
  channel.stop()
  assert.equal(rt.send(pid, 'refused'), false)
  await rt.close()
})
