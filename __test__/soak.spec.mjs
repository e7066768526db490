// Row 44: a lot of everything leaves memory, threads and handles as they were. Short here; `make soak` sets IRIS_SOAK for the
// numbers of the catalogue.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './support.mjs'

const SOAK = process.env.IRIS_SOAK !== undefined
const [CYCLES, TIMEOUTS] = SOAK ? [100_000, 1_000_000] : [20_000, 50_000]

/** What the runs below share: what the process holds after `collect()`. */
const HELD = `
  import { readdirSync } from 'node:fs'
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const held = async () => {
    for (let i = 0; i < 5; i++) { await turn(); global.gc() }
    const { rss, heapTotal, heapUsed } = process.memoryUsage()
    const count = (what) => readdirSync('/proc/self/' + what).length
    // What V8 holds and does not use is its own business.
    return { bytes: rss - (heapTotal - heapUsed), fds: count('fd'), threads: count('task') }
  }
  const rt = new NodeRuntime({ logger: null })
  const report = async (work, n) => {
    await work(n / 5)
    const before = await held()
    await work(n)
    const after = await held()
    const { actors, names, timers, openCalls, monitors, delays, queued, inFlight } = rt.getMetrics()
    console.log(JSON.stringify({ grown: after.bytes - before.bytes, fds: after.fds - before.fds,
      threads: after.threads - before.threads, left: { actors, names, timers, openCalls, monitors, delays, queued, inFlight } }))
    await rt.close({ timeoutMs: 0 })
  }`

const linux = { skip: process.platform !== 'linux' && 'reads /proc', timeout: 600_000 }

async function flat(code, left) {
  const { exit, stdout, stderr } = await run(HELD + code, { args: ['--expose-gc'] })
  assert.equal(exit, 0, stderr)
  const result = JSON.parse(stdout)
  assert.ok(result.grown < 16 * 2 ** 20, `${result.grown} bytes more`)
  assert.ok(result.fds <= 0 && result.threads <= 0, stdout)
  assert.deepEqual(result.left, {
    ...{ actors: 0, names: 0, timers: 0, openCalls: 0, monitors: 0, delays: 0, queued: 0 },
    ...{ inFlight: 0, ...left },
  })
}

test(`fault row 44: ${CYCLES} spawn/stop cycles leave memory and handles flat`, linux, async () => {
  await flat(`
    await report(async (n) => {
      for (let i = 0; i < n; i++) {
        const pid = rt.spawn((m) => m)
        rt.register('name', pid)
        rt.monitor(pid, () => {})
        const timer = rt.sendAfter(pid, 1e6, 'never')
        if (i % 3 === 0) await rt.call(pid, 'x')
        else rt.send(pid, Buffer.alloc(64))
        if (i % 2 === 0) rt.cancelTimer(timer)
        rt.stop(pid)
        if (i % 500 === 0) await turn()
      }
    }, ${CYCLES})`)
})

test(`fault row 44: ${TIMEOUTS} call timeouts leave memory and handles flat`, linux, async () => {
  await flat(
    `
    const stuck = rt.spawn(() => new Promise(() => {}))
    rt.send(stuck, 'x')
    await report(async (n) => {
      for (let done = 0; done < n; done += 1000) {
        const calls = Array.from({ length: 1000 }, () =>
          rt.call(stuck, 'x', { timeoutMs: 1 }).then(() => 1, (e) => { if (e.code !== 'ERR_IRIS_TIMEOUT') throw e }))
        await Promise.all(calls)
      }
    }, ${TIMEOUTS})`,
    { actors: 1, inFlight: 1 },
  )
})
