// Hot swap: each message sees exactly one version of its handler.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { deferred, quiet, runtime, throws, turn } from './support.mjs'

describe('hotSwap', () => {
  test('gives later messages to the new handler; pid, queue and name stay', async (t) => {
    const rt = runtime(t)
    const seen = []
    const version = (name) => (message) => void seen.push(`${name}${message}`)
    const pid = rt.spawn(version('a'))
    rt.register('swapped', pid)
    assert.equal(rt.behaviorVersion(pid), 1)
    rt.send(pid, '1')
    await quiet(rt)
    rt.send(pid, '2')
    assert.equal(rt.hotSwap(pid, version('b')), 2)
    rt.send(pid, '3')
    await quiet(rt)
    assert.deepEqual(seen, ['a1', 'b2', 'b3'])
    assert.equal(rt.behaviorVersion(pid), 2)
    assert.equal(rt.actorInfo(pid).behaviorVersion, 2)
    assert.equal(rt.whereis('swapped'), pid)
  })

  test('lets a message that is being handled finish on the old one', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const begun = deferred()
    const pid = rt.spawn(async () => {
      begun.resolve()
      await gate.promise
      return 'old'
    })
    const first = rt.call(pid, '')
    const second = rt.call(pid, '')
    await begun.promise
    rt.hotSwap(pid, () => 'new')
    gate.resolve()
    assert.deepEqual([String(await first), String(await second)], ['old', 'new'])
  })

  test('works from inside of the handler, in the middle of a batch', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message, ctx) => {
      seen.push(`a${message}`)
      if (String(message) === '2') {
        rt.hotSwap(ctx.pid, (m) => void seen.push(`b${m}`))
        seen.push('swapped')
      }
    })
    for (let i = 0; i < 5; i++) rt.send(pid, `${i}`)
    await quiet(rt)
    assert.deepEqual(seen, ['a0', 'a1', 'a2', 'swapped', 'b3', 'b4'])
  })

  test('keeps the async context of the spawn, not that of the swap', async (t) => {
    const rt = runtime(t)
    const store = new AsyncLocalStorage()
    const seen = []
    const look = () => void seen.push(store.getStore())
    const pid = store.run('spawn', () => rt.spawn(look))
    const bare = rt.spawn(look)
    store.run('swap', () => {
      rt.hotSwap(pid, look)
      rt.hotSwap(bare, look)
    })
    rt.send(pid, '')
    await quiet(rt)
    rt.send(bare, '')
    await quiet(rt)
    assert.deepEqual(seen, ['spawn', undefined])
  })

  test('is for live push actors of this thread', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    rt.kill(pid)
    for (const f of ['hotSwap', 'behaviorVersion', 'rollbackBehavior']) {
      throws(() => rt[f](pid, f === 'hotSwap' ? () => {} : 1), 'ERR_IRIS_NO_SUCH_ACTOR')
    }
    const stopping = rt.spawn(() => new Promise(() => {}))
    rt.send(stopping, '')
    await turn()
    rt.stop(stopping)
    throws(() => rt.hotSwap(stopping, () => {}), 'ERR_IRIS_NO_SUCH_ACTOR')
    rt.kill(stopping)
  })
})

describe('rollbackBehavior', () => {
  test('goes back, and no version number is given twice', async (t) => {
    const rt = runtime(t)
    const answer = (name) => () => name
    const pid = rt.spawn(answer('a'))
    const now = async () => String(await rt.call(pid, ''))
    rt.hotSwap(pid, answer('b'))
    rt.hotSwap(pid, answer('c'))
    assert.equal(rt.rollbackBehavior(pid), 2)
    assert.equal(await now(), 'b')
    assert.equal(rt.hotSwap(pid, answer('d')), 4)
    assert.equal(await now(), 'd')
    assert.equal(rt.rollbackBehavior(pid, 2), 1)
    assert.equal(await now(), 'a')
    throws(() => rt.rollbackBehavior(pid), 'ERR_IRIS_INVALID_ARGUMENT')
    assert.equal(rt.behaviorVersion(pid), 1)
  })

  test('keeps 16 versions, and changes nothing when more are asked for', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => '1')
    for (let v = 2; v <= 20; v++)
      assert.equal(
        rt.hotSwap(pid, () => `${v}`),
        v,
      )
    throws(() => rt.rollbackBehavior(pid, 17), 'ERR_IRIS_INVALID_ARGUMENT')
    assert.equal(String(await rt.call(pid, '')), '20')
    assert.equal(rt.rollbackBehavior(pid, 16), 4)
    assert.equal(String(await rt.call(pid, '')), '4')
  })

  test('forgets the history with the actor: the slot’s next one begins at 1', async (t) => {
    const rt = runtime(t)
    const pids = new Set()
    for (let i = 0; i < 5; i++) {
      const pid = rt.spawn(() => {})
      pids.add(pid)
      assert.equal(rt.behaviorVersion(pid), 1)
      throws(() => rt.rollbackBehavior(pid), 'ERR_IRIS_INVALID_ARGUMENT')
      rt.hotSwap(pid, () => {})
      rt.kill(pid)
      await turn()
    }
    assert.equal(pids.size, 5)
  })
})

test('each message sees exactly the version that is in force when it begins', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('send', 'call', 'many') }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('swap', 'turn') }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('back'), steps: fc.integer({ min: 1, max: 3 }) }),
    },
  )
  const property = async (steps, isAsync, budget) => {
    const hooks = []
    const rt = runtime({ after: (f) => hooks.push(f) }, { timeSliceMs: 0.05 })
    const wrong = []
    let handled = 0
    let made = 0
    const make = () => {
      const mine = ++made
      const handle = () => {
        handled++
        // What the runtime says is in force is what runs.
        if (inForce.at(-1) !== mine) wrong.push([mine, inForce.at(-1)])
        return `${mine}`
      }
      return isAsync
        ? async () => {
            const answer = handle()
            await turn()
            return answer
          }
        : handle
    }
    const inForce = [1]
    const pid = rt.spawn(make(), budget)
    let sent = 0
    const calls = []
    for (const { kind, steps: n } of steps) {
      if (kind === 'send') sent += rt.send(pid, Buffer.from('x')) ? 1 : 0
      else if (kind === 'many') sent += rt.sendMany(pid, ['a', 'b', 'c'])
      else if (kind === 'call') {
        calls.push(rt.call(pid, 'x', { timeoutMs: 2 ** 40 }))
        sent++
      } else if (kind === 'turn') await turn()
      else if (kind === 'swap') {
        const handler = make()
        inForce.push(made)
        assert.equal(rt.hotSwap(pid, handler), made)
      } else if (inForce.length > n) {
        inForce.length -= n
        assert.equal(rt.rollbackBehavior(pid, n), inForce.at(-1))
      }
    }
    await Promise.all(calls)
    await quiet(rt)
    assert.deepEqual([wrong, handled], [[], sent])
    for (const f of hooks) await f()
  }
  const steps = fc.array(step, { minLength: 1, maxLength: 40 })
  await fc.assert(fc.asyncProperty(steps, fc.boolean(), fc.constantFrom(1, 3, 100), property), {
    numRuns: 150,
    endOnFailure: true,
  })
})
