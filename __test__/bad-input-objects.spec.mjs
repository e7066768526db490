// Wrong input to every call of what the runtime gives out (mailboxes, call messages, pools, threads, contexts), to the
// functions of the module, and of user's code that throws: a typed error, or that code's own; nothing is half done.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as iris from '../index.mjs'
import { assertBalanced, deferred, eventually, quiet, runtime } from './support.mjs'

const { IrisError, NodeRuntime } = iris
const TYPE = 'ERR_IRIS_INVALID_TYPE'
const RANGE = 'ERR_IRIS_INVALID_ARGUMENT'
const NOBODY = 'ERR_IRIS_NO_SUCH_ACTOR'
const STALE = 'ERR_IRIS_STALE_REPLY'
const NO_BUFFER = 'ERR_IRIS_NO_SUCH_BUFFER'
const NO_CODEC = 'ERR_IRIS_NO_SUCH_CODEC'

const nothing = () => {}
const notData = [undefined, null, 1, true, {}, [1], nothing, Symbol('s'), 1n]
const notPids = [undefined, null, '1', {}, 1n]
const notFunctions = [undefined, null, 1, 'f', {}]
const notWaits = ['1', true, nothing, 1n]
const tooShort = [-1, Number.NaN]
const options = [{ timeoutMs: 'x' }, { timeoutMs: null }, { signal: {} }]

const waits = (call) => [
  [notWaits, call, TYPE],
  [options, call, TYPE],
  [tooShort, call, RANGE],
  [[{ timeout: 1 }, { timeoutMs: -1 }], call, RANGE],
]

/** For each kind of object: its calls, each with `[values, (object, value, live pid) => call, code]`. */
const tables = {
  Mailbox: {
    recv: waits((box, v) => box.recv(v)),
    selectiveRecv: [
      [notFunctions, (box, v) => box.selectiveRecv(v), TYPE],
      ...waits((box, v) => box.selectiveRecv(nothing, v)),
    ],
    monitor: [[notPids, (box, v) => box.monitor(v), TYPE]],
    link: [
      [notPids, (box, v) => box.link(v), TYPE],
      [[0, -1, 2 ** 53], (box, v) => box.link(v), NOBODY, 'ends itself'],
    ],
    tryRecv: [],
  },
  CallMessage: {
    reply: [[notData.slice(1), (message, v) => message.reply(v), TYPE]],
  },
  Pool: {
    send: [[notData, (pool, v) => pool.send(v), TYPE]],
    call: [[notData, (pool, v) => pool.call(v), TYPE], ...waits((pool, v) => pool.call('x', v))],
  },
  Context: {
    send: [
      [notPids, (ctx, v) => ctx.send(v, 'x'), TYPE],
      [notData, (ctx, v, pid) => ctx.send(pid, v), TYPE],
    ],
    call: [
      [notPids, (ctx, v) => ctx.call(v, 'x'), TYPE],
      [notData, (ctx, v, pid) => ctx.call(pid, v), TYPE],
      ...waits((ctx, v, pid) => ctx.call(pid, 'x', v)),
      [[0, -1, 2 ** 53], (ctx, v) => ctx.call(v, 'x'), NOBODY],
    ],
    reply: [[notData.slice(1), (ctx, v) => ctx.reply(v), TYPE]],
    monitor: [[notPids, (ctx, v) => ctx.monitor(v), TYPE]],
    link: [[notPids, (ctx, v) => ctx.link(v), TYPE]],
    stop: [],
  },
}

/** One of each kind, what it belongs to being kept alive until `done` is called. */
const makers = {
  Mailbox: (rt, made, done) => {
    rt.spawnWithMailbox(async (mailbox) => {
      made(mailbox)
      await done
    })
  },
  CallMessage: (rt, made, done) => {
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      made(await mailbox.recv())
      await done
    })
    rt.call(pid, 'question').catch(nothing)
  },
  Pool: (rt, made) => {
    const parent = rt.spawn(nothing)
    made(rt.spawnChildPool(parent, nothing, 2))
  },
  Context: (rt, made, done) => {
    const pid = rt.spawn(async (_message, ctx) => {
      made(ctx)
      await done
    })
    rt.call(pid, 'question').catch(nothing)
  },
}

const shown = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value))

for (const [kind, calls] of Object.entries(tables)) {
  test(`${kind}: every call answers wrong input with a typed error`, async (t) => {
    const rt = runtime(t)
    const [made, done] = [deferred(), deferred()]
    t.after(done.resolve)
    makers[kind](rt, made.resolve, done.promise)
    const object = await made.promise
    const live = rt.spawn(nothing)
    const prototype = Object.getPrototypeOf(object)
    const functions = Object.entries(Object.getOwnPropertyDescriptors(prototype))
      .filter(([, { value }]) => typeof value === 'function')
      .map(([name]) => name)
    const public_ = functions.filter((name) => name !== 'constructor' && !name.startsWith('_'))
    assert.deepEqual(public_.sort(), Object.keys(calls).sort(), 'the table has them all')
    for (const [name, cases] of Object.entries(calls)) {
      for (const [values, call, code, may] of cases) {
        for (const value of values) {
          let error
          try {
            await call(object, value, live)
          } catch (e) {
            error = e
          }
          const what = `${kind}.${name} ${shown(value)}: ${error}`
          if (may !== undefined && error === undefined) continue
          assert.ok(error instanceof IrisError, what)
          assert.equal(error.code, code, what)
        }
      }
    }
    assert.equal(rt.actorInfo(live).handled, 0, 'nobody was sent anything')
    done.resolve()
    await quiet(rt)
  })
}

test('threads: every call answers wrong input with a typed error', async (t) => {
  const rt = runtime(t).ref()
  const url = `data:text/javascript,export default () => {}`
  const threads = await rt.spawnThreaded(url, { threads: 1 })
  const own = Object.getOwnPropertyNames(threads).filter((n) => !/^(\d+|length)$/.test(n))
  assert.deepEqual(own.sort(), ['call', 'send', 'stop'])
  for (const value of notData) {
    assert.throws(() => threads.send(value), { code: TYPE })
    await assert.rejects(threads.call(value), { code: TYPE })
  }
  await assert.rejects(threads.call('x', { timeout: 1 }), { code: RANGE })
  await assert.rejects(threads.stop({ drain: 'yes' }), { code: TYPE })
  await assert.rejects(threads.stop({ drained: true }), { code: RANGE })
  assert.equal(rt.isAlive(threads[0]), true)
})

describe('the functions of the module', () => {
  const codec = { name: 'of-a-test', encode: String, decode: String }
  const table = {
    NodeRuntime: [
      [[null, 1, 'x'], (v) => new NodeRuntime(v), TYPE],
      [[undefined, null, '1', {}], (v) => NodeRuntime.attach(v), TYPE],
      [[0, -1, 0.5, 2 ** 53], (v) => NodeRuntime.attach(v), RANGE],
      [[1e9], (v) => NodeRuntime.attach(v), 'ERR_IRIS_RUNTIME_CLOSED'],
    ],
    registerCodec: [
      [[undefined, null, 1, 'json', {}, nothing], (v) => iris.registerCodec(v), TYPE],
      ...['encode', 'decode'].map((half) => [
        [undefined, null, 1, 'f'],
        (v) => iris.registerCodec({ ...codec, [half]: v }),
        TYPE,
      ]),
      [[undefined, null, 1], (v) => iris.registerCodec({ ...codec, name: v }), TYPE],
      [
        ['', 'x'.repeat(256), 'a\nb', 'json', 'traced+x'],
        (v) => iris.registerCodec({ ...codec, name: v }),
        RANGE,
      ],
    ],
    getCodec: [
      [[undefined, null, 1, {}], (v) => iris.getCodec(v), TYPE],
      [['', 'nobody’s'], (v) => iris.getCodec(v), NO_CODEC],
    ],
    offload: [[[undefined, null, 1, 'f', {}], (v) => iris.offload(v), TYPE]],
    setJitLogging: [[[null, 1, 'yes', {}], (v) => iris.setJitLogging(v), TYPE]],
    setQuantumSpeculation: [[[null, 1, 'yes', {}], (v) => iris.setQuantumSpeculation(v), TYPE]],
  }
  const takeNothing = ['codecNames', 'getJitLogging', 'getQuantumSpeculation']
  const classes = ['IrisError', 'SystemMessage']

  test('are all in the table', () => {
    const functions = Object.keys(iris).filter(
      (name) => name !== 'default' && typeof iris.default[name] === 'function',
    )
    assert.deepEqual(functions.sort(), [...Object.keys(table), ...takeNothing, ...classes].sort())
  })

  for (const [name, cases] of Object.entries(table)) {
    test(`${name} answers wrong input with a typed error`, () => {
      for (const [values, call, code] of cases) {
        for (const value of values) {
          assert.throws(
            () => call(value),
            (error) => error instanceof IrisError && error.code === code,
            `${name} ${shown(value)}`,
          )
        }
      }
    })
  }
})

describe('code of the user that throws', () => {
  const own = new RangeError('own')
  const throwing = () => {
    throw own
  }

  test('a matcher: the waiting call rejects with its error, the message stays', async (t) => {
    const rt = runtime(t)
    const told = deferred()
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      const first = await mailbox.selectiveRecv(throwing).catch((error) => error)
      told.resolve([first, String(await mailbox.recv())])
    })
    rt.send(pid, 'kept')
    assert.deepEqual(await told.promise, [own, 'kept'])
    const observed = rt.spawnWithPathObserved(100, '/observed')
    rt.send(observed, 'kept')
    await assert.rejects(rt.selectiveRecv(observed, throwing), own)
    assert.deepEqual(rt.getMessages(observed).map(String), ['kept'])
    await quiet(rt)
  })

  test('a codec that encodes: the sender gets it, by every way of sending, and nothing is sent', async (t) => {
    const rt = runtime(t)
    const codec = { name: 'throws-to-encode', encode: throwing, decode: String }
    const pid = rt.spawn(nothing, { codec })
    rt.register('it', pid)
    rt.registerPath('/it', pid)
    for (const send of [
      () => rt.send(pid, 'x'),
      () => rt.sendMany(pid, ['x', 'y']),
      () => rt.sendNamed('it', 'x'),
      () => rt.sendPath('/it', 'x'),
      () => rt.sendAfter(pid, 0, 'x'),
      () => rt.sendInterval(pid, 1, 'x'),
      () => rt.sendWithBackpressure(pid, 'x'),
    ]) {
      assert.throws(send, own)
    }
    await assert.rejects(rt.sendAsync(pid, 'x'), own)
    await assert.rejects(rt.call(pid, 'x'), own)
    const metrics = rt.getMetrics()
    assert.deepEqual([metrics.accepted, metrics.timers, metrics.openCalls], [0, 0, 0])
    assertBalanced(metrics)
  })

  test('an iterable of messages: none is sent', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(nothing)
    const messages = (function* () {
      yield 'good'
      throw own
    })()
    assert.throws(() => rt.sendMany(pid, messages), own)
    assert.equal(rt.getMetrics().accepted, 0)
  })
})

test('a buffer works once', async (t) => {
  const rt = runtime(t)
  const got = []
  const pid = rt.spawn((message) => void got.push(message.length))
  for (const send of ['sendBuffer', 'sendUserWithBackpressure']) {
    const { id } = rt.allocateBuffer(8192)
    assert.ok(rt[send](pid, id))
    for (const again of ['sendBuffer', 'sendUserWithBackpressure']) {
      assert.throws(() => rt[again](pid, id), { code: NO_BUFFER })
    }
    assert.equal(rt.freeBuffer(id), false)
  }
  await eventually(() => got.length === 2)
  assert.deepEqual(got, [8192, 8192])
  await quiet(rt)
})

test('a policy whose messages would come back is refused when it is set', async (t) => {
  const rt = runtime(t)
  const [a, b, c] = Array.from({ length: 3 }, () => rt.spawnBounded(nothing, { capacity: 1 }))
  for (const policy of ['redirect', 'spill']) {
    assert.throws(() => rt.setOverflowPolicy(a, policy, a), { code: RANGE })
    rt.setOverflowPolicy(a, policy, b)
    rt.setOverflowPolicy(b, policy, c)
    for (const back of [a, b, c]) {
      assert.throws(() => rt.setOverflowPolicy(c, policy, back), { code: RANGE })
    }
    assert.throws(() => rt.setOverflowPolicy(c, policy), { code: RANGE })
  }
  // What was refused changed nothing.
  assert.ok(rt.send(c, 'x'))
  await quiet(rt)
})

test('a reply that is given twice, or to nobody, is stale', async (t) => {
  const rt = runtime(t)
  const told = deferred()
  const pid = rt.spawnWithMailbox(async (mailbox) => {
    const call = await mailbox.recv()
    call.reply('once')
    try {
      call.reply('twice')
    } catch (error) {
      told.resolve(error.code)
    }
  })
  assert.equal(String(await rt.call(pid, 'x')), 'once')
  assert.equal(await told.promise, STALE)
})
