// One list of checks, for a local pid, a proxy and a name of the cluster: every call of an actor behaves the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred, eventually, rejects, runtime } from './support.mjs'

/** Where actors live (`there`), who calls (`here`), and the pid by which the caller knows one. */
const ways = {
  local: async (t) => {
    const rt = runtime(t)
    return { here: rt, there: rt, known: async (pid) => pid }
  },
  proxy: async (t) => {
    const [here, there] = [runtime(t), runtime(t)]
    here.configureMesh({ proxyCapacity: 64 })
    const address = await there.listen('127.0.0.1:0')
    const known = async (pid) => {
      there.register(`p${pid}`, pid)
      return here.resolveRemote(address, `p${pid}`)
    }
    return { here, there, known }
  },
  'cluster name': async (t) => {
    const [here, there] = [runtime(t), runtime(t)]
    here.configureMesh({ proxyCapacity: 64 })
    await there.joinCluster([], { gossipMs: 50 })
    const seed = await there.listen('127.0.0.1:0')
    await here.joinCluster([seed], { gossipMs: 50, timeoutMs: 30_000 })
    const known = async (pid) => {
      there.register(`p${pid}`, pid, { scope: 'cluster' })
      await eventually(() => here.whereis(`p${pid}`) !== null)
      return here.whereis(`p${pid}`)
    }
    return { here, there, known }
  },
}

const checks = {
  'send and sendMany keep the order': async ({ here, there, known }) => {
    const [seen, all] = [[], deferred()]
    const pid = there.spawn((msg) => {
      if (seen.push(msg.toString()) === 40) all.resolve()
    })
    const to = await known(pid)
    for (let i = 0; i < 20; i++) assert.equal(here.send(to, `${i}`), true)
    const rest = Array.from({ length: 20 }, (_, i) => `${i + 20}`)
    assert.equal(here.sendMany(to, rest), 20)
    await all.promise
    assert.deepEqual(
      seen,
      Array.from({ length: 40 }, (_, i) => `${i}`),
    )
  },
  'call: answer, failure, timeout, nobody': async ({ here, there, known }) => {
    const to = await known(
      there.spawn(async (msg) => {
        if (msg.toString() === 'throw') throw new Error('no way')
        if (msg.toString() === 'never') await new Promise(() => {})
        return `re: ${msg}`
      }),
    )
    assert.equal((await here.call(to, 'x')).toString(), 're: x')
    await assert.rejects(here.call(to, 'throw'), {
      message: /no way/,
    })
    assert.equal((await here.join(to)).reason, 'crash')
    await rejects(here.call(to, 'x'), 'ERR_IRIS_NO_SUCH_ACTOR')
    assert.equal(here.send(to, 'x'), false)
    const slow = await known(there.spawn(() => new Promise(() => {})))
    await rejects(here.call(slow, 'x', { timeoutMs: 30 }), 'ERR_IRIS_TIMEOUT')
    const stop = new AbortController()
    const given = here.call(slow, 'x', { signal: stop.signal })
    stop.abort()
    await rejects(given, 'ERR_IRIS_ABORTED')
    here.kill(slow)
    await here.join(slow)
  },
  'monitor and demonitor': async ({ here, there, known }) => {
    const to = await known(there.spawn(() => {}))
    const down = deferred()
    here.monitor(to, (info) => down.resolve(info))
    const never = here.monitor(to, () => assert.fail('it was taken back'))
    assert.equal(here.demonitor(never), true)
    assert.equal(here.stop(to), true)
    assert.equal((await down.promise).reason, 'shutdown')
    const late = deferred()
    here.monitor(to, (info) => late.resolve(info))
    assert.equal((await late.promise).reason, 'noproc')
  },
  'link, both ways': async ({ here, there, known }) => {
    for (const mineFirst of [true, false]) {
      const pid = there.spawn((msg) => msg)
      const [to, mine] = [await known(pid), here.spawn(() => {})]
      here.link(mine, to)
      await here.call(to, 'x')
      if (mineFirst) here.kill(mine)
      else there.kill(pid)
      const ends = await Promise.all([here.join(to), here.join(mine), there.join(pid)])
      assert.deepEqual(
        ends.map((end) => end.reason),
        ['killed', 'killed', 'killed'],
      )
    }
  },
  'stop with drain, isAlive, actorInfo': async ({ here, there, known }) => {
    const seen = []
    const to = await known(there.spawn((msg) => seen.push(msg.toString())))
    assert.equal(here.isAlive(to), true)
    assert.equal(here.actorInfo(to).pid, to)
    assert.equal(typeof here.mailboxSize(to), 'number')
    for (const msg of ['a', 'b', 'c']) here.send(to, msg)
    assert.equal(here.stop(to, { drain: true }), true)
    assert.equal((await here.join(to)).reason, 'shutdown')
    assert.deepEqual(seen, ['a', 'b', 'c'])
    assert.equal(here.isAlive(to), false)
    assert.equal(here.actorInfo(to), null)
    assert.equal(here.stop(to), false)
  },
  'a full mailbox refuses, shows pressure and loses nothing': async ({ here, there, known }) => {
    const [seen, began, go] = [[], deferred(), deferred()]
    const handler = async (msg) => {
      began.resolve()
      await go.promise
      seen.push(Number(msg.toString()))
    }
    const pid = there.spawnBounded(handler, { capacity: 64 })
    const to = await known(pid)
    let sent = 0
    assert.equal(here.send(to, `${sent++}`), true)
    await began.promise
    // Full is what stays full: a proxy is drained as long as there is room behind it.
    await eventually(() => {
      while (here.send(to, `${sent}`)) sent++
      return here.mailboxSize(to) === 64 && there.mailboxSize(pid) >= 63
    })
    assert.ok(sent <= 3 * 64, `bounded: ${sent}`)
    assert.equal(here.mailboxBackpressure(to), 'CRITICAL')
    await rejects(here.call(to, 'x'), 'ERR_IRIS_MAILBOX_FULL')
    go.resolve()
    await eventually(() => seen.length === sent)
    assert.deepEqual(
      seen,
      seen.map((_, i) => i),
    )
    await eventually(() => here.mailboxBackpressure(to) === 'NORMAL')
  },
}

for (const [way, world] of Object.entries(ways)) {
  for (const [what, check] of Object.entries(checks)) {
    test(`${way}: ${what}`, async (t) => check(await world(t)))
  }
}
