// moleculer with its TCP transporter; its serializer is JSON, so a message is a text of the same length.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { DATA, EXPECT } from './work.mjs'

async function freePorts() {
  const servers = [createServer(), createServer()].map((server) => server.listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => server.address().port)
  for (const server of servers) server.close()
  return ports
}

async function broker(nodeID, port, [server, client]) {
  const { default: moleculer } = await import('moleculer')
  const urls = [`tcp://127.0.0.1:${server}/server`, `tcp://127.0.0.1:${client}/client`]
  const options = { udpDiscovery: false, port, urls }
  return new moleculer.ServiceBroker({
    nodeID,
    logger: false,
    transporter: { type: 'TCP', options },
  })
}

export async function serve() {
  const ports = await freePorts()
  const node = await broker('server', ports[0], ports)
  let left = 0
  node.createService({
    name: 'sink',
    actions: { echo: ({ params }) => params },
    events: {
      'sink.expect': ({ params }) => {
        left = params.n
      },
      'sink.data': () => {
        if (--left === 0) node.emit('done')
      },
    },
  })
  await node.start()
  return ports
}

export async function open(ports, { size, onMessage }) {
  const node = await broker('client', ports[1], ports)
  node.createService({ name: 'source', events: { done: () => onMessage() } })
  await node.start()
  await node.waitForServices('sink')
  const body = { b: 'x'.repeat(size) }
  let sent = 0
  const send = (message) => {
    if (message[0] === EXPECT) {
      node.emit('sink.expect', { n: message.readUInt32LE(1) })
    } else if (message[0] === DATA) {
      node.emit('sink.data', body)
    }
    if (++sent % 100 === 0) return new Promise((resolve) => setImmediate(resolve))
  }
  // The other learns of the service of `done` with the next gossip.
  await new Promise((resolve) => setTimeout(resolve, 3000))
  return { send, flush() {}, call: () => node.call('sink.echo', body) }
}
