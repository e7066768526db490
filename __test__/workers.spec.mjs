// Runtimes in worker threads, many runtimes in one process. A crash of the process cannot be caught here, so what might
// crash runs in a process of its own.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { NodeRuntime } from '../index.mjs'
import { index, rejects, run, runtime, throws, turn } from './support.mjs'

/** An ES module as a Worker. */
const worker = (code, options) =>
  new Worker(
    new URL(
      `data:text/javascript,${encodeURIComponent(
        `import { NodeRuntime } from ${JSON.stringify(index)};
         import { parentPort, threadId } from 'node:worker_threads';${code}`,
      )}`,
    ),
    options,
  )

const outcome = (w) =>
  new Promise((resolve, reject) => {
    const messages = []
    w.on('message', (message) => messages.push(message))
    w.on('error', reject)
    w.on('exit', (code) => resolve({ code, messages }))
  })

describe('a runtime in a Worker', () => {
  test('works, and the Worker ends by itself with live actors', async () => {
    const { code, messages } = await outcome(
      worker(`
        const rt = new NodeRuntime()
        const pid = rt.spawn((m) => 'worker ' + m)
        rt.call(pid, 'x').then((reply) => parentPort.postMessage(String(reply)))
        parentPort.unref()`),
    )
    assert.deepEqual({ code, messages }, { code: 0, messages: ['worker x'] })
  })

  test('shares nothing with the one of the main thread but its ids', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => 'main')
    const { messages } = await outcome(
      worker(`
        const rt = new NodeRuntime()
        const own = rt.spawn(() => 'worker')
        const error = await rt.call(${pid}, 'x').catch((e) => e)
        parentPort.postMessage([rt.id, own, error.code, rt.isAlive(${pid}), rt.whereis('name')])
        await rt.close()`),
    )
    rt.register('name', pid)
    const [id, own, code, alive, name] = messages[0]
    assert.notEqual(id, rt.id)
    assert.notEqual(own, pid)
    assert.deepEqual([code, alive, name], ['ERR_IRIS_NO_SUCH_ACTOR', false, null])
    assert.ok(rt.isAlive(pid))
  })

  test('an error of a handler does not end the Worker', async () => {
    const { code, messages } = await outcome(
      worker(`
        const rt = new NodeRuntime({ logger: null, onCrash: ({ message }) => parentPort.postMessage(message) })
        rt.send(rt.spawn(() => { throw new Error('boom') }), 'x')`),
    )
    assert.deepEqual({ code, messages }, { code: 0, messages: ['Error: boom'] })
  })
})

/** What a Worker does in its last moments; 40 Workers of each kind, ten at a time. */
const ENDS = {
  'returning with traffic behind it': ['', 0],
  'process.exit in a handler': ["rt.send(rt.spawn(() => process.exit(7)), 'x')", 7],
  'process.exit in mid-call': [
    "rt.call(rt.spawn(() => new Promise(() => {})), 'x'); setImmediate(() => process.exit(7))",
    7,
  ],
  'an uncaught error in mid-traffic': ["setImmediate(() => { throw new Error('on purpose') })", 1],
  'terminate() in mid-traffic': [
    "const a = rt.spawn((m, ctx) => void ctx.send(a, m)); rt.send(a, Buffer.from('x')); parentPort.postMessage('busy')",
    1,
  ],
}

describe('fault row 36: the main process lives on and ends with code 0 after', {
  concurrency: 2,
}, () => {
  for (const [name, [code, expected]] of Object.entries(ENDS)) {
    test(`40 Workers that end by ${name}`, async () => {
      const { exit, signal, stdout, stderr } = await run(`
        import { Worker } from 'node:worker_threads'
        const source = ${JSON.stringify(`
          import { NodeRuntime } from ${JSON.stringify(index)}
          import { parentPort } from 'node:worker_threads'
          const rt = new NodeRuntime({ logger: null })
          const sink = rt.spawn(() => {})
          const stuck = rt.spawn(() => new Promise(() => {}))
          for (let i = 0; i < 3000; i++) rt.send(sink, Buffer.from('x'))
          rt.send(sink, Buffer.alloc(1 << 20))
          rt.call(stuck, 'x', { timeoutMs: 1 }).catch(() => {})
          rt.call(stuck, 'x', { timeoutMs: 3 }).catch(() => {})
          rt.stop(rt.spawn(() => {}))
          parentPort.unref()
          ${code}`)}
        const url = new URL('data:text/javascript,' + encodeURIComponent(source))
        const codes = new Set()
        const one = () => new Promise((resolve) => {
          const w = new Worker(url)
          w.on('message', () => w.terminate())
          w.on('error', () => {})
          w.on('exit', (c) => { codes.add(c); resolve() })
        })
        const rt = new NodeRuntime()
        const pid = rt.spawn((m) => m)
        for (let i = 0; i < 4; i++) {
          await Promise.all(Array.from({ length: 10 }, one))
          await rt.call(pid, 'alive')
        }
        console.log(JSON.stringify([...codes]))`)
      assert.deepEqual({ exit, signal }, { exit: 0, signal: null }, stderr)
      assert.deepEqual(JSON.parse(stdout), [expected], stderr)
      assert.equal(stderr, '')
    })
  }

  test('Workers alone have loaded iris, one after the other', async () => {
    const { exit, signal, stdout, stderr } = await run(`
      import { once } from 'node:events'
      import { Worker } from 'node:worker_threads'
      const source = ${JSON.stringify(`
        import { NodeRuntime } from ${JSON.stringify(index)}
        import { parentPort } from 'node:worker_threads'
        const rt = new NodeRuntime()
        const reply = await rt.call(rt.spawn((m) => m), 'alive')
        parentPort.postMessage(reply.toString())
        await rt.close()`)}
      const url = new URL('data:text/javascript,' + encodeURIComponent(source))
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(url)
        const ended = once(worker, 'exit') // before the message: both can come in one turn of the loop
        const [reply] = await once(worker, 'message')
        if (i % 2) await worker.terminate()
        await ended
        console.log(reply)
      }`)
    assert.deepEqual({ exit, signal }, { exit: 0, signal: null }, stderr)
    assert.equal(stdout, 'alive\n'.repeat(5))
    assert.equal(stderr, '')
  })

  test('its own end while Workers are busy', async () => {
    const { exit, signal, stderr } = await run(`
      import { Worker } from 'node:worker_threads'
      const source = ${JSON.stringify(`
        import { NodeRuntime } from ${JSON.stringify(index)}
        import { parentPort } from 'node:worker_threads'
        const rt = new NodeRuntime()
        const a = rt.spawn((m, ctx) => void ctx.send(a, m))
        rt.send(a, 'x')
        parentPort.postMessage('busy')`)}
      const url = new URL('data:text/javascript,' + encodeURIComponent(source))
      let busy = 0
      for (let i = 0; i < 8; i++) {
        new Worker(url).on('message', () => { if (++busy === 8) process.exit(0) })
      }`)
    assert.deepEqual({ exit, signal, stderr }, { exit: 0, signal: null, stderr: '' })
  })
})

describe('many runtimes', () => {
  test('in one process share nothing', async (t) => {
    const rts = Array.from({ length: 5 }, () => runtime(t))
    const pids = rts.map((rt, i) => rt.spawn(() => `runtime ${i}`))
    for (const [i, rt] of rts.entries()) {
      rt.register('name', pids[i])
      assert.equal(String(await rt.call(pids[i], '')), `runtime ${i}`)
      for (const [j, pid] of pids.entries()) assert.equal(rt.isAlive(pid), i === j)
    }
    await rts[0].close()
    for (const [i, rt] of rts.entries()) {
      if (i > 0) assert.equal(String(await rt.call(pids[i], '')), `runtime ${i}`)
    }
  })

  test('may send each other from their handlers', async (t) => {
    const [a, b] = [runtime(t), runtime(t)]
    const n = 1000
    let count = 0
    const done = new Promise((resolve) => {
      const ping = a.spawn(() => (++count < n ? void b.send(pong, 'x') : resolve()))
      const pong = b.spawn(() => void a.send(ping, Buffer.from('x')))
      a.send(ping, 'x')
    })
    await done
    assert.equal(count, n)
  })

  test('512 at once; one more is AtCapacity, until some are closed', async () => {
    const rts = []
    try {
      for (;;) rts.push(new NodeRuntime())
    } catch (error) {
      assert.equal(error.code, 'ERR_IRIS_AT_CAPACITY')
      assert.match(error.message, /512 runtimes/)
    }
    assert.ok(rts.length >= 500 && rts.length <= 512, `${rts.length} runtimes`)
    throws(() => new NodeRuntime(), 'ERR_IRIS_AT_CAPACITY')
    const pids = rts.map((rt) => rt.spawn((m) => m))
    assert.equal(new Set(pids).size, rts.length)
    await rts[7].close()
    const again = new NodeRuntime()
    assert.equal(
      String(
        await again.call(
          again.spawn((m) => m),
          'x',
        ),
      ),
      'x',
    )
    throws(() => new NodeRuntime(), 'ERR_IRIS_AT_CAPACITY')
    await Promise.all([again, ...rts].map((rt) => rt.close()))
    const last = new NodeRuntime()
    await rejects(last.call(pids[0], 'x'), 'ERR_IRIS_NO_SUCH_ACTOR')
    await last.close()
  })

  test('1,000 made and closed leave memory flat', async () => {
    const { exit, stdout, stderr } = await run(
      `
      let alive = 0
      const collected = new FinalizationRegistry(() => alive--)
      const cycle = async () => {
        const rt = new NodeRuntime()
        alive++
        collected.register(rt)
        const pid = rt.spawn((m) => m)
        await rt.call(pid, 'x')
        rt.call(rt.spawn(() => new Promise(() => {})), 'x').catch(() => {})
        rt.join(pid)
        await rt.close({ timeoutMs: 0 })
      }
      const collect = async () => {
        while (alive > 0) { gc(); await new Promise(setImmediate) }
      }
      // Collected now and then, so that what was alive at once, and is kept by malloc, is as much in both halves.
      const cycles = async () => {
        for (let i = 1; i <= 1000; i++) {
          await cycle()
          if (i % 50 === 0) await collect()
        }
        return process.memoryUsage().rss / 2 ** 20
      }
      console.log(JSON.stringify([await cycles(), await cycles()]))`,
      { args: ['--expose-gc'] },
    )
    assert.equal(exit, 0, stderr)
    const [before, after] = JSON.parse(stdout)
    // That all are collected is what was waited for; each that stays would cost 140 KiB, 1,000 of them 137 MiB.
    assert.ok(after - before < 80, `${before} MiB, then ${after} MiB`)
  })
})

test('a closed runtime that is still referred to keeps nothing running', async () => {
  const rt = new NodeRuntime()
  rt.spawn(() => {})
  await rt.close()
  await turn()
  assert.equal(rt.closed, true)
})
