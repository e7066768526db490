// 100,000 pull actors at once: what each costs while it waits, and that each gets its message.
//
//   node --expose-gc bench/node/pulls.mjs [actors]

import { NodeRuntime } from '../../index.mjs'

const n = Number(process.argv[2] ?? 100_000)
const settle = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await new Promise(setImmediate)
  }
  return process.memoryUsage().rss
}

const rt = new NodeRuntime()
let got = 0
const body = async (mailbox) => {
  if ((await mailbox.recv()) !== null) got++
}
const before = await settle()
let start = performance.now()
const pids = Array.from({ length: n }, () => rt.spawnWithMailbox(body))
await new Promise(setImmediate)
const spawned = performance.now() - start
const waiting = await settle()
const { actors } = rt.getMetrics()
start = performance.now()
for (const pid of pids) rt.send(pid, 'x')
while (rt.getMetrics().actors > 0) await new Promise(setImmediate)
const handled = performance.now() - start
console.log(
  JSON.stringify({
    actors,
    got,
    bytesEach: Math.round((waiting - before) / n),
    spawnsPerSecond: Math.round((n / spawned) * 1e3),
    wakesPerSecond: Math.round((n / handled) * 1e3),
  }),
)
await rt.close()
