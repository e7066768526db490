// Clusters, from Node: members find each other and each other's names, and hear of who comes and goes.

import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { deferred, eventually, rejects, runtime } from './support.mjs'

const LOCAL = '127.0.0.1:0'
const fast = { gossipMs: 50, timeoutMs: 30_000 }
const wide = { scope: 'cluster' }

async function member(t, seeds = []) {
  const rt = runtime(t)
  rt.configureMesh({ heartbeatMs: 50, downAfterMs: 10_000, resumeWindowMs: 300 })
  const address = await rt.listen(LOCAL)
  await rt.joinCluster(seeds, fast)
  return { rt, address }
}

test('members find each other through one seed, and names on any of them', async (t) => {
  const { rt: a, address } = await member(t)
  const { rt: b } = await member(t, [address])
  const { rt: c } = await member(t, [address])
  for (const rt of [a, b, c]) await eventually(() => rt.nodes().length === 2)
  const pid = b.spawn((msg) => `b: ${msg}`)
  b.register('it', pid, wide)
  assert.equal(b.whereis('it'), pid)
  for (const rt of [a, c]) {
    await eventually(() => rt.whereis('it') !== null)
    const proxy = rt.whereis('it')
    assert.equal(rt.whereis('it'), proxy)
    assert.equal((await rt.call(proxy, 'x')).toString(), 'b: x')
    assert.equal(rt.sendNamed('it', 'y'), true)
    const mine = rt.spawn(() => {})
    assert.throws(() => rt.register('it', mine, wide), { code: 'ERR_IRIS_NAME_TAKEN' })
    assert.equal(rt.actorInfo(mine).names.length, 0)
    assert.throws(() => rt.register('other', proxy, wide), { code: 'ERR_IRIS_NOT_LOCAL' })
  }
  assert.equal(b.unregister('it'), true)
  for (const rt of [a, b, c]) await eventually(() => rt.whereis('it') === null)
  assert.equal(b.isAlive(pid), true)
})

test('a name without a scope stays on its node', async (t) => {
  const { rt: a, address } = await member(t)
  const { rt: b } = await member(t, [address])
  const pid = a.spawn(() => {})
  a.register('local', pid)
  a.register('mine', pid, { scope: 'local' })
  a.register('wide', pid, wide)
  await eventually(() => b.whereis('wide') !== null)
  assert.equal(b.whereis('local'), null)
  assert.equal(b.whereis('mine'), null)
})

test('nodes that come and go are told to hooks and channels', async (t) => {
  const [up, down, told] = [deferred(), deferred(), []]
  const { rt: a, address } = await member(t)
  const listener = ({ runtime, reason }) => {
    if (runtime === a) told.push(reason ?? 'up')
  }
  for (const name of ['iris:nodeup', 'iris:nodedown']) {
    channel(name).subscribe(listener)
    t.after(() => channel(name).unsubscribe(listener))
  }
  a.onNodeUp((node) => up.resolve(node))
  a.onNodeDown((node) => down.resolve(node))
  const { rt: b } = await member(t, [address])
  const { id } = await up.promise
  assert.equal(a.nodes()[0].id, id)
  b.register(
    'it',
    b.spawn(() => {}),
    wide,
  )
  await eventually(() => a.whereis('it') !== null)
  await b.close()
  const gone = await down.promise
  assert.deepEqual([gone.id, gone.reason], [id, 'disconnected'])
  await eventually(() => a.whereis('it') === null)
  a.register(
    'it',
    a.spawn(() => {}),
    wide,
  )
  assert.deepEqual(told, ['up', 'disconnected'])
  a.onNodeUp(null)
  a.onNodeDown(undefined)
})

test('of two that took a name at the same time one keeps it', async (t) => {
  const { rt: a, address } = await member(t)
  const b = runtime(t)
  await b.listen(LOCAL)
  const older = a.spawn(() => {})
  a.register('it', older, wide)
  const since = Date.now()
  await eventually(() => Date.now() > since)
  const younger = b.spawn(() => {})
  b.register('it', younger, wide)
  const end = b.join(younger)
  await b.joinCluster([address], fast)
  assert.equal((await end).reason, 'name_conflict')
  await eventually(() => b.whereis('it') !== null)
  assert.equal(b.isRemote(b.whereis('it')), true)
  assert.equal(a.whereis('it'), older)
})

test('a join that reaches nobody rejects', async (t) => {
  const rt = runtime(t)
  const gone = runtime(t)
  const address = await gone.listen(LOCAL)
  await rejects(rt.joinCluster([address], { timeoutMs: 200 }), 'ERR_IRIS_TIMEOUT')
  await gone.close()
  await assert.rejects(rt.joinCluster([address], { timeoutMs: 1000 }), {
    code: /UNREACHABLE|TIMEOUT/,
  })
})

test('a call that is given up is cancelled where it would be answered', async (t) => {
  const [a, b] = [runtime(t), runtime(t)]
  const [began, go, seen] = [deferred(), deferred(), []]
  const pid = b.spawn(async (msg) => {
    seen.push(msg.toString())
    if (seen.length === 1) {
      began.resolve()
      await go.promise
    }
    return msg
  })
  b.register('it', pid)
  const proxy = await a.resolveRemote(await b.listen(LOCAL), 'it')
  const first = a.call(proxy, 'first', { timeoutMs: 60_000 })
  await began.promise
  const abort = new AbortController()
  const second = a.call(proxy, 'second', { timeoutMs: 60_000, signal: abort.signal })
  await eventually(() => b.getMetrics().openCalls === 2)
  abort.abort()
  await rejects(second, 'ERR_IRIS_ABORTED')
  await eventually(() => b.getMetrics().openCalls === 1)
  go.resolve()
  assert.equal((await first).toString(), 'first')
  assert.equal((await a.call(proxy, 'third')).toString(), 'third')
  assert.deepEqual(seen, ['first', 'third'])
})
