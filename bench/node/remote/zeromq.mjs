// zeromq: PUSH and PULL one way, DEALER and ROUTER for calls, whose answers come in their order.
import { sink } from './work.mjs'

/** One send of a socket at a time. */
function writer(socket) {
  let last
  return (message) => {
    const next = last === undefined ? socket.send(message) : last.then(() => socket.send(message))
    last = next
    return next
  }
}

export async function serve() {
  const { Pull, Push, Router } = await import('zeromq')
  const pull = new Pull({ receiveHighWaterMark: 0 })
  const push = new Push({ sendHighWaterMark: 0 })
  const router = new Router()
  for (const socket of [pull, push, router]) await socket.bind('tcp://127.0.0.1:*')
  const take = async () => {
    const handle = sink(writer(push))
    for await (const [message] of pull) handle(message)
  }
  const answer = async () => {
    for await (const frames of router) await router.send(frames)
  }
  take()
  answer()
  return [pull, push, router].map(({ lastEndpoint }) => lastEndpoint)
}

export async function open([to, from, router], { onMessage }) {
  const { Dealer, Pull, Push } = await import('zeromq')
  const push = new Push({ sendHighWaterMark: 0 })
  const pull = new Pull({ receiveHighWaterMark: 0 })
  const dealer = new Dealer()
  push.connect(to)
  pull.connect(from)
  dealer.connect(router)
  const asked = []
  const hear = async () => {
    for await (const [message] of pull) onMessage(message)
  }
  const answers = async () => {
    for await (const [message] of dealer) asked.shift()(message)
  }
  hear()
  answers()
  const ask = writer(dealer)
  const call = (message) => {
    const answer = new Promise((resolve) => asked.push(resolve))
    ask(message)
    return answer
  }
  return { send: (message) => push.send(message), flush() {}, call }
}
