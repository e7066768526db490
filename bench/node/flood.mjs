// A flood beside I/O: node bench/node/flood.mjs [messages]
//
// One actor is sent 5,000,000 messages while an interval ticks every 10 ms and an HTTP server in
// this process answers a client in another. The sender behaves as badly as a busy program: it sends
// for 4 ms of every turn of the event loop, faster than the actor handles, so a backlog grows.
// Printed: what that does to the loop. Its last lines are JSON.
import { fork } from 'node:child_process'
import { Agent, createServer, get } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { emit, mebibytes, payload, percentile, rss, thousands } from './common.mjs'
import { NodeRuntime } from './iris.mjs'

const TICK_MS = 10
const SENDING_MS = 4 // of every turn of the loop
const RESOLUTION_MS = 1

/** The client's process: one request after the other until it is told to stop. */
async function client(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const latencies = []
  let failed = 0
  let over = false
  process.on('message', () => {
    over = true
  })
  process.send('ready')
  const ask = () =>
    new Promise((resolve) => {
      get({ port, agent }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode === 200))
      }).on('error', () => resolve(false))
    })
  while (!over) {
    const start = performance.now()
    if (await ask()) latencies.push(performance.now() - start)
    else failed++
  }
  process.send({ latencies, failed }, () => process.exit(0))
}

async function flood(messages) {
  const server = createServer((_, response) => response.end('here\n'))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const asking = fork(import.meta.filename, ['--client', String(server.address().port)])
  await new Promise((resolve) => asking.once('message', resolve))

  const rt = new NodeRuntime()
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let ticks = 0
  const interval = setInterval(() => ticks++, TICK_MS)
  let handled = 0
  let finish
  const finished = new Promise((resolve) => {
    finish = resolve
  })
  const actor = rt.spawn(() => {
    if (++handled === messages) finish()
  })

  const data = payload()
  let sent = 0
  let longest = 0
  let memory = rss()
  const start = performance.now()
  delay.enable()
  const send = () => {
    const until = performance.now() + SENDING_MS
    while (sent < messages && performance.now() < until) {
      for (let i = 0; i < 100 && sent < messages; i++) {
        if (!rt.send(actor, data)) throw new Error('a message was refused')
        sent++
      }
    }
    longest = Math.max(longest, sent - handled)
    memory = Math.max(memory, rss())
    if (sent < messages) setImmediate(send)
  }
  setImmediate(send)
  await finished
  const took = performance.now() - start
  delay.disable()
  clearInterval(interval)

  const reported = new Promise((resolve) => asking.once('message', resolve))
  asking.send('stop')
  const { latencies, failed } = await reported
  server.close()
  await rt.close()

  // The histogram counts its own interval.
  const held = (ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS)
  const p99 = held(delay.percentile(99))
  console.log(
    `${thousands(messages)} messages in ${(took / 1000).toFixed(2)} s ` +
      `(${thousands((messages / took) * 1000)}/s), longest backlog ${thousands(longest)}, ` +
      `RSS at most ${mebibytes(memory)}`,
  )
  console.log(
    `event-loop delay: p50 ${held(delay.percentile(50)).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
      `longest ${held(delay.max).toFixed(1)} ms ` +
      `(the sender itself holds the loop for ${SENDING_MS} ms a turn)`,
  )
  console.log(
    `setInterval(${TICK_MS}): ${ticks} ticks of ${Math.floor(took / TICK_MS)} that had room; ` +
      `HTTP: ${latencies.length} answers, p50 ${percentile(latencies, 0.5).toFixed(1)} ms, ` +
      `p99 ${percentile(latencies, 0.99).toFixed(1)} ms, ${failed} failed`,
  )
  emit('loop_delay_p99', p99, 'ms')
  emit('loop_delay_max', held(delay.max), 'ms')
  emit('ticks', (ticks * TICK_MS) / took, 'of those that had room')
  emit('http_answers', latencies.length, 'answers')
  emit('http_p99', percentile(latencies, 0.99), 'ms')
  emit('rate', (messages / took) * 1000, 'msg/s')
  if (ticks === 0 || latencies.length === 0 || failed > 0) {
    console.error('the interval or the server starved')
    process.exitCode = 1
  }
}

const [first, second] = process.argv.slice(2)
if (first === '--client') {
  await client(Number(second))
} else {
  const messages = Number(first ?? 5_000_000)
  if (!Number.isSafeInteger(messages) || messages < 1) {
    console.error('usage: node bench/node/flood.mjs [messages]')
    process.exit(2)
  }
  await flood(messages)
}
