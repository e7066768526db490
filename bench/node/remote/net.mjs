// Raw sockets: a length and the bytes, a write each or as few writes as the stream allows; a call's answer is the next to come.
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { DONE, sink } from './work.mjs'

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

export const net = (batch) => ({
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
  async open(port, { onMessage }) {
    const socket = createConnection(port, '127.0.0.1')
    await once(socket, 'connect')
    const asked = []
    const wire = frames(
      socket,
      (message) => (message[0] === DONE ? onMessage(message) : asked.shift()(message)),
      batch,
    )
    const call = (message) => {
      const answer = new Promise((resolve) => asked.push(resolve))
      wire.send(message)
      wire.flush()
      return answer
    }
    return { ...wire, call }
  },
})
