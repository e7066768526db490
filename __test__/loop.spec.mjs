// The event loop is shared: a flood of messages never keeps timers, I/O and `await` waiting. The tests look at the order of
// events, not at the clock.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { deferred, quiet, runtime, turn } from './support.mjs'

const here = fileURLToPath(import.meta.url)

/** Two actors that send each other for ever, or until `limit`; `stop` ends it. */
function flood(rt, limit = Infinity) {
  const state = { count: 0, stopped: false }
  const message = Buffer.from('x')
  const handler = (peer) => () => {
    if (!state.stopped && ++state.count < limit) rt.send(peer(), message)
    else state.done?.()
  }
  const a = rt.spawn(handler(() => b))
  const b = rt.spawn(handler(() => a))
  for (let i = 0; i < 4; i++) rt.send(a, message)
  return state
}

describe('while two actors send each other for ever', () => {
  for (const [name, wait] of [
    ['a timeout fires', () => new Promise((resolve) => setTimeout(resolve, 0))],
    ['an immediate runs', () => turn()],
    ['a file is read', () => readFile(here)],
    [
      'an interval ticks ten times',
      () =>
        new Promise((resolve) => {
          let ticks = 0
          const timer = setInterval(() => {
            if (++ticks < 10) return
            clearInterval(timer)
            resolve()
          }, 1)
        }),
    ],
    [
      'microtasks and ticks run',
      async () => {
        await null
        await new Promise((resolve) => process.nextTick(resolve))
      },
    ],
    ['fetching from the same process works', () => serve()],
  ]) {
    test(name, async (t) => {
      const rt = runtime(t)
      const state = flood(rt)
      // Were the loop held, this would never resolve: the flood has no end of its own.
      await wait()
      state.stopped = true
      await quiet(rt)
      assert.notEqual(state.count, 0)
    })
  }

  async function serve() {
    const { createServer } = await import('node:http')
    const server = createServer((_request, response) => response.end('hello'))
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const reply = await fetch(`http://127.0.0.1:${server.address().port}`)
    assert.equal(await reply.text(), 'hello')
    server.close()
    server.closeAllConnections()
  }
})

test('a timer fires before a flood that began earlier is over', async (t) => {
  const rt = runtime(t)
  const order = []
  const over = deferred()
  const state = flood(rt, 2e6)
  state.done = () => {
    if (order.includes('flood')) return
    order.push('flood')
    over.resolve()
  }
  setTimeout(() => order.push('timer'), 0)
  await over.promise
  assert.deepEqual(order, ['timer', 'flood'])
  assert.notEqual(rt.getMetrics().loop.yields, 0)
})

describe('a timer is not starved', () => {
  for (const [name, step] of [
    ['by a loop of awaited calls', (rt, pid) => rt.call(pid, 'x')],
    ['by a loop of awaited calls with Buffers', (rt, pid) => rt.call(pid, Buffer.from('x'))],
    [
      'by a loop of awaited calls with a signal',
      (rt, pid, signal) => rt.call(pid, 'x', { signal }),
    ],
    ['by a loop of calls that fail', (rt) => rt.call(0, Buffer.from('x')).catch(() => {})],
    [
      'by a loop of spawns and joins',
      (rt) => {
        const pid = rt.spawn(() => {})
        rt.stop(pid)
        return rt.join(pid)
      },
    ],
    [
      'by a loop of sends whose handlers resolve the next step',
      (rt) =>
        new Promise((resolve) => {
          const pid = rt.spawn((_message, ctx) => {
            ctx.stop()
            resolve()
          })
          rt.send(pid, Buffer.from('x'))
        }),
    ],
  ]) {
    test(name, async (t) => {
      const rt = runtime(t)
      const pid = rt.spawn((m) => m)
      const { signal } = new AbortController()
      let fired = false
      setTimeout(() => {
        fired = true
      }, 0)
      // Endless if the timer never comes.
      while (!fired) await step(rt, pid, signal)
    })
  }
})

test('one actor with a long queue does not keep another waiting for its end', async (t) => {
  const rt = runtime(t)
  let handled = 0
  const busy = rt.spawn(() => {
    handled++
  }, 10)
  for (let i = 0; i < 100_000; i++) rt.send(busy, Buffer.from('x'))
  let before
  const other = rt.spawn(() => {
    before = handled
  })
  await rt.call(other, 'x')
  assert.ok(before < 1000, `${before} messages of another actor came first`)
  await quiet(rt)
})

test('however cheap the messages before, a handler that outlives the slice is the last of its turn', async (t) => {
  const rt = runtime(t)
  // Far longer than the slice, so that a busy machine cannot make the core's thread too late.
  const long = 200
  let turns = 0
  const seen = []
  const count = () => {
    turns++
    if (seen.length < 5) setImmediate(count)
  }
  const pid = rt.spawn((message) => {
    if (message[0] === 0) return
    seen.push(turns)
    const until = performance.now() + long
    while (performance.now() < until);
  }, 10_000)
  setImmediate(count)
  for (let i = 0; i < 500; i++) rt.send(pid, Buffer.from([0]))
  for (let i = 0; i < 5; i++) rt.send(pid, Buffer.from([1]))
  await quiet(rt)
  assert.equal(seen.length, 5)
  assert.equal(new Set(seen).size, 5, `some of ${seen} shared a turn of the loop`)
})

test('a kill from another thread is seen before the next message of a batch', async (t) => {
  const rt = runtime(t)
  let handled = 0
  const told = new Int32Array(new SharedArrayBuffer(8))
  const killer = new Worker(
    `const { parentPort, workerData: { iris, id, told } } = require('node:worker_threads')
     const { NodeRuntime } = require(iris)
     parentPort.on('message', async (pid) => {
       const rt = NodeRuntime.attach(id)
       Atomics.store(told, 0, 1)
       Atomics.notify(told, 0)
       Atomics.wait(told, 1, 0)
       rt.kill(pid)
       Atomics.store(told, 1, 2)
       Atomics.notify(told, 1)
       await rt.close()
       parentPort.close()
     })`,
    {
      eval: true,
      workerData: { iris: fileURLToPath(new URL('../index.js', import.meta.url)), id: rt.id, told },
    },
  )
  const over = new Promise((resolve) => killer.once('exit', resolve))
  const pid = rt.spawn(() => {
    // The batch is in the loop's hands; the kill comes, and is over, while the third message is handled.
    if (++handled !== 3) return
    Atomics.store(told, 1, 1)
    Atomics.notify(told, 1)
    Atomics.wait(told, 1, 1)
  })
  killer.postMessage(pid)
  const ready = Atomics.waitAsync?.(told, 0, 0)
  await (ready?.async ? ready.value : undefined)
  for (let i = 0; i < 100; i++) rt.send(pid, Buffer.from('x'))
  await rt.join(pid)
  await over
  assert.equal(handled, 3)
})

test('a handler that holds the loop is seen in the metrics', async (t) => {
  const rt = runtime(t)
  const pid = rt.spawn(() => {
    const until = performance.now() + 20
    while (performance.now() < until);
  })
  rt.sendMany(pid, ['x', 'y', 'z'])
  const { loop } = await quiet(rt)
  assert.ok(loop.longestHoldMs >= 19, `${loop.longestHoldMs} ms`)
  assert.ok(loop.yields >= 2, `${loop.yields} yields`)
})

test('callers who try again at once when a mailbox is full starve neither the loop nor the actor', async (t) => {
  const rt = runtime(t)
  const pid = rt.spawnBounded((m) => m, { capacity: 1 })
  let ended = false
  let ticks = 0
  let replies = 0
  const ticking = setInterval(() => {
    if (++ticks === 5) ended = true
  }, 1)
  t.after(() => clearInterval(ticking))
  const client = async () => {
    while (!ended) {
      try {
        await rt.call(pid, 'x')
        replies++
      } catch (error) {
        assert.equal(error.code, 'ERR_IRIS_MAILBOX_FULL')
      }
    }
  }
  await Promise.all([client(), client(), client()])
  assert.ok(replies > 0)
  const gone = rt.spawn(() => {})
  rt.kill(gone)
  ended = false
  ticks = 0
  while (!ended) await rt.call(gone, 'x').catch(() => {})
})
