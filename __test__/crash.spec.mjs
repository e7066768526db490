// Handlers that throw: whatever they throw, their actor dies, the error is told once, and nothing else happens.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import vm from 'node:vm'
import pino from 'pino'
import { eventually, quiet, runtime, turn } from './support.mjs'

class Evil {
  get message() {
    throw new Error('message')
  }
  get stack() {
    throw new Error('stack')
  }
  toString() {
    throw new Error('toString')
  }
  [Symbol.toPrimitive]() {
    throw new Error('toPrimitive')
  }
}

class EvilError extends Error {
  get name() {
    throw new Error('name')
  }
  get stack() {
    throw new Error('stack')
  }
}

const trap = () => {
  throw new Error('trap')
}
const hostile = new Proxy(
  {},
  { get: trap, getPrototypeOf: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap },
)

/** What is thrown, and the text that the report has. */
const thrown = [
  ['an Error', new Error('boom'), 'Error: boom'],
  ['an error of another realm', vm.runInNewContext('new TypeError("boom")'), 'TypeError: boom'],
  ['undefined', undefined, 'thrown: undefined'],
  ['null', null, 'thrown: null'],
  ['a string', 'boom', 'thrown: boom'],
  ['a number', 42, 'thrown: 42'],
  ['a bigint', 1n, 'thrown: 1'],
  ['a symbol', Symbol('boom'), 'thrown: Symbol(boom)'],
  ['a frozen object', Object.freeze({}), 'thrown: [object Object]'],
  ['an object without a prototype', Object.create(null), 'thrown: a value that cannot be shown'],
  ['an object whose members throw', new Evil(), 'thrown: a value that cannot be shown'],
  ['an Error whose members throw', new EvilError(), 'thrown: a value that cannot be shown'],
  ['a Proxy that throws at everything', hostile, 'thrown: a value that cannot be shown'],
  ['a function', () => {}, 'thrown: () => {}'],
]

/** How it is thrown. */
const ways = [
  [
    'throws',
    (value) => () => {
      throw value
    },
  ],
  [
    'rejects with',
    (value) => async () => {
      throw value
    },
  ],
  [
    'rejects later with',
    (value) => async () => {
      await turn()
      throw value
    },
  ],
  [
    'answers a thenable that throws',
    (value) => () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is the test.
      then() {
        throw value
      },
    }),
  ],
]

for (const [way, handlerOf] of ways) {
  describe(`fault row 1: a handler that ${way}`, () => {
    for (const [name, value, text] of thrown) {
      // A promise may be rejected with a thenable or a hostile Proxy as with anything else.
      test(name, async (t) => {
        const reports = []
        const logged = []
        const rt = runtime(t, {
          onCrash: (report) => reports.push(report),
          logger: { error: (line) => logged.push(line) },
        })
        const bystander = rt.spawn((m) => m)
        for (const reentrant of [false, true]) {
          const pid = rt.spawn(handlerOf(value), { reentrant })
          rt.sendMany(pid, ['crash', 'behind it'])
          const exit = await rt.join(pid)
          assert.equal(exit.reason, 'crash')
          assert.equal(exit.message, text)
          const called = rt.spawn(handlerOf(value), { reentrant })
          const outcome = await rt.call(called, 'x').then(
            () => assert.fail('a reply'),
            (error) => [error],
          )
          assert.ok(Object.is(outcome[0], value))
          await rt.join(called)
        }
        assert.equal(String(await rt.call(bystander, 'alive')), 'alive')
        const metrics = await quiet(rt)
        assert.equal(metrics.exited.crash, 4)
        assert.equal(metrics.openCalls, 0)
        const crashes = reports.filter((report) => rt.actorInfo(report.pid) === null)
        assert.ok(crashes.length >= 4)
        for (const report of reports) {
          assert.equal(report.reason, 'crash')
          assert.equal(report.message, text)
          assert.ok(Object.is(report.error, value))
        }
        assert.equal(logged.length, reports.length)
        for (const line of logged) assert.match(line, /^iris: actor \d+ ended with crash: /)
      })
    }
  })
}

describe('a crash', () => {
  test('in the middle of a batch makes what is behind it dead letters', async (t) => {
    const rt = runtime(t)
    let handled = 0
    const pid = rt.spawn(() => {
      if (++handled === 10) throw new Error('boom')
    })
    const other = rt.spawn(() => {})
    for (let i = 0; i < 50; i++) {
      rt.send(pid, Buffer.from('x'))
      rt.send(other, Buffer.from('x'))
    }
    await rt.join(pid)
    const metrics = await quiet(rt)
    assert.equal(handled, 10)
    assert.equal(metrics.handled, 59)
    assert.equal(metrics.dead.crash, 41)
  })

  test('is told once to the hook and once to the log, with the stack', async (t) => {
    const reports = []
    const logged = []
    const rt = runtime(t, { logger: { error: (line) => logged.push(line) } })
    rt.onCrash((report) => reports.push(report))
    const pid = rt.spawn(function culprit() {
      throw new Error('boom')
    })
    rt.send(pid, '')
    await rt.join(pid)
    await quiet(rt)
    assert.equal(reports.length, 1)
    assert.match(reports[0].stack, /^Error: boom\n.*culprit/)
    assert.equal(logged.length, 1)
    assert.ok(logged[0].includes('culprit'))
  })

  test('in a storm says what its own actor threw, whether the last one threw the same or not', async (t) => {
    const reports = new Map()
    const rt = runtime(t)
    rt.onCrash(({ pid, message, stack }) => reports.set(pid, { message, stack }))
    const restarts = []
    rt.onRestart(({ message }) => restarts.push(message))
    const text = (i) => `boom ${i >> 1}`
    // Far more in one turn of the loop than stacks are written for.
    const pids = Array.from({ length: 100 }, (_, i) =>
      rt.spawn(() => {
        throw i % 5 === 0 ? text(i) : new RangeError(text(i))
      }),
    )
    const start = () =>
      rt.spawn((i) => {
        throw new Error(text(i[0]))
      })
    const child = start()
    rt.register('child', child)
    rt.pathSuperviseWithFactory('/storm', child, start, 'restartone', { maxRestarts: 1000 })
    for (const pid of pids) rt.send(pid, 'go')
    for (let i = 0; i < 100; i++) rt.sendNamed('child', Uint8Array.of(i))
    await Promise.all(pids.map((pid) => rt.join(pid)))
    await eventually(() => restarts.length === 100)
    await quiet(rt)
    assert.equal(reports.size, 100)
    pids.forEach((pid, i) => {
      const { message, stack } = reports.get(pid)
      assert.equal(message, `${i % 5 === 0 ? 'thrown' : 'RangeError'}: ${text(i)}`)
      if (i % 5 !== 0) assert.ok(stack.startsWith(`RangeError: ${text(i)}\n`), stack)
    })
    assert.deepEqual(
      restarts,
      Array.from({ length: 100 }, (_, i) => `Error: ${text(i)}`),
    )
  })

  test('is in the log though the hook throws, rejects or ends the runtime', async (t) => {
    for (const hook of [
      () => {
        throw new Error('hook')
      },
      async () => {
        await turn()
        throw new Error('hook')
      },
      () => {
        throw new Evil()
      },
      () => {
        throw hostile
      },
    ]) {
      const logged = []
      const rt = runtime(t, { onCrash: hook, logger: { error: (line) => logged.push(line) } })
      const pid = rt.spawn(() => {
        throw new Error('boom')
      })
      rt.send(pid, '')
      await rt.join(pid)
      assert.equal(
        String(
          await rt.call(
            rt.spawn((m) => m),
            'alive',
          ),
        ),
        'alive',
      )
      while (logged.length < 2) await turn()
      assert.match(logged[0], /boom/)
      assert.match(logged[1], /^iris: the onCrash hook failed: /)
    }
  })

  test('does no harm if the logger throws', async (t) => {
    const rt = runtime(t, {
      logger: {
        error() {
          throw new Error('logger')
        },
      },
      onCrash() {
        throw new Error('hook')
      },
    })
    const pid = rt.spawn(() => {
      throw new Error('boom')
    })
    rt.send(pid, '')
    assert.equal((await rt.join(pid)).reason, 'crash')
    assert.equal(
      String(
        await rt.call(
          rt.spawn((m) => m),
          'alive',
        ),
      ),
      'alive',
    )
  })

  test('whose hook uses the runtime, also to close it, is fine', async (t) => {
    const seen = []
    const rt = runtime(t, {
      onCrash({ pid }) {
        seen.push(rt.isAlive(pid))
        const next = rt.spawn((m) => m)
        rt.call(next, 'x').then((reply) => seen.push(String(reply)))
        rt.send(next, 'y')
      },
    })
    const pid = rt.spawn(() => {
      throw new Error('boom')
    })
    rt.send(pid, '')
    await rt.join(pid)
    await quiet(rt)
    assert.deepEqual(seen, [false, 'x'])
    const closing = runtime(t, { onCrash: () => closing.close() })
    closing.send(
      closing.spawn(() => {
        throw new Error('boom')
      }),
      '',
    )
    while (!closing.closed) await turn()
    await closing.close()
  })

  test('whose text runs code of the user that ends its actor harms nobody', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((_message, ctx) => {
      throw Object.defineProperty(new Error('boom'), 'stack', {
        get() {
          rt.kill(ctx.pid)
          rt.spawn(() => {})
          rt.send(ctx.pid, 'x')
          return 'a stack'
        },
      })
    })
    rt.sendMany(pid, ['x', 'y'])
    await rt.join(pid)
    await quiet(rt)
    assert.equal(rt.listActors().length, 1)
  })

  test('that nobody hooks goes to console.error', async (t) => {
    const lines = []
    t.mock.method(console, 'error', (line) => lines.push(line))
    const rt = runtime(t, { logger: undefined })
    const pid = rt.spawn(() => {
      throw new Error('boom')
    })
    rt.send(pid, '')
    await rt.join(pid)
    await quiet(rt)
    assert.equal(lines.length, 1)
    assert.match(lines[0], /boom/)
  })

  test('goes to a pino logger as fields, with what was thrown as err', async (t) => {
    const lines = []
    const logger = pino({}, { write: (line) => lines.push(JSON.parse(line)) })
    const rt = runtime(t, { logger: logger.child({ service: 'x' }) })
    const ended = []
    for (const value of [
      new RangeError('boom'),
      'a string',
      new Evil(),
      new EvilError(),
      hostile,
    ]) {
      const pid = rt.spawn(() => {
        throw value
      })
      rt.send(pid, '')
      await rt.join(pid)
      ended.push(pid)
    }
    await quiet(rt)
    assert.deepEqual(
      lines.map(({ actor, reason, service, level }) => [actor, reason, service, level]),
      ended.map((pid) => [pid, 'crash', 'x', 50]),
    )
    const [{ err, msg, pid }] = lines
    assert.equal(pid, process.pid, "pino's own field")
    assert.deepEqual([err.type, err.message], ['RangeError', 'boom'])
    assert.match(err.stack, /crash\.spec/)
    assert.equal(msg, `iris: actor ${ended[0]} ended with crash: RangeError: boom`)
    assert.equal(lines[1].err.message, 'thrown: a string')
    assert.equal(lines[4].err.message, 'thrown: a value that cannot be shown')
  })

  test('is said on the console if the logger throws', async (t) => {
    const lines = []
    t.mock.method(console, 'error', (line) => lines.push(line))
    const error = () => {
      throw new Error('logger')
    }
    for (const logger of [{ error }, { error, child() {}, bindings() {} }]) {
      const rt = runtime(t, { logger })
      const pid = rt.spawn(() => {
        throw new Error('boom')
      })
      rt.send(pid, '')
      await rt.join(pid)
      await quiet(rt)
    }
    assert.equal(lines.length, 2)
    for (const line of lines) assert.match(line, /ended with crash: Error: boom[\s\S]*crash\.spec/)
  })

  test('of a handler that overflows the stack is a crash like others', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(function again() {
      again()
    })
    rt.send(pid, '')
    const { reason, message } = await rt.join(pid)
    assert.equal(reason, 'crash')
    assert.match(message, /RangeError/)
  })

  test('by a promise with members that throw does not stop the lane', async (t) => {
    const rt = runtime(t)
    const broken = () =>
      Object.defineProperties(Promise.resolve('x'), {
        constructor: { get: trap },
      })
    const doubled = () =>
      Object.assign(Promise.resolve('x'), {
        // biome-ignore lint/suspicious/noThenProperty: that is the test.
        then(resolve) {
          resolve('once')
          resolve('twice')
        },
      })
    const pid = rt.spawn(broken)
    rt.send(pid, '')
    assert.equal((await rt.join(pid)).message, 'Error: trap')
    const twice = rt.spawn(doubled)
    const replies = await Promise.all([rt.call(twice, ''), rt.call(twice, '')])
    assert.equal(replies.length, 2)
    const getter = rt.spawn(() => Object.defineProperty({}, 'then', { get: trap }))
    rt.send(getter, '')
    assert.equal((await rt.join(getter)).message, 'Error: trap')
    const metrics = await quiet(rt)
    assert.equal(metrics.handled, 2)
  })

  test('of a message of a reentrant actor ends the others that run', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(
      async (message) => {
        await turn()
        if (String(message) === 'crash') throw new Error('boom')
        await new Promise(() => {})
      },
      { reentrant: true },
    )
    const calls = [rt.call(pid, 'x'), rt.call(pid, 'crash'), rt.call(pid, 'y')]
    const outcomes = await Promise.allSettled(calls)
    assert.deepEqual(
      outcomes.map(({ reason }) => reason.code ?? reason.message),
      ['ERR_IRIS_ACTOR_EXITED', 'boom', 'ERR_IRIS_ACTOR_EXITED'],
    )
    await quiet(rt)
  })

  test('fault row 2: 10,000 crashes leave nothing behind', async (t) => {
    const rt = runtime(t)
    let reports = 0
    rt.onCrash(() => {
      reports++
    })
    for (let i = 0; i < 10; i++) {
      const pids = Array.from({ length: 1000 }, () =>
        rt.spawn(() => {
          throw new Error('boom')
        }),
      )
      for (const pid of pids) rt.send(pid, Buffer.from('x'))
      await Promise.all(pids.map((pid) => rt.join(pid)))
    }
    const metrics = await quiet(rt)
    assert.equal(reports, 10_000)
    assert.equal(metrics.actors, 0)
    assert.equal(metrics.timers, 0)
  })
})
