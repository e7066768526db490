import { createRequire } from 'node:module'

export default async function comedy() {
  const createSystem = createRequire(import.meta.url)('comedy')
  const system = createSystem({ test: true })
  system.getLog().setLevel(1)
  const root = await system.rootActor()
  return {
    spawnsLater: true, // createChild answers a promise
    spawn: (handler) => root.createChild({ m: handler }),
    spawnEcho: () => root.createChild({ e: (data) => data }),
    send: (actor, message) => {
      actor.send('m', message)
    },
    ask: (actor, data) => actor.sendAndReceive('e', data),
  }
}
