// Memory under churn: node --expose-gc bench/node/churn.mjs [cycles] [messages]
//
// 300,000 actors are spawned, handle a message and are stopped; then 10,000,000 messages go to one
// that stays. RSS is sampled all the way; it is flat if the second half of each series does not
// grow. Exit code 1 if it does. V8 takes more room for its young objects when it likes, in steps of
// many MiB, and keeps it: what it holds but does not use is left out of the verdict.
import { collect, mebibytes, payload, rss, thousands } from './common.mjs'
import { NodeRuntime } from './iris.mjs'

const SAMPLES = 20
const LIVE = 1000 // actors alive at a time
const BURST = 10_000 // messages on their way at a time
const NOISE = 8 * 2 ** 20 // bytes that an allocator may move without it meaning anything

const [cycles, messages] = [process.argv[2] ?? 300_000, process.argv[3] ?? 10_000_000].map(Number)
if (![cycles, messages].every((n) => Number.isSafeInteger(n) && n >= BURST)) {
  console.error(
    `usage: node --expose-gc bench/node/churn.mjs [cycles] [messages]; at least ${BURST} each`,
  )
  process.exit(2)
}

const rt = new NodeRuntime()
const data = payload()

async function churn(n) {
  for (let done = 0; done < n; done += LIVE) {
    const size = Math.min(LIVE, n - done)
    let left = size
    let finish
    const handled = new Promise((resolve) => {
      finish = resolve
    })
    const pids = []
    for (let i = 0; i < size; i++) {
      const pid = rt.spawn(() => {
        if (--left === 0) finish()
      })
      pids.push(pid)
      rt.send(pid, data)
    }
    await handled
    for (const pid of pids) if (!rt.stop(pid)) throw new Error(`actor ${pid} was gone already`)
    await rt.join(pids[size - 1])
  }
}

let finish
let left = 0
const steady = rt.spawn(() => {
  if (--left === 0) finish()
})
async function talk(n) {
  for (let done = 0; done < n; done += BURST) {
    left = Math.min(BURST, n - done)
    const handled = new Promise((resolve) => {
      finish = resolve
    })
    for (let i = left; i > 0; i--) rt.send(steady, data)
    await handled
  }
}

/** The least-squares slope of a series, in its unit per sample. */
function slopeOf(series) {
  const middle = (series.length - 1) / 2
  const mean = series.reduce((sum, value) => sum + value, 0) / series.length
  let above = 0
  let below = 0
  for (const [x, y] of series.entries()) {
    above += (x - middle) * (y - mean)
    below += (x - middle) ** 2
  }
  return above / below
}

async function sample(title, total, work) {
  await work(Math.ceil(total / SAMPLES)) // warm up: pools and the heap take their size
  const resident = []
  const series = []
  const start = performance.now()
  for (let i = 0; i < SAMPLES; i++) {
    await work(Math.ceil(total / SAMPLES))
    collect()
    resident.push(rss())
    const { heapTotal, heapUsed } = process.memoryUsage()
    series.push(resident.at(-1) - (heapTotal - heapUsed))
  }
  const rate = (total / (performance.now() - start)) * 1000
  const second = series.slice(SAMPLES / 2)
  const slope = slopeOf(second)
  const grown = slope * (second.length - 1)
  const flat = grown < NOISE
  console.log(`${thousands(total)} ${title}, ${thousands(rate)}/s. RSS in MiB:`)
  console.log(`  ${resident.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' ')}`)
  console.log(
    `  second half without V8's spare room: ${((slope * SAMPLES) / total).toFixed(2)} B each, ` +
      `${mebibytes(Math.max(0, grown))} in all: ${flat ? 'flat' : 'NOT FLAT'}`,
  )
  return flat
}

const actors = await sample('spawn/stop cycles', cycles, churn)
const talking = await sample('messages', messages, talk)
const { actors: alive } = rt.getMetrics()
console.log(`actors alive: ${alive}`)
await rt.close()
process.exit(actors && talking && (alive === undefined || alive === 1) ? 0 : 1)
