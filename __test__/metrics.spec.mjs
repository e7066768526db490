import assert from 'node:assert/strict'
import test from 'node:test'
import { NodeRuntime } from '../index.mjs'

/** The value of one line of an exposition. */
function numberOf(text, metric) {
  const line = text.split('\n').find((l) => l.startsWith(`${metric} `))
  assert.ok(line, `${metric} is missing in\n${text}`)
  return Number(line.slice(metric.length + 1))
}

test('prometheus() shows the numbers of getMetrics()', async () => {
  const rt = new NodeRuntime()
  const pid = rt.spawn(() => {})
  for (let i = 0; i < 10; i++) rt.send(pid, 'x')
  rt.send(12345, 'nobody')
  await rt.call(pid, 'the last')

  const text = rt.prometheus()
  const metrics = rt.getMetrics()
  assert.equal(numberOf(text, 'iris_messages_handled_total'), 11)
  assert.equal(numberOf(text, 'iris_messages_attempted_total'), metrics.attempted)
  const refused = Object.entries(metrics.refused)
  assert.equal(
    refused.reduce((sum, [, n]) => sum + n, 0),
    1,
  )
  for (const [reason, n] of refused) {
    assert.equal(numberOf(text, `iris_messages_refused_total{reason="${reason}"}`), n)
  }
  assert.equal(numberOf(text, 'iris_actors'), 1)
  await rt.close()
  assert.throws(() => rt.prometheus(), { code: 'ERR_IRIS_RUNTIME_CLOSED' })
})

test('a lane counts its turns and how long it held the loop', async () => {
  const rt = new NodeRuntime()
  const busy = rt.spawn(() => {
    const until = performance.now() + 3
    while (performance.now() < until);
  })
  await rt.call(busy, 'work')

  const [lane, ...others] = rt.getMetrics().lanes
  assert.deepEqual(others, [])
  assert.deepEqual([lane.lane, lane.host, lane.turns], [1, 'node', 1])
  assert.ok(lane.busyMs >= 3 && lane.longestHoldMs >= 3, JSON.stringify(lane))
  const text = rt.prometheus()
  assert.ok(numberOf(text, 'iris_lane_hold_seconds_count{lane="1",host="node"}') >= 1)
  assert.ok(numberOf(text, 'iris_lane_hold_seconds_sum{lane="1",host="node"}') >= 0.003)
  await rt.close()
})

test('actorInfo tells lane, kin, restarts and health', async () => {
  const rt = new NodeRuntime({ logger: null })
  const parent = rt.spawn(() => {})
  const child = rt.spawnChild(parent, () => {})
  const [above, below] = [rt.actorInfo(parent), rt.actorInfo(child)]
  assert.deepEqual(above.lane, { lane: 1, host: 'node' })
  assert.deepEqual([above.parent, above.children], [null, [child]])
  assert.deepEqual([below.parent, below.children], [parent, []])
  assert.deepEqual([above.health, above.restarts], ['healthy', 0])

  rt.setActorHealth(parent, 'degraded')
  assert.equal(rt.actorInfo(parent).health, 'degraded')
  assert.throws(() => rt.setActorHealth(parent, 'ill'), { code: 'ERR_IRIS_INVALID_ARGUMENT' })
  rt.stop(parent)
  await rt.join(parent)
  assert.throws(() => rt.setActorHealth(parent, 'healthy'), { code: 'ERR_IRIS_NO_SUCH_ACTOR' })
  await rt.close()
})

test('supervisionTree() shows supervisors, children and restarts', async () => {
  const rt = new NodeRuntime({ logger: null })
  const start = () =>
    rt.spawn((msg) => {
      if (msg.toString() === 'die') throw new Error('as asked')
      return 'alive'
    })
  rt.supervise('/svc', [{ id: 'one', start }], { strategy: 'restforone', maxRestarts: 7 })
  const seen = () => rt.supervisionTree().find((s) => s.path === '/svc')
  const [before] = seen().children
  const restarted = new Promise((resolve) => rt.onRestart(resolve))
  rt.send(before.pid, 'die')
  const { pid } = await restarted

  const sup = seen()
  assert.deepEqual(sup, {
    path: '/svc',
    strategy: 'restforone',
    maxRestarts: 7,
    withinMs: 5000,
    children: [{ id: 'one', pid, restart: 'permanent', restarts: 1, hasFactory: true }],
  })
  assert.equal(rt.actorInfo(pid).restarts, 1)
  await rt.close()
})
