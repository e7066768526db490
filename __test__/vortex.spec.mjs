// Speculation: two branches of a message may run, what they do is staged, and exactly one of them commits. Branches wait for
// gates of the test; a ghost is begun by `ghostAfterMs: 0`, and nothing looks at how long anything took.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { deferred, eventually, quiet, rejects, run, throws, runtime as unheld } from './support.mjs'

/** What waits for a gate of the test holds nothing by itself, and neither does the timer of a ghost. */
const runtime = (t, options) => unheld(t, options).ref()

const NOW = { vortex: { ghostAfterMs: 0, graceMs: 2 ** 40 } }
const NEVER = { vortex: { maxRate: 0 } }

/** An actor that keeps what it gets. */
function sink(rt) {
  const seen = []
  return { seen, pid: rt.spawn((m) => void seen.push(String(m))) }
}

/** A handler whose branches tell that they have begun, and wait until the test lets each go on; `body` is what they do then. */
function gated(body = () => {}) {
  const branches = [0, 1].map(() => ({ begun: deferred(), go: deferred() }))
  let next = 0
  const handler = async (message, ctx) => {
    const number = next++
    const branch = branches[number]
    branch.ctx = ctx
    branch.begun.resolve()
    await branch.go.promise
    return body(message, ctx, number)
  }
  const [primary, ghost] = branches
  return { handler, primary, ghost, both: () => Promise.all(branches.map((b) => b.begun.promise)) }
}

const counts = (rt) => [...rt.vortexGetAutoResolutionCounts(), rt.vortexGetAutoReplayCount()]

describe('fault row 41: two branches of a message, and its effect once', () => {
  for (const [policy, order, winner] of [
    ['FirstSafePointWins', ['ghost', 'primary'], 1],
    ['FirstSafePointWins', ['primary', 'ghost'], 0],
    ['PreferPrimary', ['ghost', 'primary'], 0],
    ['PreferPrimary', ['primary', 'ghost'], 0],
  ]) {
    test(`both branches finish, ${order[0]} first, with ${policy}: the effect once`, async (t) => {
      const rt = runtime(t)
      rt.vortexSetAutoGhostPolicy(policy)
      const { pid: to, seen } = sink(rt)
      const race = gated((_m, ctx, number) => {
        ctx.send(to, `effect of ${number}`)
        return `reply of ${number}`
      })
      const pid = rt.spawn(race.handler, NOW)
      const reply = rt.call(pid, 'x')
      await race.both()
      for (const name of order) {
        race[name].go.resolve()
        await new Promise(setImmediate)
      }
      assert.equal(String(await reply), `reply of ${winner}`)
      const { handled } = await quiet(rt)
      assert.deepEqual(seen, [`effect of ${winner}`])
      assert.equal(handled, 2)
      assert.deepEqual(counts(rt), winner === 0 ? [1, 0, 0] : [0, 1, 0])
    })
  }

  for (const [name, make] of [
    ['sync', (body) => body],
    ['async', (body) => async (m, ctx) => body(m, ctx)],
  ]) {
    test(`a crash between effect and commit: the effect once (${name})`, async (t) => {
      const lines = []
      const rt = runtime(t, { logger: { error: (text) => lines.push(text) } })
      const { pid: to, seen } = sink(rt)
      let runs = 0
      const body = (m, ctx) => {
        const first = runs++ === 0
        ctx.send(to, `effect of ${runs}`)
        ctx.reply(m)
        ctx.state = runs
        if (first) throw new Error('between effect and commit')
      }
      const pid = rt.spawn(make(body), { vortex: true })
      assert.equal(String(await rt.call(pid, 'paid')), 'paid')
      await quiet(rt)
      assert.deepEqual(seen, ['effect of 2'])
      assert.equal(rt.isAlive(pid), true)
      assert.deepEqual(counts(rt), [0, 1, 1])
      assert.equal(lines.length, 1)
      assert.match(lines[0], /primary .* failed.*between effect and commit/)
    })
  }
})

describe('a speculating actor', () => {
  test('stages what it does, in order, until its handler returns', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    const race = gated()
    const pid = rt.spawn(async (m, ctx) => {
      const buffer = Buffer.from('one')
      assert.equal(ctx.send(to, buffer), true)
      buffer.fill(0)
      ctx.send(to, 'two')
      ctx.state = 'mine'
      assert.equal(ctx.stop(), true)
      await race.handler(m, ctx)
      assert.equal(ctx.state, 'mine')
    }, NEVER)
    rt.send(pid, 'x')
    await race.primary.begun.promise
    assert.equal(rt.getMetrics().attempted, 1)
    assert.equal(rt.isAlive(pid), true)
    race.primary.go.resolve()
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    await quiet(rt)
    assert.deepEqual(seen, ['one', 'two'])
  })

  test('keeps the state of whoever committed', async (t) => {
    const rt = runtime(t)
    let fails = false
    const pid = rt.spawn(async (_m, ctx) => {
      ctx.state = (ctx.state ?? 0) + 1
      fails = !fails
      // The first branch has counted in vain: the second begins where it did.
      if (fails) throw new Error('again')
      return String(ctx.state)
    }, NEVER)
    assert.equal(String(await rt.call(pid, '')), '1')
    assert.equal(String(await rt.call(pid, '')), '2')
  })

  test('refuses what answers before the safe point, and nothing after it', async (t) => {
    const rt = runtime(t)
    const echo = rt.spawn((m) => m)
    const later = deferred()
    const pid = rt.spawn(
      async (_m, ctx) => {
        await rejects(ctx.call(echo, 'x'), 'ERR_IRIS_NOT_STAGED')
        throws(() => ctx.monitor(echo), 'ERR_IRIS_NOT_STAGED')
        throws(() => ctx.link(echo), 'ERR_IRIS_NOT_STAGED')
        throws(() => ctx.send(echo, 5), 'ERR_IRIS_INVALID_TYPE')
        throws(() => ctx.send('x', 'x'), 'ERR_IRIS_INVALID_TYPE')
        throws(() => ctx.reply('x'), 'ERR_IRIS_STALE_REPLY')
        assert.equal(ctx.send(2 ** 50 + 1, 'x'), false)
        setImmediate(() => later.resolve(ctx.call(echo, 'after')))
      },
      { ...NEVER, system: true },
    )
    rt.send(pid, 'x')
    assert.equal(String(await later.promise), 'after')
    assert.equal(rt.isAlive(pid), true)
  })

  test('crashes with the error of the primary when both have failed', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    for (const late of [false, true]) {
      let runs = 0
      const pid = rt.spawn((_m, ctx) => {
        ctx.send(to, 'never')
        const error = new Error(`run ${++runs}`)
        if (late) return Promise.reject(error)
        throw error
      }, NEVER)
      await assert.rejects(rt.call(pid, 'x'), { message: 'run 1' })
      const { reason, message } = await rt.join(pid)
      assert.deepEqual([reason, message], ['crash', 'Error: run 1'])
      assert.equal(runs, 2)
    }
    await quiet(rt)
    assert.deepEqual(seen, [])
    assert.deepEqual(counts(rt), [0, 0, 2])
  })

  test('goes on with the primary when only the ghost fails', async (t) => {
    const rt = runtime(t)
    const race = gated((_m, _ctx, number) => {
      if (number === 1) throw new Error('the ghost')
      return 'the primary'
    })
    const pid = rt.spawn(race.handler, NOW)
    const reply = rt.call(pid, 'x')
    await race.both()
    race.ghost.go.resolve()
    await new Promise(setImmediate)
    race.primary.go.resolve()
    assert.equal(String(await reply), 'the primary')
    assert.deepEqual(counts(rt), [1, 0, 0])
  })

  test('tells the loser, which can do nothing any more', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    const after = deferred()
    const race = gated((_m, ctx, number) => {
      if (number === 1) return
      assert.equal(ctx.signal.aborted, true)
      assert.equal(ctx.signal.reason.code, 'ERR_IRIS_ABORTED')
      assert.equal(ctx.send(to, 'late'), false)
      assert.equal(ctx.stop(), false)
      assert.equal(ctx.isCall, false)
      throws(() => ctx.reply('late'), 'ERR_IRIS_STALE_REPLY')
      throws(() => ctx.monitor(to), 'ERR_IRIS_ABORTED')
      rejects(ctx.call(to, 'x'), 'ERR_IRIS_ABORTED').then(after.resolve, after.reject)
    })
    const pid = rt.spawn(race.handler, NOW)
    const reply = rt.call(pid, 'x')
    await race.both()
    const told = new Promise((resolve) => {
      race.primary.ctx.signal.addEventListener('abort', resolve)
    })
    assert.equal(race.ghost.ctx.signal.aborted, false)
    race.ghost.go.resolve()
    await Promise.all([told, reply])
    assert.equal(race.ghost.ctx.signal.aborted, false)
    race.primary.go.resolve()
    await after.promise
    await quiet(rt)
    assert.deepEqual(seen, [])
    assert.equal(rt.isAlive(pid), true)
  })

  test('waits with PreferPrimary until the grace is over', async (t) => {
    const rt = runtime(t)
    assert.equal(rt.vortexSetAutoGhostPolicy('PreferPrimary'), true)
    const race = gated((_m, _ctx, number) => `of ${number}`)
    const pid = rt.spawn(race.handler, { vortex: { ghostAfterMs: 0, graceMs: 1 } })
    const reply = rt.call(pid, 'x')
    await race.both()
    race.ghost.go.resolve()
    assert.equal(String(await reply), 'of 1')
    race.primary.go.resolve()
    assert.deepEqual(counts(rt), [0, 1, 0])
  })

  test('commits the ghost that waits when the primary fails', async (t) => {
    const rt = runtime(t)
    rt.vortexSetAutoGhostPolicy('PreferPrimary')
    const race = gated((_m, _ctx, number) => {
      if (number === 0) throw new Error('the primary')
      return 'the ghost'
    })
    const pid = rt.spawn(race.handler, NOW)
    const reply = rt.call(pid, 'x')
    await race.both()
    race.ghost.go.resolve()
    await new Promise(setImmediate)
    race.primary.go.resolve()
    assert.equal(String(await reply), 'the ghost')
    assert.deepEqual(counts(rt), [0, 1, 0])
  })

  test('gives each branch a message of its own', async (t) => {
    const rt = runtime(t)
    const seen = []
    const change = (message) => {
      seen.push(String(message.text ?? message))
      if (message.text === undefined) message.fill(0)
      else message.text = 'changed'
      if (seen.length % 2 === 1) throw new Error('again')
    }
    const plain = rt.spawn(change, NEVER)
    await rt.call(plain, 'bytes')
    const json = rt.spawn(change, { ...NEVER, codec: 'json' })
    await rt.call(json, { text: 'value' })
    assert.deepEqual(seen, ['bytes', 'bytes', 'value', 'value'])
  })

  test('commits nothing of what is no reply', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    const pid = rt.spawn((_m, ctx) => {
      ctx.send(to, 'never')
      return 5
    }, NEVER)
    await rejects(rt.call(pid, 'x'), 'ERR_IRIS_INVALID_TYPE')
    assert.equal((await rt.join(pid)).reason, 'crash')
    await quiet(rt)
    assert.deepEqual(seen, [])
  })

  test('commits nothing once it is killed, and tells both branches', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    const race = gated((_m, ctx) => ctx.send(to, 'never'))
    const pid = rt.spawn(race.handler, NOW)
    const reply = rejects(rt.call(pid, 'x'), 'ERR_IRIS_ACTOR_EXITED')
    await race.both()
    const told = [race.primary, race.ghost].map(
      ({ ctx }) =>
        new Promise((resolve) => {
          ctx.signal.addEventListener('abort', resolve)
        }),
    )
    rt.kill(pid)
    race.primary.go.resolve()
    await Promise.all([reply, ...told])
    race.ghost.go.resolve()
    await quiet(rt)
    assert.deepEqual(seen, [])
    assert.deepEqual(counts(rt), [0, 0, 0])
  })

  test('finishes and commits what it handles when it is stopped', async (t) => {
    const rt = runtime(t)
    const { pid: to, seen } = sink(rt)
    const race = gated((_m, ctx) => ctx.send(to, 'the last'))
    const pid = rt.spawn(race.handler, NOW)
    const down = new Promise((resolve) => rt.monitor(pid, resolve))
    rt.send(pid, 'x')
    rt.send(pid, 'dies')
    await race.both()
    rt.stop(pid)
    race.ghost.go.resolve()
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    assert.equal((await down).reason, 'shutdown')
    await quiet(rt)
    assert.deepEqual(seen, ['the last'])
  })

  test('is given up after the stop timeout, as any', async (t) => {
    const rt = runtime(t, { stopTimeoutMs: 1 })
    const race = gated()
    const pid = rt.spawn(race.handler, NOW)
    rt.send(pid, 'x')
    await race.both()
    rt.stop(pid)
    assert.equal((await rt.join(pid)).reason, 'timeout')
    await eventually(() => race.primary.ctx.signal.aborted && race.ghost.ctx.signal.aborted)
    race.primary.go.resolve()
    race.ghost.go.resolve()
    await quiet(rt)
  })

  test('ends its branches with the runtime', async () => {
    const { NodeRuntime } = await import('../index.mjs')
    const rt = new NodeRuntime({ logger: null }).ref()
    const race = gated()
    rt.send(rt.spawn(race.handler, NOW), 'x')
    await race.both()
    await rt.close({ timeoutMs: 0 })
    assert.equal(race.primary.ctx.signal.aborted, true)
    race.primary.go.resolve()
    race.ghost.go.resolve()
  })

  test('speculates on after a hot swap; a message that began finishes on the old handler', async (t) => {
    const rt = runtime(t)
    const race = gated((_m, _ctx, number) => `old ${number}`)
    const pid = rt.spawn(race.handler, NOW)
    const first = rt.call(pid, 'x')
    const second = rt.call(pid, 'x')
    await race.both()
    let runs = 0
    rt.hotSwap(pid, () => {
      if (runs++ === 0) throw new Error('again')
      return 'new'
    })
    race.ghost.go.resolve()
    assert.deepEqual([String(await first), String(await second)], ['old 1', 'new'])
    race.primary.go.resolve()
    assert.deepEqual(counts(rt), [0, 2, 1])
    rt.rollbackBehavior(pid)
    assert.equal(rt.behaviorVersion(pid), 1)
  })

  test('is replaced by its supervisor when both branches have failed', async (t) => {
    const rt = runtime(t)
    let fails = 2
    const start = () =>
      rt.spawn((m) => {
        if (fails > 0 && String(m) === 'bad') {
          fails--
          throw new Error('x')
        }
        return m
      }, NEVER)
    rt.supervise('/svc', [{ id: 'one', start }])
    const restarted = new Promise((resolve) => rt.onRestart(resolve))
    const pid = rt.whereisPath('/svc/one')
    rt.send(pid, 'bad')
    const waits = rt.call(pid, 'waits')
    await restarted
    assert.equal(String(await waits), 'waits')
  })

  test('runs its branches in the AsyncLocalStorage context of the spawn', async (t) => {
    const rt = runtime(t)
    const store = new AsyncLocalStorage()
    const seen = []
    const race = gated(() => seen.push(store.getStore()))
    const pid = store.run('spawned', () =>
      rt.spawn(async (m, ctx) => {
        seen.push(store.getStore())
        await race.handler(m, ctx)
      }, NOW),
    )
    rt.send(pid, 'x')
    await race.both()
    race.primary.go.resolve()
    race.ghost.go.resolve()
    await quiet(rt)
    assert.deepEqual(seen.slice(0, 3), ['spawned', 'spawned', 'spawned'])
  })

  test('may be reentrant, a child, bounded, a member of a pool, and in another thread', async (t) => {
    const rt = runtime(t)
    let runs = 0
    const flaky = (m) => {
      if (runs++ % 2 === 0) throw new Error('again')
      return m
    }
    const options = { vortex: true }
    const parent = rt.spawn(flaky, { ...options, reentrant: true })
    const pids = [
      parent,
      rt.spawnChild(parent, flaky, options),
      rt.spawnBounded(flaky, { ...options, capacity: 2 }),
    ]
    for (const pid of pids) assert.equal(String(await rt.call(pid, 'x')), 'x')
    const pool = rt.spawnChildPool(parent, flaky, 2, options)
    assert.equal(String(await pool.call('x')), 'x')
    const code = `let fails = true
      export default (m) => {
        fails = !fails
        if (!fails) throw new Error('again')
        return m
      }`
    const module = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const threads = await rt.spawnThreaded(module, { ...options, threads: 1 })
    assert.equal(String(await threads.call('x')), 'x')
    assert.equal(rt.vortexGetAutoReplayCount(), 5)
  })
})

describe('the runtime', () => {
  test('sets a policy by its name', (t) => {
    const rt = runtime(t)
    assert.equal(rt.vortexGetAutoGhostPolicy(), 'FirstSafePointWins')
    assert.equal(rt.vortexSetAutoGhostPolicy('PreferPrimary'), true)
    assert.equal(rt.vortexGetAutoGhostPolicy(), 'PreferPrimary')
    assert.equal(rt.vortexSetAutoGhostPolicy('preferprimary'), false)
    assert.equal(rt.vortexGetAutoGhostPolicy(), 'PreferPrimary')
  })

  test('counts until it is told to forget', async (t) => {
    const rt = runtime(t)
    let runs = 0
    const pid = rt.spawn(() => {
      if (runs++ === 0) throw new Error('x')
    }, NEVER)
    await rt.call(pid, '')
    await rt.call(pid, '')
    assert.deepEqual(counts(rt), [0, 1, 1])
    rt.vortexResetAutoTelemetry()
    assert.deepEqual(counts(rt), [0, 0, 0])
  })

  test('begins no ghost for an actor under pressure', async (t) => {
    const rt = runtime(t)
    const race = gated()
    const begun = deferred()
    const pid = rt.spawnBounded(
      async (m, ctx) => {
        if (String(m) === 'first') await race.handler(m, ctx)
        else begun.resolve()
      },
      { ...NOW, capacity: 1 },
    )
    rt.send(pid, 'first')
    await race.primary.begun.promise
    rt.send(pid, 'full')
    assert.equal(rt.mailboxBackpressure(pid), 'CRITICAL')
    // The timer of the ghost comes before one that is set now.
    await new Promise((resolve) => setTimeout(resolve, 5))
    race.primary.go.resolve()
    await begun.promise
    await quiet(rt)
    assert.deepEqual(counts(rt), [0, 0, 0])
  })

  test('a process ends while two branches wait for what does not hold it', async () => {
    const code = `
      const rt = new NodeRuntime()
      let n = 0
      const pid = rt.spawn(() => new Promise(() => { if (++n === 2) clearInterval(held) }), { vortex: { ghostAfterMs: 0 } })
      const held = setInterval(() => {}, 1000)
      rt.send(pid, 'x')
      process.on('exit', () => console.log('branches', n))`
    const { exit, stdout, stderr } = await run(code)
    assert.deepEqual([exit, stdout, stderr], [0, 'branches 2\n', ''])
  })
})

test('whatever two branches do, one commits or the actor crashes, and the books balance', async () => {
  const branch = fc.record({ fails: fc.boolean(), effects: fc.integer({ min: 0, max: 3 }) })
  const message = fc.record({
    branches: fc.tuple(branch, branch),
    first: fc.constantFrom(0, 1),
    kill: fc.boolean(),
    prefer: fc.boolean(),
  })
  const property = fc.asyncProperty(message, async ({ branches, first, kill, prefer }) => {
    const { NodeRuntime } = await import('../index.mjs')
    const rt = new NodeRuntime({ logger: null }).ref()
    try {
      if (prefer) rt.vortexSetAutoGhostPolicy('PreferPrimary')
      const { pid: to, seen } = sink(rt)
      const race = gated((_m, ctx, number) => {
        for (let i = 0; i < branches[number].effects; i++) ctx.send(to, `${number}`)
        if (branches[number].fails) throw new Error(`${number}`)
        return `${number}`
      })
      const pid = rt.spawn(race.handler, NOW)
      const outcome = rt.call(pid, 'x').then(String, (error) => error.code ?? error.message)
      await race.both()
      if (kill) rt.kill(pid)
      const order = first === 0 ? [race.primary, race.ghost] : [race.ghost, race.primary]
      for (const { go } of order) {
        go.resolve()
        await new Promise(setImmediate)
      }
      const ok = [0, 1].filter((n) => !branches[n].fails)
      const winner = ok.length === 2 ? (prefer ? 0 : first) : ok[0]
      const expected = kill ? 'ERR_IRIS_ACTOR_EXITED' : `${winner ?? 0}`
      assert.equal(await outcome, expected)
      await quiet(rt)
      const effects = kill || winner === undefined ? 0 : branches[winner].effects
      assert.deepEqual(seen, Array(effects).fill(`${winner}`))
      assert.equal(rt.isAlive(pid), !kill && winner !== undefined)
    } finally {
      await rt.close({ timeoutMs: 0 })
    }
  })
  await fc.assert(property, { numRuns: 60 })
})
