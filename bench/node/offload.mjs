// Ten million numbers mapped and reduced, and how long the loop was held meanwhile. Input in shared memory for everybody, so
// that nobody pays for a copy of it.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { emit, percentile, sleep } from './common.mjs'

const least = Number(process.env.BENCH_MIN_MS ?? 300)

export const mapped = (x) => Math.sqrt(x) * 0.5 + x * x
export const summed = (a, b) => a + b

function input(n) {
  const array = new Float64Array(new SharedArrayBuffer(n * 8))
  for (let i = 0; i < n; i++) array[i] = (i % 1000) / 8
  return array
}

const measure = (kind) => async (system, n) => {
  const array = input(n)
  const run = system.offload(kind, array)
  const answer = await run()
  const last = kind === 'map' ? answer.at(-1) : answer
  const wanted =
    kind === 'map' ? mapped(array.at(-1)) : array.reduce((sum, each) => summed(sum, each), 0)
  if (last !== wanted) throw new Error(`${kind} answered ${last}, not ${wanted}`)
  const took = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const begun = performance.now()
  while (performance.now() - begun < least || took.length < 5) {
    await sleep(2)
    const start = performance.now()
    await run()
    took.push(performance.now() - start)
  }
  await sleep(2)
  delay.disable()
  emit('ms', percentile(took, 0.5), 'ms')
  emit('delay_p99', delay.percentile(99) / 1e6, 'ms')
}

export const measured = { offloadmap: measure('map'), offloadreduce: measure('reduce') }

/** What a thread of piscina does, and plain JavaScript on the loop. */
export function loop({ kind, array, output, from, to }) {
  if (kind === 'reduce') {
    let sum = 0
    for (let i = from; i < to; i++) sum = summed(sum, array[i])
    return sum
  }
  for (let i = from; i < to; i++) output[i] = mapped(array[i])
  return undefined
}

export const plain = () => ({
  offload: (kind, array) => async () => {
    const output = kind === 'map' ? new Float64Array(array.length) : undefined
    const answer = loop({ kind, array, output, from: 0, to: array.length })
    return kind === 'map' ? output : answer
  },
})
