// Bounded mailboxes: the counts are exact, from outside and from inside the handlers of the same batch.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deferred, quiet, rejects, runtime, turn } from './support.mjs'

const forms = [
  ['send of a string', (rt, pid) => rt.send(pid, 'x')],
  ['send of a Buffer', (rt, pid) => rt.send(pid, Buffer.from('x'))],
  ['sendMany', (rt, pid) => rt.sendMany(pid, ['x']) === 1],
  ['sendNamed', (rt) => rt.sendNamed('bounded', 'x')],
]

for (const capacity of [1, 2, 10]) {
  describe(`a mailbox of ${capacity}`, () => {
    for (const [name, send] of forms) {
      test(`takes exactly that many from outside, by ${name}`, async (t) => {
        const rt = runtime(t)
        let handled = 0
        const pid = rt.spawnBounded(
          () => {
            handled++
          },
          100,
          capacity,
        )
        rt.register('bounded', pid)
        for (let round = 1; round <= 3; round++) {
          for (let i = 0; i < capacity; i++) assert.equal(send(rt, pid), true)
          assert.equal(rt.mailboxSize(pid), capacity)
          for (let i = 0; i < 5; i++) assert.equal(send(rt, pid), false)
          assert.equal(rt.mailboxSize(pid), capacity)
          const metrics = await quiet(rt)
          assert.equal(handled, round * capacity)
          assert.equal(metrics.refused.full, round * 5)
          assert.equal(rt.actorInfo(pid).highWater, capacity)
        }
      })
    }

    for (const [name, send] of forms) {
      test(`has the room of each message that has begun, seen from its own handler, by ${name}`, async (t) => {
        const rt = runtime(t)
        const sizes = []
        let more = 3
        const pid = rt.spawnBounded(
          () => {
            sizes.push(rt.mailboxSize(pid))
            if (more-- <= 0) return
            // The message that is being handled does not count: there is room for exactly one.
            assert.equal(send(rt, pid), true)
            assert.equal(send(rt, pid), false)
            assert.equal(rt.mailboxSize(pid), capacity)
          },
          100,
          capacity,
        )
        rt.register('bounded', pid)
        for (let i = 0; i < capacity; i++) rt.send(pid, 'x')
        const metrics = await quiet(rt)
        assert.equal(metrics.exited.crash, 0)
        assert.equal(metrics.handled, capacity + 3)
        assert.equal(metrics.refused.full, 3)
        assert.equal(sizes.at(-1), 0)
        assert.ok(sizes.every((size) => size < capacity))
      })
    }

    test('is exact for another actor of the same batch', async (t) => {
      const rt = runtime(t)
      const results = []
      let handled = 0
      const prober = rt.spawn(() => {
        for (let i = 0; i < capacity + 2; i++) results.push(rt.send(bounded, Buffer.from('y')))
      })
      const bounded = rt.spawnBounded(
        () => {
          handled++
        },
        100,
        capacity,
      )
      // Both are taken in one batch; the prober runs first, so all of the other's messages still wait.
      rt.send(prober, Buffer.from('x'))
      rt.send(bounded, 'x')
      await quiet(rt)
      assert.equal(results.filter(Boolean).length, capacity - 1)
      assert.equal(handled, capacity)
      // And behind it: nothing waits any more.
      results.length = 0
      rt.send(bounded, 'x')
      rt.send(prober, Buffer.from('x'))
      await quiet(rt)
      assert.equal(results.filter(Boolean).length, capacity)
    })

    test('is exact while an async handler is awaited', async (t) => {
      const rt = runtime(t)
      const gate = deferred()
      const seen = []
      const pid = rt.spawnBounded(
        async (message) => {
          seen.push(String(message))
          if (seen.length === 1) await gate.promise
        },
        100,
        capacity,
      )
      for (let i = 0; i < capacity; i++) assert.equal(rt.send(pid, `a${i}`), true)
      await turn()
      assert.deepEqual(seen, ['a0'])
      assert.equal(rt.mailboxSize(pid), capacity - 1)
      assert.equal(rt.send(pid, 'b'), true)
      assert.equal(rt.send(pid, 'c'), false)
      await rejects(rt.call(pid, 'd'), 'ERR_IRIS_MAILBOX_FULL')
      assert.equal(rt.mailboxSize(pid), capacity)
      gate.resolve()
      const metrics = await quiet(rt)
      assert.equal(metrics.handled, capacity + 1)
      assert.deepEqual(
        seen.slice(1, -1),
        Array.from({ length: capacity - 1 }, (_, i) => `a${i + 1}`),
      )
      assert.equal(seen.at(-1), 'b')
    })
  })
}

test('a runtime’s default capacity bounds every actor that does not say', async (t) => {
  const rt = runtime(t, { defaultCapacity: 3 })
  const pid = rt.spawn(() => {})
  const own = rt.spawnBounded(() => {}, { capacity: 5 })
  assert.equal(rt.actorInfo(pid).capacity, 3)
  assert.equal(rt.sendMany(pid, Array(10).fill('x')), 3)
  assert.equal(rt.sendMany(own, Array(10).fill('x')), 5)
  assert.equal(rt.send(pid, Buffer.from('x')), false)
  assert.equal((await quiet(rt)).refused.full, 13)
})

test('a stuck consumer behind a bound takes no more memory, whatever is sent', async (t) => {
  const rt = runtime(t)
  const pid = rt.spawnBounded(() => new Promise(() => {}), { capacity: 10 })
  const big = Buffer.alloc(1 << 20)
  rt.send(pid, big)
  await turn()
  for (let i = 0; i < 10; i++) rt.send(pid, big)
  const before = process.memoryUsage().rss
  for (let i = 0; i < 2000; i++) assert.equal(rt.send(pid, big), false)
  assert.equal(rt.sendMany(pid, Array(100).fill(big)), 0)
  // 2 GiB were offered.
  assert.ok(process.memoryUsage().rss - before < 300 * 2 ** 20)
  assert.equal(rt.mailboxSize(pid), 10)
})
