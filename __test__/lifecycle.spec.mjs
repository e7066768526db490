// stop, kill, join, close: who ends when, why, and what becomes of what is queued.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NodeRuntime } from '../index.mjs'
import {
  assertBalanced,
  deferred,
  eventually,
  quiet,
  rejects,
  runtime,
  throws,
  turn,
} from './support.mjs'

const never = () => new Promise(() => {})
const clean = { message: undefined, stack: undefined }

describe('stop', () => {
  test('of an idle actor ends it at once', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    assert.equal(rt.isAlive(pid), true)
    assert.equal(rt.stop(pid), true)
    assert.equal(rt.isAlive(pid), false)
    assert.equal(rt.stop(pid), false)
    assert.equal(rt.mailboxSize(pid), null)
    assert.equal(rt.actorInfo(pid), null)
    assert.deepEqual(await rt.join(pid), { pid, reason: 'shutdown', ...clean })
  })

  test('fault row 12: with a full mailbox makes all that is queued dead letters', async (t) => {
    const rt = runtime(t)
    let handled = 0
    const pid = rt.spawn(() => {
      handled++
    })
    const bounded = rt.spawnBounded(() => assert.fail('handled'), { capacity: 50 })
    for (let i = 0; i < 3000; i++) rt.send(pid, Buffer.from('x'))
    for (let i = 0; i < 60; i++) rt.send(bounded, 'x')
    assert.equal(rt.stop(pid), true)
    assert.equal(rt.stop(bounded), true)
    assert.equal(rt.send(pid, Buffer.from('x')), false)
    const metrics = await quiet(rt)
    assert.equal(handled, 0)
    assert.equal(metrics.dead.shutdown, 3050)
    assert.equal(metrics.refused.full, 10)
    assert.equal(metrics.refused.no_such_actor, 1)
  })

  test('with drain handles the queue first, and takes nothing more', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message) => {
      seen.push(Number(message))
    })
    for (let i = 0; i < 700; i++) rt.send(pid, String(i))
    assert.equal(rt.stop(pid, { drain: true }), true)
    assert.equal(rt.isAlive(pid), true)
    assert.equal(rt.actorInfo(pid).state, 'draining')
    assert.equal(rt.send(pid, 'more'), false)
    assert.equal(rt.send(pid, Buffer.from('more')), false)
    await rejects(rt.call(pid, 'more'), 'ERR_IRIS_NO_SUCH_ACTOR')
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    assert.deepEqual(
      seen,
      Array.from({ length: 700 }, (_, i) => i),
    )
    assert.equal((await quiet(rt)).dead.shutdown, 0)
  })

  test('with drain of an async actor handles the queue one by one', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn(async (message) => {
      await turn()
      seen.push(String(message))
    })
    for (const x of ['a', 'b', 'c']) rt.send(pid, x)
    await turn()
    rt.stop(pid, { drain: true })
    await rt.join(pid)
    assert.deepEqual(seen, ['a', 'b', 'c'])
  })

  test('after drain cuts the drain short', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    let handled = 0
    const pid = rt.spawn(async () => {
      handled++
      await gate.promise
    })
    for (let i = 0; i < 10; i++) rt.send(pid, 'x')
    await turn()
    rt.stop(pid, { drain: true })
    assert.equal(rt.stop(pid), true)
    gate.resolve()
    await rt.join(pid)
    assert.equal(handled, 1)
    assert.equal((await quiet(rt)).dead.shutdown, 9)
  })

  test('lets the running handler finish, and what it returns is a reply', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const begun = deferred()
    const pid = rt.spawn(async () => {
      begun.resolve()
      await gate.promise
      return 'finished'
    })
    const reply = rt.call(pid, '')
    await begun.promise
    rt.stop(pid)
    assert.equal(rt.isAlive(pid), false)
    assert.equal(rt.actorInfo(pid).state, 'stopping')
    gate.resolve()
    assert.equal(String(await reply), 'finished')
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    assert.equal((await quiet(rt)).handled, 1)
  })

  test('inside the own handler: it finishes, the rest of its batch dies', async (t) => {
    const rt = runtime(t)
    for (const stop of [
      (ctx) => ctx.stop(),
      (ctx) => rt.stop(ctx.pid),
      (ctx) => rt.kill(ctx.pid),
    ]) {
      let handled = 0
      let answers
      const pid = rt.spawn((_message, ctx) => {
        handled++
        answers = [stop(ctx), stop(ctx)]
      })
      for (let i = 0; i < 10; i++) rt.send(pid, Buffer.from('x'))
      await rt.join(pid)
      assert.equal(handled, 1)
      assert.deepEqual(answers, [true, false])
    }
    const metrics = await quiet(rt)
    assert.equal(metrics.handled, 3)
    assert.equal(metrics.dead.shutdown, 18)
    assert.equal(metrics.dead.killed, 9)
  })

  test('of another actor of the same batch keeps its messages from it', async (t) => {
    const rt = runtime(t)
    for (const [end, reason] of [
      ['stop', 'shutdown'],
      ['kill', 'killed'],
    ]) {
      const victim = rt.spawn(() => assert.fail('handled'))
      const killer = rt.spawn(() => {
        assert.equal(rt[end](victim), true)
      })
      rt.send(killer, Buffer.from('x'))
      for (let i = 0; i < 100; i++) rt.send(victim, Buffer.from('x'))
      assert.equal((await rt.join(victim)).reason, reason)
      const metrics = await quiet(rt)
      assert.equal(metrics.dead[reason], 100)
      assert.equal(metrics.exited.crash, 0)
    }
  })

  test('fault row 8: a handler that never settles is abandoned after the timeout and reported', async (t) => {
    const reports = []
    const rt = runtime(t, { stopTimeoutMs: 1, onCrash: (report) => reports.push(report) })
    const pid = rt.spawn(never)
    const patient = rt.spawn(never)
    rt.send(pid, 'x')
    rt.send(pid, 'behind it')
    rt.send(patient, 'x')
    await turn()
    rt.stop(patient, { timeoutMs: 2 ** 53 })
    rt.stop(pid)
    const { reason, message } = await rt.join(pid)
    assert.equal(reason, 'timeout')
    assert.match(message, /did not return within the stop timeout/)
    await eventually(() => reports.length === 1)
    assert.equal(reports[0].pid, pid)
    assert.equal(reports[0].reason, 'timeout')
    assert.equal(rt.actorInfo(patient).state, 'stopping')
    assert.equal(rt.kill(patient), false)
    assert.equal((await rt.join(patient)).reason, 'killed')
    const metrics = await quiet(rt)
    assert.deepEqual([metrics.dead.shutdown, metrics.dead.timeout, metrics.timers], [1, 1, 0])
  })

  test('what an abandoned handler does later changes nothing', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const over = deferred()
    const pid = rt.spawn(async () => {
      await gate.promise
      over.resolve()
      return 'late'
    })
    rt.send(pid, '')
    await turn()
    rt.stop(pid, { timeoutMs: 0 })
    assert.equal((await rt.join(pid)).reason, 'timeout')
    // The slot goes to another actor, which must not feel the promise of the old one.
    const heir = rt.spawn(async (message) => {
      await turn()
      return message
    })
    const replies = ['a', 'b', 'c'].map((x) => rt.call(heir, x))
    gate.resolve()
    await over.promise
    assert.deepEqual((await Promise.all(replies)).map(String), ['a', 'b', 'c'])
    await quiet(rt)
  })
})

describe('an actor that ends itself and gives its slot to another', () => {
  const heirOf = (rt, ctx, handler) => {
    rt.kill(ctx.pid)
    const heir = rt.spawn(handler)
    assert.equal(heir % 2 ** 23, ctx.pid % 2 ** 23, 'the test needs the same slot')
    return heir
  }

  test('and then throws crashes nobody else, and the error is reported', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report) })
    const heir = deferred()
    const boom = new Error('boom')
    const pid = rt.spawn((_message, ctx) => {
      heir.resolve(heirOf(rt, ctx, (m) => m))
      throw boom
    })
    rt.send(pid, 'x')
    rt.send(pid, 'y')
    assert.equal(String(await rt.call(await heir.promise, 'alive')), 'alive')
    await quiet(rt)
    assert.deepEqual(
      reports.map((report) => [report.pid, report.error]),
      [[pid, boom]],
    )
  })

  test('and then answers a promise does not touch the turns of the other', async (t) => {
    const rt = runtime(t)
    const gates = [deferred(), deferred()]
    const heir = deferred()
    const seen = []
    const pid = rt.spawn(async (_message, ctx) => {
      heir.resolve(
        heirOf(rt, ctx, async (message) => {
          seen.push(String(message))
          await gates[1].promise
        }),
      )
      await gates[0].promise
    })
    rt.send(pid, 'x')
    const next = await heir.promise
    rt.send(next, 'a')
    rt.send(next, 'b')
    await eventually(() => seen.length === 1)
    gates[0].resolve()
    await turn()
    await turn()
    assert.deepEqual(seen, ['a'])
    gates[1].resolve()
    await quiet(rt)
    assert.deepEqual(seen, ['a', 'b'])
  })

  test('and then rejects does not crash the other', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report.pid) })
    const heir = deferred()
    const pid = rt.spawn(async (_message, ctx) => {
      heir.resolve(
        heirOf(rt, ctx, async (message) => {
          await turn()
          return message
        }),
      )
      throw new Error('boom')
    })
    rt.send(pid, 'x')
    assert.equal(String(await rt.call(await heir.promise, 'alive')), 'alive')
    assert.deepEqual(reports, [pid])
    await quiet(rt)
  })

  test('may call the other: that is no self-call', async (t) => {
    const rt = runtime(t)
    const reply = deferred()
    const pid = rt.spawn((_message, ctx) => {
      reply.resolve(
        rt.call(
          heirOf(rt, ctx, () => 'from the heir'),
          'x',
        ),
      )
    })
    rt.send(pid, '')
    assert.equal(String(await reply.promise), 'from the heir')
  })

  test('takes its reentrancy with it', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const heir = deferred()
    let running = 0
    const pid = rt.spawn(
      (_message, ctx) => {
        heir.resolve(
          heirOf(rt, ctx, async () => {
            running++
            await gate.promise
          }),
        )
      },
      { reentrant: true },
    )
    rt.send(pid, '')
    rt.sendMany(await heir.promise, ['a', 'b'])
    await turn()
    await turn()
    assert.equal(running, 1)
    gate.resolve()
    await quiet(rt)
  })
})

test('pids are never given twice though slots are', async (t) => {
  const rt = runtime(t)
  const pids = new Set()
  for (let i = 0; i < 20_000; i++) {
    const pid = rt.spawn(() => {})
    assert.ok(Number.isSafeInteger(pid) && pid > 0)
    pids.add(pid)
    rt.stop(pid)
    if (i % 1000 === 0) await turn()
  }
  assert.equal(pids.size, 20_000)
  const metrics = await quiet(rt)
  assert.equal(metrics.actors, 0)
  assert.equal(metrics.exited.shutdown, 20_000)
})

describe('join', () => {
  test('before, during and after the end tells the same', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {
      throw new Error('boom')
    })
    const before = [rt.join(pid), rt.join(pid)]
    rt.send(pid, '')
    const [first, second] = await Promise.all(before)
    assert.equal(first.message, 'Error: boom')
    assert.deepEqual(second, first)
    assert.deepEqual(await rt.join(pid), first)
  })

  test('of what is long forgotten, or was never here, is noproc', async (t) => {
    const rt = runtime(t)
    const other = runtime(t)
    const old = rt.spawn(() => {})
    rt.kill(old)
    for (let i = 0; i < 20_000; i++) rt.kill(rt.spawn(() => {}))
    const foreign = other.spawn(() => {})
    for (const pid of [old, foreign, 2 ** 30]) {
      assert.deepEqual(await rt.join(pid), { pid, reason: 'noproc', ...clean })
    }
    for (const pid of [0, -1, 0.5, Number.NaN, Infinity]) {
      await rejects(rt.join(pid), 'ERR_IRIS_NO_SUCH_ACTOR')
    }
  })

  test('with a timeout or a signal gives up and leaves nothing behind', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    await rejects(rt.join(pid, 0), 'ERR_IRIS_TIMEOUT')
    await rejects(rt.join(pid, { timeoutMs: 1 }), 'ERR_IRIS_TIMEOUT')
    await rejects(rt.join(pid, { signal: AbortSignal.abort() }), 'ERR_IRIS_ABORTED')
    const controller = new AbortController()
    const aborted = rt.join(pid, { signal: controller.signal })
    controller.abort()
    await rejects(aborted, 'ERR_IRIS_ABORTED')
    const late = Array.from({ length: 2000 }, () => rejects(rt.join(pid, 0), 'ERR_IRIS_TIMEOUT'))
    await Promise.all(late)
    const exit = rt.join(pid, { timeoutMs: 2 ** 40, signal: new AbortController().signal })
    rt.stop(pid)
    assert.equal((await exit).reason, 'shutdown')
  })

  test('one’s own actor from its handler resolves after it', async (t) => {
    const rt = runtime(t)
    const exit = deferred()
    const pid = rt.spawn((_message, ctx) => {
      exit.resolve(rt.join(ctx.pid))
      ctx.stop()
    })
    rt.send(pid, '')
    assert.equal((await exit.promise).reason, 'shutdown')
  })
})

describe('close', () => {
  test('stops all, the last spawned first, and settles every promise', async () => {
    const rt = new NodeRuntime({ logger: null })
    const pids = Array.from({ length: 5 }, () => rt.spawn(never))
    const order = []
    const joins = pids.map((pid, i) => rt.join(pid).then(({ reason }) => order.push([i, reason])))
    const calls = pids.map((pid) => rejects(rt.call(pid, 'x'), 'ERR_IRIS_ACTOR_EXITED'))
    const idle = rt.spawn(() => {})
    const idleJoin = rt.join(idle)
    assert.equal(rt.closed, false)
    const closing = rt.close({ timeoutMs: 1 })
    assert.equal(rt.closed, true)
    assert.equal(rt.close(), closing)
    await closing
    await Promise.all([...joins, ...calls])
    assert.equal((await idleJoin).reason, 'shutdown')
    assert.deepEqual(
      order.map(([i]) => i),
      [4, 3, 2, 1, 0],
    )
  })

  test('then everything but close, closed, id and version is refused', async () => {
    const rt = new NodeRuntime()
    const pid = rt.spawn((m) => m)
    const { id, version } = rt
    for (const state of ['closing', 'closed']) {
      const closing = rt.close()
      if (state === 'closed') await closing
      const refused = 'ERR_IRIS_RUNTIME_CLOSED'
      for (const call of [
        () => rt.spawn(() => {}),
        () => rt.spawnBounded(() => {}, 1, 1),
        () => rt.send(pid, 'x'),
        () => rt.send(pid, Buffer.from('x')),
        () => rt.send(0, 'x'),
        () => rt.sendMany(pid, ['x']),
        () => rt.sendNamed('name', 'x'),
        () => rt.mailboxSize(pid),
        () => rt.register('name', pid),
        () => rt.unregister('name'),
        () => rt.whereis('name'),
        () => rt.resolve('name'),
        () => rt.stop(pid),
        () => rt.kill(pid),
        () => rt.isAlive(pid),
        () => rt.onCrash(() => {}),
        () => rt.listActors(),
        () => rt.actorInfo(pid),
        () => rt.getMetrics(),
        () => rt.prometheus(),
        () => rt.supervisionTree(),
        () => rt.setActorHealth(pid, 'healthy'),
        () => rt.onDeadLetter(() => {}),
        () => rt.ref(),
        () => rt.unref(),
      ]) {
        assert.throws(call, { code: refused }, `${state}: ${call}`)
      }
      await rejects(rt.call(pid, 'x'), refused)
      await rejects(rt.call(pid, Buffer.from('x')), refused)
      await rejects(rt.call(0, 'x'), refused)
      await rejects(rt.join(pid), refused)
      assert.deepEqual([rt.id, rt.version, rt.closed], [id, version, true])
    }
    await rt.close()
    await rt[Symbol.asyncDispose]()
  })

  test('inside a handler ends the batch and resolves', async () => {
    const rt = new NodeRuntime()
    let handled = 0
    const closed = deferred()
    const pid = rt.spawn((_message, ctx) => {
      handled++
      closed.resolve(rt.close())
      throws(() => ctx.send(ctx.pid, 'x'), 'ERR_IRIS_RUNTIME_CLOSED')
    })
    const other = rt.spawn(() => {
      handled++
    })
    for (let i = 0; i < 10; i++) rt.send(pid, Buffer.from('x'))
    for (let i = 0; i < 10; i++) rt.send(other, Buffer.from('x'))
    await closed.promise
    assert.equal(handled, 1)
  })

  test('awaited by a handler ends with its timeout', async () => {
    const rt = new NodeRuntime({ logger: null })
    const over = deferred()
    const pid = rt.spawn(async () => {
      await rt.close({ timeoutMs: 1 })
      over.resolve()
    })
    rt.send(pid, '')
    await over.promise
  })

  test('with sends, wakes and drains still on their way is quiet afterwards', async () => {
    for (let i = 0; i < 50; i++) {
      const rt = new NodeRuntime({ timeSliceMs: 0.01 })
      const a = rt.spawn((_message, ctx) => ctx.send(ctx.pid, 'again') && undefined)
      const b = rt.spawn(never)
      rt.send(a, Buffer.from('x'))
      if (i % 2 === 0) await turn()
      rt.stop(b)
      rt.send(a, Buffer.from('y'))
      rt.call(a, 'z', { timeoutMs: 0 }).catch(() => {})
      const closing = rt.close({ timeoutMs: i % 3 })
      if (i % 5 === 0) await turn()
      await closing
      await turn()
    }
  })

  test('leaves promises of handlers behind that may settle any way they like', async () => {
    const gate = deferred()
    const reports = []
    const rt = new NodeRuntime({ logger: null, onCrash: (report) => reports.push(report.message) })
    const handler = async (message, ctx) => {
      await gate.promise
      if (String(message) === 'reject') throw new Error('too late')
      if (String(message) === 'reply') return ctx.reply('x')
      if (String(message) === 'send') return void ctx.send(ctx.pid, 'x')
      return message
    }
    const calls = []
    for (const message of ['reject', 'reply', 'send', 'return']) {
      for (const options of [{}, { reentrant: true }]) {
        calls.push(rt.call(rt.spawn(handler, options), message).catch((error) => error.code))
        rt.send(rt.spawn(handler, options), message)
      }
    }
    await turn()
    await rt.close({ timeoutMs: 0 })
    assert.deepEqual([...new Set(await Promise.all(calls))], ['ERR_IRIS_ACTOR_EXITED'])
    const before = reports.length
    gate.resolve()
    await turn()
    await turn()
    // None of it is an unhandled rejection, which would fail this test; errors still reach the hook.
    assert.equal(reports.slice(before).filter((text) => text === 'Error: too late').length, 4)
  })

  test('is what await using does', async () => {
    let rt
    {
      const scope = { value: new NodeRuntime() }
      rt = scope.value
      assert.equal(typeof rt[Symbol.asyncDispose], 'function')
      rt.spawn(() => {})
      await rt[Symbol.asyncDispose]()
    }
    assert.equal(rt.closed, true)
  })
})

describe('what is known of actors', () => {
  test('actorInfo and listActors follow the actor', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const pid = rt.spawnBounded(() => gate.promise, { capacity: 7, budget: 3 })
    const second = rt.spawn(() => {})
    assert.deepEqual(rt.listActors(), [pid, second])
    rt.register('b', pid)
    rt.register('a', pid)
    const { ageMs, names, ...info } = rt.actorInfo(pid)
    assert.ok(ageMs >= 0)
    assert.deepEqual(names.sort(), ['a', 'b'])
    const known = {
      pid,
      kind: 'push',
      budget: 3,
      capacity: 7,
      handled: 0,
      codec: null,
      paths: [],
      behaviorVersion: 1,
      lane: { lane: 1, host: 'node' },
      parent: null,
      children: [],
      restarts: 0,
      health: 'healthy',
    }
    assert.deepEqual(info, { ...known, state: 'idle', queue: 0, highWater: 0 })
    rt.sendMany(pid, ['x', 'y', 'z'])
    assert.equal(rt.actorInfo(pid).state, 'queued')
    assert.equal(rt.mailboxSize(pid), 3)
    await turn()
    assert.equal(rt.actorInfo(pid).state, 'running')
    assert.equal(rt.mailboxSize(pid), 2)
    gate.resolve()
    await quiet(rt)
    assert.equal(rt.actorInfo(pid).handled, 3)
    assert.equal(rt.actorInfo(pid).highWater, 3)
    rt.stop(pid)
    assert.deepEqual(rt.listActors(), [second])
    assertBalanced(rt.getMetrics())
  })

  test('runtimes have ids of their own', (t) => {
    const ids = [runtime(t).id, runtime(t).id, runtime(t).id]
    assert.equal(new Set(ids).size, 3)
    for (const id of ids) assert.ok(Number.isSafeInteger(id) && id > 0)
  })
})
