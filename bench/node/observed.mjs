// What it costs to be seen: node bench/node/observed.mjs [messages]
//
// A tell from one sender to one actor, (a) unwatched, (b) with every diagnostics channel subscribed, a hook for dead letters and
// prometheus() read each 100 ms, (c) with `tracing: true` inside of a span, (d) the same without a span. The programs run in
// turn, and each round compares what ran right after each other, so that a slow minute of the machine is in both; time is the
// processor's, which others on the machine do not take. The median of
// the rounds counts. Exit code 1 if (b) costs more than 3 %.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import { payload, thousands } from './common.mjs'
import { NodeRuntime } from './iris.mjs'

const require = createRequire(new URL('../../package.json', import.meta.url))
const { context, trace } = require('@opentelemetry/api')
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks')

const ROUNDS = 15
const BURST = 1000
const CHANNELS = ['iris:spawn', 'iris:exit', 'iris:restart', 'iris:deadletter']
const LIMIT = 0.03
/** The share of the messages with which what is much slower is measured. */
const SLOW = 0.1

const messages = Number(process.argv[2] ?? 1_000_000)
if (!Number.isSafeInteger(messages) || messages < BURST) {
  console.error(`usage: node bench/node/observed.mjs [messages]; at least ${BURST}`)
  process.exit(2)
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
const span = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: 1,
}
const data = payload()
const nothing = () => {}

/** Messages a second of processor time to an actor of `rt`; `share` of all are sent. */
async function tell(rt, share = 1) {
  const count = Math.ceil(messages * share)
  let handled = 0
  const pid = rt.spawn(() => {
    handled++
  })
  const began = process.cpuUsage()
  for (let sent = 0; sent < count; ) {
    const until = Math.min(count, sent + BURST)
    for (; sent < until; sent++) rt.send(pid, data)
    while (handled < sent) await turn()
  }
  const { user, system } = process.cpuUsage(began)
  const rate = count / ((user + system) / 1e6)
  rt.stop(pid)
  await rt.join(pid)
  return rate
}

const plain = new NodeRuntime()
const watched = new NodeRuntime()
const traced = new NodeRuntime({ tracing: true })

async function watching() {
  for (const channel of CHANNELS) subscribe(channel, nothing)
  watched.onDeadLetter(nothing)
  const scrape = setInterval(() => watched.prometheus(), 100)
  try {
    return await tell(watched)
  } finally {
    clearInterval(scrape)
    for (const channel of CHANNELS) unsubscribe(channel, nothing)
  }
}

const inSpan = () =>
  context.with(trace.setSpanContext(context.active(), span), () => tell(traced, SLOW))

const ways = [
  ['unwatched', () => tell(plain)],
  ['channels, dead letter hook, prometheus() each 100 ms', watching],
  ['tracing: true, in a span', inSpan],
  ['tracing: true, in no span', () => tell(traced, SLOW)],
]
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]

for (const [, run] of ways) await run() // warm up
const rates = ways.map(() => [])
for (let round = 0; round < ROUNDS; round++) {
  // The first has no advantage over the second.
  const order = round % 2 === 0 ? [0, 1, 2, 3] : [1, 0, 3, 2]
  for (const way of order) rates[way].push(await ways[way][1]())
}
const costs = rates.map((own) => median(own.map((rate, i) => rates[0][i] / rate)) - 1)
for (const [i, [name]] of ways.entries()) {
  const cost = i === 0 ? '' : `, ${(costs[i] * 100).toFixed(1)} % more processor time a message`
  console.log(`${name}: ${thousands(median(rates[i]))} msg/s${cost}`)
  console.log(JSON.stringify({ metric: name, value: Math.round(median(rates[i])), cost: costs[i] }))
}
for (const rt of [plain, watched, traced]) await rt.close()
process.exit(costs[1] > LIMIT ? 1 : 0)
