// NATS: a server of its own between the two processes (Debian's nats-server, the npm client).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { sink } from './work.mjs'

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function join(port) {
  const { connect } = await import('nats')
  for (let tries = 0; ; tries++) {
    try {
      return await connect({ servers: `127.0.0.1:${port}` })
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

export async function serve() {
  const port = await freePort()
  const program = existsSync('/usr/sbin/nats-server') ? '/usr/sbin/nats-server' : 'nats-server'
  const server = spawn(program, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  process.on('exit', () => server.kill())
  process.on('SIGTERM', () => process.exit(0))
  const nats = await join(port)
  const handle = sink((message) => nats.publish('back', message))
  nats.subscribe('sink', { callback: (_, { data }) => handle(data) })
  nats.subscribe('echo', { callback: (_, message) => message.respond(message.data) })
  await nats.flush()
  return port
}

export async function open(port, { size, onMessage }) {
  const nats = await join(port)
  nats.subscribe('back', { callback: (_, { data }) => onMessage(data) })
  await nats.flush()
  let sent = 0
  const every = size > 1024 ? 32 : 4096
  const send = (message) => {
    nats.publish('sink', message)
    if (++sent % every === 0) return nats.flush()
  }
  const call = (message) => nats.request('echo', message, { timeout: 10_000 })
  return { send, flush: () => nats.flush(), call }
}
