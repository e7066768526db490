// Many threads, one runtime: contract, "Threads". Workers are ES modules in data: URLs; what might end the process runs in
// one of its own.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { NodeRuntime } from '../index.mjs'
import {
  assertBalanced,
  deferred,
  eventually,
  index,
  quiet,
  rejects,
  run,
  runtime,
  throws,
} from './support.mjs'

const source = (code) => `
  import { NodeRuntime } from ${JSON.stringify(index)}
  import { parentPort, workerData } from 'node:worker_threads'
  const rt = NodeRuntime.attach(workerData.id, workerData.options)
  const tell = (message) => parentPort.postMessage(message)
  if (workerData.stay) setInterval(() => {}, 1e6)
  ${code}`

const urlOf = (code) => new URL(`data:text/javascript,${encodeURIComponent(code)}`)

/** A Worker that has joined `rt`; `said()` answers its next message, `exit` its exit code. */
function join(t, rt, code, data = {}) {
  const worker = new Worker(urlOf(source(code)), { workerData: { id: rt.id, stay: true, ...data } })
  const said = []
  const waiting = []
  worker.on('error', (error) => {
    for (const d of waiting) d.reject(error)
  })
  worker.on('message', (m) => (waiting.length > 0 ? waiting.shift().resolve(m) : said.push(m)))
  const exit = new Promise((resolve, reject) => {
    worker.on('exit', resolve)
    worker.on('error', reject)
  })
  exit.catch(() => {})
  t.after(() => worker.terminate())
  const next = () => {
    if (said.length > 0) return Promise.resolve(said.shift())
    const d = deferred()
    waiting.push(d)
    return d.promise
  }
  return { worker, exit, said: next }
}

describe('a thread that has joined', () => {
  test('sees the same id, actors, names and books', async (t) => {
    const rt = runtime(t)
    const mine = rt.spawn((m) => `main ${m}`)
    rt.register('mine', mine)
    const w = join(
      t,
      rt,
      `const theirs = rt.spawn((m) => 'worker ' + m)
       rt.register('theirs', theirs)
       tell([rt.id, rt.attached, rt.closed, theirs, rt.whereis('mine'), rt.listActors(), NodeRuntime.attach(rt.id) === rt])
       tell(String(await rt.call(workerData.mine, 'asked')))`,
      { mine },
    )
    const [id, attached, closed, theirs, found, actors, same] = await w.said()
    assert.deepEqual([id, attached, closed, found, same], [rt.id, true, false, mine, true])
    assert.deepEqual(actors, [mine, theirs])
    assert.equal(await w.said(), 'main asked')
    assert.equal(rt.whereis('theirs'), theirs)
    assert.equal(String(await rt.call(theirs, 'asked')), 'worker asked')
    assert.equal(rt.send(theirs, 'x'), true)
    assert.equal(rt.attached, false)
    assert.equal(NodeRuntime.attach(rt.id), rt)
    await quiet(rt)
  })

  test('takes a name from the others, and finds it taken by them', async (t) => {
    const rt = runtime(t)
    const mine = rt.spawn(() => {})
    rt.register('one', mine)
    const w = join(
      t,
      rt,
      `const pid = rt.spawn(() => {})
       try { rt.register('one', pid) } catch (e) { tell(e.code) }
       rt.register('two', pid)
       tell(pid)
       parentPort.once('message', () => { rt.kill(pid); tell('killed') })`,
    )
    assert.equal(await w.said(), 'ERR_IRIS_NAME_TAKEN')
    const theirs = await w.said()
    throws(() => rt.register('two', mine), 'ERR_IRIS_NAME_TAKEN')
    assert.equal(rt.sendNamed('two', 'x'), true)
    w.worker.postMessage('kill')
    assert.equal(await w.said(), 'killed')
    assert.equal(rt.whereis('two'), null)
    rt.register('two', mine)
    assert.equal(rt.isAlive(theirs), false)
    assert.equal(rt.unregister('two'), true)
  })

  test('keeps the order of each pair of thread and actor, by every way of sending', async (t) => {
    const rt = runtime(t)
    const n = 20_000
    const seen = new Map()
    let count = 0
    const all = deferred()
    const sink = rt.spawn((m) => {
      const [who, i] = String(m).split(' ')
      const expected = seen.get(who) ?? 0
      assert.equal(Number(i), expected)
      seen.set(who, expected + 1)
      if (++count === 3 * n) all.resolve()
    })
    const code = `
      const { sink, who, n } = workerData
      for (let i = 0; i < n; ) {
        if (i % 7 === 0) { rt.sendMany(sink, [who + ' ' + i, Buffer.from(who + ' ' + (i + 1))].slice(0, n - i)); i += Math.min(2, n - i) }
        else if (i % 3 === 0) rt.send(sink, who + ' ' + i++)
        else rt.send(sink, Buffer.from(who + ' ' + i++))
      }`
    const workers = ['a', 'b'].map((who) => join(t, rt, code, { sink, who, n, stay: false }))
    for (let i = 0; i < n; i++) rt.send(sink, Buffer.from(`main ${i}`))
    await all.promise
    assert.deepEqual(new Set(seen.values()), new Set([n]))
    await Promise.all(workers.map((w) => w.exit))
    await quiet(rt)
  })

  test('speaks in the names of its actors, which others see as the sender', async (t) => {
    const rt = runtime(t)
    const got = deferred()
    const mine = rt.spawn((m, ctx) => got.resolve([String(m), ctx.sender]))
    const w = join(
      t,
      rt,
      `const pid = rt.spawn((m, ctx) => void ctx.send(workerData.mine, Buffer.from('from me')))
       tell(pid)`,
      { mine },
    )
    const theirs = await w.said()
    rt.send(theirs, 'go')
    assert.deepEqual(await got.promise, ['from me', theirs])
  })

  test('knows at once that an actor of another thread has ended', async (t) => {
    const rt = runtime(t)
    const w = join(t, rt, `tell(rt.spawn(() => {})); parentPort.on('message', () => {})`)
    const theirs = await w.said()
    for (let i = 0; i < 1000; i++) assert.equal(rt.send(theirs, Buffer.from('x')), true)
    assert.equal(rt.stop(theirs), true)
    assert.equal(rt.send(theirs, Buffer.from('x')), false)
    assert.equal(rt.send(theirs, 'x'), false)
    await rejects(rt.call(theirs, Buffer.from('x')), 'ERR_IRIS_NO_SUCH_ACTOR')
    await rt.join(theirs)
    await quiet(rt)
  })

  test('bounds, policies, pressure, timers and shedding hold from there', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const spare = rt.spawn(() => {})
    const full = rt.spawnBounded(() => gate.promise, { capacity: 1 })
    rt.send(full, 'running')
    await eventually(() => rt.actorInfo(full).state === 'running')
    rt.send(full, 'waiting')
    const w = join(
      t,
      rt,
      `const { full, spare } = workerData
       const answers = [rt.send(full, Buffer.from('x')), rt.sendMany(full, ['a', 'b']), rt.sendWithBackpressure(full, 'x'),
         rt.mailboxSize(full), rt.mailboxBackpressure(full)]
       rt.setOverflowPolicy(full, 'redirect', spare)
       answers.push(rt.send(full, Buffer.from('x')))
       rt.setOverflowPolicy(full, 'block')
       const waiting = rt.sendAsync(full, 'later')
       tell(answers)
       answers.push(rt.cancelTimer(rt.sendAfter(spare, 1e6, 'x')))
       rt.setMessageCapacity(1)
       rt.setLoadShedding(true)
       tell([rt.isLoadSheddingActive(), rt.send(spare, Buffer.from('x'))])
       rt.setLoadShedding(false)
       tell(await waiting)
       rt.sendAfter(spare, 1, 'x')`,
      { full, spare, stay: false },
    )
    assert.deepEqual(await w.said(), [false, 0, [false, 'CRITICAL'], 1, 'CRITICAL', true])
    assert.deepEqual(await w.said(), [true, false])
    gate.resolve()
    assert.equal(await w.said(), true)
    await eventually(() => rt.actorInfo(spare).handled === 2)
    // The Worker lives until its delayed message has gone.
    assert.equal(await w.exit, 0)
    await quiet(rt)
  })

  test('sheds load that another thread has told to be shed', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const busy = rt.spawn(() => gate.promise)
    const w = join(
      t,
      rt,
      `const own = rt.spawn(() => {})
       rt.send(own, Buffer.from('x'))
       tell('up')
       parentPort.on('message', () => tell(rt.send(own, Buffer.from('x'))))`,
    )
    assert.equal(await w.said(), 'up')
    for (let i = 0; i < 3; i++) rt.send(busy, 'x')
    await eventually(() => rt.actorInfo(busy).state === 'running')
    rt.setMessageCapacity(1)
    rt.setLoadShedding(true)
    const answers = []
    await eventually(async () => {
      w.worker.postMessage('send')
      answers.push(await w.said())
      return answers.at(-1) === false
    })
    rt.setLoadShedding(false)
    gate.resolve()
  })

  test('is told how its calls fail, and by whom', async (t) => {
    const rt = runtime(t)
    const crashing = rt.spawn(() => {
      throw new Error('on the main thread')
    })
    const slow = rt.spawn(() => new Promise(() => {}))
    const w = join(
      t,
      rt,
      `const { crashing, slow } = workerData
       const code = (p) => p.then(() => 'none', (e) => [e.code, e.message])
       tell(await code(rt.call(crashing, 'x')))
       tell((await code(rt.call(slow, 'x', { timeoutMs: 1 })))[0])
       tell((await code(rt.call(slow, 'x', { signal: AbortSignal.timeout(1) })))[0])
       const call = code(rt.call(slow, 'x'))
       rt.kill(slow)
       tell((await call)[0])`,
      { crashing, slow },
    )
    assert.deepEqual(await w.said(), ['ERR_IRIS_HANDLER_FAILED', 'Error: on the main thread'])
    assert.equal(await w.said(), 'ERR_IRIS_TIMEOUT')
    assert.equal(await w.said(), 'ERR_IRIS_ABORTED')
    assert.equal(await w.said(), 'ERR_IRIS_ACTOR_EXITED')
  })

  test('its crashes are logged once, by the owner, and go to both hooks', async (t) => {
    const logged = []
    const report = deferred()
    const rt = runtime(t, {
      logger: { error: (text) => logged.push(text) },
      onCrash: report.resolve,
    })
    const w = join(
      t,
      rt,
      `rt.onCrash(({ pid, message, error }) => tell([pid, message, error.name]))
       const pid = rt.spawn(() => { throw new RangeError('boom') })
       tell(pid)
       rt.send(pid, 'x')`,
    )
    const pid = await w.said()
    assert.deepEqual(await w.said(), [pid, 'RangeError: boom', 'RangeError'])
    const { message, error, ...rest } = await report.promise
    assert.deepEqual(
      [rest.pid, rest.reason, message, error],
      [pid, 'crash', 'RangeError: boom', undefined],
    )
    assert.equal(logged.length, 1)
  })

  test('children end with their parent on another thread', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const w = join(
      t,
      rt,
      `tell(rt.spawnChild(workerData.parent, (m) => m))
       tell(rt.spawnChildWithMailbox(workerData.parent, async (mailbox) => { for await (const _ of mailbox); tell('closed') }))
       parentPort.once('message', () => {})`,
      { parent },
    )
    const [push, pull] = [await w.said(), await w.said()]
    assert.equal(String(await rt.call(push, 'x')), 'x')
    rt.kill(parent)
    assert.equal(await w.said(), 'closed')
    assert.equal((await rt.join(push)).reason, 'parent_exit')
    assert.equal((await rt.join(pull)).reason, 'parent_exit')
  })

  test('hot swap is for the thread of the handler', async (t) => {
    const rt = runtime(t)
    const mine = rt.spawn(() => {})
    const w = join(
      t,
      rt,
      `const own = rt.spawn(() => 'old')
       tell(rt.hotSwap(own, () => 'new'))
       tell(own)
       try { rt.hotSwap(workerData.mine, () => {}) } catch (e) { tell(e.code) }
       parentPort.once('message', () => {})`,
      { mine },
    )
    assert.equal(await w.said(), 2)
    const own = await w.said()
    assert.equal(await w.said(), 'ERR_IRIS_NOT_LOCAL')
    throws(() => rt.hotSwap(own, () => {}), 'ERR_IRIS_NOT_LOCAL')
    assert.equal(String(await rt.call(own, '')), 'new')
  })
})

describe('a thread leaves', () => {
  test('by close(): its own actors stop, the runtime goes on', async (t) => {
    const rt = runtime(t)
    const mine = rt.spawn((m) => m)
    const w = join(
      t,
      rt,
      `const pids = [rt.spawn(() => {}), rt.spawn(() => {}), rt.spawnWithMailbox(async (mailbox) => { await mailbox.recv() })]
       rt.register('theirs', pids[0])
       tell(pids)
       await new Promise((resolve) => parentPort.once('message', resolve))
       const never = rt.spawn(() => new Promise(() => {}))
       const call = rt.call(workerData.slow, 'x').catch((e) => e.code)
       await rt.close()
       tell([rt.closed, await call])
       const codes = []
       for (const f of [() => rt.send(pids[0], 'x'), () => rt.spawn(() => {}), () => rt.whereis('x'), () => rt.stop(1),
         () => NodeRuntime.attach(rt.id)]) {
         try { codes.push(f() && 'no error') } catch (e) { codes.push(e.code) }
       }
       codes.push(await rt.call(pids[0], 'x').catch((e) => e.code))
       tell(codes)
       await rt.close()`,
      { slow: rt.spawn(() => new Promise(() => {})), stay: false },
    )
    const pids = await w.said()
    const exits = pids.map((pid) => rt.join(pid))
    w.worker.postMessage('close')
    for (const exit of exits) assert.equal((await exit).reason, 'shutdown')
    assert.deepEqual(await w.said(), [true, 'ERR_IRIS_RUNTIME_CLOSED'])
    const codes = await w.said()
    // A thread that has left may join again.
    assert.equal(codes.splice(4, 1)[0], 'no error')
    assert.deepEqual(new Set(codes), new Set(['ERR_IRIS_RUNTIME_CLOSED']))
    assert.equal(await w.exit, 0)
    assert.equal(rt.whereis('theirs'), null)
    assert.equal(String(await rt.call(mine, 'on')), 'on')
  })

  test('by its end: its actors are disconnected, and what was asked of them fails at once', async (t) => {
    const rt = runtime(t)
    const w = join(
      t,
      rt,
      `tell(rt.spawn(() => new Promise(() => {})))
       tell(rt.spawnWithMailbox(async (mailbox) => { for await (const _ of mailbox); }))
       parentPort.once('message', () => {})`,
    )
    const [push, pull] = [await w.said(), await w.said()]
    rt.register('theirs', push)
    const call = rt.call(push, 'x', { timeoutMs: 1e6 })
    const exits = [rt.join(push), rt.join(pull)]
    const refused = rejects(call, 'ERR_IRIS_ACTOR_EXITED')
    await eventually(() => rt.actorInfo(push).state === 'running')
    await w.worker.terminate()
    await refused
    for (const exit of exits) assert.equal((await exit).reason, 'disconnected')
    assert.deepEqual(
      [rt.isAlive(push), rt.send(push, 'x'), rt.whereis('theirs')],
      [false, false, null],
    )
    await quiet(rt)
  })

  test('in the middle of a batch: the books say what died', async (t) => {
    const rt = runtime(t)
    const w = join(
      t,
      rt,
      `const pid = rt.spawn((m) => { if (String(m) === 'last') { tell('stuck'); for (;;); } })
       tell(pid)
       parentPort.once('message', () => {})`,
    )
    const pid = await w.said()
    for (let i = 0; i < 100; i++) rt.send(pid, 'first')
    rt.send(pid, 'last')
    for (let i = 0; i < 100; i++) rt.send(pid, 'never')
    assert.equal(await w.said(), 'stuck')
    await w.worker.terminate()
    const { dead, handled } = await quiet(rt)
    assert.equal(dead.disconnected + handled, 201)
    assert.ok(dead.disconnected >= 100, `${dead.disconnected}`)
  })

  test('with what it has just promised: it arrives', async (t) => {
    const rt = runtime(t)
    const got = []
    const sink = rt.spawn((m) => void got.push(String(m)))
    const w = join(
      t,
      rt,
      `const { sink } = workerData
       for (let i = 0; i < 200; i++) rt.send(sink, Buffer.from(String(i)))
       process.exit(0)`,
      { sink },
    )
    await w.exit
    await eventually(() => got.length === 200)
    assert.deepEqual(
      got,
      Array.from({ length: 200 }, (_, i) => String(i)),
    )
    await quiet(rt)
  })

  test('a handler that never returns is abandoned by the owner, and reported', async (t) => {
    const report = deferred()
    const rt = runtime(t, { onCrash: report.resolve })
    const w = join(
      t,
      rt,
      `tell(rt.spawn(() => { tell('in'); for (;;); }))
       parentPort.once('message', () => {})`,
    )
    const pid = await w.said()
    rt.send(pid, 'x')
    assert.equal(await w.said(), 'in')
    rt.stop(pid, { timeoutMs: 1 })
    assert.equal((await rt.join(pid)).reason, 'timeout')
    assert.equal((await report.promise).pid, pid)
  })
})

describe('the owner closes', () => {
  test('and every thread finds the runtime closed', async (t) => {
    const rt = new NodeRuntime({ logger: null })
    const w = join(
      t,
      rt,
      `const pid = rt.spawn(() => {})
       rt.ref()
       const call = rt.call(rt.spawn(() => { tell(pid); return new Promise(() => {}) }), 'x').catch((e) => e.code)
       const exit = await rt.join(pid)
       tell([exit.reason, await call])
       while (!rt.closed) await new Promise(setImmediate)
       tell((() => { try { return rt.send(pid, 'x') } catch (e) { return e.code } })())
       await rt.close()
       tell('closed')`,
      { stay: false },
    )
    const pid = await w.said()
    await rt.close({ timeoutMs: 0 })
    throws(() => rt.send(pid, 'x'), 'ERR_IRIS_RUNTIME_CLOSED')
    throws(() => NodeRuntime.attach(rt.id), 'ERR_IRIS_RUNTIME_CLOSED')
    assert.deepEqual(await w.said(), ['shutdown', 'ERR_IRIS_ACTOR_EXITED'])
    assert.equal(await w.said(), 'ERR_IRIS_RUNTIME_CLOSED')
    assert.equal(await w.said(), 'closed')
    // `ref()` holds no thread any more.
    assert.equal(await w.exit, 0)
  })

  test('while threads spawn and send', async (t) => {
    const rt = new NodeRuntime({ logger: null })
    const code = `
      tell('up')
      try {
        for (let i = 0; ; i++) {
          const pid = rt.spawn(() => {})
          rt.send(pid, 'x')
          rt.send(workerData.sink, Buffer.from('x'))
          if (i % 100 === 0) await new Promise(setImmediate)
        }
      } catch (e) { tell(e.code) }`
    const sink = rt.spawn(() => {})
    const workers = [1, 2, 3].map(() => join(t, rt, code, { sink, stay: false }))
    for (const w of workers) assert.equal(await w.said(), 'up')
    await rt.close()
    for (const w of workers) {
      assert.equal(await w.said(), 'ERR_IRIS_RUNTIME_CLOSED')
      assert.equal(await w.exit, 0)
    }
  })

  test('a runtime whose owner thread has ended lives as long as somebody has joined it', async (t) => {
    const rt = runtime(t)
    const owner = new Worker(
      urlOf(`
        import { NodeRuntime } from ${JSON.stringify(index)}
        import { parentPort } from 'node:worker_threads'
        const rt = new NodeRuntime()
        parentPort.postMessage([rt.id, rt.spawn((m) => m)])
        parentPort.once('message', () => {})`),
    )
    const [id, theirs] = await new Promise((resolve) => owner.once('message', resolve))
    const joined = NodeRuntime.attach(id)
    assert.equal(joined.attached, true)
    const mine = joined.spawn((m) => m)
    assert.equal(String(await joined.call(theirs, 'x')), 'x')
    await owner.terminate()
    assert.equal((await joined.join(theirs)).reason, 'disconnected')
    assert.equal(String(await joined.call(mine, 'x')), 'x')
    assertBalanced(joined.getMetrics())
    await joined.close()
    throws(() => NodeRuntime.attach(id), 'ERR_IRIS_RUNTIME_CLOSED')
    assert.equal(rt.closed, false)
  })
})

/** How a Worker ends; 40 of each kind, ten at a time, 200 in all. */
const ENDS = {
  'returning with live actors': ['parentPort.unref()', 0],
  'closing its part': ['await rt.close(); parentPort.unref()', 0],
  'process.exit in a handler': ["rt.send(rt.spawn(() => process.exit(7)), 'x')", 7],
  'an uncaught error': ["setImmediate(() => { throw new Error('on purpose') })", 1],
  'terminate() in mid-call': [
    "rt.call(workerData.echo, 'x').catch(() => {}); parentPort.postMessage('busy'); for (;;) rt.send(workerData.echo, Buffer.from('x')) || await 1",
    1,
  ],
}

describe('fault row 36: 200 Workers join and end under traffic', { concurrency: 2 }, () => {
  for (const [name, [code, expected]] of Object.entries(ENDS)) {
    test(`40 Workers that end by ${name}`, async () => {
      const { exit, signal, stdout, stderr } = await run(`
        import { Worker } from 'node:worker_threads'
        const source = ${JSON.stringify(
          source(`
          const sink = rt.spawn(() => {})
          const stuck = rt.spawn(() => new Promise(() => {}))
          rt.spawnWithMailbox(async (mailbox) => { for await (const _ of mailbox); })
          for (let i = 0; i < 1000; i++) rt.send(sink, Buffer.from('x')), rt.send(workerData.echo, Buffer.from('x'))
          rt.send(workerData.echo, Buffer.alloc(1 << 20))
          rt.call(stuck, 'x').catch(() => {})
          rt.sendInterval(sink, 1e6, 'x')
          rt.call(workerData.echo, 'x').then(() => {}, () => {})
          rt.register('sink ' + sink, sink)
          parentPort.postMessage({ sink })
          ${code}`).replace(
            "rt.sendInterval(sink, 1e6, 'x')",
            "rt.cancelTimer(rt.sendInterval(sink, 1e6, 'x'))",
          ),
        )}
        const url = new URL('data:text/javascript,' + encodeURIComponent(source))
        const rt = new NodeRuntime({ logger: null })
        const echo = rt.spawn((m) => m)
        const codes = new Set()
        const one = () => new Promise((resolve) => {
          const w = new Worker(url, { workerData: { id: rt.id, echo } })
          w.on('message', (m) => {
            if (m === 'busy') return void w.terminate()
            for (let i = 0; i < 100; i++) rt.send(m.sink, Buffer.from('x'))
          })
          w.on('error', () => {})
          w.on('exit', (c) => { codes.add(c); resolve() })
        })
        for (let i = 0; i < 4; i++) {
          await Promise.all(Array.from({ length: 10 }, one))
          await rt.call(echo, 'alive', 60)
        }
        let m = rt.getMetrics()
        while (m.queued !== 0 || m.inFlight !== 0) { await new Promise(setImmediate); m = rt.getMetrics() }
        const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0)
        console.log(JSON.stringify({ codes: [...codes], actors: m.actors, names: m.names, openCalls: m.openCalls,
          refused: m.attempted - m.accepted - sum(m.refused),
          lost: m.accepted - m.handled - m.expired - m.forwarded - sum(m.dropped) - sum(m.dead),
          spawned: m.spawned - m.actors - sum(m.exited) }))`)
      assert.deepEqual({ exit, signal }, { exit: 0, signal: null }, stderr)
      assert.deepEqual(
        JSON.parse(stdout),
        { codes: [expected], actors: 1, names: 0, openCalls: 0, refused: 0, lost: 0, spawned: 0 },
        stderr,
      )
      assert.equal(stderr, '')
    })
  }
})
