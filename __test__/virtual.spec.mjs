// Virtual actors: a pid from the start, a handler's run only while there is something to do.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  assertBalanced,
  deferred,
  eventually,
  runtime as made,
  quiet,
  rejects,
  run,
} from './support.mjs'

/** What the tests wait for (an idle time that is over, a join) does not hold the process. */
const runtime = (t, options) => made(t, options).ref()

const state = (rt, pid) => rt.actorInfo(pid)?.state
const becomes = (rt, pid, wanted) => eventually(() => state(rt, pid) === wanted)

describe('spawnVirtual', () => {
  test('answers a live pid whose actor is dormant until the first message', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawnVirtual((m) => void seen.push(`${m}`))
    assert.equal(rt.isAlive(pid), true)
    assert.equal(rt.actorInfo(pid).kind, 'virtual')
    assert.equal(state(rt, pid), 'dormant')
    assert.deepEqual(rt.listActors(), [pid])
    rt.send(pid, 'a')
    await quiet(rt)
    assert.deepEqual(seen, ['a'])
    assert.equal(state(rt, pid), 'active')
  })

  test('takes the positional form of the seed', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnVirtual(() => 'pong', 7, 1)
    assert.equal(rt.actorInfo(pid).budget, 7)
    assert.equal(String(await rt.call(pid, 'ping')), 'pong')
    await becomes(rt, pid, 'dormant')
    assert.equal(String(await rt.call(pid, 'ping')), 'pong')
    assert.equal(rt.actorInfo(rt.spawnVirtual(() => {}, 5)).budget, 5)
  })

  test('sleeps after its idle timeout, and the next message wakes it', async (t) => {
    const rt = runtime(t)
    const log = []
    const pid = rt.spawnVirtual((m) => void log.push(`${m}`), {
      idleTimeoutMs: 1,
      onActivate: () => void log.push('wake'),
      onDeactivate: () => void log.push('sleep'),
    })
    for (const m of ['1', '2']) {
      rt.send(pid, m)
      await eventually(() => log.at(-1) === 'sleep')
      await becomes(rt, pid, 'dormant')
    }
    assert.deepEqual(log, ['wake', '1', 'sleep', 'wake', '2', 'sleep'])
    assert.equal(rt.isAlive(pid), true)
  })

  test('keeps its state in ctx.state: what onActivate answers, until it sleeps', async (t) => {
    const rt = runtime(t)
    const store = new Map()
    const handler = (_m, ctx) => {
      ctx.state.count++
      return `${ctx.state.count}`
    }
    const pid = rt.spawnVirtual(handler, {
      idleTimeoutMs: 1,
      onActivate: async (ctx) => ({ count: store.get(ctx.pid) ?? 0 }),
      onDeactivate: async (ctx) => void store.set(ctx.pid, ctx.state.count),
    })
    for (let i = 1; i <= 20; i++) {
      assert.equal(String(await rt.call(pid, '')), `${i}`)
      if (i % 5 === 0) await becomes(rt, pid, 'dormant')
    }
    assert.equal(store.get(pid), 20)
  })

  test('forgets a state that nobody saves', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnVirtual(
      (_m, ctx) => {
        const before = ctx.state
        ctx.state = 'set'
        return `${before}`
      },
      { idleTimeoutMs: 1 },
    )
    assert.equal(String(await rt.call(pid, '')), 'undefined')
    await becomes(rt, pid, 'dormant')
    assert.equal(String(await rt.call(pid, '')), 'undefined')
  })

  test('lets what comes while a hook runs wait', async (t) => {
    const rt = runtime(t)
    const log = []
    const gates = { wake: deferred(), sleep: deferred() }
    const begun = { wake: deferred(), sleep: deferred() }
    const hook = (name) => async () => {
      log.push(name)
      begun[name].resolve()
      await gates[name].promise
    }
    const pid = rt.spawnVirtual((m) => void log.push(`${m}`), {
      idleTimeoutMs: 1,
      onActivate: hook('wake'),
      onDeactivate: hook('sleep'),
    })
    rt.send(pid, '1')
    await begun.wake.promise
    assert.equal(state(rt, pid), 'activating')
    rt.send(pid, '2')
    assert.equal(rt.mailboxSize(pid), 2)
    gates.wake.resolve()
    await begun.sleep.promise
    assert.equal(state(rt, pid), 'deactivating')
    const reply = rt.call(pid, '3')
    gates.sleep.resolve()
    await reply
    assert.deepEqual(log, ['wake', '1', '2', 'sleep', 'wake', '3'])
  })

  for (const [what, throws] of [
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('no')
      },
    ],
    [
      'throws what is no Error',
      () => {
        throw 'no'
      },
    ],
  ]) {
    test(`ends with crash when onActivate ${what}, and the books balance`, async (t) => {
      const reports = []
      const rt = runtime(t, { onCrash: (r) => void reports.push(r) })
      const pid = rt.spawnVirtual(() => assert.fail('it was not activated'), { onActivate: throws })
      rt.send(pid, '1')
      const call = rejects(rt.call(pid, '2'), 'ERR_IRIS_ACTOR_EXITED')
      const exit = await rt.join(pid)
      await call
      assert.equal(exit.reason, 'crash')
      assert.match(exit.message, /no/)
      const metrics = await quiet(rt)
      assert.equal(metrics.dead.crash, 2)
      assert.equal(reports.length, 1)
      assert.match(String(reports[0].error), /no/)
      assert.equal(rt.isAlive(pid), false)
    })

    test(`ends with crash when onDeactivate ${what}`, async (t) => {
      const rt = runtime(t)
      const idle = rt.spawnVirtual(() => {}, { idleTimeoutMs: 1, onDeactivate: throws })
      rt.send(idle, '')
      assert.equal((await rt.join(idle)).reason, 'crash')
      const stopped = rt.spawnVirtual(() => {}, { onDeactivate: throws })
      await rt.call(stopped, '')
      rt.stop(stopped)
      assert.equal((await rt.join(stopped)).reason, 'crash')
      await quiet(rt)
    })
  }

  test('stop ends a dormant one at once, and an active one after onDeactivate', async (t) => {
    const rt = runtime(t)
    const saved = []
    const options = { onDeactivate: async (ctx) => void saved.push(ctx.pid) }
    const [dormant, active] = [0, 1].map(() => rt.spawnVirtual(() => {}, options))
    await rt.call(active, '')
    assert.equal(rt.stop(dormant), true)
    assert.equal(rt.stop(active), true)
    assert.equal(rt.isAlive(active), false)
    assert.equal(rt.send(active, ''), false)
    assert.equal((await rt.join(dormant)).reason, 'shutdown')
    assert.equal((await rt.join(active)).reason, 'shutdown')
    assert.deepEqual(saved, [active])
    await quiet(rt)
  })

  test('kill runs no hook and close runs it', async (t) => {
    const rt = runtime(t)
    const saved = []
    const options = { onDeactivate: (ctx) => void saved.push(ctx.pid) }
    const [killed, closed] = [0, 1].map(() => rt.spawnVirtual(() => {}, options))
    await Promise.all([rt.call(killed, ''), rt.call(closed, '')])
    rt.kill(killed)
    assert.equal((await rt.join(killed)).reason, 'killed')
    await rt.close()
    assert.deepEqual(saved, [closed])
  })

  test('a hook that never ends is abandoned after the stop timeout', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnVirtual(() => {}, { onActivate: () => new Promise(() => {}) })
    rt.send(pid, '')
    await becomes(rt, pid, 'activating')
    rt.stop(pid, { timeoutMs: 1 })
    assert.equal((await rt.join(pid)).reason, 'timeout')
    await quiet(rt)
  })

  test('a hook that kills its own actor, or calls it, does no harm', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnVirtual(() => {}, { onActivate: (ctx) => void rt.kill(ctx.pid) })
    rt.send(pid, '')
    assert.equal((await rt.join(pid)).reason, 'killed')
    const outcome = deferred()
    const self = rt.spawnVirtual(() => {}, {
      onActivate: (ctx) => rt.call(ctx.pid, '').catch((e) => outcome.resolve(e.code)),
    })
    rt.send(self, '')
    assert.equal(await outcome.promise, 'ERR_IRIS_SELF_CALL')
    await quiet(rt)
  })

  test('hot swap works while it sleeps, and hooks stay', async (t) => {
    const rt = runtime(t)
    const log = []
    const pid = rt.spawnVirtual(() => 'old', {
      idleTimeoutMs: 1,
      onActivate: () => void log.push('wake'),
    })
    assert.equal(
      rt.hotSwap(pid, () => 'new'),
      2,
    )
    assert.equal(state(rt, pid), 'dormant')
    assert.equal(String(await rt.call(pid, '')), 'new')
    await becomes(rt, pid, 'dormant')
    assert.equal(rt.rollbackBehavior(pid), 1)
    assert.equal(String(await rt.call(pid, '')), 'old')
    assert.deepEqual(log, ['wake', 'wake'])
  })

  test('a bounded one applies its policy while it sleeps and wakes', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const seen = []
    const pid = rt.spawnVirtual((m) => void seen.push(`${m}`), {
      capacity: 2,
      overflow: 'dropold',
      onActivate: () => gate.promise,
    })
    for (const m of ['1', '2', '3']) assert.equal(rt.send(pid, m), true)
    assert.equal(rt.mailboxSize(pid), 2)
    gate.resolve()
    await quiet(rt)
    assert.deepEqual(seen, ['2', '3'])
  })

  test('has names, timers and joins that outlive its sleep', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnVirtual(() => 'here', { idleTimeoutMs: 1 })
    rt.register('grain', pid)
    let ended = false
    const join = rt.join(pid).then((info) => {
      ended = true
      return info.reason
    })
    for (let i = 0; i < 3; i++) {
      assert.equal(rt.sendNamed('grain', ''), true)
      await quiet(rt)
      await becomes(rt, pid, 'dormant')
    }
    rt.sendAfter(pid, 1, '')
    await eventually(() => rt.actorInfo(pid).handled === 4)
    assert.equal(ended, false)
    rt.stop(pid)
    assert.equal(await join, 'shutdown')
    assert.equal(rt.whereis('grain'), null)
  })

  test('runs its hooks in the async context of the spawn', async (t) => {
    const rt = runtime(t)
    const storage = new AsyncLocalStorage()
    const seen = []
    const look = () => void seen.push(storage.getStore())
    const hooks = { idleTimeoutMs: 1, onActivate: look, onDeactivate: look }
    const pids = ['a', undefined].map((store) =>
      storage.run(store, () => rt.spawnVirtual(look, hooks)),
    )
    for (const pid of pids) {
      storage.run('caller', () => rt.send(pid, ''))
      await quiet(rt)
      await becomes(rt, pid, 'dormant')
    }
    assert.deepEqual(seen, ['a', 'a', 'a', undefined, undefined, undefined])
  })

  test('hooks of many actors give the loop back when the slice is over', async (t) => {
    const rt = runtime(t, { timeSliceMs: 1 })
    let woken = 0
    const busy = () => {
      woken++
      const end = performance.now() + 0.2
      while (performance.now() < end);
    }
    for (let i = 0; i < 100; i++)
      rt.send(
        rt.spawnVirtual(() => {}, { onActivate: busy }),
        '',
      )
    const yields = rt.getMetrics().loop.yields
    await quiet(rt)
    assert.equal(woken, 100)
    assert.ok(rt.getMetrics().loop.yields > yields)
  })

  test('does not hold the process', async () => {
    const { exit, stdout } = await run(`
      const rt = new NodeRuntime()
      const pid = rt.spawnVirtual(() => console.log('handled'), { idleTimeoutMs: 3600e3 })
      rt.spawnVirtual(() => {})
      rt.send(pid, '')
    `)
    assert.deepEqual([exit, stdout], [0, 'handled\n'])
  })

  test('100,000 active ones all sleep again', async (t) => {
    const rt = runtime(t)
    let [woken, slept] = [0, 0]
    const options = {
      idleTimeoutMs: 20,
      onActivate: () => void woken++,
      onDeactivate: () => void slept++,
    }
    const handler = () => {}
    const pids = Array.from({ length: 100_000 }, () => rt.spawnVirtual(handler, options))
    for (const pid of pids) rt.send(pid, 'x')
    await eventually(() => slept >= 100_000)
    assert.ok(woken >= 100_000)
    await quiet(rt)
    assert.equal(rt.getMetrics().timers, 0)
    await rt.close()
  })

  test('any order of sends, sleeps, stops and kills keeps every count', async () => {
    const step = fc.constantFrom('send', 'call', 'turn', 'many', 'stop', 'drain', 'kill', 'sleep')
    const seen = async (steps, hooks) => {
      const rt = runtime({ after() {} })
      let handled = 0
      let depth = 0
      const hook = (asynchronous) => () => {
        assert.equal(depth, 0)
        if (!asynchronous) return
        depth++
        return new Promise((resolve) => setImmediate(resolve)).then(() => void depth--)
      }
      const pid = rt.spawnVirtual(
        () => {
          assert.equal(depth, 0)
          handled++
        },
        {
          idleTimeoutMs: 0,
          onActivate: hook(hooks[0]),
          onDeactivate: hook(hooks[1]),
        },
      )
      const calls = []
      for (const s of steps) {
        if (s === 'send') rt.send(pid, 'x')
        if (s === 'many') rt.sendMany(pid, ['x', 'y'])
        if (s === 'call') calls.push(rt.call(pid, 'x').catch(() => {}))
        if (s === 'stop') rt.stop(pid)
        if (s === 'drain') rt.stop(pid, { drain: true })
        if (s === 'kill') rt.kill(pid)
        if (s === 'turn') await new Promise((resolve) => setImmediate(resolve))
        if (s === 'sleep') await eventually(() => ['dormant', undefined].includes(state(rt, pid)))
      }
      await Promise.all(calls)
      const metrics = await quiet(rt)
      assertBalanced(metrics)
      assert.equal(metrics.handled, handled)
      await rt.close()
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 12 }),
        fc.tuple(fc.boolean(), fc.boolean()),
        seen,
      ),
      { numRuns: 60 },
    )
  })
})
