// Fault 7: a full mailbox, by each policy and each way a message can come: the counts are exact.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred, eventually, quiet, runtime } from './support.mjs'

const CAPACITY = 2
const SENT = 5
const OVER = SENT - CAPACITY

/** `[name, send one message in whatever way; the answer is what it says]`; `calls` are answered when all is over. */
const ways = {
  send: (w) => w.rt.send(w.pid, 'x'),
  sendMany: (w) => w.rt.sendMany(w.pid, ['x']) === 1,
  sendNamed: (w) => w.rt.sendNamed('full', 'x'),
  sendWithBackpressure: (w) => w.rt.sendWithBackpressure(w.pid, 'x')[0],
  sendAsync: (w) => void w.pending.push(w.rt.sendAsync(w.pid, 'x')),
  sendBuffer: (w) => w.rt.sendBuffer(w.pid, w.rt.allocateBuffer(1).id),
  'ctx.send': (w) => w.ctx.send(w.pid, 'x'),
  call: (w) => {
    const call = w.rt.call(w.pid, 'x').then(
      () => 'reply',
      (error) => error.code,
    )
    w.calls.push(call)
  },
  'ctx.call': (w) => {
    const call = w.ctx.call(w.pid, 'x').then(
      () => 'reply',
      (error) => error.code,
    )
    w.calls.push(call)
  },
  sendAfter: (w) => void w.rt.sendAfter(w.pid, 0, 'x'),
}
const timed = new Set(['sendAfter'])

/** What each policy does with the three that are too many. */
const policies = {
  dropnew: { refused: OVER },
  dropold: { accepted: OVER, displaced: OVER },
  redirect: { accepted: OVER, target: OVER },
  spill: { accepted: 2 * OVER, forwarded: OVER, target: OVER },
  block: { refused: OVER },
}

async function world(t, policy) {
  const rt = runtime(t)
  const gate = deferred()
  const w = { rt, gate, calls: [], pending: [], ctx: undefined }
  w.pid = rt.spawnBounded(() => gate.promise, { capacity: CAPACITY })
  w.target = rt.spawn(() => gate.promise)
  rt.register('full', w.pid)
  const speaker = rt.spawn((_m, ctx) => {
    w.ctx = ctx
  })
  // Both are busy, so that what waits is what was sent.
  for (const pid of [w.pid, w.target, speaker]) rt.send(pid, 'first')
  await eventually(() => rt.getMetrics().inFlight === 2 && w.ctx !== undefined)
  const targeted = policy === 'redirect' || policy === 'spill'
  rt.setOverflowPolicy(w.pid, policy, targeted ? w.target : undefined)
  return w
}

for (const [policy, expected] of Object.entries(policies)) {
  for (const [name, way] of Object.entries(ways)) {
    test(`fault row 7: ${policy} by ${name}`, async (t) => {
      const w = await world(t, policy)
      const { rt, pid, target } = w
      const before = rt.getMetrics()
      const waits = name === 'sendAsync' && policy === 'block'
      const answers = []
      for (let i = 0; i < SENT; i++) answers.push(way(w))
      const refused = waits ? 0 : (expected.refused ?? 0)
      const attempted = SENT + (expected.forwarded ?? 0) - (waits ? OVER : 0)
      if (timed.has(name)) {
        await eventually(() => rt.getMetrics().attempted === before.attempted + attempted)
      }
      assert.equal(rt.mailboxSize(pid), CAPACITY)
      assert.equal(rt.mailboxSize(target), expected.target ?? 0)
      const now = rt.getMetrics()
      assert.deepEqual(
        {
          attempted: now.attempted - before.attempted,
          accepted: now.accepted - before.accepted,
          full: now.refused.full - before.refused.full,
          displaced: now.dropped.displaced,
          forwarded: now.forwarded,
        },
        {
          attempted,
          accepted: CAPACITY + (expected.accepted ?? 0),
          full: refused,
          displaced: expected.displaced ?? 0,
          forwarded: expected.forwarded ?? 0,
        },
      )
      const said = answers.filter((a) => a === true).length
      if (answers[0] !== undefined) assert.equal(said, SENT - refused)
      w.gate.resolve()
      const outcomes = await Promise.all(w.calls)
      if (outcomes.length > 0) {
        const lost = refused + (expected.displaced ?? 0)
        assert.deepEqual(outcomes.sort(), [
          ...Array(lost).fill('ERR_IRIS_MAILBOX_FULL'),
          ...Array(SENT - lost).fill('reply'),
        ])
      }
      if (w.pending.length > 0) {
        const took = await Promise.all(w.pending)
        assert.equal(took.filter(Boolean).length, SENT - refused)
      }
      const after = await quiet(rt)
      const lost = refused + (expected.displaced ?? 0)
      assert.equal(after.handled - before.handled, SENT - lost + 2)
    })
  }
}
