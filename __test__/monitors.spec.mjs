import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import { SystemMessage } from '../index.mjs'
import { deferred, eventually, quiet, run, runtime, throws, turn } from './support.mjs'

/** A pull actor that keeps what it gets. */
function collector(rt) {
  const all = []
  const pid = rt.spawnWithMailbox(async (mailbox) => {
    for await (const message of mailbox) {
      all.push(message instanceof SystemMessage ? message : String(message))
    }
  })
  return { pid, all }
}

const boom = () => {
  throw new Error('boom')
}

describe('monitor', () => {
  test('sends one DOWN for each reference, after the last message', async (t) => {
    const rt = runtime(t)
    const { pid: watcher, all } = collector(rt)
    const target = rt.spawn((_message, ctx) => {
      ctx.send(watcher, 'last words')
      boom()
    })
    const refs = [1, 2, 3].map(() => rt.monitor(target, watcher))
    assert.equal(rt.demonitor(refs[1]), true)
    assert.equal(rt.demonitor(refs[1]), false)
    rt.send(target, 'go')
    await eventually(() => all.length === 3)
    const [first, ...downs] = all
    assert.equal(first, 'last words')
    assert.deepEqual(
      downs.map((down) => down.metadata.ref),
      [refs[0], refs[2]],
    )
    for (const down of downs) {
      assert.equal(down.typeName, 'DOWN')
      assert.equal(down.fromPid, target)
      assert.equal(down.targetPid, watcher)
      assert.equal(down.reason, 'crash')
      assert.match(down.metadata.message, /boom/)
      assert.match(down.metadata.stack, /monitors\.spec/)
    }
    assert.equal((await quiet(rt)).monitors, 0)
  })

  test('tells what a handler sent after it had stopped itself before its DOWN', async (t) => {
    const rt = runtime(t)
    const { pid: watcher, all } = collector(rt)
    const target = rt.spawn((_message, ctx) => {
      ctx.stop()
      ctx.send(watcher, 'after the stop')
    })
    rt.monitor(target, watcher)
    rt.send(target, 'go')
    await eventually(() => all.length === 2)
    assert.equal(all[0], 'after the stop')
    assert.equal(all[1].reason, 'shutdown')
  })

  test('of the dead is noproc, for functions too; those run in the context of the call', async (t) => {
    const rt = runtime(t)
    const storage = new AsyncLocalStorage()
    const target = rt.spawn(() => {})
    const got = []
    const callback = (message) => got.push([message, storage.getStore()])
    const [kept, gone] = storage.run('mine', () => [
      rt.monitor(target, callback),
      rt.monitor(target, callback),
    ])
    assert.equal(rt.demonitor(gone), true)
    rt.stop(target)
    const dead = rt.monitor(target, callback)
    assert.deepEqual(got, [], 'never inside of a call')
    await eventually(() => got.length === 2)
    assert.deepEqual(
      got.map(([m, store]) => [m.reason, m.metadata.ref, m.targetPid, store]),
      [
        ['shutdown', kept, null, 'mine'],
        ['noproc', dead, null, undefined],
      ],
    )
    assert.equal(rt.demonitor(kept), false)
  })

  test('does not call a function that was taken back while the news was on its way', async (t) => {
    const rt = runtime(t)
    const target = rt.spawn(() => {})
    let called = 0
    const ref = rt.monitor(target, () => called++)
    rt.kill(target)
    assert.equal(rt.demonitor(ref), true)
    for (let i = 0; i < 5; i++) await turn()
    assert.equal(called, 0)
  })

  test('logs what a function throws or rejects with', async (t) => {
    const logged = []
    const rt = runtime(t, { logger: { error: (text) => logged.push(text) } })
    const target = rt.spawn(() => {})
    rt.monitor(target, boom)
    rt.monitor(target, async () => boom())
    rt.kill(target)
    await eventually(() => logged.length === 2)
    for (const text of logged) assert.match(text, /monitor.*boom/)
  })

  test('needs a watcher that takes system messages', async (t) => {
    const rt = runtime(t)
    const [target, deaf] = [rt.spawn(() => {}), rt.spawn(() => {})]
    throws(() => rt.monitor(target, deaf), 'ERR_IRIS_INVALID_ARGUMENT')
    const got = []
    const hears = rt.spawn((message, ctx) => got.push([message, ctx.sender, ctx.isCall]), {
      system: true,
    })
    rt.monitor(target, hears)
    rt.send(hears, 'first')
    rt.kill(target)
    await eventually(() => got.length === 2)
    assert.equal(String(got[0][0]), 'first')
    const [down, sender, isCall] = got[1]
    assert.ok(down instanceof SystemMessage)
    assert.ok(Object.isFrozen(down))
    assert.deepEqual([down.reason, sender, isCall], ['killed', null, false])
  })

  test('by ctx and mailbox', async (t) => {
    const rt = runtime(t)
    const target = rt.spawn(() => {})
    const got = []
    const ready = deferred()
    rt.send(
      rt.spawn(
        (message, ctx) => {
          if (message instanceof SystemMessage) got.push(message.targetPid === ctx.pid)
          else ctx.monitor(target)
        },
        { system: true },
      ),
      'go',
    )
    rt.spawnWithMailbox(async (mailbox) => {
      mailbox.monitor(target)
      ready.resolve()
      const message = await mailbox.selectiveRecv((m) => m instanceof SystemMessage)
      got.push(message.targetPid === mailbox.pid)
    })
    await ready.promise
    await quiet(rt)
    rt.kill(target)
    await eventually(() => got.length === 2)
    assert.deepEqual(got, [true, true])
  })

  test('does not hold the process', async () => {
    const { exit } = await run(`
      const rt = new NodeRuntime()
      rt.monitor(rt.spawn(() => {}), () => {})
    `)
    assert.equal(exit, 0)
  })

  test('fault row 44: cycles leave nothing behind', async (t) => {
    const rt = runtime(t)
    const target = rt.spawn(() => {})
    const cycles = (n) => {
      for (let i = 0; i < n; i++) rt.demonitor(rt.monitor(target, boom))
    }
    cycles(1000)
    const before = process.memoryUsage().rss
    cycles(200_000)
    assert.ok(process.memoryUsage().rss < before + 64 * 2 ** 20)
    assert.equal(rt.getMetrics().monitors, 0)
  })
})

describe('link', () => {
  test('takes the other down, unless the reason is normal', async (t) => {
    const rt = runtime(t)
    const reports = []
    rt.onCrash((report) => reports.push(report.pid))
    const [a, b, c] = [rt.spawn(boom), rt.spawn(() => {}), rt.spawn(() => {})]
    rt.link(a, b)
    rt.link(b, c)
    rt.send(a, 'go')
    assert.equal((await rt.join(b)).reason, 'crash')
    assert.match((await rt.join(c)).message, /boom/)
    assert.deepEqual(reports, [a])
    const [d, e] = [rt.spawnWithMailbox(() => {}), rt.spawn(() => {})]
    rt.link(d, e)
    assert.equal((await rt.join(d)).reason, 'normal')
    assert.equal(rt.isAlive(e), true)
  })

  test('a linked actor of the same batch handles nothing any more', async (t) => {
    const rt = runtime(t)
    const handled = []
    const a = rt.spawn(boom)
    const b = rt.spawn((message) => handled.push(String(message)))
    rt.link(a, b)
    rt.send(a, 'go')
    for (let i = 0; i < 10; i++) rt.send(b, String(i))
    await rt.join(b)
    await quiet(rt)
    assert.deepEqual(handled, [])
  })

  test('comes as EXIT to who traps; kill cannot be trapped', async (t) => {
    const rt = runtime(t)
    const { pid, all } = collector(rt)
    assert.equal(rt.setTrapExit(pid, true), false)
    assert.equal(rt.setTrapExit(pid, true), true)
    const other = rt.spawn(() => {})
    rt.link(other, pid)
    rt.kill(other)
    await eventually(() => all.length === 1)
    assert.deepEqual(
      [all[0].typeName, all[0].fromPid, all[0].targetPid, all[0].reason],
      ['EXIT', other, pid, 'killed'],
    )
    rt.link(pid, other)
    await eventually(() => all.length === 2)
    assert.equal(all[1].reason, 'noproc')
    assert.equal(rt.kill(pid), true)
    throws(() => rt.link(pid, other), 'ERR_IRIS_NO_SUCH_ACTOR')
  })

  test('is taken away again, and made by ctx', async (t) => {
    const rt = runtime(t)
    const [a, b] = [rt.spawn(() => {}), rt.spawn(() => {})]
    rt.link(a, b)
    assert.equal(rt.unlink(b, a), true)
    assert.equal(rt.unlink(b, a), false)
    rt.kill(a)
    assert.equal(rt.isAlive(b), true)
    const linked = deferred()
    const c = rt.spawn((_message, ctx) => {
      ctx.link(b)
      linked.resolve()
    })
    rt.send(c, 'go')
    await linked.promise
    rt.kill(c)
    assert.equal((await rt.join(b)).reason, 'killed')
  })
})
