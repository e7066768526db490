// Pull actors are shown messages before the core removes them (docs/adr/0043): nobody can tell.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deferred, quiet, runtime, turn } from './support.mjs'

/** A pull actor whose mailbox the test holds. */
async function held(rt) {
  const mailbox = deferred()
  const end = deferred()
  const pid = rt.spawnWithMailbox((m) => {
    mailbox.resolve(m)
    return end.promise
  })
  return { pid, mailbox: await mailbox.promise, end }
}

const numbered = (n) => {
  const message = Buffer.alloc(8)
  message.writeUInt32LE(n)
  return message
}
const numberOf = (message) => message.readUInt32LE(0)

/** Numbers below a bound, the same ones for a seed. */
function random(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('what a pull actor is shown ahead', () => {
  test('is in its mailbox until it takes it, whoever asks', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    for (let i = 0; i < 1000; i++) rt.send(pid, numbered(i))
    for (let i = 0; i < 1000; i++) {
      assert.equal(numberOf(await mailbox.recv()), i)
      if (i % 7 !== 0) continue
      assert.equal(mailbox.size, 999 - i)
      const { handled, queued } = rt.getMetrics()
      assert.deepEqual([handled, queued], [i + 1 + i / 7, 999 - i])
      rt.send(pid, numbered(1000 + i / 7))
      assert.equal(rt.mailboxSize(pid), 1000 - i)
      // Back to what was there: the last one out again.
      assert.equal(numberOf(await mailbox.selectiveRecv((m) => numberOf(m) >= 1000)), 1000 + i / 7)
    }
    assert.equal(mailbox.tryRecv(), null)
    assert.equal((await quiet(rt)).handled, 1143)
  })

  for (const end of ['kill', 'stop']) {
    test(`is not taken after a ${end}, and counted as dead`, async (t) => {
      const rt = runtime(t)
      const got = []
      const pid = rt.spawnWithMailbox(async (mailbox) => {
        for await (const message of mailbox) {
          got.push(numberOf(message))
          if (got.length === 37) rt[end](pid)
        }
      })
      await turn()
      for (let i = 0; i < 500; i++) rt.send(pid, numbered(i))
      const info = await rt.join(pid)
      assert.deepEqual(got, [...Array(37).keys()])
      const { handled, dead } = await quiet(rt)
      assert.equal(handled, 37)
      assert.equal(dead[info.reason], 463)
    })
  }

  test('is all taken after a stop that drains', async (t) => {
    const rt = runtime(t)
    let got = 0
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      for await (const message of mailbox) {
        assert.equal(numberOf(message), got++)
        if (got === 37) rt.stop(pid, { drain: true })
      }
    })
    await turn()
    for (let i = 0; i < 500; i++) rt.send(pid, numbered(i))
    await rt.join(pid)
    assert.equal(got, 500)
    assert.equal((await quiet(rt)).handled, 500)
  })

  test('keeps its place among calls, large messages and what timers send', async (t) => {
    const rt = runtime(t)
    const { pid, mailbox } = await held(rt)
    const large = Buffer.alloc(10_000, 1)
    for (let i = 0; i < 5; i++) rt.send(pid, numbered(i))
    rt.send(pid, large)
    const reply = rt.call(pid, numbered(5))
    for (let i = 6; i < 9; i++) rt.send(pid, numbered(i))
    for (let i = 0; i < 5; i++) assert.equal(numberOf(await mailbox.recv()), i)
    assert.deepEqual(await mailbox.recv(), large)
    const call = await mailbox.recv()
    assert.equal(numberOf(call.data), 5)
    call.reply('five')
    assert.equal(String(await reply), 'five')
    for (let i = 6; i < 9; i++) assert.equal(numberOf(await mailbox.recv()), i)
    const next = mailbox.recv()
    rt.sendAfter(pid, 1, numbered(9))
    assert.equal(numberOf(await next), 9)
  })

  test('is its own: two actors that answer each other mix nothing up', async (t) => {
    const rt = runtime(t)
    const rounds = 5000
    const done = deferred()
    const pids = []
    const body = (other) => async (mailbox) => {
      for (let i = 0; i < rounds; i++) {
        const message = await mailbox.recv()
        const n = numberOf(message)
        if (n === 2 * rounds - 1) done.resolve()
        else rt.send(pids[other], numbered(n + 1))
      }
    }
    pids.push(rt.spawnWithMailbox(body(1)), rt.spawnWithMailbox(body(0)))
    rt.send(pids[0], numbered(0))
    await done.promise
    assert.equal((await quiet(rt)).handled, 2 * rounds)
  })

  for (const seed of [1, 77, 4242, 90_210]) {
    test(`whatever is done in between (seed ${seed})`, async (t) => {
      const rt = runtime(t)
      const below = random(seed)
      const { pid, mailbox } = await held(rt)
      const other = await held(rt)
      /** What is in the mailbox, as it should be. */
      const queue = []
      const others = []
      let sent = 0
      const odd = (m) => numberOf(m) % 2 === 1
      for (let step = 0; step < 3000; step++) {
        const what = below(12)
        if (what < 4) {
          for (let n = below(40); n >= 0; n--) {
            rt.send(pid, numbered(sent))
            queue.push(sent++)
          }
        } else if (what < 7) {
          for (let n = below(60); n >= 0 && queue.length > 0; n--) {
            assert.equal(numberOf(await mailbox.recv()), queue.shift())
          }
        } else if (what === 7) {
          const message = mailbox.tryRecv()
          assert.equal(message && numberOf(message), queue.shift() ?? null)
        } else if (what === 8) {
          const at = queue.findIndex((n) => n % 2 === 1)
          if (at >= 0) {
            const [wanted] = queue.splice(at, 1)
            assert.equal(numberOf(await mailbox.selectiveRecv(odd)), wanted)
          }
        } else if (what === 9) {
          assert.equal(mailbox.size, queue.length)
        } else if (what === 10) {
          rt.send(other.pid, numbered(sent))
          others.push(sent++)
          if (below(2) === 0) assert.equal(numberOf(await other.mailbox.recv()), others.shift())
        } else if (queue.length === 0) {
          // It waits before anything is sent.
          const waits = [mailbox.recv(), mailbox.recv()]
          for (let n = 0; n < 3; n++) {
            rt.send(pid, numbered(sent))
            queue.push(sent++)
          }
          for (const each of waits) assert.equal(numberOf(await each), queue.shift())
        } else {
          await turn()
        }
      }
      assert.equal(mailbox.size, queue.length)
      assert.equal(rt.getMetrics().queued, queue.length + others.length)
    })
  }
})
