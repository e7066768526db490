// Observed actors: they keep what they get until somebody asks for it.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assertBalanced, eventually, runtime as made, quiet, rejects, throws } from './support.mjs'

const runtime = (t, options) => made(t, options).ref()
const texts = (messages) => messages.map(String)

describe('spawnWithPathObserved', () => {
  test('keeps messages until getMessages drains them', (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(10, '/probe/one')
    assert.equal(rt.whereisPath('/probe/one'), pid)
    assert.equal(rt.actorInfo(pid).budget, 10)
    assert.deepEqual(rt.getMessages(pid), [])
    rt.sendMany(pid, ['a', 'b', 'c'])
    assert.equal(rt.mailboxSize(pid), 3)
    assert.deepEqual(texts(rt.getMessages(pid)), ['a', 'b', 'c'])
    assert.deepEqual(rt.getMessages(pid), [])
    assert.equal(rt.getMetrics().handled, 3)
  })

  test('takes an options object', (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved({ path: '/probe', capacity: 2 })
    rt.setOverflowPolicy(pid, 'dropold')
    rt.sendMany(pid, ['a', 'b', 'c'])
    assert.deepEqual(texts(rt.getMessages(pid)), ['b', 'c'])
    assertBalanced(rt.getMetrics())
  })

  test('keeps system messages and calls too', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    const target = rt.spawn(() => {})
    rt.monitor(target, pid)
    const reply = rt.call(pid, 'question')
    rt.kill(target)
    await eventually(() => rt.getMetrics().exited.killed === 1)
    const kept = []
    await eventually(() => kept.push(...rt.getMessages(pid)) === 2)
    const call = kept.find((m) => m.reply !== undefined)
    const down = kept.find((m) => m.typeName === 'DOWN')
    assert.equal(down.reason, 'killed')
    assert.equal(down.fromPid, target)
    call.reply(`${call.data}!`)
    assert.equal(String(await reply), 'question!')
  })

  test('refuses bad and taken paths, and spawns nothing then', (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    throws(() => rt.spawnWithPathObserved(100, '/probe'), 'ERR_IRIS_NAME_TAKEN')
    throws(() => rt.spawnWithPathObserved(100, 'probe'), 'ERR_IRIS_INVALID_PATH')
    throws(() => rt.spawnWithPathObserved(0, '/other'), 'ERR_IRIS_INVALID_ARGUMENT')
    assert.deepEqual(rt.listActors(), [pid])
    assert.equal(rt.getMetrics().spawned, 1)
  })

  test('ends at once when it is stopped, and its path is free again', async (t) => {
    const rt = runtime(t)
    for (const end of ['stop', 'kill']) {
      const pid = rt.spawnWithPathObserved(100, '/probe')
      rt.send(pid, 'kept')
      assert.equal(rt[end](pid), true)
      assert.equal((await rt.join(pid)).reason, end === 'stop' ? 'shutdown' : 'killed')
      assert.equal(rt.whereisPath('/probe'), null)
      throws(() => rt.getMessages(pid), 'ERR_IRIS_NO_SUCH_ACTOR')
      await rejects(
        rt.selectiveRecv(pid, () => true),
        'ERR_IRIS_NO_SUCH_ACTOR',
      )
    }
    const metrics = await quiet(rt)
    assert.deepEqual([metrics.dead.shutdown, metrics.dead.killed], [1, 1])
  })

  test('with drain it ends when its messages were fetched', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    rt.sendMany(pid, ['a', 'b'])
    rt.stop(pid, { drain: true })
    assert.deepEqual(texts(rt.getMessages(pid)), ['a', 'b'])
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    await quiet(rt)
  })

  test('does not hold up close', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    const wait = rt.selectiveRecv(pid, () => true)
    await rt.close()
    assert.equal(await wait, null)
  })

  test('is for observed actors of this thread', async (t) => {
    const rt = runtime(t)
    for (const pid of [rt.spawn(() => {}), rt.spawnWithMailbox((box) => box.recv())]) {
      throws(() => rt.getMessages(pid), 'ERR_IRIS_NOT_LOCAL')
      await rejects(
        rt.selectiveRecv(pid, () => true),
        'ERR_IRIS_NOT_LOCAL',
      )
    }
  })
})

describe('selectiveRecv of an observed actor', () => {
  test('takes what the matcher likes; the others keep place and order', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    rt.sendMany(pid, ['a', 'b', 'c', 'd'])
    assert.equal(String(await rt.selectiveRecv(pid, (m) => String(m) === 'c')), 'c')
    assert.deepEqual(texts(rt.getMessages(pid)), ['a', 'b', 'd'])
  })

  test('waits, and several may wait at once', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    const is = (what) => (m) => String(m) === what
    const waits = ['x', 'y', 'z'].map((what) => rt.selectiveRecv(pid, is(what)))
    rt.sendMany(pid, ['noise', 'z', 'y', 'noise', 'x'])
    assert.deepEqual(texts(await Promise.all(waits)), ['x', 'y', 'z'])
    assert.deepEqual(texts(rt.getMessages(pid)), ['noise', 'noise'])
  })

  test('never shows a matcher again what it has refused', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    const seen = []
    const matcher = (m) => seen.push(String(m)) < 0 || String(m) === 'yes'
    rt.sendMany(pid, Array(1000).fill('no'))
    for (let i = 0; i < 3; i++) assert.equal(await rt.selectiveRecv(pid, matcher, 0), null)
    rt.sendMany(pid, ['yes', 'later'])
    assert.equal(String(await rt.selectiveRecv(pid, matcher)), 'yes')
    assert.equal(seen.length, 1001)
  })

  test('rejects with what the matcher throws, and the message stays', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    rt.send(pid, 'a')
    const own = new RangeError('matcher')
    await assert.rejects(
      rt.selectiveRecv(pid, () => {
        throw own
      }),
      (error) => error === own,
    )
    await rejects(
      rt.selectiveRecv(pid, async () => true),
      'ERR_IRIS_INVALID_ARGUMENT',
    )
    assert.deepEqual(texts(rt.getMessages(pid)), ['a'])
  })

  test('refuses what is no matcher or no wait', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    for (const wrong of [undefined, null, 1, 'f', {}]) {
      await rejects(rt.selectiveRecv(pid, wrong), 'ERR_IRIS_INVALID_TYPE')
    }
    for (const wait of [-1, Number.NaN, { timeoutMs: -1 }, { timeout: 1 }]) {
      await rejects(
        rt.selectiveRecv(pid, () => true, wait),
        'ERR_IRIS_INVALID_ARGUMENT',
      )
    }
  })

  test('ends with its timeout, its signal, or the actor', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    rt.send(pid, 'a')
    const never = () => false
    assert.equal(await rt.selectiveRecv(pid, never, { timeoutMs: 1 }), null)
    assert.equal(await rt.selectiveRecv(pid, never, 0.001), null)
    const abort = new AbortController()
    const aborted = rejects(
      rt.selectiveRecv(pid, never, { signal: abort.signal }),
      'ERR_IRIS_ABORTED',
    )
    abort.abort()
    await aborted
    const ended = rt.selectiveRecv(pid, never)
    rt.stop(pid)
    assert.equal(await ended, null)
  })

  test('getMessages in between does not lose the place', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnWithPathObserved(100, '/probe')
    const wait = rt.selectiveRecv(pid, (m) => String(m) === 'yes')
    rt.sendMany(pid, ['1', '2'])
    await eventually(() => rt.mailboxSize(pid) === 2)
    assert.deepEqual(texts(rt.getMessages(pid)), ['1', '2'])
    rt.sendMany(pid, ['3', 'yes'])
    assert.equal(String(await wait), 'yes')
    assert.deepEqual(texts(rt.getMessages(pid)), ['3'])
  })
})
