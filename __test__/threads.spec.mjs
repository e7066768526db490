// Actors with threads of their own: contract, "Threads".

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { NodeRuntime } from '../index.mjs'
import { deferred, eventually, index, quiet, rejects, run, runtime, throws } from './support.mjs'

const folder = mkdtempSync(join(tmpdir(), 'iris-threads-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
/** A module of a handler. */
function module(code) {
  const file = join(folder, `${files++}.mjs`)
  writeFileSync(
    file,
    `import { threadId, workerData } from 'node:worker_threads'
     import { registerCodec } from ${JSON.stringify(index)}
     ${code}`,
  )
  return pathToFileURL(file)
}

const echo = module(`export default (m, ctx) => {
  const text = String(m)
  if (text === 'die') process.exit(3)
  if (text === 'throw') throw new RangeError('boom')
  if (text === 'hang') for (;;);
  return threadId + ' ' + text
}`)

describe('threads', () => {
  test('each have an actor of the module, and answer from their own', async (t) => {
    const rt = runtime(t).ref()
    const pids = await rt.spawnThreaded(echo, { threads: 3, budget: 7 })
    assert.ok(Array.isArray(pids))
    assert.equal(pids.length, 3)
    assert.deepEqual(rt.listActors().sort(), [...pids].sort())
    assert.equal(rt.actorInfo(pids[0]).budget, 7)
    const replies = await Promise.all(pids.map((pid) => rt.call(pid, 'hi')))
    assert.equal(new Set(replies.map(String)).size, 3)
    assert.equal(pids.send('x'), true)
    const routed = await Promise.all([1, 2, 3].map(() => pids.call('x')))
    assert.equal(new Set(routed.map(String)).size, 3)
    await quiet(rt)
  })

  test('take a path, a codec by its name, bounds, workerData', async (t) => {
    const rt = runtime(t).ref()
    const code = `
      registerCodec({ name: 'upper', encode: (s) => s.toUpperCase(), decode: (d) => String(d) })
      export default (m) => workerData + m`
    const upper = { name: 'upper', encode: (s) => s.toUpperCase(), decode: (d) => String(d) }
    const pids = await rt.spawnThreaded(module(code).pathname, {
      threads: 1,
      codec: upper,
      capacity: 5,
      overflow: 'dropold',
      worker: { workerData: 'data ' },
    })
    const { capacity, codec } = rt.actorInfo(pids[0])
    assert.deepEqual([capacity, codec], [5, 'upper'])
    assert.equal(await pids.call('x'), 'DATA X')
  })

  test('that cannot begin leave nothing behind, and say why', async (t) => {
    const rt = runtime(t).ref()
    const wrong = [
      [module('export const handler = 1'), { code: 'ERR_IRIS_INVALID_TYPE', message: /default/ }],
      [
        module('throw new SyntaxError("on purpose")'),
        { name: 'SyntaxError', message: 'on purpose' },
      ],
      [module('export default 42'), { code: 'ERR_IRIS_INVALID_TYPE' }],
      [module('process.exit(0)'), { code: 'ERR_IRIS_ACTOR_EXITED' }],
      [join(folder, 'nowhere.mjs'), { code: 'ERR_MODULE_NOT_FOUND' }],
    ]
    for (const [url, error] of wrong) {
      await assert.rejects(rt.spawnThreaded(url, { threads: 2 }), error)
    }
    await rejects(
      rt.spawnThreaded(echo, { threads: 1, codec: 'nobody’s' }),
      'ERR_IRIS_NO_SUCH_CODEC',
    )
    await rejects(
      rt.spawnThreaded(echo, { threads: 1, capacity: 1, overflow: 'spill', target: 12345 }),
      'ERR_IRIS_NO_SUCH_ACTOR',
    )
    assert.deepEqual(rt.listActors(), [])
  })

  for (const [word, reason] of [
    ['die', 'disconnected'],
    ['throw', 'crash'],
  ]) {
    test(`one that ends with ${reason} is replaced in its place`, async (t) => {
      const rt = runtime(t).ref()
      const replaced = deferred()
      const onReplace = (pid, old) => replaced.resolve([pid, old])
      const pids = await rt.spawnThreaded(echo, { threads: 2, onReplace })
      const [first, second] = pids
      const exit = rt.join(first)
      rt.send(first, word)
      assert.equal((await exit).reason, reason)
      const [pid, old] = await replaced.promise
      assert.deepEqual([old, pids[0], pids[1]], [first, pid, second])
      assert.match(String(await rt.call(pid, 'again')), /again/)
      assert.equal(rt.send(first, 'x'), false)
      await quiet(rt)
    })
  }

  for (const [what, count] of [
    ['replaces it, in order', 2],
    ['comes, after which it is dead', 1],
  ]) {
    test(`what one had queued when it crashed waits for who ${what}`, async (t) => {
      const rt = runtime(t, { logger: { error() {} } }).ref()
      const gate = new Int32Array(new SharedArrayBuffer(4))
      const gated = module(`export default (m) => {
        Atomics.wait(workerData, 0, 0)
        if (String(m) === 'throw') throw new RangeError('boom')
        return m
      }`)
      const pids = await rt.spawnThreaded(gated, {
        threads: 1,
        maxRestarts: count - 1,
        withinMs: 1e6,
        worker: { workerData: gate },
      })
      const [first] = pids
      const crashed = rt.join(first)
      rt.register('it', first)
      const calls = ['a', 'throw', 'b', 'c'].map((text) => rt.call(first, text, 60))
      Atomics.store(gate, 0, 1)
      Atomics.notify(gate, 0)
      const settled = await Promise.allSettled(calls)
      assert.equal((await crashed).reason, 'crash')
      assert.equal(String(settled[0].value), 'a')
      assert.equal(settled[1].reason.code, 'ERR_IRIS_HANDLER_FAILED')
      const left = settled.slice(2).map(({ value, reason }) => value ?? reason.code)
      if (count === 2) {
        assert.deepEqual(left.map(String), ['b', 'c'])
        await eventually(() => pids[0] !== first)
        assert.equal(rt.whereis('it'), pids[0])
      } else {
        assert.deepEqual(left, ['ERR_IRIS_ACTOR_EXITED', 'ERR_IRIS_ACTOR_EXITED'])
        await eventually(() => pids.length === 0)
        assert.equal(rt.whereis('it'), null)
      }
      await quiet(rt)
    })
  }

  test('one whose handler does not return is replaced, thread and all', async (t) => {
    const rt = runtime(t).ref()
    const replaced = deferred()
    const pids = await rt.spawnThreaded(echo, { threads: 1, onReplace: replaced.resolve })
    const [old] = pids
    rt.send(old, 'hang')
    await eventually(() => rt.actorInfo(old).state === 'running')
    rt.stop(old, { timeoutMs: 1 })
    const pid = await replaced.promise
    assert.match(String(await rt.call(pid, 'again')), /again/)
  })

  test('are not replaced for ever', async (t) => {
    const logged = []
    const rt = runtime(t, { logger: { error: (text) => logged.push(text) } }).ref()
    const pids = await rt.spawnThreaded(echo, { threads: 1, maxRestarts: 2, withinMs: 1e6 })
    for (let i = 0; i < 3; i++) {
      const [pid] = pids
      rt.send(pid, 'throw')
      await eventually(() => pids[0] !== pid)
    }
    assert.equal(pids.length, 0)
    assert.equal(pids.send('x'), false)
    assert.match(logged.at(-1), /not replaced: more than 2/)
  })

  test('that are stopped leave, thread and all', async (t) => {
    const rt = runtime(t).ref()
    const pids = await rt.spawnThreaded(echo, { threads: 3 })
    const [one, two] = pids
    rt.stop(one)
    rt.kill(two)
    await eventually(() => pids.length === 1)
    await pids.stop()
    await eventually(() => pids.length === 0)
    assert.deepEqual(rt.listActors(), [])
    const { exited } = rt.getMetrics()
    assert.deepEqual([exited.shutdown, exited.killed], [2, 1])
  })

  test('end with the runtime', async () => {
    const rt = new NodeRuntime({ logger: null })
    const pids = await rt.spawnThreaded(echo, { threads: 2 })
    rt.send(pids[0], 'hang')
    await rt.close({ timeoutMs: 1 })
    throws(() => rt.send(pids[0], 'x'), 'ERR_IRIS_RUNTIME_CLOSED')
  })

  test('hold the process for what they were sent, and not for being there', async () => {
    const { exit, stdout, stderr } = await run(`
      const rt = new NodeRuntime()
      let done = 0
      const sink = rt.spawn(() => { if (++done === 100) console.log('all') })
      rt.register('sink', sink)
      const pids = await rt.spawnThreaded(${JSON.stringify(
        module(`import { NodeRuntime } from ${JSON.stringify(index)}
          export default async (m, ctx) => {
            await new Promise((resolve) => setTimeout(resolve, 1))
            ctx.runtime.sendNamed('sink', 'x')
          }`).href,
      )}, { threads: 2 })
      for (let i = 0; i < 100; i++) pids.send('x')`)
    assert.deepEqual([exit, stdout.trim()], [0, 'all'], stderr)
  })
})
