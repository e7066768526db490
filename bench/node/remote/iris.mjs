// Two iris nodes, in the clear or with a secret, which encrypts everything.
import { sink } from './work.mjs'

const load = () => import('../../../index.mjs')

export const iris = (secret) => ({
  async serve() {
    const { NodeRuntime } = await load()
    const rt = new NodeRuntime()
    if (secret !== undefined) rt.configureMesh({ secret })
    let back
    const handle = sink((message) => rt.send(back, message))
    const actor = rt.spawn((message) => {
      if (back === undefined) back = rt.importPid(message)
      else handle(message)
    })
    rt.register('sink', actor)
    rt.register(
      'echo',
      rt.spawn((message) => message),
    )
    return rt.listen('127.0.0.1:0')
  },

  async open(address, { size, onMessage }) {
    const { NodeRuntime } = await load()
    const rt = new NodeRuntime()
    if (secret !== undefined) rt.configureMesh({ secret })
    await rt.listen('127.0.0.1:0')
    const there = await rt.resolveRemote(address, 'sink')
    const echo = await rt.resolveRemote(address, 'echo')
    rt.send(there, rt.exportPid(rt.spawn(onMessage)))
    let sent = 0
    const most = size > 1024 ? 128 : 16_384
    const send = (message) => {
      rt.send(there, message)
      // A sender that never gives its loop back would measure its own memory.
      if (++sent % 128 === 0 && rt.mailboxSize(there) > most)
        return pause(() => rt.mailboxSize(there) > most / 2)
    }
    return { send, flush() {}, call: (message) => rt.call(echo, message) }
  },
})

async function pause(full) {
  while (full()) await new Promise((resolve) => setImmediate(resolve))
}
