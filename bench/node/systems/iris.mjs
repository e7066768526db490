// iris: actors on this event loop, spoken to as a user would.
import { NodeRuntime } from '../iris.mjs'

export default function iris() {
  const rt = new NodeRuntime()
  return {
    spawn: (handler) => rt.spawn(handler),
    spawnEcho: () => rt.spawn((message) => message),
    send: (pid, message) => rt.send(pid, message),
    ask: (pid, message) => rt.call(pid, message),
    close: () => rt.close(),
  }
}
