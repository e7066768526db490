// offload when things go wrong, and what it leaves behind.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { offload } from '../index.mjs'

/** Scripts of `-e` and Workers of `eval` are CommonJS. */
const index = fileURLToPath(new URL('../index.js', import.meta.url))

/** CPython sets a flag that outlives exec: from here on the kernel gives the process no executable memory. */
const NO_EXEC = `
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
`

test('fault 42: a compile that fails is interpreted and reported', (t) => {
  const script = `
    const assert = require('node:assert/strict')
    const { offload } = require(${JSON.stringify(index)})
    const f = (x, n) => { let s = x; for (let i = 0; i < n; i++) s = s * 3 - i; return s }
    const kernel = offload(f)
    for (let n = 0; n < 20; n++) assert.equal(kernel(1.5, n), f(1.5, n))
    const square = offload((x) => x * x)
    square.map(new Float64Array([1, 2, 3, NaN])).then((squares) => {
      assert.deepEqual(squares, new Float64Array([1, 4, 9, NaN]))
      console.log(kernel.explain(), square.explain())
    })`
  // V8 without its compiler needs no executable memory.
  const command = ['-c', NO_EXEC, process.execPath, '--jitless', '-e', script]
  const done = spawnSync('python3', command, { encoding: 'utf8', timeout: 120_000 })
  if (done.error || done.status === 77 || process.platform !== 'linux') {
    t.skip('needs Linux 6.3 (PR_SET_MDWE) and python3')
    return
  }
  assert.equal(done.status, 0, done.stderr)
  assert.match(done.stdout, /f call\(number, number\): interpreted \(no executable memory/)
  assert.match(done.stdout, /map\(Float64Array\) -> Float64Array: interpreted \(/)
})

test('compiling and dropping leaves memory flat', () => {
  const cycles = Number(process.env.IRIS_CYCLES ?? 1000)
  const script = `
    const { offload } = require(${JSON.stringify(index)})
    const { readFileSync } = require('node:fs')
    const rss = () => Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096
    const code = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((l) => / r-xp 00000000 00:00 0\\s*$/.test(l)).length
    const turn = () => new Promise(setImmediate)
    async function run(count) {
      for (let i = 0; i < count; i++) {
        const kernel = offload((x, y) => { let s = 0; for (let i = 0; i < 3; i++) s += x * i - y; return s })
        if (kernel(2, 1) !== 3) throw new Error('wrong')
        if (i % 50 === 0) { gc(); await turn() }
      }
      for (let i = 0; i < 5; i++) { gc(); await turn() }
    }
    ;(async () => {
      await run(500)
      const [mappings, before] = [code(), rss()]
      await run(${cycles})
      let grown = rss() - before
      for (let looks = 0; grown >= 8 << 20 && looks < 500; looks++) {
        gc()
        await turn()
        grown = rss() - before
      }
      console.log(JSON.stringify({ grown, mappings: code() - mappings }))
    })()`
  if (process.platform !== 'linux') return
  const out = execFileSync(process.execPath, ['--expose-gc', '-e', script], { encoding: 'utf8' })
  const { grown, mappings } = JSON.parse(out)
  // A kernel that stays is more than 4 KiB of code and some 10 KiB of IR.
  assert.ok(grown < 8 << 20, `${cycles} cycles left ${grown} bytes`)
  assert.ok(mappings < 60, `${mappings} mappings of code are left`)
})

test('eight threads call and map at once', async () => {
  const script = `
    const { parentPort } = require('node:worker_threads')
    const { offload } = require(${JSON.stringify(index)})
    const sum = (x, n) => { let s = 0; for (let i = 0; i < n; i++) s += x / (i + 1); return s }
    const square = (x) => x * x + 1
    const input = new Float64Array(200_000).map((_, i) => i / 7)
    ;(async () => {
      const [s, q] = [offload(sum), offload(square)]
      let wrong = 0
      for (let round = 0; round < 5; round++) {
        if (s(1.5, 1000) !== sum(1.5, 1000)) wrong++
        const mapped = await q.map(input)
        for (let i = 0; i < input.length; i += 997) if (mapped[i] !== square(input[i])) wrong++
        const total = await offload((a, b) => a + b).reduce(input, 0)
        if (total !== input.reduce((a, b) => a + b, 0)) wrong++
      }
      parentPort.postMessage(wrong)
    })()`
  const workers = Array.from({ length: 8 }, () => new Worker(script, { eval: true }))
  const answers = await Promise.all(workers.map(async (w) => (await once(w, 'message'))[0]))
  assert.deepEqual(answers, Array(8).fill(0))
  await Promise.all(workers.map((w) => w.terminate()))
})

test('a Worker that is terminated in the middle of a map takes nobody with it', async () => {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { offload } = require(${JSON.stringify(index)})
    const slow = offload((x) => { let s = x; for (let i = 0; i < 100_000; i++) s = s * 0.5 + i; return s })
    slow.map(workerData.input).catch(() => {})
    if (workerData.own) slow.map(new Float64Array(1 << 18), { transfer: true }).catch(() => {})
    parentPort.postMessage('running')`
  const input = new Float64Array(new SharedArrayBuffer(8 << 20)).fill(2)
  for (let round = 0; round < 6; round++) {
    const workerData = { input, own: round % 2 === 1 }
    const worker = new Worker(script, { eval: true, workerData })
    await once(worker, 'message')
    // The work would take minutes: it ends because the Worker does.
    assert.equal(await worker.terminate(), 1)
  }
  const kernel = offload((x) => x + 1)
  const result = await kernel.map(input)
  assert.ok(result.every((x) => x === 3))
})
