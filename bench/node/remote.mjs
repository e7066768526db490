// One measurement between two processes on loopback: node remote.mjs <system> <oneway|rtt> <n> [bytes]
// The clock stops when the other process has handled the last message.
// Environment: BENCH_MIN_MS, how long a rate is measured at least (300).
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { deferred, emit, percentile } from './common.mjs'
import { DATA, ECHO, EXPECT } from './remote/work.mjs'

const [name, work, count, bytes, role] = process.argv.slice(2)
const n = Number(count)
const size = Number(bytes ?? 64)
const WARM_MS = 250
const OPEN = 64
const least = Number(process.env.BENCH_MIN_MS ?? 300)

const systems = {
  iris: async () => (await import('./remote/iris.mjs')).iris(),
  'iris-secret': async () => (await import('./remote/iris.mjs')).iris('bench'),
  net: async () => (await import('./remote/net.mjs')).net(false),
  'net-batch': async () => (await import('./remote/net.mjs')).net(true),
  nats: () => import('./remote/nats.mjs'),
  zeromq: () => import('./remote/zeromq.mjs'),
  moleculer: () => import('./remote/moleculer.mjs'),
  erlang: () => import('./remote/erlang.mjs'),
}
if (systems[name] === undefined || !['oneway', 'rtt'].includes(work) || !(n >= 1)) {
  console.error(`usage: remote.mjs <${Object.keys(systems).join('|')}> <oneway|rtt> <n> [bytes]`)
  process.exit(2)
}
const system = await systems[name]()

/** Messages one way, until the other has handled the last. */
async function oneway({ send, flush }, heard, messages) {
  const done = deferred()
  heard.fn = done.resolve
  const expect = Buffer.alloc(5, EXPECT)
  expect.writeUInt32LE(messages, 1)
  await send(expect)
  const data = Buffer.alloc(size, DATA)
  const began = performance.now()
  for (let i = 0; i < messages; i++) {
    const room = send(data)
    if (room !== undefined) await room
  }
  await flush()
  await done.promise
  return performance.now() - began
}

/** Calls one after the other; answers how long each took. */
async function calls({ call }, rounds) {
  const data = Buffer.alloc(size, ECHO)
  const times = []
  for (let i = 0; i < rounds; i++) {
    const began = performance.now()
    await call(data)
    times.push((performance.now() - began) * 1000)
  }
  return times
}

/** Calls, many at once; answers how many it does in a millisecond. */
async function most({ call }, rounds) {
  const data = Buffer.alloc(size, ECHO)
  const began = performance.now()
  let left = rounds
  const one = async () => {
    while (left-- > 0) await call(data)
  }
  await Promise.all(Array.from({ length: OPEN }, one))
  return rounds / (performance.now() - began)
}

/** Calls at a rate, each begun when it is due; its time counts from then. */
async function paced({ call }, rounds, perMs) {
  const data = Buffer.alloc(size, ECHO)
  const times = []
  const done = deferred()
  const began = performance.now()
  let sent = 0
  const go = () => {
    const due = Math.min(rounds, Math.floor((performance.now() - began) * perMs))
    for (; sent < due; sent++) {
      const at = began + sent / perMs
      call(data).then(() => {
        times.push((performance.now() - at) * 1000)
        if (times.length === rounds) done.resolve()
      })
    }
    if (sent < rounds) setImmediate(go)
  }
  go()
  await done.promise
  return times
}

const told = (prefix, times) => {
  emit(`${prefix}p50`, percentile(times, 0.5), 'us')
  emit(`${prefix}p99`, percentile(times, 0.99), 'us')
}

if (role === 'server') {
  process.send(await system.serve())
} else if (system.run) {
  await system.run(work, n, size)
} else {
  const args = [name, work, count, String(size), 'server']
  const other = fork(import.meta.filename, args, { execArgv: [] })
  const [address] = await once(other, 'message')
  const heard = { fn() {} }
  const end = await system.open(address, { size, onMessage: (message) => heard.fn(message) })
  if (work === 'oneway') {
    let spent = 0
    while (spent < WARM_MS) spent += await oneway(end, heard, Math.max(1, Math.floor(n / 10)))
    let done = 0
    spent = 0
    while (spent < least || done === 0) {
      spent += await oneway(end, heard, n)
      done += n
    }
    emit('rate', (done / spent) * 1000, 'msg/s')
  } else {
    await calls(end, Math.floor(n / 5) + 1)
    told('', await calls(end, n))
    await most(end, n)
    told('half_', await paced(end, n, (await most(end, n)) / 2))
  }
  other.kill()
  process.exit(0)
}
