// Delivery: what arrives, in which order, and whose memory it is.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import vm from 'node:vm'
import { MessageChannel } from 'node:worker_threads'
import { assertBalanced, deferred, quiet, runtime, throws, turn } from './support.mjs'

/** An actor that keeps its messages; `until(n)` resolves with them once there are `n`. */
function keeper(rt, options) {
  const messages = []
  const waits = []
  const pid = rt.spawn((message) => {
    messages.push(message)
    for (const wait of waits) if (wait.n === messages.length) wait.resolve(messages)
  }, options)
  const until = (n) => {
    if (messages.length >= n) return Promise.resolve(messages)
    const wait = { ...deferred(), n }
    waits.push(wait)
    return wait.promise
  }
  return { pid, messages, until }
}

describe('a message', () => {
  test('arrives as a Buffer whatever it was sent as', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    const shared = new Uint8Array(new SharedArrayBuffer(6))
    shared.set(Buffer.from('shared'))
    const within = Buffer.from('..offset..')
    const sent = [
      ['text', 'text'],
      ['grüße 👋', 'grüße 👋'],
      ['', ''],
      [Buffer.from('buffer'), 'buffer'],
      [Buffer.alloc(0), ''],
      [new Uint8Array([97, 98]), 'ab'],
      [new Uint8Array(within.buffer, within.byteOffset + 2, 6), 'offset'],
      [new Uint8Array([97, 98]).buffer, 'ab'],
      [new ArrayBuffer(0), ''],
      [shared, 'shared'],
      [shared.buffer, 'shared'],
      [vm.runInNewContext('new Uint8Array([97, 98])'), 'ab'],
      [vm.runInNewContext('new Uint8Array([97, 98]).buffer'), 'ab'],
      [
        new (class extends Uint8Array {
          get length() {
            return 1e9
          }
        })([97, 98]),
        'ab',
      ],
    ]
    for (const [data] of sent) assert.equal(rt.send(pid, data), true)
    assert.equal(
      rt.sendMany(
        pid,
        sent.map(([data]) => data),
      ),
      sent.length,
    )
    const texts = sent.map(([, text]) => text)
    const got = await until(2 * sent.length)
    assert.ok(got.every(Buffer.isBuffer))
    assert.deepEqual(got.map(String), [...texts, ...texts])
    for (const [data, text] of sent) {
      const echo = rt.spawn((message) => message)
      assert.equal(String(await rt.call(echo, data)), text)
    }
  })

  test('that was transferred away is a TypeError, not an empty message', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    const bytes = new Uint8Array(8)
    const { buffer } = bytes
    structuredClone(buffer, { transfer: [buffer] })
    for (const data of [bytes, buffer]) {
      throws(() => rt.send(pid, data), 'ERR_IRIS_INVALID_TYPE')
      throws(() => rt.sendMany(pid, ['fine', data]), 'ERR_IRIS_INVALID_TYPE')
    }
    assert.equal(rt.getMetrics().attempted, 0)
  })

  test('that only looks like bytes is a TypeError and runs nothing in the middle of a send', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    let ran = 0
    const fake = Object.create(Uint8Array.prototype, {
      length: { get: () => ++ran },
      byteLength: { get: () => ++ran },
    })
    const proxy = new Proxy(new Uint8Array(4), {
      get() {
        ran++
        return 4
      },
    })
    for (const data of [
      fake,
      proxy,
      new Uint16Array(2),
      new DataView(new ArrayBuffer(2)),
      [1, 2],
    ]) {
      throws(() => rt.send(pid, data), 'ERR_IRIS_INVALID_TYPE')
    }
    assert.equal(ran, 0)
  })

  test('of every size around the borders of slab, outbox and page arrives intact', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    const sizes = [
      0, 1, 7, 8, 9, 22, 23, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537,
    ]
    const sent = [...sizes, ...sizes].map((size) => randomBytes(size))
    for (const data of sent) rt.send(pid, data)
    const got = await until(sent.length)
    for (const [i, data] of sent.entries()) assert.ok(data.equals(got[i]), `${data.length} bytes`)
  })

  test('of 64 MiB arrives intact though its sender changes its memory at once', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    const data = Buffer.alloc(64 * 2 ** 20, 'abcdefgh')
    const copy = Buffer.from(data)
    rt.send(pid, data)
    data.fill(0)
    const [got] = await until(1)
    assert.ok(copy.equals(got))
    const echo = rt.spawn((message) => message)
    assert.ok(copy.equals(await rt.call(echo, copy)))
  })

  test('is copied before send returns, whichever way it goes', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    const bounded = rt.spawnBounded((message) => message, { capacity: 10 })
    const data = Buffer.from('first')
    rt.send(pid, data)
    rt.sendMany(pid, [data])
    const reply = rt.call(bounded, data)
    data.write('later')
    assert.deepEqual((await until(2)).map(String), ['first', 'first'])
    assert.equal(String(await reply), 'first')
  })
})

describe('a handler owns its message', () => {
  test('10,000 random messages are kept and still the same', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    const sent = Array.from({ length: 10_000 }, (_, i) => randomBytes(i % 251))
    for (const data of sent) rt.send(pid, data)
    const got = await until(sent.length)
    // More traffic over the same slabs and outbox must not touch what is kept.
    const noise = rt.spawn(() => {})
    rt.sendMany(noise, sent)
    await quiet(rt)
    for (const [i, data] of sent.entries()) assert.ok(data.equals(got[i]), `message ${i}`)
  })

  test('changing one changes no other', async (t) => {
    const rt = runtime(t)
    const kept = []
    const done = deferred()
    const pid = rt.spawn((message) => {
      kept.push([message, String(message)])
      if (kept.length % 2 === 0) kept.pop()[0].fill(0xff)
      else if (kept.length === 501) done.resolve()
    })
    for (let i = 0; i < 1002; i++) {
      // Two neighbours in the slab: the first is kept, the second is overwritten.
      rt.send(pid, `message ${i}`)
    }
    const both = []
    const other = rt.spawn((message) => {
      both.push(message)
    })
    for (let i = 0; i < 100; i++) rt.send(other, `neighbour ${i}`)
    await quiet(rt)
    for (const [i, message] of both.entries()) {
      assert.equal(String(message), `neighbour ${i}`)
      message.fill(1)
      if (i + 1 < both.length) assert.equal(String(both[i + 1]), `neighbour ${i + 1}`)
    }
    for (const [message, text] of kept) assert.equal(String(message), text)
  })

  test('transferring one does not empty its neighbours', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    for (let i = 0; i < 10; i++) rt.send(pid, `message ${i}`)
    const got = await until(10)
    const { port1, port2 } = new MessageChannel()
    t.after(() => port1.close())
    try {
      port2.postMessage(got[3], [got[3].buffer])
    } catch (error) {
      assert.equal(error.name, 'DataCloneError')
    }
    assert.deepEqual(
      got.map(String),
      Array.from({ length: 10 }, (_, i) => `message ${i}`),
    )
    // And the lane still works on that slab.
    rt.send(pid, 'after')
    assert.equal(String((await until(11))[10]), 'after')
  })

  test('and so does the caller own its reply', async (t) => {
    const rt = runtime(t)
    const held = Buffer.from('the same memory for all')
    const pid = rt.spawn(() => held)
    const replies = await Promise.all([rt.call(pid, ''), rt.call(pid, '')])
    replies[0].fill(0)
    assert.equal(String(replies[1]), 'the same memory for all')
    assert.equal(String(held), 'the same memory for all')
  })

  if (typeof ArrayBuffer.prototype.transfer === 'function') {
    test('moving the memory of one away does not stop the lane', async (t) => {
      const rt = runtime(t)
      const got = []
      const pid = rt.spawn((message) => {
        got.push(String(message))
        try {
          message.buffer.transfer()
        } catch (error) {
          // From Node 24 on, memory that is marked as untransferable cannot be moved this way either.
          assert.ok(error instanceof TypeError)
        }
      })
      for (let i = 0; i < 1000; i++) rt.send(pid, `message ${i}`)
      assert.equal(
        String(
          await rt.call(
            rt.spawn(() => 'alive'),
            '',
          ),
        ),
        'alive',
      )
      await quiet(rt)
      assert.deepEqual(
        got,
        Array.from({ length: 1000 }, (_, i) => `message ${i}`),
      )
    })
  }
})

describe('order', () => {
  test('is FIFO for a pair, whichever call sends', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    rt.register('target', pid)
    const forms = [
      (x) => rt.send(pid, x),
      (x) => rt.send(pid, Buffer.from(x)),
      (x) => rt.sendMany(pid, [x]),
      (x) => rt.sendNamed('target', x),
      (x) => rt.call(pid, x),
      (x) => rt.call(pid, Buffer.from(x)),
      (x) => rt.send(pid, Buffer.concat([Buffer.from(x), Buffer.alloc(5000)])),
      (x) => rt.send(pid, new Uint8Array(Buffer.from(x)).buffer),
      (x) => rt.call(pid, x, { signal: new AbortController().signal }),
    ]
    const n = 3000
    for (let i = 0; i < n; i++) forms[(i * 7) % forms.length](String(i).padStart(6, '0'))
    const got = await until(n)
    for (let i = 0; i < n; i++) assert.equal(Number(got[i].toString('latin1', 0, 6)), i)
  })

  test('is kept for each of many senders that are actors', async (t) => {
    const rt = runtime(t)
    const last = new Map()
    const n = 200
    let count = 0
    const done = deferred()
    const sink = rt.spawn((message, ctx) => {
      const next = (last.get(ctx.sender) ?? -1) + 1
      assert.equal(Number(message), next)
      last.set(ctx.sender, next)
      if (++count === 10 * n) done.resolve()
    })
    const senders = Array.from({ length: 10 }, () => {
      let next = 0
      return rt.spawn((_message, ctx) => {
        ctx.send(sink, String(next++))
        if (next < n) ctx.send(ctx.pid, '')
      })
    })
    for (const pid of senders) rt.send(pid, '')
    await done.promise
    assert.deepEqual([...last.keys()].sort(), senders.sort())
  })

  test('is kept across a promise', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn(async (message) => {
      seen.push(`${message} begins`)
      await turn()
      seen.push(`${message} ends`)
    })
    for (const x of ['a', 'b', 'c']) rt.send(pid, x)
    await quiet(rt)
    const expected = ['a', 'b', 'c'].flatMap((x) => [`${x} begins`, `${x} ends`])
    assert.deepEqual(seen, expected)
  })
})

describe('a handler never runs inside a send', () => {
  for (const [name, send] of [
    ['send', (rt, pid) => rt.send(pid, 'x')],
    ['send of a Buffer', (rt, pid) => rt.send(pid, Buffer.from('x'))],
    ['sendMany', (rt, pid) => rt.sendMany(pid, ['x', 'y'])],
    ['sendNamed', (rt) => rt.sendNamed('name', 'x')],
    ['call', (rt, pid) => void rt.call(pid, 'x')],
    ['stop with drain', (rt, pid) => [rt.send(pid, 'x'), rt.stop(pid, { drain: true })]],
    [
      '2,000 sends',
      (rt, pid) => Array.from({ length: 2000 }, () => rt.send(pid, Buffer.from('x'))),
    ],
  ]) {
    test(name, async (t) => {
      const rt = runtime(t)
      let handled = 0
      let inside = true
      const pid = rt.spawn(() => {
        handled++
        assert.equal(inside, false)
      })
      rt.register('name', pid)
      send(rt, pid)
      inside = false
      assert.equal(handled, 0)
      await quiet(rt)
      assert.notEqual(handled, 0)
      assert.equal(rt.getMetrics().exited.crash, 0)
    })
  }

  test('of its own, nor inside that of another handler', async (t) => {
    const rt = runtime(t)
    let depth = 0
    let left = 1000
    const handler = (_message, ctx) => {
      assert.equal(depth++, 0)
      if (left-- > 0) {
        assert.equal(ctx.send(ctx.pid, 'again'), true)
        assert.equal(rt.send(other, Buffer.from('x')), true)
      }
      depth--
    }
    const other = rt.spawn(() => assert.equal(depth, 0))
    rt.send(rt.spawn(handler), 'go')
    const metrics = await quiet(rt)
    assert.equal(metrics.handled, 2001)
  })
})

test('a million sends without yielding are all handled', async (t) => {
  const rt = runtime(t)
  let handled = 0
  const pid = rt.spawn(() => {
    handled++
  })
  const data = Buffer.from('message')
  for (let i = 0; i < 1e6; i++) rt.send(pid, data)
  assert.equal(handled, 0)
  assert.equal(rt.mailboxSize(pid), 1e6)
  const metrics = await quiet(rt)
  assert.equal(handled, 1e6)
  assert.equal(metrics.handled, 1e6)
})

describe('sendMany', () => {
  test('takes any iterable and answers how many were taken', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    function* some() {
      yield 'a'
      yield Buffer.from('b')
    }
    assert.equal(rt.sendMany(pid, some()), 2)
    assert.equal(rt.sendMany(pid, new Set(['c'])), 1)
    assert.equal(rt.sendMany(pid, []), 0)
    assert.deepEqual((await until(3)).map(String), ['a', 'b', 'c'])
    const bounded = rt.spawnBounded(() => {}, 100, 2)
    assert.equal(rt.sendMany(bounded, ['a', 'b', 'c', 'd']), 2)
    assert.equal(rt.sendMany(0, ['a', 'b']), 0)
    const metrics = await quiet(rt)
    assert.deepEqual([metrics.refused.no_such_actor, metrics.refused.full], [2, 2])
  })

  test('with a wrong item, or an iterator that throws, sends nothing', async (t) => {
    const rt = runtime(t)
    const { pid, messages } = keeper(rt)
    throws(() => rt.sendMany(pid, ['a', 'b', 3, 'd']), 'ERR_IRIS_INVALID_TYPE')
    const broken = function* () {
      yield 'a'
      throw new Error('broken iterator')
    }
    assert.throws(() => rt.sendMany(pid, broken()), /broken iterator/)
    await turn()
    assert.deepEqual(messages, [])
    assert.equal(rt.getMetrics().attempted, 0)
  })

  test('keeps its place when its iterator sends as well', async (t) => {
    const rt = runtime(t)
    const { pid, until } = keeper(rt)
    rt.sendMany(
      pid,
      (function* () {
        rt.send(pid, Buffer.from('from the iterator'))
        yield 'a'
        rt.send(pid, 'again')
        yield 'b'
      })(),
    )
    assert.deepEqual((await until(4)).map(String), ['from the iterator', 'again', 'a', 'b'])
  })
})

test('nobody takes a message for a pid that is dead, unknown or of another runtime', (t) => {
  const rt = runtime(t)
  const other = runtime(t)
  const dead = rt.spawn(() => {})
  rt.kill(dead)
  const foreign = other.spawn(() => assert.fail('a stranger was hit'))
  const nobody = [
    dead,
    dead + 1,
    0,
    -1,
    -dead,
    0.5,
    Number.NaN,
    Infinity,
    -Infinity,
    2 ** 53,
    1e300,
  ]
  for (const pid of nobody) {
    assert.equal(rt.send(pid, 'x'), false)
    assert.equal(rt.send(pid, Buffer.from('x')), false)
  }
  assert.equal(rt.send(foreign, Buffer.from('x')), false)
  const metrics = rt.getMetrics()
  assert.equal(metrics.refused.no_such_actor, 2 * nobody.length)
  assert.equal(metrics.refused.foreign, 1)
  assertBalanced(metrics)
})
