// Full mailboxes: each policy by each way a message can come, with exact counts; pressure; load shedding.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deferred, eventually, quiet, rejects, runtime, throws } from './support.mjs'

/** An actor that handles nothing before `open`, and what it has got. */
function gated(rt, options) {
  const seen = []
  const gate = deferred()
  const pid = rt.spawnBounded(async (message) => {
    seen.push(String(message))
    await gate.promise
  }, options)
  return { pid, seen, open: gate.resolve }
}

const flood = (rt, pid, n = 5) =>
  Array.from({ length: n }, (_, i) => rt.send(pid, Buffer.from(`${i}`)))

describe('fault row 7: a full mailbox', () => {
  test('refuses the new with dropnew', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 2, overflow: 'dropnew' })
    assert.deepEqual(flood(rt, a.pid), [true, true, false, false, false])
    a.open()
    const { refused } = await quiet(rt)
    assert.deepEqual(a.seen, ['0', '1'])
    assert.equal(refused.full, 3)
  })

  test('keeps the newest with dropold', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 2, overflow: 'dropold' })
    assert.deepEqual(flood(rt, a.pid), Array(5).fill(true))
    assert.equal(rt.mailboxSize(a.pid), 2)
    a.open()
    const { dropped } = await quiet(rt)
    assert.deepEqual(a.seen, ['3', '4'])
    assert.equal(dropped.displaced, 3)
  })

  test('sends the new elsewhere with redirect', async (t) => {
    const rt = runtime(t)
    const b = gated(rt, { capacity: 2 })
    const a = gated(rt, { capacity: 2, overflow: 'redirect', target: b.pid })
    assert.deepEqual(flood(rt, a.pid), [true, true, true, true, false])
    a.open()
    b.open()
    await quiet(rt)
    assert.deepEqual(
      [a.seen, b.seen],
      [
        ['0', '1'],
        ['2', '3'],
      ],
    )
  })

  test('moves the oldest with spill, and loses nothing', async (t) => {
    const rt = runtime(t)
    const seen = []
    const b = rt.spawn((message) => void seen.push(String(message)))
    const a = gated(rt, { capacity: 2, overflow: 'spill', target: b })
    assert.deepEqual(flood(rt, a.pid), Array(5).fill(true))
    assert.equal(rt.mailboxSize(a.pid), 2)
    a.open()
    const { forwarded, handled } = await quiet(rt)
    assert.deepEqual(
      [a.seen, seen],
      [
        ['3', '4'],
        ['0', '1', '2'],
      ],
    )
    assert.deepEqual([forwarded, handled], [3, 5])
  })

  for (const [name, send] of [
    ['sendMany', (rt, pid) => rt.sendMany(pid, ['0', '1', '2', '3', '4'])],
    ['sendNamed', (rt) => [0, 1, 2, 3, 4].filter((i) => rt.sendNamed('full', `${i}`)).length],
    ['ctx.send', null],
  ]) {
    test(`obeys its policy by ${name} as well`, async (t) => {
      const rt = runtime(t)
      const a = gated(rt, { capacity: 2, overflow: 'dropold' })
      rt.register('full', a.pid)
      if (send === null) {
        const count = deferred()
        const from = rt.spawn((_message, ctx) => {
          count.resolve([0, 1, 2, 3, 4].filter((i) => ctx.send(a.pid, `${i}`)).length)
        })
        rt.send(from, '')
        assert.equal(await count.promise, 5)
      } else {
        assert.equal(send(rt, a.pid), 5)
      }
      a.open()
      await quiet(rt)
      assert.deepEqual(a.seen, ['3', '4'])
    })
  }

  test('drops what its dead target cannot take, and says so', async (t) => {
    const rt = runtime(t)
    const [b, d] = [rt.spawn(() => {}), rt.spawn(() => {})]
    const a = gated(rt, { capacity: 1, overflow: 'redirect', target: b })
    const c = gated(rt, { capacity: 1, overflow: 'spill', target: d })
    rt.kill(b)
    rt.kill(d)
    assert.deepEqual(flood(rt, a.pid), [true, false, false, false, false])
    assert.deepEqual(flood(rt, c.pid), Array(5).fill(true))
    a.open()
    c.open()
    const { refused, dropped } = await quiet(rt)
    assert.deepEqual([refused.target_gone, dropped.target_gone], [4, 4])
    assert.deepEqual([a.seen, c.seen], [['0'], ['4']])
  })

  test('tells a displaced call at once, and a spilled one is answered by who got it', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 1, overflow: 'dropold' })
    const displaced = rt.call(a.pid, 'q')
    rt.send(a.pid, 'x')
    await rejects(displaced, 'ERR_IRIS_MAILBOX_FULL')
    const b = rt.spawn(() => 'from b')
    const c = gated(rt, { capacity: 1, overflow: 'spill', target: b })
    const spilled = rt.call(c.pid, 'q')
    rt.send(c.pid, 'x')
    assert.equal(String(await spilled), 'from b')
    a.open()
    c.open()
    await quiet(rt)
  })
})

describe('setOverflowPolicy', () => {
  test('counts from the next message on', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 1 })
    assert.deepEqual(flood(rt, a.pid, 2), [true, false])
    rt.setOverflowPolicy(a.pid, 'dropold')
    assert.equal(rt.send(a.pid, 'new'), true)
    rt.setOverflowPolicy(a.pid, 'dropnew')
    assert.equal(rt.send(a.pid, 'newer'), false)
    a.open()
    await quiet(rt)
    assert.deepEqual(a.seen, ['new'])
  })

  test('refuses cycles, and dead actors', (t) => {
    const rt = runtime(t)
    const [a, b, c] = [1, 2, 3].map(() => rt.spawnBounded(() => {}, { capacity: 1 }))
    rt.setOverflowPolicy(a, 'redirect', b)
    rt.setOverflowPolicy(b, 'spill', c)
    throws(() => rt.setOverflowPolicy(c, 'redirect', a), 'ERR_IRIS_INVALID_ARGUMENT')
    rt.kill(c)
    throws(() => rt.setOverflowPolicy(a, 'spill', c), 'ERR_IRIS_NO_SUCH_ACTOR')
    throws(() => rt.setOverflowPolicy(c, 'dropold'), 'ERR_IRIS_NO_SUCH_ACTOR')
    throws(
      () => rt.spawnBounded(() => {}, { capacity: 1, overflow: 'spill', target: c }),
      'ERR_IRIS_NO_SUCH_ACTOR',
    )
    assert.deepEqual(rt.listActors(), [a, b])
  })
})

describe('sendAsync', () => {
  test('waits for room, in order', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 1, overflow: 'block' })
    assert.equal(rt.send(a.pid, '0'), true)
    assert.equal(rt.send(a.pid, 'cannot wait'), false)
    const sent = ['1', '2', '3'].map((m) => rt.sendAsync(a.pid, m))
    let settled = 0
    for (const s of sent) s.then(() => settled++)
    await eventually(() => a.seen.length === 1)
    a.open()
    assert.deepEqual(await Promise.all(sent), [true, true, true])
    await quiet(rt)
    assert.deepEqual(a.seen, ['0', '1', '2', '3'])
    assert.equal(settled, 3)
  })

  test('does not wait where there is room, or where nobody lets it in', async (t) => {
    const rt = runtime(t)
    const open = rt.spawn(() => {})
    assert.equal(await rt.sendAsync(open, 'x'), true)
    const full = gated(rt, { capacity: 1 })
    assert.equal(await rt.sendAsync(full.pid, 'x'), true)
    full.open()
    rt.kill(open)
    assert.equal(await rt.sendAsync(open, 'x'), false)
  })

  test('is false when the actor ends first', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 1, overflow: 'block' })
    rt.send(a.pid, '0')
    const sent = [rt.sendAsync(a.pid, '1'), rt.sendAsync(a.pid, '2')]
    rt.kill(a.pid)
    assert.deepEqual(await Promise.all(sent), [false, false])
    await quiet(rt)
  })

  test('can be given up: then nothing was sent', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 1, overflow: 'block' })
    rt.send(a.pid, '0')
    const controller = new AbortController()
    const given = rt.sendAsync(a.pid, 'given up', { signal: controller.signal })
    const kept = rt.sendAsync(a.pid, 'kept')
    controller.abort(new Error('why'))
    await assert.rejects(given, { code: 'ERR_IRIS_ABORTED', name: 'AbortError' })
    await rejects(rt.sendAsync(a.pid, 'x', { signal: AbortSignal.abort() }), 'ERR_IRIS_ABORTED')
    a.open()
    assert.equal(await kept, true)
    await quiet(rt)
    assert.deepEqual(a.seen, ['0', 'kept'])
  })

  test('a hundred producers and a slow consumer keep memory flat and lose nothing', async (t) => {
    const rt = runtime(t)
    let handled = 0
    let most = 0
    const pid = rt.spawnBounded(
      async () => {
        most = Math.max(most, rt.mailboxSize(pid))
        await undefined
        handled++
      },
      { capacity: 3, overflow: 'block' },
    )
    const produce = async () => {
      for (let i = 0; i < 50; i++) assert.equal(await rt.sendAsync(pid, 'x'), true)
    }
    await Promise.all(Array.from({ length: 100 }, produce))
    await quiet(rt)
    assert.equal(handled, 5000)
    assert.ok(most <= 3)
  })
})

describe('pressure', () => {
  test('follows the queue of a bounded actor', async (t) => {
    const rt = runtime(t)
    const a = gated(rt, { capacity: 10 })
    const levels = Array.from({ length: 11 }, () => rt.sendWithBackpressure(a.pid, 'x'))
    assert.deepEqual(levels, [
      ...Array(4).fill([true, 'NORMAL']),
      ...Array(4).fill([true, 'HIGH']),
      ...Array(2).fill([true, 'CRITICAL']),
      [false, 'CRITICAL'],
    ])
    a.open()
    await quiet(rt)
    assert.equal(rt.mailboxBackpressure(a.pid), 'NORMAL')
  })

  test('follows the watermarks of an unbounded one', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => new Promise(() => {}))
    rt.setWatermarks(2, 3)
    const levels = Array.from(
      { length: 3 },
      () => rt.sendWithBackpressure(pid, Buffer.from('x'))[1],
    )
    assert.deepEqual(levels, ['NORMAL', 'HIGH', 'CRITICAL'])
    rt.setWatermarks(1000, 10_000)
    assert.equal(rt.mailboxBackpressure(pid), 'NORMAL')
    rt.kill(pid)
    assert.equal(rt.mailboxBackpressure(pid), null)
    assert.deepEqual(rt.sendWithBackpressure(pid, 'x'), [false, null])
  })
})

describe('load shedding', () => {
  test('refuses messages only while it is on and a capacity is reached', async (t) => {
    const rt = runtime(t)
    const x = Buffer.from('x')
    const pid = rt.spawn(() => {})
    rt.setMessageCapacity(2)
    assert.deepEqual(flood(rt, pid), Array(5).fill(true))
    assert.equal(rt.isLoadSheddingActive(), false)
    rt.setLoadShedding(true)
    assert.equal(rt.isLoadSheddingActive(), true)
    assert.equal(rt.send(pid, x), false)
    await quiet(rt)
    assert.equal(rt.isLoadSheddingActive(), false)
    assert.deepEqual(flood(rt, pid), [true, true, false, false, false])
    await rejects(rt.call(pid, x), 'ERR_IRIS_AT_CAPACITY')
    rt.setLoadShedding(false)
    assert.equal(rt.send(pid, x), true)
    const { refused } = await quiet(rt)
    assert.equal(refused.shed, 5)
  })

  test('refuses spawns the same way', (t) => {
    const rt = runtime(t)
    rt.setSystemCapacity(2)
    const pids = [1, 2, 3].map(() => rt.spawn(() => {}))
    rt.setLoadShedding(true)
    throws(() => rt.spawn(() => {}), 'ERR_IRIS_AT_CAPACITY')
    rt.kill(pids[0])
    throws(() => rt.spawn(() => {}), 'ERR_IRIS_AT_CAPACITY')
    rt.kill(pids[1])
    assert.ok(rt.isAlive(rt.spawn(() => {})))
    rt.setSystemCapacity(null)
    assert.equal(rt.isLoadSheddingActive(), false)
  })
})
