// One MessageChannel for each actor, on one thread: a structured clone and a turn of the loop for
// each message.
import { MessageChannel } from 'node:worker_threads'

export default function messagechannel() {
  return {
    spawn: (handler) => {
      const { port1, port2 } = new MessageChannel()
      port2.on('message', handler)
      return port1
    },
    spawnEcho: () => {
      const { port1, port2 } = new MessageChannel()
      port2.on('message', (data) => port2.postMessage(data))
      port1.waiting = []
      port1.on('message', (data) => port1.waiting.shift()(data))
      return port1
    },
    send: (port, message) => port.postMessage(message),
    ask: (port, data) =>
      new Promise((resolve) => {
        port.waiting.push(resolve)
        port.postMessage(data)
      }),
  }
}
