// Messages that are sent later: once, again and again, not at all.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deferred, eventually, quiet, runtime, throws } from './support.mjs'

describe('sendAfter', () => {
  test('delivers once, and not early', async (t) => {
    const rt = runtime(t)
    const came = deferred()
    let times = 0
    const pid = rt.spawn((message) => {
      times++
      came.resolve([String(message), performance.now()])
    })
    const data = Buffer.from('later')
    const begun = performance.now()
    const timer = rt.sendAfter(pid, 30, data)
    data.fill(0)
    assert.ok(Number.isSafeInteger(timer))
    assert.equal(rt.getMetrics().delays, 1)
    const [message, at] = await came.promise
    assert.equal(message, 'later')
    assert.ok(at - begun >= 29.9, `${at - begun} ms`)
    assert.equal(rt.cancelTimer(timer), false)
    assert.equal(rt.getMetrics().delays, 0)
    await quiet(rt)
    assert.equal(times, 1)
  })

  test('of nothing is legal, and never delivers inside of the call', async (t) => {
    const rt = runtime(t)
    const came = deferred()
    let inside = true
    const pid = rt.spawn(() => came.resolve(inside))
    rt.sendAfter(pid, 0, '')
    inside = false
    assert.equal(await came.promise, false)
  })

  test('that is cancelled does not deliver', async (t) => {
    const rt = runtime(t)
    const seen = []
    const done = deferred()
    const pid = rt.spawn((message) => {
      seen.push(String(message))
      if (String(message) === 'last') done.resolve()
    })
    const timers = Array.from({ length: 100 }, (_, i) => rt.sendAfter(pid, 500 + (i % 5), `${i}`))
    for (const timer of timers) assert.equal(rt.cancelTimer(timer), true)
    for (const timer of timers) assert.equal(rt.cancelTimer(timer), false)
    rt.sendAfter(pid, 510, 'last')
    await done.promise
    assert.deepEqual(seen, ['last'])
  })

  test('keeps the order of messages with one deadline after another', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message) => void seen.push(Number(String(message))))
    // Far apart, so that the order of the deadlines is that of the numbers on a machine that stalls, too.
    for (const ms of [800, 200, 600, 400]) rt.sendAfter(pid, ms, `${ms}`)
    await eventually(() => seen.length === 4)
    assert.deepEqual(seen, [200, 400, 600, 800])
  })

  test('ends with its target', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    for (let i = 0; i < 1000; i++) rt.sendAfter(pid, 1e6 + i, 'x')
    rt.sendInterval(pid, 1e6, 'x')
    assert.equal(rt.getMetrics().delays, 1001)
    rt.stop(pid)
    assert.deepEqual([rt.getMetrics().delays, rt.getMetrics().timers], [0, 0])
    throws(() => rt.sendAfter(pid, 1, 'x'), 'ERR_IRIS_NO_SUCH_ACTOR')
  })

  test('obeys the bound of the mailbox', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const pid = rt.spawnBounded(() => gate.promise, { capacity: 1 })
    for (let i = 0; i < 10; i++) rt.sendAfter(pid, i % 3, 'x')
    await eventually(() => rt.getMetrics().delays === 0 && rt.getMetrics().attempted === 10)
    const { accepted, refused } = rt.getMetrics()
    assert.equal(accepted + refused.full, 10)
    assert.ok(accepted <= 2 && accepted >= 1)
    gate.resolve()
    await quiet(rt)
  })

  test('takes any message, the largest too', async (t) => {
    const rt = runtime(t)
    const came = deferred()
    const pid = rt.spawn((message) => came.resolve(message))
    const big = Buffer.alloc(1 << 20, 7)
    rt.sendAfter(pid, 1, big.buffer)
    assert.deepEqual(await came.promise, big)
  })
})

describe('sendInterval', () => {
  test('delivers until it is cancelled', async (t) => {
    const rt = runtime(t)
    const done = deferred()
    let ticks = 0
    const pid = rt.spawn(() => {
      if (++ticks < 5) return
      assert.equal(rt.cancelTimer(timer), true)
      done.resolve()
    })
    const timer = rt.sendInterval(pid, 1, 'tick')
    await done.promise
    assert.equal(rt.getMetrics().delays, 0)
    const { handled } = await quiet(rt)
    assert.equal(handled, ticks)
  })

  test('does not pile up what a busy loop has missed', async (t) => {
    const rt = runtime(t)
    let ticks = 0
    const pid = rt.spawn(() => {
      ticks++
    })
    rt.sendInterval(pid, 1, 'tick')
    await eventually(() => ticks > 0)
    rt.kill(pid)
    const { attempted, missedTicks, uptimeMs } = rt.getMetrics()
    assert.ok(attempted + missedTicks <= uptimeMs + 2)
  })
})

test('a million timers come and go', (t) => {
  const rt = runtime(t)
  const pid = rt.spawn(() => {})
  const timers = new Float64Array(1e6)
  for (let i = 0; i < timers.length; i++) timers[i] = rt.sendAfter(pid, 1e6 + i, 'x')
  assert.equal(rt.getMetrics().delays, 1e6)
  assert.ok(timers.every((timer) => rt.cancelTimer(timer)))
  assert.deepEqual([rt.getMetrics().delays, rt.getMetrics().timers], [0, 0])
})

test('numbers that are no timers were not to come', (t) => {
  const rt = runtime(t)
  for (const timer of [0, -1, 0.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
    assert.equal(rt.cancelTimer(timer), false)
  }
})
