// Children end with their parents; pools replace members that fail.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assertBalanced, deferred, eventually, quiet, runtime, throws } from './support.mjs'

const x = Buffer.from('x')

describe('children', () => {
  for (const [name, end] of [
    ['stopped', (rt, pid) => rt.stop(pid)],
    ['killed', (rt, pid) => rt.kill(pid)],
    ['crashing', (rt, pid) => rt.send(pid, 'crash')],
  ]) {
    test(`end with a parent that is ${name}, and theirs with them`, async (t) => {
      const rt = runtime(t)
      const parent = rt.spawn(() => {
        throw new Error('crash')
      })
      const child = rt.spawnChild(parent, () => {})
      const grandchild = rt.spawnChild(child, () => {}, { capacity: 3, budget: 7 })
      const pull = rt.spawnChildWithMailbox(child, async (mailbox) => {
        for await (const _ of mailbox);
      })
      const stranger = rt.spawn(() => {})
      assert.equal(rt.actorInfo(grandchild).capacity, 3)
      const joins = [child, grandchild, pull].map((pid) => rt.join(pid))
      end(rt, parent)
      for (const { reason } of await Promise.all(joins)) assert.equal(reason, 'parent_exit')
      assert.deepEqual(rt.listActors(), [stranger])
      assertBalanced(await quiet(rt))
    })
  }

  test('are dead at once when this thread ends the parent: nothing is promised', (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const child = rt.spawnChild(parent, () => {})
    const grandchild = rt.spawnChild(child, () => {})
    assert.equal(rt.send(grandchild, x), true)
    rt.kill(parent)
    for (const pid of [parent, child, grandchild]) {
      assert.equal(rt.send(pid, x), false)
      assert.equal(rt.isAlive(pid), false)
    }
  })

  test('that end first leave the parent alone', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => 'alive')
    const child = rt.spawnChild(parent, () => {
      throw new Error('crash')
    })
    rt.send(child, x)
    assert.equal((await rt.join(child)).reason, 'crash')
    assert.equal(String(await rt.call(parent, x)), 'alive')
  })

  test('need a parent that lives', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => new Promise(() => {}))
    rt.send(parent, x)
    await eventually(() => rt.actorInfo(parent).state === 'running')
    rt.stop(parent)
    throws(() => rt.spawnChild(parent, () => {}), 'ERR_IRIS_NO_SUCH_ACTOR')
    throws(() => rt.spawnChildWithMailbox(parent, () => {}), 'ERR_IRIS_NO_SUCH_ACTOR')
    throws(() => rt.spawnChildPool(parent, () => {}, 2), 'ERR_IRIS_NO_SUCH_ACTOR')
    rt.kill(parent)
    assert.deepEqual(rt.listActors(), [])
  })

  test('have a policy only with a bound, their own or the runtime’s', (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const policy = { overflow: 'dropold' }
    throws(() => rt.spawnChild(parent, () => {}, policy), 'ERR_IRIS_INVALID_ARGUMENT')
    throws(() => rt.spawnChildPool(parent, () => {}, 2, policy), 'ERR_IRIS_INVALID_ARGUMENT')
    assert.equal(rt.getMetrics().spawned, 1)
    const other = runtime(t, { defaultCapacity: 1 })
    const child = other.spawnChild(
      other.spawn(() => {}),
      () => {},
      policy,
    )
    assert.deepEqual([other.send(child, x), other.send(child, x)], [true, true])
    assert.equal(other.mailboxSize(child), 1)
  })

  test('spawned by a parent that stops itself do not outlive it', async (t) => {
    const rt = runtime(t)
    const children = []
    const parent = rt.spawn((_message, ctx) => {
      children.push(rt.spawnChild(ctx.pid, () => {}))
      ctx.stop()
    })
    rt.send(parent, x)
    await rt.join(parent)
    assert.equal((await rt.join(children[0])).reason, 'parent_exit')
    assert.deepEqual(rt.listActors(), [])
  })
})

describe('a pool', () => {
  test('shares the work in turn', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const counts = new Map()
    const pool = rt.spawnChildPool(
      parent,
      (_message, ctx) => void counts.set(ctx.pid, (counts.get(ctx.pid) ?? 0) + 1),
      4,
      50,
    )
    assert.equal(pool.size, 4)
    assert.deepEqual([...pool], pool.pids)
    assert.equal(rt.actorInfo(pool.pids[0]).budget, 50)
    for (let i = 0; i < 40; i++) assert.equal(pool.send(x), true)
    await quiet(rt)
    assert.deepEqual(
      pool.pids.map((pid) => counts.get(pid)),
      [10, 10, 10, 10],
    )
    rt.kill(parent)
    assert.equal(pool.size, 0)
    assert.equal(pool.send(x), false)
    await assert.rejects(pool.call(x), { code: 'ERR_IRIS_NO_SUCH_ACTOR' })
  })

  test('sends to the shortest queue, and past those that are full', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const gate = deferred()
    const options = { capacity: 3, routing: 'shortest' }
    const pool = rt.spawnChildPool(parent, () => gate.promise, 2, options)
    rt.sendMany(pool.pids[0], [x, x])
    assert.deepEqual([pool.send(x), pool.send(x), pool.send(x), pool.send(x)], Array(4).fill(true))
    assert.deepEqual(
      pool.pids.map((pid) => rt.mailboxSize(pid)),
      [3, 3],
    )
    assert.equal(pool.send(x), false)
    gate.resolve()
    await quiet(rt)
  })

  test('replaces members that crash, not those that are stopped', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const pool = rt.spawnChildPool(
      parent,
      (message) => {
        if (String(message) === 'crash') throw new Error('crash')
        return message
      },
      3,
    )
    const before = pool.pids
    rt.send(before[1], 'crash')
    await rt.join(before[1])
    await eventually(() => pool.size === 3)
    const after = pool.pids
    assert.deepEqual([after[0], after[2]], [before[0], before[2]])
    assert.ok(!before.includes(after[1]))
    rt.stop(after[0])
    await eventually(() => pool.size === 2 && rt.getMetrics().actors === 3)
    for (let i = 0; i < 6; i++) assert.equal(String(await pool.call('echo')), 'echo')
    rt.kill(parent)
    await eventually(() => rt.getMetrics().actors === 0)
  })

  test('hands what a member that crashed had queued to its replacement', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const crashes = []
    rt.onCrash((crash) => void crashes.push(crash.pid))
    const handled = []
    const handler = (message) => {
      if (String(message) === 'crash') throw new Error('crash')
      handled.push(String(message))
      return `re ${message}`
    }
    const pool = rt.spawnChildPool(parent, handler, 1)
    const [old] = pool.pids
    rt.register('member', old)
    pool.send('1')
    const failed = pool.call('crash')
    const sent = ['2', 'crash', '3', '4'].map((text) => pool.send(text))
    assert.deepEqual(sent, [true, true, true, true])
    const answer = pool.call('5')
    await assert.rejects(failed, { message: 'crash' })
    assert.equal(String(await answer), 're 5')
    assert.deepEqual(handled, ['1', '2', '3', '4', '5'])
    assert.equal(rt.whereis('member'), pool.pids[0], 'the name goes with the work')
    await quiet(rt)
    assert.equal(crashes.length, 2, 'what fails is still reported')
    const { dead, handled: count } = rt.getMetrics()
    assert.deepEqual([dead.crash ?? 0, count], [2, 5], 'only the messages that crashed are lost')
    assertBalanced(rt.getMetrics())
  })

  test('buries what waits for a replacement that cannot come', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const pool = rt.spawnChildPool(
      parent,
      () => {
        throw new Error('crash')
      },
      1,
    )
    const calls = [1, 2, 3].map(() => pool.call(x))
    rt.setSystemCapacity(1)
    rt.setLoadShedding(true)
    const outcomes = await Promise.allSettled(calls)
    assert.deepEqual(
      outcomes.map(({ reason }) => reason?.code ?? reason?.message),
      ['crash', 'ERR_IRIS_ACTOR_EXITED', 'ERR_IRIS_ACTOR_EXITED'],
    )
    await eventually(() => pool.size === 0)
    assertBalanced(rt.getMetrics())
  })

  test('balances its books while members crash at random', async (t) => {
    const rt = runtime(t)
    const parent = rt.spawn(() => {})
    const last = new Map()
    const handler = async (message) => {
      const [sender, number] = String(message).split(' ').map(Number)
      if (number % 7 === 0) await null
      if (number % 11 === 0) throw new Error('crash')
      // One member, so what one sender sends stays in order, whoever handles it.
      assert.ok(number > (last.get(sender) ?? 0), `${number} after ${last.get(sender)}`)
      last.set(sender, number)
    }
    const pool = rt.spawnChildPool(parent, handler, 1)
    let accepted = 0
    for (let number = 1; number <= 500; number++) {
      for (const sender of [1, 2, 3]) accepted += pool.send(`${sender} ${number}`)
      if (number % 50 === 0) await new Promise(setImmediate)
    }
    await quiet(rt)
    await eventually(() => rt.getMetrics().queued === 0 && (rt.getMetrics().parked ?? 0) === 0)
    const metrics = rt.getMetrics()
    assert.equal(metrics.handled + (metrics.dead.crash ?? 0), accepted)
    assertBalanced(rt.getMetrics())
  })
})
