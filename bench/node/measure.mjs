// One measurement in a fresh process: node --expose-gc measure.mjs <system> <work> <n> [size]
// Environment: BENCH_MIN_MS, how long a rate is measured at least (300).
import { emit } from './common.mjs'
import { measured, rated as more } from './more.mjs'
import * as offload from './offload.mjs'
import * as supervision from './supervision.mjs'
import { open } from './systems/index.mjs'
import { rated as some, spawn } from './work.mjs'

const rated = { ...some, ...more, ...supervision.rated }
const several = { ...measured, ...supervision.measured, ...offload.measured }
const [name, work, count, size] = process.argv.slice(2)
const n = Number(count)
const WARM_MS = 250 // V8 optimises what it has seen for a while; a server runs longer than this
const least = Number(process.env.BENCH_MIN_MS ?? 300)

const counted = ['spawn', 'virtual']
if (
  !Number.isSafeInteger(n) ||
  n < 1 ||
  !(counted.includes(work) || work in rated || work in several)
) {
  console.error(
    `usage: measure.mjs <system> <${[...Object.keys({ ...rated, ...several }), ...counted].join('|')}> <n> [size]`,
  )
  process.exit(2)
}

const system = await open(name)
if (counted.includes(work)) {
  const of = work === 'virtual' ? { spawn: system.spawnVirtual } : system
  const { rate, bytes } = await spawn(of, n)
  emit('rate', rate, 'actor/s')
  emit('rss_per_actor', bytes, 'B')
} else if (work in several) {
  await several[work](system, n)
} else {
  const [make, unit] = rated[work]
  const once = make(system, Number(size))
  const tenth = Math.max(1, Math.floor(n / 10))
  let spent = 0
  while (spent < WARM_MS) spent += await once(tenth) // the same time for slow and fast
  // The memory that the whole work needs is touched for the first time here: on a virtual machine that alone costs 1 to 2 ms
  // a MiB, by the state of the host, which is no property of any of the systems.
  await once(n)
  let done = 0
  spent = 0
  while (spent < least || done === 0) {
    spent += await once(n)
    done += n
  }
  emit('rate', (done / spent) * 1000, unit)
}
process.exit(0)
