// iris: actors on this event loop, spoken to as a user would.
import { NodeRuntime } from '../iris.mjs'

/** As a user would have it who keeps state: it sleeps when it is idle, and its hooks load and save. */
const HOOKED = { idleTimeoutMs: 60_000, onActivate: () => ({}), onDeactivate: () => {} }

export default function iris() {
  const rt = new NodeRuntime()
  return {
    spawn: (handler) => rt.spawn(handler),
    spawnVirtual: (handler) => rt.spawnVirtual(handler, HOOKED),
    spawnEcho: () => rt.spawn((message) => message),
    send: (pid, message) => rt.send(pid, message),
    ask: (pid, message) => rt.call(pid, message),
    close: () => rt.close(),
  }
}
