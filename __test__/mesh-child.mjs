// A node in a process of its own, for mesh.spec.mjs: offers `it` (echo) and `block`, says where it listens, and closes when
// it is told anything.

import { NodeRuntime } from '../index.mjs'

const rt = new NodeRuntime()
rt.configureMesh({ heartbeatMs: 50, downAfterMs: 60_000 })
rt.register(
  'it',
  rt.spawn((message) => message),
)
rt.register(
  'block',
  rt.spawn((ms) => {
    const until = performance.now() + Number(ms)
    while (performance.now() < until);
  }),
)
const mine = await rt.listen('127.0.0.1:0')
process.once('message', async () => {
  await rt.close()
  process.disconnect()
})
process.send({ mine })
