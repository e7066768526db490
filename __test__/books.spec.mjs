// The books balance after every kind of loss, and at every step of random interleavings of everything at once.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { NodeRuntime } from '../index.mjs'
import { assertBalanced, deferred, eventually, quiet, runtime, turn } from './support.mjs'

const never = () => new Promise(() => {})
const x = Buffer.from('x')

describe('the books balance', () => {
  test('while a flood is under way, from outside and from inside', async (t) => {
    const rt = runtime(t)
    let looks = 0
    const pid = rt.spawn(() => {
      if (looks++ % 100 === 0) assertBalanced(rt.getMetrics())
    })
    for (let i = 0; i < 5000; i++) {
      rt.send(pid, x)
      if (i % 500 === 0) assertBalanced(rt.getMetrics())
    }
    const metrics = await quiet(rt)
    assert.equal(metrics.handled, 5000)
    assert.equal(metrics.exited.crash, 0)
  })

  test('after messages were refused', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawnBounded(() => {}, { capacity: 1 })
    const dead = rt.spawn(() => {})
    rt.kill(dead)
    rt.sendMany(pid, [x, x, x])
    rt.send(dead, x)
    rt.send(0, x)
    rt.send(runtime(t).spawn(never), x)
    await Promise.allSettled([rt.call(pid, x), rt.call(dead, x), rt.call(0, x)])
    const metrics = await quiet(rt)
    assert.equal(metrics.refused.foreign, 1)
    assert.ok(metrics.refused.full >= 2)
  })

  test('after a kill in the middle of a batch, by another handler', async (t) => {
    const rt = runtime(t)
    let handled = 0
    const victim = rt.spawn(() => {
      if (++handled === 5) rt.send(killer, x)
    }, 10)
    const killer = rt.spawn(() => void rt.kill(victim))
    for (let i = 0; i < 100; i++) rt.send(victim, x)
    await rt.join(victim)
    const metrics = await quiet(rt)
    assert.equal(metrics.handled, handled + 1)
    assert.equal(metrics.dead.killed, 100 - handled)
  })

  test('after a kill while a promise is awaited', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(never)
    for (let i = 0; i < 10; i++) rt.send(pid, x)
    await turn()
    rt.kill(pid)
    assert.equal((await quiet(rt)).dead.killed, 10)
  })

  test('after a crash with sent and called messages behind it', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn((message) => {
      if (String(message) === 'crash') throw new Error('boom')
    })
    const calls = []
    for (let i = 0; i < 10; i++) {
      rt.send(pid, i === 5 ? 'crash' : 'x')
      calls.push(rt.call(pid, x))
    }
    await Promise.allSettled(calls)
    const metrics = await quiet(rt)
    assert.deepEqual([metrics.handled, metrics.dead.crash], [10, 10])
  })

  test('after timeouts, late replies and aborted calls', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const pid = rt.spawn(() => gate.promise)
    const controller = new AbortController()
    const calls = Promise.allSettled([
      rt.call(pid, x, { timeoutMs: 0 }),
      rt.call(pid, x, { timeoutMs: 1 }),
      rt.call(pid, x, { signal: controller.signal }),
    ])
    await turn()
    controller.abort()
    await calls
    gate.resolve('late')
    const metrics = await quiet(rt)
    assert.equal(metrics.openCalls, 0)
    assert.ok(metrics.callTimeouts <= 2 && metrics.callTimeouts >= 1)
  })

  test('during close', async () => {
    const rt = new NodeRuntime({ logger: null })
    const seen = []
    for (let i = 0; i < 20; i++) {
      const pid = rt.spawn(i % 2 === 0 ? never : () => seen.push(i) && undefined)
      rt.sendMany(pid, [x, x, x])
    }
    await turn()
    assertBalanced(rt.getMetrics())
    await rt.close({ timeoutMs: 1 })
  })
})

/** What can be done to actor `a`, from outside or (`within`) by the handler of another. */
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('send', 'sendString', 'call'), a: fc.nat(5) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('sendMany'), a: fc.nat(5), n: fc.nat(20) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('callShort', 'abort'), a: fc.nat(5) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('stop', 'drain', 'kill', 'crash'), a: fc.nat(5) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('turn', 'open', 'look', 'big'), a: fc.nat(5) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('sendAsync', 'abortAsync', 'pressure', 'buffer', 'after', 'every'),
      a: fc.nat(5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('policy'),
      a: fc.nat(5),
      policy: fc.constantFrom('dropnew', 'dropold', 'redirect', 'spill', 'block'),
      target: fc.nat(5),
    }),
  },
)
const nested = fc.record({
  kind: fc.constant('within'),
  a: fc.nat(5),
  actions: fc.array(action, { maxLength: 5 }),
})
const script = fc.array(
  fc.oneof({ weight: 4, arbitrary: action }, { weight: 1, arbitrary: nested }),
  {
    minLength: 1,
    maxLength: 60,
  },
)
const actor = fc.record({
  behaviour: fc.constantFrom('sync', 'async', 'reentrant', 'gated', 'mixed'),
  capacity: fc.constantFrom(undefined, 1, 3),
  budget: fc.constantFrom(1, 2, 100),
})
const BIG = Buffer.alloc(5000)

/** One runtime, six actors; an actor that ended is replaced by one of its kind. */
async function interpret(actors, actions) {
  const rt = new NodeRuntime({ logger: null, timeSliceMs: 0.05 })
  const gates = []
  const outcomes = []
  const keep = (promise) => {
    outcomes.push(
      promise.then(
        () => undefined,
        (error) => error,
      ),
    )
  }
  /** Of those that were sent to one actor and handled by one, which a policy can tell apart: the number of the last. */
  const last = new Map()
  const timers = []
  const problems = []
  let number = 0
  let inside = 0

  const spawn = ({ behaviour, capacity, budget }) => {
    let running = 0
    const handle = (message, ctx) => {
      if (inside !== 0) problems.push('a handler ran inside another')
      inside++
      try {
        const { n, to, crash, within } = JSON.parse(
          message.toString().trimEnd().replaceAll('\0', '') || '{}',
        )
        // Timers fire when they do.
        if (to !== undefined) {
          const way = `${to} ${ctx.pid}`
          if (n <= (last.get(way) ?? -1)) problems.push(`message ${n} came after ${last.get(way)}`)
          last.set(way, n)
        }
        if (within) for (const a of within) step(a)
        if (crash) throw new Error('crash')
        if (behaviour === 'sync' || (behaviour === 'mixed' && n % 2 === 0)) return message
      } finally {
        inside--
      }
      if (running++ > 0 && behaviour !== 'reentrant') problems.push('two at a time')
      const wait = behaviour === 'gated' ? new Promise((open) => gates.push(open)) : turn()
      return wait.then(() => {
        running--
        return 'reply'
      })
    }
    const options = { budget, reentrant: behaviour === 'reentrant' }
    return capacity === undefined
      ? rt.spawn(handle, options)
      : rt.spawnBounded(handle, { ...options, capacity })
  }
  const pids = actors.map(spawn)

  function step({ kind, a, n, policy, target, actions: within }) {
    const pid = pids[a]
    const text = (more) => JSON.stringify({ n: number++, to: pid, ...more })
    const ended = () => {
      pids[a] = spawn(actors[a])
    }
    switch (kind) {
      case 'send':
        return void rt.send(pid, Buffer.from(text()))
      case 'sendString':
        return void rt.send(pid, text())
      case 'big':
        return void rt.send(pid, Buffer.concat([Buffer.from(text()), BIG]))
      case 'sendMany':
        return void rt.sendMany(
          pid,
          Array.from({ length: n }, () => text()),
        )
      case 'call':
        return void keep(rt.call(pid, Buffer.from(text()), { timeoutMs: 2 ** 40 }))
      case 'callShort':
        return void keep(rt.call(pid, text(), { timeoutMs: 0 }))
      case 'abort': {
        const controller = new AbortController()
        keep(rt.call(pid, text(), { signal: controller.signal }))
        return void controller.abort()
      }
      case 'sendAsync':
        return void keep(rt.sendAsync(pid, text()))
      case 'abortAsync': {
        const controller = new AbortController()
        keep(rt.sendAsync(pid, text(), { signal: controller.signal }))
        return void controller.abort()
      }
      case 'pressure':
        return void rt.sendWithBackpressure(pid, text())
      case 'buffer': {
        const bytes = Buffer.from(text())
        const { id, buffer } = rt.allocateBuffer(bytes.length)
        buffer.set(bytes)
        if (!rt.sendBuffer(pid, id)) rt.freeBuffer(id)
        return
      }
      case 'after':
      case 'every':
        try {
          const delay = kind === 'after' ? 'sendAfter' : 'sendInterval'
          timers.push(rt[delay](pid, 1, text({ to: undefined })))
        } catch (error) {
          assert.equal(error.code, 'ERR_IRIS_NO_SUCH_ACTOR')
        }
        return
      case 'policy':
        try {
          const moves = policy === 'redirect' || policy === 'spill'
          rt.setOverflowPolicy(pid, policy, moves ? pids[target] : undefined)
        } catch (error) {
          // Nobody there, a cycle, or a mailbox without a bound.
          assert.match(error.code, /^ERR_IRIS_(NO_SUCH_ACTOR|INVALID_ARGUMENT)$/)
        }
        return
      case 'stop':
        keep(rt.join(pid))
        rt.stop(pid, { timeoutMs: 2 ** 40 })
        return ended()
      case 'drain':
        keep(rt.join(pid))
        rt.stop(pid, { drain: true, timeoutMs: 2 ** 40 })
        return ended()
      case 'kill':
        rt.kill(pid)
        keep(rt.join(pid))
        return ended()
      case 'crash':
        return void rt.send(pid, text({ crash: true }))
      case 'within':
        return void rt.send(pid, text({ within }))
      case 'open':
        return void gates.shift()?.()
      case 'look':
        return assertBalanced(rt.getMetrics())
      default:
    }
  }

  for (const a of actions) {
    if (a.kind === 'turn') await turn()
    step(a)
  }
  // Everything that waits is let go; then every promise has its outcome and every message its place in the books.
  let metrics
  do {
    for (const open of gates.splice(0)) open()
    for (const timer of timers.splice(0)) rt.cancelTimer(timer)
    await turn()
    metrics = rt.getMetrics()
    assertBalanced(metrics)
  } while (metrics.queued > 0 || metrics.inFlight > 0 || timers.length > 0)
  // A call that was given up can leave an actor with a turn to come and nothing to do in it.
  await eventually(() => rt.listActors().every((pid) => rt.actorInfo(pid).state === 'idle'))
  for (const error of await Promise.all(outcomes)) {
    if (error !== undefined && error.message !== 'crash') assert.match(error.code, /^ERR_IRIS_/)
  }
  metrics = rt.getMetrics()
  assertBalanced(metrics)
  assert.deepEqual([metrics.openCalls, metrics.timers, metrics.buffers], [0, 0, 0])
  assert.deepEqual(problems, [])
  await rt.close()
}

test('the books balance under random interleavings of everything', async () => {
  const actors = fc.array(actor, { minLength: 6, maxLength: 6 })
  await fc.assert(fc.asyncProperty(actors, script, interpret), {
    numRuns: 400,
    endOnFailure: false,
  })
})
