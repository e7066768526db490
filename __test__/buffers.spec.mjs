// Buffers that move: contract section 5.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  deferred,
  eventually,
  index,
  quiet,
  rejects,
  root,
  run,
  runtime,
  throws,
} from './support.mjs'

const { Border } = createRequire(import.meta.url)('../lib/border.js')

const MIB = 2 ** 20
const GONE = 'ERR_IRIS_NO_SUCH_BUFFER'

/** Where bytes are. */
const { addressOf } = new Border(
  {},
  () => {},
  () => {},
).native

/** An actor that answers the address of what it gets, and keeps it. */
function keeper(rt, options) {
  const kept = []
  const waiting = []
  const pid = rt.spawn((m) => {
    kept.push(m)
    waiting.shift()?.resolve(m)
  }, options)
  const next = () => {
    const d = deferred()
    waiting.push(d)
    return d.promise
  }
  return { pid, kept, next }
}

describe('a buffer', () => {
  test('of 64 MiB arrives where it was written', async (t) => {
    const rt = runtime(t)
    const { pid, next } = keeper(rt)
    const { id, buffer } = rt.allocateBuffer(64 * MIB)
    assert.deepEqual([buffer.length, buffer[0], buffer.at(-1)], [64 * MIB, 0, 0])
    buffer.writeUInt32LE(0xdeadbeef, 64 * MIB - 4)
    const address = addressOf(buffer)
    const arrived = next()
    assert.equal(rt.sendBuffer(pid, id), true)
    const message = await arrived
    assert.equal(addressOf(message), address)
    assert.equal(message.length, 64 * MIB)
    assert.equal(message.readUInt32LE(64 * MIB - 4), 0xdeadbeef)
    // It is the receiver's to change.
    message[0] = 1
    await quiet(rt)
  })

  test('is taken from the sender with everything that was cut from it', (t) => {
    const rt = runtime(t)
    const { pid } = keeper(rt)
    const { id, buffer } = rt.allocateBuffer(MIB)
    const part = buffer.subarray(10, 20)
    const whole = buffer.buffer
    rt.sendBuffer(pid, id)
    assert.deepEqual([buffer.length, part.length, whole.byteLength], [0, 0, 0])
    buffer[0] = 1
  })

  test('works once, and only where it was allocated', async (t) => {
    const rt = runtime(t)
    const other = runtime(t)
    const { pid } = keeper(rt)
    const { id } = rt.allocateBuffer(10)
    throws(
      () =>
        other.sendBuffer(
          other.spawn(() => {}),
          id + 1000,
        ),
      GONE,
    )
    assert.equal(rt.sendBuffer(pid, id), true)
    for (const wrong of [id, id + 1, 0, -1, 0.5, Number.NaN, 2 ** 60]) {
      throws(() => rt.sendBuffer(pid, wrong), GONE)
    }
    assert.equal(rt.freeBuffer(id), false)
  })

  test('of a refused send stays as it is: the id works still', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const full = rt.spawnBounded(() => gate.promise, { capacity: 1 })
    rt.send(full, 'running')
    await eventually(() => rt.actorInfo(full).state === 'running')
    rt.send(full, 'waiting')
    const dead = rt.spawn(() => {})
    rt.kill(dead)
    const { id, buffer } = rt.allocateBuffer(MIB)
    buffer[7] = 7
    for (const pid of [full, dead, 0, 12345]) assert.equal(rt.sendBuffer(pid, id), false)
    assert.deepEqual(rt.sendUserWithBackpressure(full, id), [false, 'CRITICAL'])
    assert.deepEqual(rt.sendUserWithBackpressure(dead, id), [false, null])
    assert.deepEqual([buffer.length, buffer[7]], [MIB, 7])
    const { pid, next } = keeper(rt)
    const arrived = next()
    assert.deepEqual(rt.sendUserWithBackpressure(pid, id), [true, 'NORMAL'])
    assert.equal((await arrived)[7], 7)
    gate.resolve()
    const { refused } = await quiet(rt)
    assert.deepEqual([refused.full, refused.no_such_actor + refused.foreign], [2, 4])
  })

  test('goes where the policy of a full mailbox says', async (t) => {
    const rt = runtime(t)
    const gate = deferred()
    const spare = keeper(rt)
    const full = rt.spawnBounded(() => gate.promise, {
      capacity: 1,
      overflow: 'redirect',
      target: spare.pid,
    })
    rt.send(full, 'running')
    await eventually(() => rt.actorInfo(full).state === 'running')
    rt.send(full, 'waiting')
    const { id, buffer } = rt.allocateBuffer(MIB)
    const address = addressOf(buffer)
    const arrived = spare.next()
    assert.equal(rt.sendBuffer(full, id), true)
    assert.equal(addressOf(await arrived), address)
    gate.resolve()
  })

  test('of 0 and of few bytes is a message', async (t) => {
    const rt = runtime(t)
    const { pid, kept } = keeper(rt)
    for (const size of [0, 1, 22, 23, 4096, 4097]) {
      const { id, buffer } = rt.allocateBuffer(size)
      buffer.fill(size)
      assert.equal(rt.sendBuffer(pid, id), true)
      throws(() => rt.sendBuffer(pid, id), GONE)
    }
    await quiet(rt)
    assert.deepEqual(
      kept.map((m) => m.length),
      [0, 1, 22, 23, 4096, 4097],
    )
    assert.ok(kept.every((m) => m.every((byte) => byte === (m.length & 255))))
  })

  test('whose memory was transferred away is an error, and gone', (t) => {
    const rt = runtime(t)
    const { pid } = keeper(rt)
    const { id, buffer } = rt.allocateBuffer(MIB)
    if (ArrayBuffer.prototype.transfer === undefined) {
      // Node 20: nothing takes the memory, since Node marks it as untransferable.
      structuredClone(buffer, { transfer: [buffer.buffer] })
      assert.equal(buffer.length, MIB)
      assert.equal(rt.sendBuffer(pid, id), true)
      return
    }
    const taken = buffer.buffer.transfer()
    throws(() => rt.sendBuffer(pid, id), 'ERR_IRIS_INVALID_TYPE')
    throws(() => rt.sendBuffer(pid, id), GONE)
    new Uint8Array(taken)[0] = 1
    assert.equal(rt.getMetrics().buffers, 0)
  })

  test('reaches pull actors, and matchers look at it', async (t) => {
    const rt = runtime(t)
    const done = deferred()
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      const second = await mailbox.selectiveRecv((m) => m[0] === 2)
      const first = await mailbox.recv()
      done.resolve([addressOf(first), addressOf(second)])
    })
    const addresses = [1, 2].map((n) => {
      const { id, buffer } = rt.allocateBuffer(MIB)
      buffer[0] = n
      const address = addressOf(buffer)
      assert.ok(rt.sendBuffer(pid, id))
      return address
    })
    assert.deepEqual(await done.promise, addresses)
  })

  test('reaches actors of another thread without a copy', async (t) => {
    const rt = runtime(t)
    const code = `
      import { NodeRuntime } from ${JSON.stringify(index)}
      import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
      import { parentPort, workerData } from 'node:worker_threads'
      const { Border } = createRequire(${JSON.stringify(index)})('./lib/border.js')
      const rt = NodeRuntime.attach(workerData)
      const { addressOf } = new Border({}, () => {}, () => {}).native
      parentPort.postMessage(rt.spawn((m) => void parentPort.postMessage([addressOf(m), m.length, m[5]])))
      parentPort.on('message', (id) => {
        try { rt.sendBuffer(rt.listActors()[0], id) } catch (e) { parentPort.postMessage(e.code) }
      })`
    const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const w = new Worker(url, { workerData: rt.id })
    t.after(() => w.terminate())
    const said = () => new Promise((resolve) => w.once('message', resolve))
    const pid = await said()
    const { id, buffer } = rt.allocateBuffer(64 * MIB)
    buffer[5] = 55
    const address = addressOf(buffer)
    // Only the thread that can write to it may send it.
    w.postMessage(id)
    assert.equal(await said(), 'ERR_IRIS_NOT_LOCAL')
    rt.sendBuffer(pid, id)
    assert.deepEqual(await said(), [address, 64 * MIB, 55])
  })

  test('that is not sent ends with the actor that allocated it, and with the runtime', async (t) => {
    const rt = runtime(t)
    const got = deferred()
    const owner = rt.spawn(() => got.resolve([rt.allocateBuffer(MIB), rt.allocateBuffer(MIB)]))
    const other = rt.allocateBuffer(MIB)
    rt.send(owner, 'x')
    const [one] = await got.promise
    assert.equal(rt.getMetrics().buffers, 3)
    rt.kill(owner)
    assert.equal(rt.getMetrics().buffers, 1)
    const { pid } = keeper(rt)
    throws(() => rt.sendBuffer(pid, one.id), GONE)
    // The view stays what it is, until it is collected.
    one.buffer.fill(1)
    assert.equal(rt.sendBuffer(pid, other.id), true)
    const last = rt.allocateBuffer(10)
    assert.equal(rt.freeBuffer(last.id), true)
    assert.equal(rt.freeBuffer(last.id), false)
    rt.allocateBuffer(MIB)
    await rt.close()
    throws(() => rt.sendBuffer(pid, 1), 'ERR_IRIS_RUNTIME_CLOSED')
    throws(() => rt.allocateBuffer(1), 'ERR_IRIS_RUNTIME_CLOSED')
    await rejects(rt.call(pid, 'x'), 'ERR_IRIS_RUNTIME_CLOSED')
  })

  test('that there is no memory for is AtCapacity, not the end of the process', async () => {
    const source = `
      import { NodeRuntime } from ${JSON.stringify(index)}
      const rt = new NodeRuntime()
      const kept = []
      try { for (;;) kept.push(rt.allocateBuffer(2 ** 32)) } catch (e) { console.log(kept.length > 0, e.code) }
      await rt.close()`
    // 64 GiB of address space.
    const limited = ['-c', 'ulimit -v 67108864 && exec "$0" --input-type=module -e "$1"']
    const child = spawn('sh', [...limited, process.execPath, source], { cwd: root })
    let out = ''
    child.stdout.on('data', (text) => {
      out += text
    })
    const exit = await new Promise((resolve) => child.on('close', resolve))
    assert.deepEqual([exit, out.trim()], [0, 'true ERR_IRIS_AT_CAPACITY'])
  })

  test('100,000 of them, sent and received, leave memory flat', async () => {
    const { exit, stdout, stderr } = await run(
      `
      const rt = new NodeRuntime()
      let bytes = 0
      const pid = rt.spawn((m) => { bytes += m.length })
      const rss = async () => { gc(); await new Promise((r) => setTimeout(r, 10)); gc(); return process.memoryUsage().rss / 2 ** 20 }
      const cycles = async (n) => {
        for (let i = 1; i <= n; i++) {
          const { id, buffer } = rt.allocateBuffer(64 * 1024)
          buffer[i & 0xffff] = 1
          rt.sendBuffer(pid, id)
          if (i % 100 === 0) await new Promise(setImmediate)
        }
        while (rt.getMetrics().queued + rt.getMetrics().inFlight > 0) await new Promise(setImmediate)
      }
      await cycles(20_000)
      const before = await rss()
      await cycles(100_000)
      // V8 frees what it has collected on threads of its own.
      let after = await rss()
      for (let looks = 0; after - before >= 60 && looks < 500; looks++) after = Math.min(after, await rss())
      const m = rt.getMetrics()
      console.log(JSON.stringify([before, after, bytes, m.buffers, m.handled]))`,
      { args: ['--expose-gc'] },
    )
    assert.equal(exit, 0, stderr)
    const [before, after, bytes, waiting, handled] = JSON.parse(stdout)
    assert.deepEqual([bytes, waiting, handled], [120_000 * 65536, 0, 120_000])
    // One leaked in a hundred would be 64 MiB.
    assert.ok(after - before < 60, `${before} MiB, then ${after} MiB`)
  })
})
