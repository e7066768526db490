// Request and reply: every outcome, each exactly once.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IrisError } from '../index.mjs'
import { assertBalanced, deferred, eventually, quiet, rejects, runtime, turn } from './support.mjs'

const never = () => new Promise(() => {})

/** Nothing of a call is left. */
async function assertNothingLeft(rt) {
  await eventually(() => {
    const { openCalls, timers } = rt.getMetrics()
    return openCalls === 0 && timers === 0
  })
  assertBalanced(rt.getMetrics())
}

describe('a call is answered', () => {
  for (const [name, handler, expected] of [
    ['by what the handler returns', (m) => `re: ${m}`, 're: x'],
    ['by what its promise resolves to', async (m) => Buffer.from(`re: ${m}`), 're: x'],
    ['by ctx.reply', (m, ctx) => ctx.reply(`re: ${m}`), 're: x'],
    [
      'by ctx.reply, and what is returned then is no reply',
      (m, ctx) => {
        ctx.reply(`re: ${m}`)
        return 'another'
      },
      're: x',
    ],
    [
      'by ctx.reply, and a wrong result is no error then',
      (m, ctx) => {
        ctx.reply(`re: ${m}`)
        return 42
      },
      're: x',
    ],
    [
      'by ctx.reply of an async handler',
      async (m, ctx) => {
        await turn()
        ctx.reply(`re: ${m}`)
        await turn()
        return 'another'
      },
      're: x',
    ],
    ['by an ArrayBuffer', () => new Uint8Array([97]).buffer, 'a'],
    ['by its own message', (m) => m, 'x'],
    ['by nothing, which is an empty reply', () => {}, ''],
    ['by null, which is an empty reply', () => null, ''],
    ['by an empty ctx.reply', (_m, ctx) => ctx.reply(), ''],
    ['by an empty string', () => '', ''],
    // biome-ignore lint/suspicious/noThenProperty: a thenable that is no promise.
    ['by a thenable', () => ({ then: (resolve) => resolve('later') }), 'later'],
  ]) {
    test(name, async (t) => {
      const rt = runtime(t)
      const pid = rt.spawn(handler)
      const forms = [
        rt.call(pid, 'x'),
        rt.call(pid, Buffer.from('x')),
        rt.call(pid, 'x', 5),
        rt.call(pid, 'x', { timeoutMs: 5000 }),
        rt.call(pid, Buffer.from('x'), { signal: new AbortController().signal }),
      ]
      for (const reply of await Promise.all(forms)) {
        assert.ok(Buffer.isBuffer(reply))
        assert.equal(String(reply), expected)
      }
      assert.ok(rt.isAlive(pid))
      await assertNothingLeft(rt)
      const metrics = await quiet(rt)
      assert.equal(metrics.calls, 5)
      assert.equal(metrics.handled, 5)
    })
  }

  test('once: a second reply is stale and throws where it is given', async (t) => {
    const rt = runtime(t)
    const errors = []
    const pid = rt.spawn((_message, ctx) => {
      assert.equal(ctx.isCall, true)
      ctx.reply('first')
      assert.equal(ctx.isCall, false)
      try {
        ctx.reply('second')
      } catch (error) {
        errors.push(error)
      }
    })
    assert.equal(String(await rt.call(pid, '')), 'first')
    assert.equal(errors[0].code, 'ERR_IRIS_STALE_REPLY')
    assert.ok(errors[0] instanceof IrisError)
  })

  test('after the handler has returned, if the reply was kept', async (t) => {
    const rt = runtime(t)
    const waiting = []
    // A reentrant actor answers out of order.
    const pid = rt.spawn(
      (message, ctx) =>
        new Promise((resolve) => {
          waiting.push(() => resolve(`re: ${message}`))
          if (waiting.length === 3) setImmediate(() => waiting.reverse().map((go) => go()))
          assert.ok(ctx.isCall)
        }),
      { reentrant: true },
    )
    const order = []
    const replies = ['a', 'b', 'c'].map((x) =>
      rt.call(pid, x).then((reply) => {
        order.push(x)
        return String(reply)
      }),
    )
    assert.deepEqual(await Promise.all(replies), ['re: a', 're: b', 're: c'])
    assert.deepEqual(order, ['c', 'b', 'a'])
  })
})

test('a message that is no call has nothing to reply to', async (t) => {
  const rt = runtime(t)
  const seen = deferred()
  const pid = rt.spawn((_message, ctx) => {
    assert.equal(ctx.isCall, false)
    try {
      ctx.reply('x')
    } catch (error) {
      seen.resolve(error.code)
    }
  })
  rt.send(pid, '')
  assert.equal(await seen.promise, 'ERR_IRIS_STALE_REPLY')
})

describe('a result that is no message', () => {
  for (const [name, handler] of [
    ['of a handler', () => 42],
    ['of an async handler', async () => ({ answer: 42 })],
    ['of ctx.reply', (_m, ctx) => ctx.reply([1, 2])],
    ['a symbol', () => Symbol('s')],
  ]) {
    test(`${name} rejects the call with a TypeError and is a crash`, async (t) => {
      const rt = runtime(t)
      const pid = rt.spawn(handler)
      const error = await rt.call(pid, '').catch((e) => e)
      assert.ok(error instanceof TypeError)
      assert.equal(error.code, 'ERR_IRIS_INVALID_TYPE')
      assert.equal((await rt.join(pid)).reason, 'crash')
      await assertNothingLeft(rt)
    })
  }

  test('is nobody’s business if nobody called', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => 42)
    rt.send(pid, '')
    await quiet(rt)
    assert.ok(rt.isAlive(pid))
  })
})

describe('a handler that throws', () => {
  test('rejects the call with that very error, and is a crash', async (t) => {
    const rt = runtime(t)
    const boom = new RangeError('boom')
    for (const handler of [
      () => {
        throw boom
      },
      async () => {
        await turn()
        throw boom
      },
    ]) {
      const pid = rt.spawn(handler)
      assert.equal(await rt.call(pid, '').catch((error) => error), boom)
      const { reason, message } = await rt.join(pid)
      assert.deepEqual({ reason, message }, { reason: 'crash', message: 'RangeError: boom' })
    }
    await assertNothingLeft(rt)
  })

  test('after it has replied crashes its actor, and the call keeps its reply', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((_message, ctx) => {
      ctx.reply('done')
      throw new Error('later')
    })
    assert.equal(String(await rt.call(pid, '')), 'done')
    assert.equal((await rt.join(pid)).reason, 'crash')
  })
})

describe('a deadline', () => {
  test('of 0 has passed before the handler could run', async (t) => {
    const rt = runtime(t)
    const blocked = rt.spawn(never)
    rt.send(blocked, 'stuck')
    await rejects(rt.call(blocked, '', { timeoutMs: 0 }), 'ERR_IRIS_TIMEOUT')
    await rejects(rt.call(blocked, '', 0), 'ERR_IRIS_TIMEOUT')
    await assertNothingLeft(rt)
    assert.equal(rt.getMetrics().callTimeouts, 2)
  })

  test('is the runtime’s default if the call does not say', async (t) => {
    const rt = runtime(t, { callTimeoutMs: 1 })
    const blocked = rt.spawn(never)
    await rejects(rt.call(blocked, ''), 'ERR_IRIS_TIMEOUT')
    await rejects(rt.call(blocked, Buffer.from('x')), 'ERR_IRIS_TIMEOUT')
    await rejects(rt.call(blocked, '', {}), 'ERR_IRIS_TIMEOUT')
  })

  test('may be as far away as a number goes', async (t) => {
    const rt = runtime(t, { callTimeoutMs: 2 ** 53, stopTimeoutMs: 2 ** 53 })
    const pid = rt.spawn((m) => m)
    assert.equal(String(await rt.call(pid, 'x')), 'x')
    assert.equal(String(await rt.call(pid, 'x', { timeoutMs: 2 ** 53 })), 'x')
    assert.equal(String(await rt.call(pid, 'x', 2 ** 53 / 1000)), 'x')
    await assertNothingLeft(rt)
  })

  test('that has passed keeps the call from the handler', async (t) => {
    const rt = runtime(t)
    const seen = []
    const gate = deferred()
    const pid = rt.spawn(async (message) => {
      seen.push(String(message))
      if (seen.length === 1) await gate.promise
    })
    rt.send(pid, 'first')
    await rejects(rt.call(pid, 'late', { timeoutMs: 1 }), 'ERR_IRIS_TIMEOUT')
    rt.send(pid, 'last')
    gate.resolve()
    const metrics = await quiet(rt)
    assert.deepEqual(seen, ['first', 'last'])
    assert.equal(metrics.expired, 1)
  })

  test('fault row 9: a reply after it is dropped and counted, and the actor lives on', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    let begun = false
    const pid = rt.spawn(async (message) => {
      begun = true
      if (String(message) === 'slow') await gate.promise
      return `re: ${message}`
    })
    // On a busy machine the time may be over before the handler could have begun.
    while (!begun) await rejects(rt.call(pid, 'slow', { timeoutMs: 1 }), 'ERR_IRIS_TIMEOUT')
    gate.resolve()
    assert.equal(String(await rt.call(pid, 'quick')), 're: quick')
    const metrics = await quiet(rt)
    assert.equal(metrics.lateReplies, 1)
    assert.equal(metrics.handled, 2)
    await assertNothingLeft(rt)
  })

  test('fault row 9: ctx.reply after it is dropped and counted', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const waited = deferred()
    let begun = false
    const pid = rt.spawn(async (_message, ctx) => {
      begun = true
      await gate.promise
      ctx.reply('late')
      waited.resolve('not thrown')
    })
    while (!begun) await rejects(rt.call(pid, '', { timeoutMs: 1 }), 'ERR_IRIS_TIMEOUT')
    gate.resolve()
    assert.equal(await waited.promise, 'not thrown')
    assert.equal((await quiet(rt)).lateReplies, 1)
    assert.ok(rt.isAlive(pid))
  })

  test('that passes while the handler holds the loop ends the call, whatever it then returns', async (t) => {
    const rt = runtime(t)
    let begun = 0
    const pid = rt.spawn(() => {
      begun++
      const until = performance.now() + 300
      while (performance.now() < until);
      return 'too late'
    })
    let asked = 0
    while (begun === 0) {
      const calls = [1, 2, 3].map(() => rt.call(pid, Buffer.from('x'), { timeoutMs: 20 }))
      for (const call of calls) await rejects(call, 'ERR_IRIS_TIMEOUT')
      asked += calls.length
    }
    const { lateReplies, callTimeouts, openCalls } = await quiet(rt)
    assert.deepEqual([callTimeouts, openCalls], [asked, 0])
    assert.equal(lateReplies, begun)
    assert.equal(String(await rt.call(pid, Buffer.from('x'))), 'too late')
  })

  test('100,000 of them leave nothing behind', async (t) => {
    const rt = runtime(t)
    const blocked = rt.spawn(never)
    rt.send(blocked, 'stuck')
    const data = Buffer.from('x')
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 5000 }, () =>
        rt.call(blocked, data, { timeoutMs: 1 }).catch((error) => error.code),
      )
      const codes = new Set(await Promise.all(calls))
      assert.deepEqual([...codes], ['ERR_IRIS_TIMEOUT'])
    }
    await assertNothingLeft(rt)
    const metrics = rt.getMetrics()
    assert.equal(metrics.callTimeouts, 100_000)
    // Half of a queue at most may be calls that are over.
    assert.ok(rt.mailboxSize(blocked) < 100, `${rt.mailboxSize(blocked)} are queued`)
  })
})

describe('an AbortSignal', () => {
  test('that was aborted before sends nothing', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => assert.fail('called'))
    await rejects(rt.call(pid, '', { signal: AbortSignal.abort() }), 'ERR_IRIS_ABORTED')
    assert.equal(rt.getMetrics().attempted, 0)
  })

  test('that is aborted meanwhile ends the call, and a late reply is counted', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const begun = deferred()
    const pid = rt.spawn(async () => {
      begun.resolve()
      await gate.promise
      return 'late'
    })
    const controller = new AbortController()
    const call = rt.call(pid, '', { signal: controller.signal })
    await begun.promise
    const reason = new Error('enough')
    controller.abort(reason)
    const error = await call.catch((e) => e)
    assert.equal(error.code, 'ERR_IRIS_ABORTED')
    assert.equal(error.cause, reason)
    gate.resolve()
    assert.equal((await quiet(rt)).lateReplies, 1)
    await assertNothingLeft(rt)
  })

  test('that is aborted while the call is queued keeps it from the handler', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message) => {
      seen.push(String(message))
    })
    const controller = new AbortController()
    const call = rt.call(pid, 'aborted', { signal: controller.signal })
    rt.send(pid, 'sent')
    controller.abort()
    await rejects(call, 'ERR_IRIS_ABORTED')
    await quiet(rt)
    assert.deepEqual(seen, ['sent'])
  })

  test('that is aborted afterwards changes nothing', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((m) => m)
    const controller = new AbortController()
    assert.equal(String(await rt.call(pid, 'x', { signal: controller.signal })), 'x')
    controller.abort()
    await turn()
    assert.equal(String(await rt.call(pid, 'y')), 'y')
    await assertNothingLeft(rt)
  })

  test('in the turn in which the reply comes lets exactly one win', async (t) => {
    const rt = runtime(t)
    const controller = new AbortController()
    const pid = rt.spawn((m) => {
      queueMicrotask(() => controller.abort())
      return m
    })
    const call = rt.call(pid, 'x', { signal: controller.signal })
    assert.equal(String(await call), 'x')
    await assertNothingLeft(rt)
  })

  test('in the handler that would answer ends the call first', async (t) => {
    const rt = runtime(t)
    const controller = new AbortController()
    const pid = rt.spawn((m) => {
      controller.abort()
      return m
    })
    await rejects(rt.call(pid, 'x', { signal: controller.signal }), 'ERR_IRIS_ABORTED')
    assert.equal((await quiet(rt)).lateReplies, 1)
  })

  test('shared by many calls ends them all', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(never)
    const controller = new AbortController()
    const calls = Array.from({ length: 100 }, () =>
      rt.call(pid, 'x', { signal: controller.signal }).catch((error) => error.code),
    )
    await turn()
    controller.abort()
    assert.deepEqual([...new Set(await Promise.all(calls))], ['ERR_IRIS_ABORTED'])
    await assertNothingLeft(rt)
  })
})

describe('a call ends at once with ActorExited', () => {
  for (const [name, end, reason] of [
    ['stopped', (rt, pid) => rt.stop(pid, { timeoutMs: 1 }), 'timeout'],
    ['killed', (rt, pid) => rt.kill(pid), 'killed'],
    ['crashed', (_rt, _pid, crash) => crash(), 'crash'],
  ]) {
    test(`when its actor is ${name}, whether it runs or is queued`, async (t) => {
      const rt = runtime(t)
      const gate = deferred()
      const begun = deferred()
      const pid = rt.spawn(async () => {
        begun.resolve()
        await gate.promise
        throw new Error('crash')
      })
      const options = { timeoutMs: 2 ** 30 }
      const running = rt.call(pid, 'running', options)
      const queued = [rt.call(pid, 'q', options), rt.call(pid, Buffer.from('q'), options)]
      const exited = Promise.all(queued.map((call) => rejects(call, 'ERR_IRIS_ACTOR_EXITED')))
      await begun.promise
      end(rt, pid, gate.resolve)
      if (name === 'crashed') await assert.rejects(running, { message: 'crash' })
      else await rejects(running, 'ERR_IRIS_ACTOR_EXITED')
      await exited
      assert.equal((await rt.join(pid)).reason, reason)
      await quiet(rt)
      await assertNothingLeft(rt)
    })
  }

  test('when it is stopped in the handler of another one of the same batch', async (t) => {
    const rt = runtime(t)
    const victim = rt.spawn(() => 'never')
    const killer = rt.spawn(() => {
      rt.kill(victim)
    })
    rt.send(killer, '')
    await rejects(rt.call(victim, ''), 'ERR_IRIS_ACTOR_EXITED')
    await quiet(rt)
  })
})

describe('a call of nobody is refused at once', () => {
  test('if the actor is dead, of another runtime, or the number no pid', async (t) => {
    const rt = runtime(t)
    const other = runtime(t)
    const dead = rt.spawn(() => {})
    rt.kill(dead)
    const foreign = other.spawn((m) => m)
    for (const pid of [dead, foreign, 0, -1, 1.5, Number.NaN, Infinity, 2 ** 60]) {
      await rejects(rt.call(pid, 'x'), 'ERR_IRIS_NO_SUCH_ACTOR')
      await rejects(rt.call(pid, Buffer.from('x')), 'ERR_IRIS_NO_SUCH_ACTOR')
    }
    await assertNothingLeft(rt)
  })

  test('if its mailbox is full', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnBounded(() => 'done', { capacity: 1 })
    const first = rt.call(pid, Buffer.from('x'))
    const refused = [rt.call(pid, Buffer.from('x')), rt.call(pid, 'x')]
    await Promise.all(refused.map((call) => rejects(call, 'ERR_IRIS_MAILBOX_FULL')))
    assert.equal(String(await first), 'done')
    assert.equal((await quiet(rt)).refused.full, 2)
  })
})

describe('an actor that calls', () => {
  test('is the sender of the call', async (t) => {
    const rt = runtime(t)
    const callee = rt.spawn((_message, ctx) => String(ctx.sender))
    const caller = rt.spawn((_message, ctx) => ctx.call(callee, ''))
    assert.equal(String(await rt.call(caller, '')), String(caller))
    assert.equal(String(await rt.call(callee, '')), 'null')
  })

  test('itself is an error at once, by ctx.call and by rt.call', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((message, ctx) => {
      const self = String(message) === 'ctx' ? ctx.call(ctx.pid, 'x') : rt.call(ctx.pid, 'x')
      return self.catch((error) => error.code)
    })
    assert.equal(String(await rt.call(pid, 'ctx')), 'ERR_IRIS_SELF_CALL')
    assert.equal(String(await rt.call(pid, 'rt')), 'ERR_IRIS_SELF_CALL')
    const later = rt.spawn(async (_message, ctx) => {
      await turn()
      return ctx.call(ctx.pid, 'x').catch((error) => error.code)
    })
    assert.equal(String(await rt.call(later, '')), 'ERR_IRIS_SELF_CALL')
    await assertNothingLeft(rt)
  })

  test('fault row 11: in a cycle ends by the deadline, and both live on', async (t) => {
    const rt = runtime(t)
    const handler = (peer) => (message, ctx) =>
      String(message) === 'ping'
        ? 'pong'
        : ctx.call(peer(), 'go', { timeoutMs: 5 }).catch((e) => e.code)
    const a = rt.spawn(handler(() => b))
    const b = rt.spawn(handler(() => a))
    // A waits for B, B for A: one of the deadlines ends it, then the other can answer.
    const outcome = String(await rt.call(a, 'go'))
    assert.match(outcome, /^(ERR_IRIS_TIMEOUT)?$/)
    assert.equal(String(await rt.call(a, 'ping')), 'pong')
    assert.equal(String(await rt.call(b, 'ping')), 'pong')
    await quiet(rt)
    await assertNothingLeft(rt)
  })

  test('fault row 10: and dies in mid-call gets no reply, and nothing leaks', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const begun = deferred()
    const outcome = deferred()
    const callee = rt.spawn(async () => {
      begun.resolve()
      await gate.promise
      return 'for nobody'
    })
    const caller = rt.spawn((_message, ctx) => {
      ctx.call(callee, '').then(outcome.resolve, (error) => outcome.resolve(error.code))
    })
    rt.send(caller, '')
    await begun.promise
    rt.kill(caller)
    gate.resolve()
    assert.equal(await outcome.promise, 'ERR_IRIS_ACTOR_EXITED')
    const metrics = await quiet(rt)
    assert.equal(metrics.lateReplies, 1)
    assert.ok(rt.isAlive(callee))
    await assertNothingLeft(rt)
  })

  test('after its end is refused', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const outcome = deferred()
    const other = rt.spawn(() => assert.fail('a dead actor was heard'))
    const pid = rt.spawn(async (_message, ctx) => {
      await gate.promise
      const sent = [ctx.send(other, 'x'), ctx.send(other, Buffer.from('x'))]
      const code = await ctx.call(other, 'x').catch((error) => error.code)
      outcome.resolve([...sent, code])
    })
    rt.send(pid, '')
    await turn()
    rt.kill(pid)
    await rt.join(pid)
    gate.resolve()
    assert.deepEqual(await outcome.promise, [false, false, 'ERR_IRIS_ACTOR_EXITED'])
    await quiet(rt)
  })
})

test('fault row 37: nothing blocks; what waits answers a promise', async (t) => {
  const rt = runtime(t)
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(rt))
  assert.deepEqual(
    names.filter((name) => /blocking|Sync$/.test(name)),
    [],
  )
  const pid = rt.spawn((m) => m)
  const waits = [rt.call(pid, 'x'), rt.join(pid), rt.close()]
  for (const wait of waits) assert.ok(wait instanceof Promise)
  await Promise.allSettled(waits)
})
