// Async handlers, reentrant actors, contexts, AsyncLocalStorage.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import { deferred, eventually, quiet, run, runtime, turn } from './support.mjs'

describe('an async handler', () => {
  test('is awaited before the next message, and other actors run meanwhile', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const seen = []
    const slow = rt.spawn(async (message) => {
      seen.push(String(message))
      await gate.promise
    })
    const quick = rt.spawn((message) => {
      seen.push(String(message))
    })
    rt.sendMany(slow, ['a', 'b'])
    rt.sendMany(quick, ['x', 'y'])
    await eventually(() => seen.length === 3)
    await turn()
    assert.deepEqual(seen, ['a', 'x', 'y'])
    assert.equal(rt.actorInfo(slow).state, 'running')
    gate.resolve()
    await quiet(rt)
    assert.deepEqual(seen, ['a', 'x', 'y', 'b'])
  })

  test('that is sometimes sync keeps the order of its messages', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message) => {
      const n = Number(message)
      if (n % 3 !== 0) return void seen.push(n)
      return turn().then(() => void seen.push(n))
    })
    for (let i = 0; i < 300; i++) rt.send(pid, Buffer.from(String(i)))
    await quiet(rt)
    assert.deepEqual(
      seen,
      Array.from({ length: 300 }, (_, i) => i),
    )
  })

  test('of many actors all make progress', async (t) => {
    const rt = runtime(t)
    let handled = 0
    const pids = Array.from({ length: 1000 }, () =>
      rt.spawn(async () => {
        await turn()
        handled++
      }),
    )
    for (let i = 0; i < 5; i++) for (const pid of pids) rt.send(pid, Buffer.from('x'))
    const metrics = await quiet(rt)
    assert.equal(handled, 5000)
    assert.equal(metrics.handled, 5000)
  })

  test('keeps its ctx: the sender is the same after an await', async (t) => {
    const rt = runtime(t)
    const senders = []
    const pid = rt.spawn(async (_message, ctx) => {
      const before = ctx.sender
      await turn()
      senders.push([before, ctx.sender])
    })
    const a = rt.spawn((_message, ctx) => void ctx.send(pid, 'x'))
    const b = rt.spawn((_message, ctx) => void ctx.send(pid, 'x'))
    rt.send(a, '')
    rt.send(b, '')
    rt.send(pid, '')
    await eventually(() => senders.length === 3)
    for (const [before, after] of senders) assert.equal(before, after)
    assert.deepEqual(new Set(senders.map(([sender]) => sender)), new Set([a, b, null]))
  })
})

describe('a reentrant actor', () => {
  test('takes its next message while promises of others are pending', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const seen = []
    const pid = rt.spawn(
      async (message) => {
        seen.push(`${message} begins`)
        await gate.promise
        seen.push(`${message} ends`)
      },
      { reentrant: true },
    )
    rt.sendMany(pid, ['a', 'b', 'c'])
    await quiet(rt)
    assert.deepEqual(seen, ['a begins', 'b begins', 'c begins'])
    gate.resolve()
    await eventually(() => seen.length === 6)
    assert.deepEqual(seen.slice(3), ['a ends', 'b ends', 'c ends'])
  })

  test('has a ctx for each message', async (t) => {
    const rt = runtime(t)
    const contexts = []
    const pid = rt.spawn(
      async (message, ctx) => {
        contexts.push(ctx)
        const before = ctx.sender
        await turn()
        assert.equal(ctx.sender, before)
        return message
      },
      { reentrant: true },
    )
    const a = rt.spawn((_message, ctx) => void ctx.send(pid, 'x'))
    rt.send(pid, Buffer.from('x'))
    rt.send(a, '')
    rt.send(pid, Buffer.from('x'))
    assert.equal(String(await rt.call(pid, 'call')), 'call')
    await eventually(() => contexts.length === 4)
    assert.equal(new Set(contexts).size, 4)
    assert.equal(rt.getMetrics().exited.crash, 0)
  })

  test('that is not has one ctx for all but calls', async (t) => {
    const rt = runtime(t)
    const contexts = []
    const pid = rt.spawn((_message, ctx) => {
      contexts.push([ctx, ctx.isCall, ctx.pid, ctx.runtime])
    })
    rt.send(pid, 'x')
    const call = rt.call(pid, 'x')
    rt.send(pid, Buffer.from('x'))
    await call
    await quiet(rt)
    const [first, second, third] = contexts
    assert.equal(first[0], third[0])
    assert.notEqual(first[0], second[0])
    assert.deepEqual(
      contexts.map(([, isCall]) => isCall),
      [false, true, false],
    )
    for (const [, , of, within] of contexts) assert.deepEqual([of, within === rt], [pid, true])
  })

  test('calls in a cycle without a deadline', async (t) => {
    const rt = runtime(t)
    const handler = (peer) => (message, ctx) => {
      const left = Number(message)
      return left === 0 ? 'done' : ctx.call(peer(), String(left - 1))
    }
    const a = rt.spawn(
      handler(() => b),
      { reentrant: true },
    )
    const b = rt.spawn(
      handler(() => a),
      { reentrant: true },
    )
    assert.equal(String(await rt.call(a, '20')), 'done')
  })
})

describe('AsyncLocalStorage', () => {
  test('a handler runs in the context of its spawn, whoever sends or wakes', async (t) => {
    const rt = runtime(t)
    const als = new AsyncLocalStorage()
    const seen = []
    const handler = (message) => {
      seen.push([String(message), als.getStore()])
    }
    const inside = als.run('spawn', () => rt.spawn(handler))
    const outside = rt.spawn(handler)
    als.run('sender', () => {
      rt.send(inside, 'first')
      rt.send(outside, 'first')
    })
    await quiet(rt)
    await als.run('waker', async () => {
      await rt.call(inside, 'second')
      await rt.call(outside, 'second')
      await turn()
      rt.sendMany(inside, ['third'])
      rt.sendMany(outside, ['third'])
    })
    await quiet(rt)
    assert.deepEqual(
      seen.sort(),
      ['first', 'second', 'third']
        .flatMap((m) => [
          [m, 'spawn'],
          [m, undefined],
        ])
        .sort(),
    )
  })

  test('so does what a handler awaits, and what it spawns', async (t) => {
    const rt = runtime(t)
    const als = new AsyncLocalStorage()
    const child = deferred()
    const pid = als.run('spawn', () =>
      rt.spawn(async (_message, ctx) => {
        await turn()
        const grandchild = ctx.runtime.spawn(() => child.resolve(als.getStore()))
        ctx.send(grandchild, '')
        return als.getStore()
      }),
    )
    assert.equal(String(await als.run('caller', () => rt.call(pid, ''))), 'spawn')
    assert.equal(await child.promise, 'spawn')
  })

  test('what awaits a call stays in its own context', async (t) => {
    const rt = runtime(t)
    const als = new AsyncLocalStorage()
    const pid = als.run('spawn', () => rt.spawn((m) => m))
    await als.run('caller', async () => {
      await rt.call(pid, 'x')
      assert.equal(als.getStore(), 'caller')
      await rt.call(pid, 'x', { signal: new AbortController().signal })
      assert.equal(als.getStore(), 'caller')
    })
  })

  test('a storage made after the runtime, and a flood over many turns, change nothing', async (t) => {
    const rt = runtime(t, { timeSliceMs: 0.01 })
    const pid = rt.spawn(() => {
      stores.add(als.getStore())
    })
    const als = new AsyncLocalStorage()
    const stores = new Set()
    als.run('waker', () => {
      for (let i = 0; i < 20_000; i++) rt.send(pid, Buffer.from('x'))
    })
    await als.run('another', () => quiet(rt))
    assert.deepEqual([...stores], [undefined])
  })

  test('a runtime that was made inside of a context does not keep it', async (t) => {
    const als = new AsyncLocalStorage()
    const [rt, pid] = als.run('maker', () => {
      const made = runtime(t)
      return [made, als.exit(() => made.spawn(() => String(als.getStore())))]
    })
    assert.equal(String(await rt.call(pid, '')), 'undefined')
  })

  test('nor does the module that was loaded inside of one', async () => {
    const { stdout, stderr } = await run(`
      import { AsyncLocalStorage } from 'node:async_hooks'
      import { createRequire } from 'node:module'
      const require = createRequire(process.cwd() + '/')
      delete require.cache[require.resolve('./lib/scope.js')]
      for (const key of Object.keys(require.cache)) if (/iris|main/.test(key)) delete require.cache[key]
      const als = new AsyncLocalStorage()
      const { NodeRuntime: Loaded } = als.run('loader', () => require('./index.js'))
      const rt = new Loaded()
      const pid = rt.spawn(() => String(als.getStore()))
      rt.call(pid, '').then((reply) => console.log(String(reply)))`)
    assert.equal(stdout.trim(), 'undefined', stderr)
  })
})
