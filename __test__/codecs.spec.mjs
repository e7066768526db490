// Messages that are no bytes: contract, "Codecs".

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Packr } from 'msgpackr'
import { codecNames, getCodec, registerCodec } from '../index.mjs'
import { deferred, index, quiet, rejects, runtime, throws } from './support.mjs'

const TYPE = 'ERR_IRIS_INVALID_TYPE'
const RANGE = 'ERR_IRIS_INVALID_ARGUMENT'
const UNKNOWN = 'ERR_IRIS_NO_SUCH_CODEC'

const packr = new Packr({ structuredClone: true })
const msgpack = {
  name: 'msgpack',
  encode: (message) => packr.pack(message),
  decode: (data) => packr.unpack(data),
}

/** One whose halves fail on demand. */
const moody = {
  name: 'moody',
  encode(message) {
    if (message === 'bad') throw new RangeError('cannot encode')
    return String(message)
  },
  decode(data) {
    const text = String(data)
    if (text === 'poison') throw new SyntaxError('cannot decode')
    return text
  },
}

const order = { id: 7, lines: ['a', 'b'], none: null }

describe('each codec', () => {
  const values = {
    json: [order, [], 'text', 0, true, null, { deep: { er: [1, { est: 'é' }] } }],
    structured: [order, new Map([[1, new Set(['x'])]]), 5n, new Date(0), undefined, null, /x/],
    msgpack: [order, 1.5, 'text', new Map([['k', new Date(0)]]), null, [new Set([1])]],
  }
  for (const [name, messages] of Object.entries(values)) {
    test(`${name} carries messages and replies by every way of sending`, async (t) => {
      const rt = runtime(t)
      const codec = name === 'msgpack' ? msgpack : name
      const seen = []
      const pid = rt.spawn(
        (m, ctx) => {
          seen.push(m)
          return ctx.isCall ? m : undefined
        },
        { codec },
      )
      rt.register('it', pid)
      rt.registerPath('/it', pid)
      assert.equal(rt.actorInfo(pid).codec, name)
      for (const message of messages) {
        seen.length = 0
        assert.equal(rt.send(pid, message), true)
        assert.equal(rt.sendMany(pid, [message, message]), 2)
        assert.equal(rt.sendNamed('it', message), true)
        assert.equal(rt.sendPath('/it', message), true)
        assert.deepEqual(rt.sendWithBackpressure(pid, message), [true, 'NORMAL'])
        assert.equal(await rt.sendAsync(pid, message), true)
        rt.sendAfter(pid, 0, message)
        const interval = rt.sendInterval(pid, 1, message)
        assert.deepEqual(await rt.call(pid, message), message)
        const { signal } = new AbortController()
        assert.deepEqual(await rt.call(pid, message, { timeoutMs: 1e6, signal }), message)
        while (seen.length < 11) await new Promise(setImmediate)
        rt.cancelTimer(interval)
        await quiet(rt)
        for (const got of seen) assert.deepEqual(got, message)
      }
    })

    test(`${name} speaks to every kind of actor`, async (t) => {
      const rt = runtime(t)
      const codec = name === 'msgpack' ? msgpack : name
      const echo = async (m) => m
      const parent = rt.spawn(() => {})
      const pull = async (mailbox) => {
        for await (const call of mailbox) call.reply(call.data)
      }
      const pids = [
        rt.spawn(echo, { codec, reentrant: true }),
        rt.spawn((m, ctx) => void ctx.reply(m), { codec }),
        rt.spawnBounded(echo, { codec, capacity: 9 }),
        rt.spawnVirtual(echo, { codec, idleTimeoutMs: 1 }),
        rt.spawnChild(parent, echo, { codec }),
        rt.spawnWithMailbox(pull, { codec }),
        rt.spawnChildWithMailbox(parent, pull, { codec }),
      ]
      for (const pid of pids) assert.deepEqual(await rt.call(pid, order), order)
      const pool = rt.spawnChildPool(parent, echo, 2, { codec })
      assert.deepEqual(await pool.call(order), order)
      assert.equal(pool.send(order), true)
      // From actor to actor, whatever each of them speaks.
      const asking = rt.spawn(async (_m, ctx) => JSON.stringify(await ctx.call(pids[0], order)))
      assert.deepEqual(JSON.parse(await rt.call(asking, 'go')), order)
    })
  }

  test('what waits for a replacement is encoded too', async (t) => {
    const rt = runtime(t)
    const seen = []
    const start = () => rt.spawn((m) => void seen.push(m), { codec: 'json' })
    const pid = start()
    rt.register('it', pid)
    rt.registerPath('/it', pid)
    const gate = deferred()
    rt.pathSuperviseWithFactory('/svc', pid, () => gate.promise.then(start), 'restartone')
    rt.kill(pid)
    await rt.join(pid)
    // Whatever this loop remembers of an actor is gone when the join is answered.
    await new Promise(setImmediate)
    assert.equal(rt.whereis('it'), null)
    assert.equal(rt.sendNamed('it', order), true)
    assert.equal(rt.sendPath('/it', [1]), true)
    assert.throws(() => rt.sendNamed('it', undefined), { code: 'ERR_IRIS_INVALID_ARGUMENT' })
    gate.resolve()
    while (seen.length < 2) await new Promise(setImmediate)
    assert.deepEqual(seen, [order, [1]])
  })

  test('bytes are asked of who waits for a replacement and has no codec', async (t) => {
    const rt = runtime(t)
    const start = () => rt.spawn(() => {})
    const pid = start()
    rt.register('it', pid)
    const backoff = { initialMs: 50, jitter: 0 }
    rt.pathSuperviseWithFactory('/svc', pid, start, 'restartone', { backoff })
    rt.kill(pid)
    await rt.join(pid)
    assert.throws(() => rt.sendNamed('it', order), { code: 'ERR_IRIS_INVALID_TYPE' })
    assert.equal(rt.sendNamed('it', 'text'), true)
  })

  test('nothing as a reply is nothing', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {}, { codec: 'json' })
    assert.equal(await rt.call(pid, 1), undefined)
    const nothing = rt.spawn(() => null, { codec: 'json' })
    assert.equal(await rt.call(nothing, 1), null)
    const replying = rt.spawn((_m, ctx) => ctx.reply(), { codec: 'json' })
    assert.equal(await rt.call(replying, 1), undefined)
  })

  test('raw is bytes as they are', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((m) => m, { codec: 'raw' })
    assert.equal(rt.actorInfo(pid).codec, null)
    assert.ok(Buffer.isBuffer(await rt.call(pid, 'x')))
    throws(() => rt.send(pid, {}), TYPE)
  })

  test('a swapped handler hears what the first did', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((m) => ['old', m], { codec: 'json' })
    rt.hotSwap(pid, (m) => ['new', m])
    assert.deepEqual(await rt.call(pid, order), ['new', order])
    rt.rollbackBehavior(pid)
    assert.deepEqual(await rt.call(pid, order), ['old', order])
  })

  test('what the runtime itself tells is not decoded', async (t) => {
    const rt = runtime(t)
    const down = deferred()
    const watcher = rt.spawn((m) => down.resolve(m.typeName), { codec: 'json', system: true })
    const watched = rt.spawn(() => {})
    rt.monitor(watched, watcher)
    rt.kill(watched)
    assert.equal(await down.promise, 'DOWN')
  })

  test('a pull actor receives null as a message', async (t) => {
    const rt = runtime(t)
    const got = deferred()
    const pid = rt.spawnWithMailbox(
      async (mailbox) => {
        const seen = [await mailbox.recv(), await mailbox.selectiveRecv((m) => m === null)]
        for await (const m of mailbox) {
          seen.push(m)
          if (m === 'end') break
        }
        got.resolve([seen, mailbox.tryRecv(), mailbox.closed])
      },
      { codec: 'json' },
    )
    rt.sendMany(pid, [null, 1, null, null, 'end'])
    assert.deepEqual(await got.promise, [[null, null, 1, null, 'end'], null, false])
  })
})

describe('a codec that throws', () => {
  test('while it encodes: the sender gets it, and nothing is sent', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((m) => void seen.push(m), { codec: moody })
    const error = { name: 'RangeError', message: 'cannot encode' }
    rt.register('it', pid)
    for (const send of [
      () => rt.send(pid, 'bad'),
      () => rt.sendMany(pid, ['good', 'bad']),
      () => rt.sendNamed('it', 'bad'),
      () => rt.sendWithBackpressure(pid, 'bad'),
      () => rt.sendAfter(pid, 0, 'bad'),
      () => rt.sendInterval(pid, 1, 'bad'),
    ]) {
      assert.throws(send, error)
    }
    await assert.rejects(rt.sendAsync(pid, 'bad'), error)
    await assert.rejects(rt.call(pid, 'bad'), error)
    const { attempted, openCalls, delays } = await quiet(rt)
    assert.deepEqual([attempted, openCalls, delays, seen], [0, 0, 0, []])
    assert.equal(rt.isAlive(pid), true)
  })

  test('while it encodes a reply: the call fails with it, and the actor crashes', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report.pid) })
    const pids = [
      rt.spawn(() => 'bad', { codec: moody }),
      rt.spawn(async () => 'bad', { codec: moody }),
      rt.spawn((_m, ctx) => ctx.reply('bad'), { codec: moody }),
    ]
    for (const pid of pids) {
      await assert.rejects(rt.call(pid, 'good'), { message: 'cannot encode' })
      assert.equal((await rt.join(pid)).reason, 'crash')
    }
    await quiet(rt)
    assert.deepEqual(reports, pids)
  })

  test('while it decodes: the receiver crashes with it, and a call fails with it', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report.error.message) })
    const seen = []
    const spawn = () => rt.spawn((m) => void seen.push(m), { codec: moody })
    const told = spawn()
    rt.sendMany(told, ['good', 'poison', 'never'])
    assert.equal((await rt.join(told)).reason, 'crash')
    assert.deepEqual(seen, ['good'])
    const asked = spawn()
    await assert.rejects(rt.call(asked, 'poison'), {
      name: 'SyntaxError',
      message: 'cannot decode',
    })
    const { dead, handled } = await quiet(rt)
    assert.deepEqual([dead.crash, handled, reports], [3, 1, ['cannot decode', 'cannot decode']])
  })

  test('while it decodes a reply: the call rejects with it', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => 'poison', { codec: moody })
    await assert.rejects(rt.call(pid, 'x'), { message: 'cannot decode' })
    assert.equal(rt.isAlive(pid), true)
  })

  test('in a mailbox: that receive rejects, the next goes on', async (t) => {
    const rt = runtime(t)
    const got = deferred()
    const pid = rt.spawnWithMailbox(
      async (mailbox) => {
        const outcomes = []
        const outcome = (p) =>
          p.then(
            (m) => m?.data ?? m,
            (e) => e.message,
          )
        // The matcher's message stays where it is; `recv` takes it.
        outcomes.push(await outcome(mailbox.selectiveRecv(() => true)))
        outcomes.push(await outcome(mailbox.recv()))
        outcomes.push(await outcome(mailbox.recv()))
        outcomes.push(await outcome(mailbox.recv()))
        outcomes.push(await outcome(mailbox.recv()))
        got.resolve(outcomes)
      },
      { codec: moody },
    )
    rt.send(pid, 'poison')
    rt.send(pid, 'good')
    const call = assert.rejects(rt.call(pid, 'poison'), { message: 'cannot decode' })
    rt.send(pid, 'last')
    const bad = 'cannot decode'
    assert.deepEqual(await got.promise, [bad, bad, 'good', bad, 'last'])
    await call
  })

  test('or makes no bytes is a wrong type', (t) => {
    const rt = runtime(t)
    const odd = { name: 'odd', encode: (m) => m, decode: (m) => m }
    const pid = rt.spawn(() => {}, { codec: odd })
    assert.throws(() => rt.send(pid, { no: 'bytes' }), { code: TYPE, message: /codec odd/ })
    assert.equal(rt.send(pid, 'text'), true)
    throws(
      () =>
        rt.send(
          rt.spawn(() => {}, { codec: 'json' }),
          undefined,
        ),
      RANGE,
    )
  })

  test('or uses its memory again does no harm', async (t) => {
    const rt = runtime(t)
    const memory = Buffer.alloc(4)
    const codec = {
      name: 'reusing',
      encode(n) {
        memory.writeUInt32LE(n)
        return memory
      },
      decode: (data) => data.readUInt32LE(),
    }
    const seen = []
    const pid = rt.spawn((n) => void seen.push(n), { codec })
    rt.sendMany(pid, [1, 2, 3])
    rt.send(pid, 4)
    rt.send(pid, 5)
    await quiet(rt)
    assert.deepEqual(seen, [1, 2, 3, 4, 5])
  })
})

describe('names of codecs', () => {
  test('are registered once, by a codec that is one', (t) => {
    assert.deepEqual(
      ['json', 'raw', 'structured'].every((name) => codecNames().includes(name)),
      true,
    )
    registerCodec(msgpack)
    registerCodec(msgpack)
    assert.equal(getCodec('msgpack'), msgpack)
    throws(() => registerCodec({ ...msgpack }), RANGE)
    throws(() => registerCodec({ ...msgpack, name: 'json' }), RANGE)
    for (const name of ['', 'a\nb', 'x'.repeat(256)]) {
      throws(() => registerCodec({ ...msgpack, name }), RANGE)
    }
    const wrong = [
      null,
      1,
      'json',
      () => {},
      {},
      { ...msgpack, encode: 1 },
      { ...msgpack, name: 1 },
    ]
    for (const codec of wrong) throws(() => registerCodec(codec), TYPE)
    const rt = runtime(t)
    for (const codec of [null, 1, true, () => {}, {}, { ...msgpack, decode: undefined }]) {
      throws(() => rt.spawn(() => {}, { codec }), TYPE)
    }
    throws(() => rt.spawn(() => {}, { codec: 'nobody’s' }), UNKNOWN)
    throws(() => rt.spawnWithMailbox(() => {}, { codec: 'nobody’s' }), UNKNOWN)
    throws(() => getCodec('nobody’s'), UNKNOWN)
    throws(() => getCodec(1), TYPE)
    assert.deepEqual(rt.listActors(), [])
  })

  test('reach other threads with the pid: that finds its codec, or an error that names it', async (t) => {
    const rt = runtime(t)
    const code = `
      import { NodeRuntime, registerCodec } from ${JSON.stringify(index)}
      import { parentPort, workerData } from 'node:worker_threads'
      const rt = NodeRuntime.attach(workerData.id)
      const { json, reversed } = workerData
      const outcome = async (f) => { try { return await f() } catch (e) { return [e.code, e.message] } }
      parentPort.postMessage([await outcome(() => rt.send(json, { a: 1 })), await outcome(() => rt.call(json, [2]))])
      const sends = [() => rt.send(reversed, 'abc'), () => rt.sendMany(reversed, ['abc']), () => rt.sendAfter(reversed, 0, 'abc'),
        () => rt.call(reversed, 'abc'), () => rt.sendAsync(reversed, Buffer.from('abc'))]
      const refused = []
      for (const send of sends) refused.push(await outcome(send))
      parentPort.postMessage(refused)
      const reverse = (text) => [...text].reverse().join('')
      registerCodec({ name: 'reversed', encode: reverse, decode: (data) => reverse(String(data)) })
      parentPort.postMessage([await outcome(() => rt.send(reversed, 'abc')), await outcome(() => rt.call(reversed, 'abc'))])
      parentPort.postMessage(rt.spawn((m) => ({ got: m }), { codec: 'structured' }))
      parentPort.once('message', () => {})`
    const seen = []
    const reversed = {
      name: 'reversed',
      encode: (text) => [...text].reverse().join(''),
      decode: (data) => [...String(data)].reverse().join(''),
    }
    const workerData = {
      id: rt.id,
      json: rt.spawn((m) => ({ got: seen.push(m) && m }), { codec: 'json' }),
      reversed: rt.spawn((m) => seen.push(m) && m, { codec: reversed }),
    }
    const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const worker = new Worker(url, { workerData })
    t.after(() => worker.terminate())
    const said = []
    worker.on('message', (m) => said.push(m))
    while (said.length < 4) await new Promise(setImmediate)
    assert.deepEqual(said[0], [true, { got: [2] }])
    for (const [code, message] of said[1]) {
      assert.equal(code, UNKNOWN)
      assert.match(message, new RegExp(`pid ${workerData.reversed} .*"reversed"`))
    }
    assert.deepEqual(said[2], [true, 'abc'])
    assert.deepEqual(seen, [{ a: 1 }, [2], 'abc', 'abc'])
    assert.deepEqual(await rt.call(said[3], new Map([[1, 2]])), { got: new Map([[1, 2]]) })
  })

  test('are forgotten with the actor: what is sent then is refused, not thrown', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {}, { codec: 'json' })
    rt.kill(pid)
    await new Promise(setImmediate)
    assert.equal(rt.send(pid, order), false)
    assert.equal(rt.sendMany(pid, [order, order]), 0)
    assert.equal(await rt.sendAsync(pid, order), false)
    await rejects(rt.call(pid, order), 'ERR_IRIS_NO_SUCH_ACTOR')
    throws(() => rt.sendAfter(pid, 1, order), 'ERR_IRIS_NO_SUCH_ACTOR')
    const { refused } = await quiet(rt)
    assert.ok(refused.no_such_actor >= 4)
  })
})
