// Messages that the drain hands over itself, without the core (docs/adr/0027): nobody may notice but by the clock.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { assertBalanced, deferred, quiet, root, runtime, turn } from './support.mjs'

const number = (n, length = 8) => {
  const bytes = Buffer.alloc(length, n)
  bytes.writeInt32LE(n)
  return bytes
}

/** Two actors that pass a number to and fro until it is 0; `at(left, ctx)` is called for each. Answers when it is. */
async function volley(rt, n, at = () => {}, { length = () => 8, options } = {}) {
  const over = deferred()
  const pair = []
  const handler = (me) => (message, ctx) => {
    const left = message.readInt32LE()
    if (left === 0) over.resolve()
    else ctx.send(pair[1 - me], number(left - 1, length(left)))
    return at(left, ctx, message)
  }
  pair.push(rt.spawn(handler(0), options), rt.spawn(handler(1), options))
  const crash = new Promise((_, reject) => {
    for (const pid of pair) rt.join(pid).then((info) => info.reason === 'crash' && reject(info))
  })
  rt.send(pair[0], number(n))
  await Promise.race([over.promise, crash])
  return pair
}

test('what actors of one loop send each other crosses the border once in many messages', () => {
  const source = `
    const binding = require('./binding.js')
    const { createLane } = binding
    let crossings = 0
    binding.createLane = (...args) => {
      const lane = createLane(...args)
      const { take } = lane
      lane.take = () => { crossings++; take() }
      return lane
    }
    const { NodeRuntime } = require('./index.js')
    const rt = new NodeRuntime()
    let left = 10_000
    const pair = [0, 1].map((me) => rt.spawn((message) => {
      if (--left > 0) rt.send(pair[1 - me], message)
      else setImmediate(() => console.log(crossings, rt.getMetrics().handled))
    }))
    rt.send(pair[0], Buffer.from('a ball'))`
  const out = execFileSync(process.execPath, ['-e', source], { cwd: root, encoding: 'utf8' })
  const [crossings, handled] = out.split(' ').map(Number)
  assert.equal(handled, 10_000)
  assert.ok(crossings < 2_000, `${crossings} crossings`)
})

test('whoever asks in between gets the exact answer', async (t) => {
  const rt = runtime(t)
  const total = 3_000
  let begun = 0
  await volley(rt, total, (left, ctx) => {
    begun++
    if (left % 7 !== 0) return
    const metrics = rt.getMetrics()
    assertBalanced(metrics)
    assert.equal(metrics.handled, begun - 1)
    assert.equal(metrics.inFlight, 1)
    assert.equal(metrics.queued, left === 0 ? 0 : 1)
    assert.equal(ctx.sender === null, left === total)
    const { handled, queue } = rt.actorInfo(ctx.pid)
    assert.equal(handled, (begun - 1) >> 1)
    assert.equal(queue, 0)
    assert.equal(rt.mailboxSize(ctx.pid), 0)
  })
  const { handled, accepted } = await quiet(rt)
  assert.deepEqual([handled, accepted], [total + 1, total + 1])
})

test('bytes arrive as they were sent, whatever their number, and are the receiver’s own', async (t) => {
  const rt = runtime(t)
  const kept = []
  await volley(
    rt,
    2_000,
    (left, _ctx, message) => {
      kept.push([message, left])
    },
    { length: (left) => [4, 5, 7, 64, 65, 256, 257, 1000, 4096, 5000][left % 10] },
  )
  assert.equal(kept.length, 2_001)
  for (const [message, left] of kept) {
    assert.deepEqual(message, number(left, message.length))
    message.fill(0xff)
  }
})

test('an actor ends in the middle: by a crash, a kill of its own, a kill by another, a stop', async (t) => {
  const crashes = []
  const rt = runtime(t, { onCrash: (info) => crashes.push(info.message) })
  const ways = [
    [() => assert.fail('in hand'), 'crash'],
    [(ctx) => rt.kill(ctx.pid), 'killed'],
    [(ctx) => ctx.stop(), 'shutdown'],
    [(_, other) => rt.kill(other), 'killed', 'other'],
    [(_, other) => rt.stop(other), 'shutdown', 'other'],
  ]
  for (const [end, reason, who] of ways) {
    const pair = []
    let victim
    let handled = 0
    const handler = (me) => (message, ctx) => {
      handled++
      const left = message.readInt32LE()
      // Twice: what is behind the one in hand dies or lives with its receiver.
      for (const n of [left - 1, -1]) if (left > 0) ctx.send(pair[1 - me], number(n))
      if (left !== 50) return
      victim = who === 'other' ? pair[1 - me] : ctx.pid
      end(ctx, pair[1 - me])
    }
    const before = rt.getMetrics()
    pair.push(rt.spawn(handler(0)), rt.spawn(handler(1)))
    rt.send(pair[0], number(100))
    await quiet(rt)
    const info = await rt.join(victim)
    assert.equal(info.reason, reason)
    assert.equal(rt.isAlive(pair.find((pid) => pid !== victim)), true)
    const after = await quiet(rt)
    const dead = (m) => Object.values(m.dead).reduce((a, b) => a + b, 0)
    assert.equal(after.handled - before.handled, handled - (reason === 'crash' ? 1 : 0))
    assert.equal(
      after.accepted - before.accepted,
      handled + dead(after) - dead(before) - (reason === 'crash' ? 1 : 0),
    )
  }
  assert.deepEqual(crashes.length, 1)
})

test('a handler that answers a promise is awaited, and its actor gets one at a time from then on', async (t) => {
  const rt = runtime(t)
  const open = new Set()
  let handled = 0
  await volley(rt, 500, (left, { pid }) => {
    assert.equal(open.has(pid), false)
    handled++
    if (left % 50 !== 0 || left === 0) return undefined
    open.add(pid)
    return turn().then(() => open.delete(pid) && undefined)
  })
  await quiet(rt)
  assert.equal(handled, 501)
})

test('a burst to one actor waits for those of others after its budget', async (t) => {
  const rt = runtime(t)
  const seen = []
  const done = deferred()
  const sink = rt.spawn(() => seen.push('sink'), { budget: 10 })
  const other = rt.spawn(() => seen.push('other'))
  const source = rt.spawn((message) => {
    if (message.length === 1) return
    for (let i = 0; i < 100; i++) rt.send(sink, number(i))
    rt.send(other, number(0))
  })
  // All three have had a message, so that nothing stands in the way of handing over.
  for (const pid of [sink, other, source]) rt.send(pid, Buffer.from('x'))
  await quiet(rt)
  seen.length = 0
  rt.send(source, number(0))
  await quiet(rt)
  done.resolve()
  assert.equal(seen.length, 101)
  assert.ok(seen.indexOf('other') <= 10, `after ${seen.indexOf('other')}`)
})

test('a stop, a kill and a swap by others are seen before the next message', async (t) => {
  const rt = runtime(t)
  const second = []
  const first = []
  const pair = []
  const handler = (list, me) => (message, ctx) => {
    const left = message.readInt32LE()
    list.push(left)
    if (left > 0) ctx.send(pair[1 - me], number(left - 1))
    if (left === 40) rt.hotSwap(pair[1 - me], handler(second, 1 - me))
  }
  pair.push(rt.spawn(handler(first, 0)), rt.spawn(handler(first, 1)))
  rt.send(pair[0], number(60))
  await quiet(rt)
  assert.deepEqual(
    second,
    Array.from({ length: 20 }, (_, i) => 39 - 2 * i),
  )
  assert.equal(first.length, 41)
})

test('a spawn takes the slot of whoever ended in the same handler', async (t) => {
  const rt = runtime(t)
  const seen = []
  const pair = []
  const handler = (me) => (message, ctx) => {
    const left = message.readInt32LE()
    if (left > 0) ctx.send(pair[1 - me], number(left - 1))
    if (left !== 30) return
    rt.kill(ctx.pid)
    const heir = rt.spawn((data) => seen.push(data.readInt32LE()))
    assert.notEqual(heir, ctx.pid)
    assert.equal(rt.send(ctx.pid, number(0)), false)
    for (let i = 0; i < 3; i++) assert.equal(rt.send(heir, number(i)), true)
  }
  pair.push(rt.spawn(handler(0)), rt.spawn(handler(1)))
  rt.send(pair[0], number(100))
  const { handled, exited, refused } = await quiet(rt)
  assert.deepEqual(seen, [0, 1, 2])
  // The other's answer to the dead one was refused as well.
  assert.deepEqual([handled, exited.killed, refused.no_such_actor], [72 + 3, 1, 2])
})

test('delayed messages, bounded and virtual and pull actors and calls get their turn in between', async (t) => {
  const rt = runtime(t)
  const got = { bounded: 0, virtual: 0, pull: 0, reply: 0, late: 0 }
  const bounded = rt.spawnBounded(() => got.bounded++, { capacity: 1000 })
  const virtual = rt.spawnVirtual(() => got.virtual++)
  const late = rt.spawn(() => got.late++)
  const pull = rt.spawnWithMailbox(async (mailbox) => {
    for await (const _ of mailbox) got.pull++
  })
  const echo = rt.spawn((message) => message)
  const replies = []
  await volley(rt, 1_000, (left) => {
    if (left % 10 !== 0) return
    for (const pid of [bounded, virtual, pull]) assert.equal(rt.send(pid, number(left)), true)
    rt.sendAfter(late, left % 3, number(left))
    replies.push(rt.call(echo, number(left)).then((reply) => assert.deepEqual(reply, number(left))))
  })
  got.reply = (await Promise.all(replies)).length
  while (got.late < 101 || got.pull < 101) await turn()
  assert.deepEqual(got, { bounded: 101, virtual: 101, pull: 101, reply: 101, late: 101 })
})

test('a Worker that joins in the middle may stop and kill', async (t) => {
  const rt = runtime(t)
  const source = `
    const { workerData: { iris, id, pids } } = require('node:worker_threads')
    const { NodeRuntime } = require(iris)
    const rt = NodeRuntime.attach(id)
    rt.stop(pids[0])
    rt.kill(pids[1])
    rt.close()`
  for (let round = 0; round < 5; round++) {
    const pair = []
    const handler = (me) => (message, ctx) => {
      ctx.send(pair[1 - me], message)
    }
    pair.push(rt.spawn(handler(0)), rt.spawn(handler(1)))
    rt.send(pair[0], 'for ever')
    const iris = fileURLToPath(new URL('../index.js', import.meta.url))
    const worker = new Worker(source, { eval: true, workerData: { iris, id: rt.id, pids: pair } })
    const exit = new Promise((resolve) => worker.once('exit', resolve))
    const ends = await Promise.all(pair.map((pid) => rt.join(pid)))
    assert.deepEqual(
      ends.map((info) => info.reason),
      ['shutdown', 'killed'],
    )
    assert.equal(await exit, 0)
    await quiet(rt)
  }
})

/** As in tests/support: small, seeded, the same everywhere. */
function random(seed) {
  let x = seed
  return (n) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) % n
  }
}

for (const seed of [1, 77, 4242, 90210]) {
  test(`a crowd that does everything loses nothing and keeps the order of each pair (seed ${seed})`, async (t) => {
    const rt = runtime(t)
    const dice = random(seed)
    const size = 12
    const pids = []
    const sent = Array.from({ length: size }, () => new Int32Array(size))
    const seen = Array.from({ length: size }, () => new Int32Array(size))
    let accepted = 0
    let handled = 0
    const echo = rt.spawn((message) => message)
    const message = (from, to, ttl) => {
      const bytes = Buffer.alloc(12 + dice(90))
      bytes.writeInt32LE(from, 0)
      bytes.writeInt32LE(++sent[from][to], 4)
      bytes.writeInt32LE(ttl, 8)
      accepted++
      return bytes
    }
    const handler = (me) => (data, ctx) => {
      handled++
      const [from, place, ttl] = [0, 4, 8].map((at) => data.readInt32LE(at))
      assert.equal(++seen[me][from], place, `from ${from} to ${me}`)
      assert.equal(ctx.pid, pids[me])
      for (let n = ttl > 0 ? 1 + dice(2) : 0; n > 0; n--) {
        const to = dice(size)
        const bytes = message(me, to, ttl - 1)
        if (dice(20) === 0) assert.equal(rt.sendMany(pids[to], [bytes]), 1)
        else
          assert.equal(dice(2) === 0 ? rt.send(pids[to], bytes) : ctx.send(pids[to], bytes), true)
      }
      const act = dice(120)
      if (act === 0) assertBalanced(rt.getMetrics())
      else if (act === 1) rt.kill(rt.spawn(() => {}))
      else if (act === 2) assert.ok(rt.isAlive(pids[dice(size)]))
      else if (act === 3) return turn()
      else if (act === 4) return Promise.resolve(data)
      else if (act === 5) ctx.call(echo, data).then((reply) => assert.deepEqual(reply, data))
      else if (act === 6) rt.hotSwap(ctx.pid, handler(me))
      else if (act === 7) rt.sendAfter(echo, 0, data)
      return data
    }
    for (let i = 0; i < size; i++) {
      if (i % 4 === 3) pids.push(rt.spawnBounded(handler(i), { capacity: 100_000 }))
      else pids.push(rt.spawn(handler(i), { budget: 1 + dice(50), reentrant: i % 5 === 4 }))
    }
    for (let i = 0; i < 40; i++) {
      const to = dice(size)
      rt.send(pids[to], message(0, to, 10))
    }
    await quiet(rt)
    while (handled !== accepted) await turn()
    assert.ok(handled > 1_000, `${handled}`)
    assert.deepEqual(
      seen,
      sent.map((_, to) => sent.map((row) => row[to])).map((row) => Int32Array.from(row)),
    )
    const metrics = await quiet(rt)
    assert.equal(rt.isAlive(echo), true)
    assert.equal(metrics.dead.crash ?? 0, 0)
  })
}

test('calls are handed over too, and end as calls do', async (t) => {
  const crashes = []
  const rt = runtime(t, { onCrash: (info) => crashes.push(info.message) })
  const spawn = (handler) => rt.spawn(handler)
  const late = []
  const kinds = {
    returns: spawn((message) => message),
    nothing: spawn(() => {}),
    replies: spawn((message, ctx) => {
      ctx.reply(message)
      assert.throws(() => ctx.reply(message), { code: 'ERR_IRIS_STALE_REPLY' })
    }),
    asksThenReplies: spawn((message, ctx) => {
      assert.ok(rt.getMetrics().inFlight >= 1)
      assert.equal(ctx.isCall, true)
      ctx.reply(message)
    }),
    repliesThenAsks: spawn((message, ctx) => {
      ctx.reply(message)
      assert.ok(rt.getMetrics().inFlight >= 1)
      assert.equal(ctx.isCall, false)
    }),
    asksThenReturns: spawn((message, ctx) => {
      assert.equal(rt.actorInfo(ctx.pid).queue, 0)
      return message
    }),
    later: spawn(async (message, ctx) => {
      await turn()
      ctx.reply(message)
    }),
  }
  for (let round = 0; round < 30; round++) {
    const data = number(round, 60)
    const all = Object.entries(kinds).map(async ([kind, pid]) => {
      const want = kind === 'nothing' ? Buffer.alloc(0) : data
      assert.deepEqual(await rt.call(pid, data), want, kind)
    })
    await Promise.all(all)
    for (const [kind, pid] of Object.entries(kinds)) {
      const want = kind === 'nothing' ? Buffer.alloc(0) : data
      assert.deepEqual(await rt.call(pid, data), want, kind)
    }
  }
  const throws = (how) => {
    const pid = spawn((message, ctx) => {
      if (message.length === 1) return undefined
      return how(ctx)
    })
    return pid
  }
  for (const [how, code, timeoutMs] of [
    [() => Promise.reject(new RangeError('mine')), undefined],
    [
      () => {
        throw new RangeError('mine')
      },
      undefined,
    ],
    [
      (ctx) => {
        rt.getMetrics()
        ctx.send(ctx.pid, 'x')
        throw new RangeError('mine')
      },
      undefined,
    ],
    [() => 42, 'ERR_IRIS_INVALID_TYPE'],
    [(ctx) => rt.kill(ctx.pid) && undefined, 'ERR_IRIS_ACTOR_EXITED'],
    [() => new Promise(() => {}), 'ERR_IRIS_TIMEOUT', 50],
  ]) {
    const pid = throws(how)
    await rt.call(pid, 'x')
    await rt.call(pid, 'y')
    const error = await rt.call(pid, Buffer.from('now'), { timeoutMs }).then(assert.fail, (e) => e)
    if (code === undefined) assert.ok(error instanceof RangeError, String(error))
    else assert.equal(error.code, code)
    late.push(pid)
  }
  const { calls, callTimeouts, dead } = rt.getMetrics()
  // And what one of them had sent to itself.
  assert.equal(dead.crash, 5)
  assert.equal(crashes.length, 4)
  assert.equal(callTimeouts, 1)
  assert.equal(calls, 30 * 14 + 6 * 3)
  rt.kill(late.at(-1))
  await quiet(rt)
})
