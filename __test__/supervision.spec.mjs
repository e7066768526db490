import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { deferred, eventually, quiet, run, runtime, throws } from './support.mjs'

const TYPE = 'ERR_IRIS_INVALID_TYPE'
const RANGE = 'ERR_IRIS_INVALID_ARGUMENT'

/** Children that keep what they get; `boom` makes one crash. */
function workers(rt) {
  const got = []
  const log = []
  const start = (name = 'w', options = {}) => {
    log.push(name)
    return rt.spawn((message, ctx) => {
      const text = String(message)
      if (text === 'boom') throw new Error('boom')
      if (text === 'stop') ctx.stop()
      else got.push(text)
      return message
    }, options)
  }
  return { got, log, start }
}

function supervised(rt, start, options) {
  const pid = start()
  rt.register('w', pid)
  rt.pathSuperviseWithFactory('/svc', pid, () => start(), 'restartone', options)
  return pid
}

const replaced = (rt, name, old) =>
  eventually(() => rt.whereis(name) !== null && rt.whereis(name) !== old)

describe('a restart', () => {
  test('of a virtual actor that is stopped: its hook runs, and what waits is for the replacement', async (t) => {
    const rt = runtime(t)
    const log = []
    const gate = deferred()
    let starts = 0
    const start = () => {
      const nth = ++starts
      const handler = async (message) => {
        if (String(message) === 'first') await gate.promise
        log.push(`${nth}:${message}`)
        return message
      }
      return rt.spawnVirtual(handler, { onDeactivate: () => void log.push(`${nth} sleeps`) })
    }
    const sup = rt.supervise('/svc', [{ id: 'w', start }])
    const pid = sup.whereis('w')
    const calls = ['first', 'a'].map((message) => rt.call(pid, message, 30))
    await eventually(() => rt.getMetrics().inFlight === 1)
    rt.stop(pid)
    assert.equal(rt.sendPath('/svc/w', 'b'), true)
    gate.resolve()
    await Promise.all(calls)
    await eventually(() => log.length === 4)
    assert.deepEqual(log, ['1:first', '1 sleeps', '2:a', '2:b'])
    await quiet(rt)
  })

  for (const [kind, wait] of [
    ['a', () => {}],
    ['an async', () => sleep(1)],
  ]) {
    test(`of a virtual actor that ${kind} hook ended waits for nothing`, async (t) => {
      const rt = runtime(t, { stopTimeoutMs: 600_000 })
      let starts = 0
      const start = () => {
        const nth = ++starts
        const fail = () => {
          if (nth < 3) throw new Error('boom')
        }
        const onActivate = () => wait()?.then(fail) ?? fail()
        return rt.spawnVirtual(() => String(nth), { onActivate })
      }
      const sup = rt.supervise('/svc', [{ id: 'w', start }])
      assert.equal(String(await rt.call(sup.whereis('w'), 'x', 30)), '3')
      assert.equal((await quiet(rt)).parked, 0)
    })
  }

  test('fault rows 1 and 12: loses the message that crashed and no other', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report) })
    const { got, start } = workers(rt)
    const pid = supervised(rt, start)
    rt.registerPath('/svc/w', pid)
    const sent = Array.from({ length: 990 }, (_, i) => String(i))
    assert.equal(rt.send(pid, 'boom'), true)
    assert.equal(rt.sendMany(pid, sent), 990)
    await replaced(rt, 'w', pid)
    const metrics = await quiet(rt)
    assert.deepEqual(got, sent)
    assert.equal(metrics.dead.crash, 1)
    assert.deepEqual([metrics.restarts, metrics.parked], [1, 0])
    assert.equal(rt.whereisPath('/svc/w'), rt.whereis('w'))
    assert.deepEqual(rt.pathSupervisorChildren('/svc'), [rt.whereis('w')])
    assert.deepEqual(reports, [], 'it was replaced: nobody failed for good')
    assert.equal((await rt.join(pid)).reason, 'crash')
  })

  test('is made for an async handler that rejects, with the calls behind it', async (t) => {
    const rt = runtime(t)
    const start = () =>
      rt.spawn(async (message) => {
        await null
        if (String(message) === 'boom') throw new Error('boom')
        return message
      })
    const pid = supervised(rt, start)
    const first = assert.rejects(rt.call(pid, 'boom'), /boom/)
    const rest = Array.from({ length: 50 }, (_, i) => rt.call(pid, String(i)))
    await first
    const replies = await Promise.all(rest)
    assert.deepEqual(
      replies.map(String),
      Array.from({ length: 50 }, (_, i) => String(i)),
    )
    assert.equal((await quiet(rt)).openCalls, 0)
  })

  test('gives a pull actor the queue of the one before', async (t) => {
    const rt = runtime(t)
    const got = []
    const start = () =>
      rt.spawnWithMailbox(async (mailbox) => {
        for await (const message of mailbox) {
          if (String(message) === 'boom') throw new Error('boom')
          got.push(String(message))
        }
      })
    const pid = supervised(rt, start)
    rt.sendMany(pid, ['1', 'boom', '2', '3'])
    await eventually(() => got.length === 3)
    assert.deepEqual(got, ['1', '2', '3'])
  })

  for (const [restart, end, again] of [
    ['permanent', 'boom', true],
    ['permanent', 'stop', true],
    ['permanent', 'kill', true],
    ['transient', 'boom', true],
    ['transient', 'stop', false],
    ['transient', 'kill', true],
    ['temporary', 'boom', false],
    ['temporary', 'kill', false],
  ]) {
    test(`${restart}: after ${end} ${again ? 'one follows' : 'none does'}`, async (t) => {
      const rt = runtime(t)
      const { start } = workers(rt)
      const pid = supervised(rt, start, { restart })
      if (end === 'kill') rt.kill(pid)
      else rt.send(pid, end)
      await rt.join(pid)
      if (again) await replaced(rt, 'w', pid)
      else await eventually(() => rt.pathSupervisorChildren('/svc').length === 0)
      assert.equal(rt.whereis('w') !== null, again)
      await quiet(rt)
    })
  }

  test('keeps what stop finds in the queue', async (t) => {
    const rt = runtime(t)
    const { got, start } = workers(rt)
    const pid = supervised(rt, start)
    rt.sendMany(pid, ['1', '2', '3'])
    rt.stop(pid)
    assert.equal(rt.send(pid, 'to the dead'), false)
    assert.equal(rt.sendNamed('w', '4'), true)
    await replaced(rt, 'w', pid)
    await quiet(rt)
    assert.deepEqual(got, ['1', '2', '3', '4'])
  })

  test('fault row 3: a factory that throws or answers no live actor is tried again, and counted', async (t) => {
    const rt = runtime(t)
    const events = []
    rt.onSupervision((event) => events.push(event))
    const { got, start } = workers(rt)
    const dead = start()
    rt.kill(dead)
    const answers = [
      () => {
        throw new Error('no luck')
      },
      () => dead,
      () => 'no pid',
      async () => {
        throw new Error('no luck either')
      },
      () => undefined,
      start,
    ]
    const pid = start()
    rt.register('w', pid)
    const factory = (old) => {
      assert.equal(old, pid)
      return answers.shift()()
    }
    rt.pathSuperviseWithFactory('/svc', pid, factory, 'restartone', { maxRestarts: 10 })
    rt.sendMany(pid, ['boom', 'kept'])
    await eventually(() => events.at(-1)?.event === 'restarted')
    assert.deepEqual(
      events.map(({ event }) => event),
      [...Array(5).fill('start_failed'), 'restarted'],
    )
    assert.match(events[0].message, /no luck/)
    assert.match(events[2].message, /pid/)
    assert.equal(events.at(-1).oldPid, pid)
    await quiet(rt)
    assert.deepEqual(got, ['kept'])
    assert.equal(rt.getMetrics().failedStarts, 5)
  })

  test('fault row 3: a pull actor that throws as it begins is DOWN, and counts against the window', async (t) => {
    const rt = runtime(t)
    const events = []
    rt.onSupervision((event) => events.push(event.event))
    const start = () =>
      rt.spawnWithMailbox(() => {
        throw new Error('not even begun')
      })
    const pid = start()
    const down = deferred()
    rt.monitor(pid, down.resolve)
    rt.pathSuperviseWithFactory('/svc', pid, start, 'restartone', { maxRestarts: 2 })
    assert.equal((await down.promise).reason, 'crash')
    await eventually(() => events.includes('gave_up'))
    assert.deepEqual(events, ['restarted', 'restarted', 'gave_up'])
    await quiet(rt)
    assert.equal(rt.getMetrics().actors, 0)
  })

  test('waits for an async factory; what that spawns handles the parked first', async (t) => {
    const rt = runtime(t)
    const { got, start } = workers(rt)
    const gate = deferred()
    const pid = start()
    rt.register('w', pid)
    const factory = async () => {
      await gate.promise
      const next = start()
      rt.send(next, 'later')
      await null
      return next
    }
    rt.pathSuperviseWithFactory('/svc', pid, factory, 'restartone')
    rt.sendMany(pid, ['boom', 'first'])
    await rt.join(pid)
    assert.equal(rt.sendNamed('w', 'second'), true)
    assert.equal(rt.getMetrics().parked, 2)
    gate.resolve()
    await replaced(rt, 'w', pid)
    await quiet(rt)
    assert.deepEqual(got, ['first', 'second', 'later'])
  })

  test('by a pid that the factory did not spawn: overflow is dead (handover)', async (t) => {
    const rt = runtime(t)
    const spare = rt.spawnBounded(() => new Promise(() => {}), { capacity: 2 })
    const { start } = workers(rt)
    const pid = start()
    rt.register('w', pid)
    rt.pathSuperviseWithFactory('/svc', pid, () => spare, 'restartone')
    rt.sendMany(pid, ['boom', '1', '2', '3', '4', '5'])
    await eventually(() => rt.whereis('w') === spare)
    const { dead, parked } = rt.getMetrics()
    assert.equal(parked, 0)
    assert.ok(dead.handover >= 2, JSON.stringify(dead))
  })

  test('keeps names from others until it is over, and opens them to the factory', async (t) => {
    const rt = runtime(t)
    const { got, start } = workers(rt)
    const gate = deferred()
    const pid = start()
    rt.register('w', pid)
    rt.registerPath('/svc/w', pid)
    rt.pathSuperviseWithFactory(
      '/svc',
      pid,
      async () => {
        await gate.promise
        const next = start()
        rt.register('w', next)
        rt.registerPath('/svc/w', next)
        return next
      },
      'restartone',
    )
    rt.kill(pid)
    const thief = start()
    throws(() => rt.register('w', thief), 'ERR_IRIS_NAME_TAKEN')
    throws(() => rt.registerPath('/svc/w', thief), 'ERR_IRIS_NAME_TAKEN')
    assert.deepEqual([rt.whereis('w'), rt.whereisPath('/svc/w')], [null, null])
    assert.equal(rt.sendPath('/svc/w', 'kept'), true)
    gate.resolve()
    await replaced(rt, 'w', pid)
    await eventually(() => got.length === 1)
    assert.notEqual(rt.whereis('w'), thief)
  })

  test('comes after the wait that backoff wants', async (t) => {
    const rt = runtime(t)
    const { got, start } = workers(rt)
    const pid = supervised(rt, start, { backoff: { initialMs: 30, jitter: 0 } })
    const before = performance.now()
    rt.kill(pid)
    assert.equal(rt.sendNamed('w', 'kept'), true)
    await eventually(async () => (await sleep(1)) || rt.whereis('w') !== null)
    assert.ok(performance.now() - before >= 30)
    await eventually(() => got.length === 1)
  })

  test('loses nothing over a hundred crashes in a row, and leaves nothing behind', async (t) => {
    const rt = runtime(t)
    const { got, start } = workers(rt)
    const pid = supervised(rt, start, { maxRestarts: 1000 })
    const sent = []
    for (let i = 0; i < 1000; i++) sent.push(i % 10 === 5 ? 'boom' : String(i))
    rt.sendMany(pid, sent)
    await eventually(() => got.length === 900)
    const metrics = await quiet(rt)
    assert.deepEqual(
      got,
      sent.filter((text) => text !== 'boom'),
    )
    assert.deepEqual([metrics.restarts, metrics.dead.crash, metrics.names], [100, 100, 1])
  })
})

describe('a supervisor', () => {
  for (const [strategy, started] of [
    ['restartone', ['b']],
    ['restforone', ['b', 'c']],
    ['restartall', ['a', 'b', 'c']],
  ]) {
    test(`fault row 5: ${strategy} stops in reverse and starts in order`, async (t) => {
      const rt = runtime(t)
      const { got, log, start } = workers(rt)
      const names = ['a', 'b', 'c']
      const specs = names.map((id) => ({ id, start: () => start(id) }))
      const sup = rt.supervise('/svc', specs, { strategy })
      const restarts = []
      rt.onRestart(({ id, path }) => restarts.push(`${path}/${id}`))
      log.length = 0
      const ends = []
      for (const id of names) rt.monitor(sup.whereis(id), () => ends.push(id))
      for (const id of names) for (let i = 0; i < 10; i++) rt.sendPath(`/svc/${id}`, `${id}${i}`)
      rt.sendPath('/svc/b', 'boom')
      for (const id of names) for (let i = 10; i < 20; i++) rt.sendPath(`/svc/${id}`, `${id}${i}`)
      await eventually(() => restarts.length === started.length)
      await quiet(rt)
      assert.deepEqual(log, started)
      assert.deepEqual(ends, ['b', ...started.filter((id) => id !== 'b').reverse()])
      assert.deepEqual(
        restarts,
        started.map((id) => `/svc/${id}`),
      )
      for (const id of names) {
        const mine = got.filter((text) => text.startsWith(id))
        assert.deepEqual(
          mine,
          Array.from({ length: 20 }, (_, i) => `${id}${i}`),
        )
      }
    })
  }

  test('fault row 4: that restarts too often ends with its children, and the one above starts them anew once', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report.message) })
    const { log, start } = workers(rt)
    const sup = rt.supervise('/top', [
      { id: 'other', start: () => start('other') },
      {
        id: 'sub',
        maxRestarts: 1,
        children: [
          { id: 'sibling', start: () => start('sibling') },
          { id: 'w', start: () => start('w') },
        ],
      },
    ])
    const gaveUp = []
    rt.onSupervision(({ event, path }) => event === 'gave_up' && gaveUp.push(path))
    const [other, sibling] = [sup.whereis('other'), sup.whereis('sub/sibling')]
    const first = sup.whereis('sub/w')
    rt.send(first, 'boom')
    await eventually(() => ![first, null].includes(sup.whereis('sub/w')))
    log.length = 0
    rt.sendPath('/top/sub/w', 'boom')
    await eventually(() => log.length === 2 && sup.children.length === 3)
    assert.deepEqual(log, ['sibling', 'w'])
    assert.deepEqual(gaveUp, ['/top/sub'])
    assert.deepEqual(rt.listChildren('/top'), [
      ['/top/other', other],
      ['/top/sub/sibling', sup.children[1]],
      ['/top/sub/w', sup.children[2]],
    ])
    assert.equal((await rt.join(sibling)).reason, 'shutdown')
    assert.equal(sup.whereis('other'), other)
    assert.equal(reports.length, 1)
    assert.match(reports[0], /\/top\/sub gave up.*boom/)
    await sup.stop()
    assert.deepEqual(rt.listActors(), [])
  })

  test('children that are started anew by an async start have their paths again', async (t) => {
    const rt = runtime(t)
    const { start } = workers(rt)
    const slow = async () => {
      await null
      return start()
    }
    const specs = [{ id: 'sub', maxRestarts: 0, children: [{ id: 'w', start: slow }] }]
    const sup = await rt.supervise('/top', specs)
    const first = sup.whereis('sub/w')
    rt.send(first, 'boom')
    await eventually(() => ![first, null].includes(sup.whereis('sub/w')))
    assert.equal(String(await rt.call(sup.whereis('sub/w'), 'x')), 'x')
  })

  test('with none above is gone; what was parked is dead', async (t) => {
    const rt = runtime(t)
    const { start } = workers(rt)
    const pid = supervised(rt, start, { maxRestarts: 0 })
    rt.sendMany(pid, ['boom', 'lost'])
    await eventually(() => rt.getMetrics().gaveUp === 1)
    const metrics = await quiet(rt)
    assert.deepEqual([metrics.dead.crash, metrics.names, metrics.actors], [2, 0, 0])
    assert.equal(rt.createPathSupervisor('/svc'), true)
  })

  test('watches, terminates, and lets go', async (t) => {
    const rt = runtime(t)
    const { start } = workers(rt)
    const [a, b] = [start(), start()]
    rt.registerPath('/svc/a', a)
    rt.registerPath('/svc/b', b)
    assert.equal(rt.createPathSupervisor('/sup', { strategy: 'restartall' }), true)
    assert.equal(rt.createPathSupervisor('/sup'), false)
    rt.pathSupervisorWatch('/sup', a)
    assert.deepEqual(rt.pathSupervisorChildren('/sup'), [a])
    assert.equal(rt.watchPath('/svc'), 2)
    assert.equal(rt.childrenCount(), 2)
    assert.deepEqual(rt.childPids(), [a, b])
    assert.equal(rt.terminateChild('/sup', b), false)
    assert.equal(rt.terminateChild('/sup', a), true)
    assert.equal((await rt.join(a)).reason, 'shutdown')
    assert.deepEqual(rt.childPids(), [b])
    assert.equal(rt.removePathSupervisor('/sup'), true)
    assert.equal(rt.removePathSupervisor('/sup'), false)
    assert.deepEqual(rt.pathSupervisorChildren('/nobody'), [])
    throws(() => rt.pathSupervisorWatch('/sup', a), 'ERR_IRIS_NO_SUCH_ACTOR')
  })

  test('terminates a child that waits for its restart', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    rt.register('w', pid)
    const backoff = { initialMs: 1e6 }
    rt.pathSuperviseWithFactory('/sup', pid, () => rt.spawn(() => {}), 'restartone', { backoff })
    rt.kill(pid)
    assert.equal(rt.sendNamed('w', 'parked'), true)
    assert.equal(rt.terminateChild('/sup', pid), true)
    assert.equal(rt.terminateChild('/sup', pid), false)
    assert.equal(rt.sendNamed('w', 'nobody'), false)
    const { dead, parked, names } = await quiet(rt)
    assert.deepEqual([dead.killed, parked, names], [1, 0, 0])
  })

  test('has a factory for each child and no more', (t) => {
    const rt = runtime(t)
    const { start } = workers(rt)
    const pid = supervised(rt, start)
    throws(() => rt.pathSuperviseWithFactory('/o', pid, start, 'restartone'), RANGE)
    assert.equal(rt.createPathSupervisor('/o'), true, 'nothing was made')
  })

  test('is made with its children, async ones too, and pools; or not at all', async (t) => {
    const rt = runtime(t)
    const { start } = workers(rt)
    const sup = await rt.supervise('/app/', [
      { id: 'now', start },
      { id: 'soon', start: async () => start() },
      { id: 'pool', start, workers: 3 },
    ])
    assert.equal(sup.path, '/app')
    assert.equal(sup.children.length, 5)
    assert.deepEqual(
      rt.listChildren('/app').map(([path]) => path),
      ['/app/now', '/app/pool/0', '/app/pool/1', '/app/pool/2', '/app/soon'],
    )
    const member = sup.whereis('pool/1')
    rt.send(member, 'boom')
    await eventually(() => ![null, member].includes(sup.whereis('pool/1')))
    await sup[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]()
    assert.deepEqual(rt.listActors(), [])

    const broken = { id: 'b', start: () => Promise.reject(new Error('no luck')) }
    await assert.rejects(async () => rt.supervise('/svc', [{ id: 'a', start }, broken]), /no luck/)
    assert.throws(
      () =>
        rt.supervise('/svc', [
          { id: 'a', start },
          { id: 'b', start: () => 'no pid' },
        ]),
      { code: TYPE },
    )
    await eventually(() => rt.listActors().length === 0)
    assert.equal(rt.createPathSupervisor('/svc'), true)
    throws(() => rt.supervise('/svc', []), 'ERR_IRIS_NAME_TAKEN')
  })

  test('logs what its hooks throw', async (t) => {
    const logged = []
    const rt = runtime(t, { logger: { error: (text) => logged.push(text) } })
    const { start } = workers(rt)
    rt.onRestart(() => {
      throw new Error('a broken hook')
    })
    rt.kill(supervised(rt, start))
    await eventually(() => logged.length === 1)
    assert.match(logged[0], /a broken hook/)
    rt.onRestart(null)
  })

  test('holds the process while an async factory is under way, and not for longer', async () => {
    const { exit, stdout } = await run(`
      const rt = new NodeRuntime({ logger: null })
      const start = () => rt.spawn((m) => { if (String(m) === 'boom') throw new Error('boom'); console.log(String(m)) })
      const pid = start()
      const slow = async () => { await new Promise((r) => setTimeout(r, 50).unref()); return start() }
      rt.pathSuperviseWithFactory('/svc', pid, slow, 'restartone')
      rt.sendMany(pid, ['boom', 'kept'])
    `)
    assert.deepEqual([exit, stdout.trim()], [0, 'kept'])
  })
})
