import { dispatch, query, spawn, start } from 'nact'
import { ofNact } from '../supervision.mjs'

export default function nact() {
  const system = start({ name: 'bench' })
  let names = 0 // nact's random names collide near 100k actors
  return {
    spawn: (handler) =>
      spawn(
        system,
        (state, message) => {
          handler(message)
          return state
        },
        `a${names++}`,
      ),
    spawnEcho: () =>
      spawn(system, (state, message) => {
        dispatch(message.sender, message.data)
        return state
      }),
    send: dispatch,
    ...ofNact(system, spawn, dispatch),
    ask: (actor, data) => query(actor, (sender) => ({ sender, data }), 1e6),
  }
}
