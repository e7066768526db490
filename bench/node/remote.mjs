// One measurement between two processes on loopback: node remote.mjs <system> <oneway|rtt> <n> [bytes]
// The clock stops when the other process has handled the last message.
// Environment: BENCH_MIN_MS, how long a rate is measured at least (300).
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { deferred, emit, percentile } from './common.mjs'

const [name, work, count, bytes, role] = process.argv.slice(2)
const n = Number(count)
const size = Number(bytes ?? 64)
const WARM_MS = 250
const least = Number(process.env.BENCH_MIN_MS ?? 300)

// Kinds of message, in the first byte.
const [DATA, EXPECT, ECHO, DONE] = [1, 2, 3, 4]

/** What the other process does with a message. */
function sink(reply) {
  let left = 0
  return (message) => {
    if (message[0] === DATA) {
      if (--left === 0) reply(Buffer.from([DONE]))
    } else if (message[0] === EXPECT) {
      left = message.readUInt32LE(1)
    } else {
      reply(message)
    }
  }
}

/** Raw sockets: a length and the bytes; batched, as few writes as the stream allows. */
function frames(socket, onMessage, batch) {
  socket.setNoDelay()
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= 4) {
      const length = rest.readUInt32LE(at)
      if (rest.length - at - 4 < length) break
      onMessage(rest.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    rest = rest.subarray(at)
  })
  socket.on('error', () => process.exit(0))
  let waiting = []
  let held = 0
  const flush = () => {
    const all = Buffer.concat(waiting, held)
    waiting = []
    held = 0
    if (all.length > 0 && !socket.write(all)) return once(socket, 'drain')
  }
  const send = (message) => {
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32LE(message.length)
    waiting.push(head, message)
    held += 4 + message.length
    return !batch || held > 65_536 ? flush() : undefined
  }
  return { send, flush }
}

const iris = {
  async serve() {
    const { NodeRuntime } = await import('../../index.mjs')
    const rt = new NodeRuntime()
    let back
    const handle = sink((message) => rt.send(back, message))
    rt.register(
      'sink',
      rt.spawn((message) => {
        if (back === undefined) back = rt.importPid(message)
        else handle(message)
      }),
    )
    return rt.listen('127.0.0.1:0')
  },
  async open(address, onMessage) {
    const { NodeRuntime } = await import('../../index.mjs')
    const rt = new NodeRuntime()
    await rt.listen('127.0.0.1:0')
    const there = await rt.resolveRemote(address, 'sink')
    rt.send(there, rt.exportPid(rt.spawn(onMessage)))
    let sent = 0
    const most = size > 1024 ? 128 : 16_384
    const send = (message) => {
      rt.send(there, message)
      // A sender that never gives its loop back would measure its own memory.
      if (++sent % 128 === 0 && rt.mailboxSize(there) > most)
        return pause(() => rt.mailboxSize(there) > most / 2)
    }
    return { send, flush() {} }
  },
}

async function pause(full) {
  while (full()) await new Promise((resolve) => setImmediate(resolve))
}

const net = (batch) => ({
  async serve() {
    const server = createServer((socket) => {
      const wire = frames(
        socket,
        sink((message) => wire.send(message) ?? wire.flush()),
        batch,
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server.address().port
  },
  async open(port, onMessage) {
    const socket = createConnection(port, '127.0.0.1')
    await once(socket, 'connect')
    return frames(socket, onMessage, batch)
  },
})

const systems = { iris, net: net(false), 'net-batch': net(true) }
const system = systems[name]
if (system === undefined || !['oneway', 'rtt'].includes(work) || !(n >= 1)) {
  console.error(`usage: remote.mjs <${Object.keys(systems).join('|')}> <oneway|rtt> <n> [bytes]`)
  process.exit(2)
}

if (role === 'server') {
  process.send(await system.serve())
} else {
  const args = [name, work, count, String(size), 'server']
  const other = fork(import.meta.filename, args, { execArgv: [] })
  const [address] = await once(other, 'message')
  let heard = () => {}
  const { send, flush } = await system.open(address, (message) => heard(message))

  const oneway = async (messages) => {
    const done = deferred()
    heard = done.resolve
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
  const rtt = async (rounds, times) => {
    const done = deferred()
    const data = Buffer.alloc(size, ECHO)
    let left = rounds
    let began = 0
    const go = () => {
      began = performance.now()
      send(data)
      flush()
    }
    heard = () => {
      times?.push((performance.now() - began) * 1000)
      if (--left === 0) done.resolve()
      else go()
    }
    go()
    await done.promise
  }

  if (work === 'oneway') {
    let spent = 0
    while (spent < WARM_MS) spent += await oneway(Math.max(1, Math.floor(n / 10)))
    let done = 0
    spent = 0
    while (spent < least || done === 0) {
      spent += await oneway(n)
      done += n
    }
    emit('rate', (done / spent) * 1000, 'msg/s')
  } else {
    const times = []
    await rtt(Math.floor(n / 5) + 1)
    await rtt(n, times)
    emit('p50', percentile(times, 0.5), 'us')
    emit('p99', percentile(times, 0.99), 'us')
  }
  other.kill()
  process.exit(0)
}
