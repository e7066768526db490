// 1,000,000 live actors in one process, each of which handles a message: node --expose-gc
// bench/node/million.mjs [actors]
import { collect, mebibytes, payload, rss, thousands } from './common.mjs'
import { NodeRuntime } from './iris.mjs'

const actors = Number(process.argv[2] ?? 1_000_000)
if (!Number.isSafeInteger(actors) || actors < 1) {
  console.error('usage: node --expose-gc bench/node/million.mjs [actors]')
  process.exit(2)
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(2)} s`
const rt = new NodeRuntime()
collect()
const before = rss()
let start = performance.now()
const pids = new Float64Array(actors)
const handled = new Uint8Array(actors)
let left = actors
let finish
const finished = new Promise((resolve) => {
  finish = resolve
})
for (let i = 0; i < actors; i++) {
  // A closure of its own for each, as real actors have.
  pids[i] = rt.spawn(() => {
    if (handled[i]++ === 0 && --left === 0) finish()
  })
}
const took = seconds(start)
collect()
const idle = rss()
console.log(
  `${thousands(actors)} actors in ${took}: RSS ${mebibytes(before)} -> ${mebibytes(idle)}, ` +
    `${Math.round((idle - before) / actors)} B each`,
)

start = performance.now()
const data = payload()
let refused = 0
for (let i = 0; i < actors; i++) if (!rt.send(pids[i], data)) refused++
if (refused === 0) await finished
const again = handled.filter((times) => times !== 1).length
console.log(
  `a message to each, handled in ${seconds(start)}: RSS ${mebibytes(rss())}; ` +
    `${thousands(actors - left)} have handled it, ${refused} refused, ` +
    `${again} handled it not exactly once`,
)

start = performance.now()
await rt.close()
console.log(`closed in ${seconds(start)}`)
process.exit(left === 0 && refused === 0 && again === 0 ? 0 : 1)
