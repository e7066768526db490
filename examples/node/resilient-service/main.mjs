#!/usr/bin/env node
// A service that heals itself: Node's own HTTP server, supervised actors behind it, and a worker that crashes on one real
// input in a hundred. A load of 10,000 requests must fail for exactly those inputs and no other.
//
//   node examples/node/resilient-service/main.mjs [path] [--requests 10000] [--connections 64]
//
// Exit code: 0 exactly the inputs failed that crash the worker, 1 others did too (or a message was lost), 2 bad input.
import { once } from 'node:events'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { NodeRuntime } from 'iris'
import { BadInput } from '../wordcount/files.mjs'
import { whole } from '../wordcount/show.mjs'
import { analyse, crashes, linesOf } from './inputs.mjs'
import { startServer, startService } from './service.mjs'

const checkout = path.resolve(import.meta.dirname, '../../..')
const usage =
  'usage: node examples/node/resilient-service/main.mjs [path] [--requests 10000] [--connections 64]'
const SHOWN = 5
const METRICS =
  /^iris_(restarts_total|messages_(accepted|handled)_total|messages_parked|actors|actors_exited_total\{reason="crash"\}|messages_dead_total\{reason="crash"\}) /

function options() {
  const number = (text, name) => {
    if (!/^[1-9]\d{0,6}$/.test(text))
      throw new BadInput(`--${name} must be a whole number\n${usage}`)
    return Number(text)
  }
  let parsed
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        requests: { type: 'string', default: '10000' },
        connections: { type: 'string', default: '64' },
      },
    })
  } catch (error) {
    throw new BadInput(`${error.message}\n${usage}`)
  }
  const { values, positionals } = parsed
  return {
    given: positionals[0],
    requests: number(values.requests, 'requests'),
    connections: number(values.connections, 'connections'),
  }
}

const ms = (value) => `${value.toFixed(2)} ms`

/** A quantile of numbers. */
function quantile(numbers, q) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
}

/** What is wrong with the answers, one line each. */
function faults(lines, answers) {
  const wrong = []
  for (const [i, line] of lines.entries()) {
    const { status, body } = answers[i]
    const good = crashes(line)
      ? status === 500 && body.startsWith('TypeError: cannot read ')
      : status === 200 && body === JSON.stringify(analyse(line))
    if (!good) wrong.push(`request ${i}: status ${status}: ${body.slice(0, 100)}`)
  }
  return wrong
}

function report(log, answers, seconds) {
  const recoveries = log.map(({ recovery }) => recovery)
  const waits = answers.map((answer) => answer.ms)
  console.log(
    `answered in ${seconds.toFixed(2)} s: ${whole(answers.length / seconds)} requests/s, ` +
      `p50 ${ms(quantile(waits, 0.5))}, p99 ${ms(quantile(waits, 0.99))}`,
  )
  console.log('\nrestart log')
  for (const { path: at, oldPid, pid, reason, message, recovery } of log.slice(0, SHOWN)) {
    console.log(`  ${at} ${reason}: pid ${oldPid} -> ${pid} in ${ms(recovery)}: ${message}`)
  }
  if (log.length > SHOWN) console.log(`  ... and ${whole(log.length - SHOWN)} more`)
  const byChild = new Map()
  for (const { path: at } of log) byChild.set(at, (byChild.get(at) ?? 0) + 1)
  const each = [...byChild].sort().map(([at, n]) => `${at} ${n}`)
  console.log(`  ${whole(log.length)} restarts: ${each.join(', ')}`)
  console.log(
    `  recovery (crash to replacement): p50 ${ms(quantile(recoveries, 0.5))}, ` +
      `max ${ms(Math.max(0, ...recoveries))}`,
  )
}

async function main() {
  const { given, requests, connections } = options()
  const lines = linesOf(given, checkout, requests)
  const bad = lines.filter(crashes).length
  console.log(
    `resilient service: ${whole(requests)} requests over ${connections} connections, ` +
      `${whole(bad)} of them with a line that crashes a worker`,
  )

  // Restarts are no news for the logger: the supervisor deals with them. What it does not would be logged.
  const rt = new NodeRuntime()
  const levels = {}
  rt.onPressure((_pid, level) => {
    levels[level] = (levels[level] ?? 0) + 1
  })
  const { supervisor, log, ask } = startService(rt)
  const server = startServer(rt, ask)
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address()
    const began = performance.now()
    const load = new Worker(new URL('./load.mjs', import.meta.url), {
      workerData: { port, lines, connections },
    })
    const [answers] = await once(load, 'message')
    const seconds = (performance.now() - began) / 1000
    const journal = JSON.parse(await rt.call(rt.whereis('journal'), ''))
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()

    report(log, answers, seconds)
    const marks = supervisor.children.map((pid) => rt.actorInfo(pid)?.highWater ?? 0)
    console.log(
      `\nqueues of the last instances: at most ${Math.max(...marks)} messages; ` +
        `pressure: ${JSON.stringify(levels)}`,
    )
    console.log('metrics')
    for (const line of page.split('\n')) if (METRICS.test(line)) console.log(`  ${line}`)

    const wrong = faults(lines, answers)
    if (log.length !== bad) wrong.push(`${log.length} restarts for ${bad} crashes`)
    if (journal.answers !== requests - bad) {
      wrong.push(`the journal has ${journal.answers} answers of ${requests - bad}`)
    }
    for (const line of wrong.slice(0, 10)) console.error(line)
    if (wrong.length > 0) return 1
    console.log(
      `\n${whole(requests - bad)} requests answered, ${whole(bad)} failed: exactly those that crash the worker`,
    )
    return 0
  } finally {
    server.closeAllConnections()
    server.close()
    await rt.close()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof BadInput ? error.message : error)
  process.exitCode = error instanceof BadInput ? 2 : 1
}
