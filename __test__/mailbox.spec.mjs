// Pull actors: functions that take their messages themselves.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import { deferred, eventually, quiet, rejects, runtime, throws, turn } from './support.mjs'

/** A pull actor whose mailbox the test holds. */
async function held(rt, options) {
  const mailbox = deferred()
  const end = deferred()
  const pid = rt.spawnWithMailbox((m) => {
    mailbox.resolve(m)
    return end.promise
  }, options)
  return { pid, mailbox: await mailbox.promise, end }
}

describe('recv', () => {
  test('answers messages in order, whether they are there or come later', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    rt.sendMany(pid, ['1', '2'])
    assert.equal(mailbox.size, 2)
    assert.equal(mailbox.pid, pid)
    assert.equal(String(await mailbox.recv()), '1')
    assert.equal(String(await mailbox.recv()), '2')
    const waits = [mailbox.recv(), mailbox.recv(), mailbox.recv()]
    assert.equal(mailbox.tryRecv(), null)
    for (const m of ['3', '4', '5']) rt.send(pid, Buffer.from(m))
    assert.deepEqual((await Promise.all(waits)).map(String), ['3', '4', '5'])
    rt.send(pid, Buffer.alloc(0))
    assert.deepEqual(await mailbox.recv(), Buffer.alloc(0))
    const { handled } = await quiet(rt)
    assert.equal(handled, 6)
  })

  test('answers null when the time is over, and loses nothing that comes after', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const keep = setInterval(() => {}, 1000)
    t.after(() => clearInterval(keep))
    assert.equal(await mailbox.recv(0.001), null)
    assert.equal(await mailbox.recv({ timeoutMs: 0 }), null)
    assert.equal(mailbox.closed, false)
    rt.send(pid, 'later')
    assert.equal(String(await mailbox.recv(0)), 'later')
  })

  test('can be aborted, before and while it waits', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    await rejects(mailbox.recv({ signal: AbortSignal.abort() }), 'ERR_IRIS_ABORTED')
    const controller = new AbortController()
    const given = mailbox.recv({ signal: controller.signal })
    const kept = mailbox.recv()
    controller.abort()
    await rejects(given, 'ERR_IRIS_ABORTED')
    rt.send(pid, 'x')
    assert.equal(String(await kept), 'x')
  })

  test('checks what it is given, and rejects', async (t) => {
    const rt = runtime(t)
    const { mailbox } = await held(rt)
    for (const bad of [null, 'x', true]) await rejects(mailbox.recv(bad), 'ERR_IRIS_INVALID_TYPE')
    for (const bad of [-1, Number.NaN])
      await rejects(mailbox.recv(bad), 'ERR_IRIS_INVALID_ARGUMENT')
    await rejects(mailbox.selectiveRecv(1), 'ERR_IRIS_INVALID_TYPE')
  })

  test('gets a call with its reply', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const answer = rt.call(pid, 'question')
    const call = await mailbox.recv()
    assert.equal(String(call.data), 'question')
    throws(() => call.reply(1), 'ERR_IRIS_INVALID_TYPE')
    call.reply('answer')
    assert.equal(String(await answer), 'answer')
    throws(() => call.reply('again'), 'ERR_IRIS_STALE_REPLY')
    const empty = rt.call(pid, '')
    ;(await mailbox.recv()).reply()
    assert.equal((await empty).length, 0)
  })

  test('lets timers and other actors run under a flood', async (t) => {
    const rt = runtime(t, { timeSliceMs: 1 })
    let taken = 0
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      for await (const _ of mailbox) taken++
    })
    const x = Buffer.from('x')
    const n = 50_000
    for (let i = 0; i < n; i++) rt.send(pid, x)
    await turn()
    assert.ok(taken < n, `${taken} taken in one turn of the loop`)
    await quiet(rt)
    await eventually(() => taken === n)
  })
})

describe('a pull actor', () => {
  test('begins after its spawn, in the context of it, and ends when it returns', async (t) => {
    const rt = runtime(t)
    const store = new AsyncLocalStorage()
    let seen = 'nothing'
    const pid = store.run('spawn', () =>
      rt.spawnWithMailbox(() => {
        seen = store.getStore()
      }),
    )
    assert.equal(seen, 'nothing')
    assert.equal(rt.actorInfo(pid).kind, 'pull')
    assert.equal((await rt.join(pid)).reason, 'normal')
    assert.equal(seen, 'spawn')
    assert.equal(rt.send(pid, Buffer.from('x')), false)
  })

  test('crashes when it throws; calls that it owes end with it', async (t) => {
    const reports = []
    const rt = runtime(t, { onCrash: (report) => reports.push(report) })
    const own = new Error('own')
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      await mailbox.recv()
      throw own
    })
    rt.send(pid, 'queued too')
    await rejects(rt.call(pid, 'x'), 'ERR_IRIS_ACTOR_EXITED')
    const { reason, message } = await rt.join(pid)
    assert.deepEqual([reason, message], ['crash', 'Error: own'])
    await eventually(() => reports.length === 1)
    assert.equal(reports[0].error, own)
    const sync = rt.spawnWithMailbox(() => {
      throw own
    })
    assert.equal((await rt.join(sync)).reason, 'crash')
    await quiet(rt)
  })

  test('is told of a stop, and waited for', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox, end } = await held(rt)
    const [waits, matches] = [mailbox.recv(), mailbox.selectiveRecv(() => false)]
    rt.send(pid, '1')
    assert.equal(String(await waits), '1')
    rt.send(pid, '2')
    assert.equal(rt.stop(pid), true)
    assert.equal(await matches, null)
    assert.equal(mailbox.closed, true)
    assert.equal(await mailbox.recv(), null)
    assert.equal(mailbox.tryRecv(), null)
    assert.equal(rt.send(pid, '3'), false)
    assert.equal(rt.isAlive(pid), false)
    end.resolve()
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    const { dead } = await quiet(rt)
    assert.equal(dead.shutdown, 1)
  })

  test('takes what is queued first when it is drained', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      for await (const message of mailbox) seen.push(String(message))
    })
    rt.sendMany(pid, ['1', '2', '3'])
    rt.stop(pid, { drain: true })
    assert.equal((await rt.join(pid)).reason, 'shutdown')
    assert.deepEqual(seen, ['1', '2', '3'])
  })

  test('that is killed gets nothing any more', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const waits = mailbox.recv()
    rt.kill(pid)
    assert.equal(await waits, null)
    assert.equal(mailbox.closed, true)
    assert.equal((await rt.join(pid)).reason, 'killed')
  })

  test('is abandoned when it does not return, and when the runtime is closed', async (t) => {
    const rt = runtime(t)
    const stuck = await held(rt)
    rt.stop(stuck.pid, { timeoutMs: 1 })
    assert.equal((await rt.join(stuck.pid)).reason, 'timeout')
    const other = await held(rt)
    const waits = other.mailbox.recv()
    await rt.close({ timeoutMs: 1 })
    assert.equal(await waits, null)
    assert.equal(other.mailbox.tryRecv(), null)
    assert.equal(await other.mailbox.recv(), null)
    assert.equal(other.mailbox.size, 0)
    other.end.resolve()
  })

  test('has a bound if it wants one, also with block', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt, { capacity: 2 })
    assert.equal(rt.sendMany(pid, ['1', '2', '3']), 2)
    rt.setOverflowPolicy(pid, 'block')
    const sent = rt.sendAsync(pid, '3')
    const got = [await mailbox.recv(), await mailbox.recv(), await mailbox.recv()]
    assert.deepEqual(got.map(String), ['1', '2', '3'])
    assert.equal(await sent, true)
  })

  test('has no handler to swap', async (t) => {
    const rt = runtime(t)
    const { pid } = await held(rt)
    throws(() => rt.hotSwap(pid, () => {}), 'ERR_IRIS_NOT_LOCAL')
    throws(() => rt.behaviorVersion(pid), 'ERR_IRIS_NOT_LOCAL')
    assert.equal(rt.actorInfo(pid).behaviorVersion, null)
  })
})

describe('selectiveRecv', () => {
  const is = (text) => (data) => String(data) === text

  test('takes the first that matches; the others keep place and order', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    rt.sendMany(pid, ['a', 'b', 'c', 'b'])
    assert.equal(String(await mailbox.selectiveRecv(is('b'))), 'b')
    assert.equal(String(await mailbox.selectiveRecv(is('c'))), 'c')
    const waits = mailbox.selectiveRecv(is('d'))
    rt.send(pid, 'd')
    assert.equal(String(await waits), 'd')
    assert.deepEqual([mailbox.tryRecv(), mailbox.tryRecv()].map(String), ['a', 'b'])
    assert.equal(mailbox.tryRecv(), null)
  })

  test('shows a matcher no message twice', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const seen = []
    const even = (data) => {
      seen.push(Number(String(data)))
      return Number(String(data)) % 2 === 0
    }
    const sent = Array.from({ length: 2000 }, (_, i) => `${i}`)
    rt.sendMany(pid, sent)
    for (let i = 0; i < 2000; i += 2)
      assert.equal(String(await mailbox.selectiveRecv(even)), `${i}`)
    const waits = mailbox.selectiveRecv(even)
    rt.sendMany(pid, ['2001', '2002'])
    assert.equal(String(await waits), '2002')
    assert.deepEqual(seen, [...sent.map(Number), 2001, 2002])
    // Another matcher begins at the front, and takes from the middle without harm to the first one's place.
    assert.equal(String(await mailbox.selectiveRecv(is('3'))), '3')
    assert.equal(mailbox.size, 1000)
  })

  test('of several matchers at once: each gets its own, in the order of the waits', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const waits = ['c', 'a', 'b', 'a'].map((text) => mailbox.selectiveRecv(is(text)))
    const any = mailbox.recv()
    rt.sendMany(pid, ['x', 'a', 'b', 'a', 'c', 'y'])
    assert.deepEqual((await Promise.all(waits)).map(String), ['c', 'a', 'b', 'a'])
    assert.equal(String(await any), 'x')
    assert.equal(String(mailbox.tryRecv()), 'y')
  })

  test('rejects with what its matcher throws; the message stays', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const own = new Error('own')
    rt.sendMany(pid, ['a', 'b'])
    await assert.rejects(
      mailbox.selectiveRecv((data) => {
        if (String(data) === 'b') throw own
      }),
      own,
    )
    await rejects(
      mailbox.selectiveRecv(async () => true),
      'ERR_IRIS_INVALID_ARGUMENT',
    )
    assert.ok(rt.isAlive(pid))
    assert.deepEqual([mailbox.tryRecv(), mailbox.tryRecv()].map(String), ['a', 'b'])
  })

  test('takes calls, and matchers may use the runtime', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    rt.send(pid, 'first')
    const answer = rt.call(pid, 'call')
    const taken = []
    const call = await mailbox.selectiveRecv((data) => {
      if (String(data) === 'first') taken.push(mailbox.tryRecv())
      return String(data) === 'call'
    })
    call.reply('yes')
    assert.deepEqual(taken.map(String), ['first'])
    assert.equal(mailbox.tryRecv(), null)
    assert.equal(String(await answer), 'yes')
  })
})

test('100,000 pull actors wait at once, and each gets its message', async (t) => {
  const rt = runtime(t)
  let got = 0
  const pids = Array.from({ length: 100_000 }, () =>
    rt.spawnWithMailbox(async (mailbox) => {
      await mailbox.recv()
      got++
    }),
  )
  await turn()
  for (const pid of pids) assert.equal(rt.send(pid, Buffer.from('x')), true)
  await eventually(() => got === pids.length)
  await eventually(() => rt.getMetrics().actors === 0)
  await quiet(rt)
})
