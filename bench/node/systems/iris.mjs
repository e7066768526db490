// iris: actors on this event loop, spoken to as a user would.
import { Worker } from 'node:worker_threads'
import { deferred, payload } from '../common.mjs'
import { NodeRuntime, offload } from '../iris.mjs'
import { mapped, summed } from '../offload.mjs'
import { ofIris } from '../supervision.mjs'

/** As a user would have it who keeps state: it sleeps when it is idle, and its hooks load and save. */
const HOOKED = { idleTimeoutMs: 60_000, onActivate: () => ({}), onDeactivate: () => {} }

/** A Worker with an actor that counts, and one that sends back what it gets. */
async function crossing(rt) {
  const worker = new Worker(new URL('iris-worker.mjs', import.meta.url), {
    workerData: { id: rt.id },
  })
  const heard = () => new Promise((resolve) => worker.once('message', resolve))
  const { counter, echo } = await heard()
  const message = payload()
  let back = deferred()
  const here = rt.spawn(() => back.resolve())
  return {
    async count(n) {
      const ready = heard()
      worker.postMessage(n)
      await ready
      const done = heard()
      return () => done
    },
    send: (data) => rt.send(counter, data),
    echo() {
      back = deferred()
      message[0] = 1
      new DataView(message.buffer).setFloat64(8, here, true)
      rt.send(echo, message)
      return back.promise
    },
  }
}

/** Actors of `spawnThreaded`, which share tasks of arithmetic in turn. */
async function burners(rt, threads) {
  const pids = await rt.spawnThreaded(new URL('burn.mjs', import.meta.url), { threads })
  const message = payload()
  return (tasks) =>
    Promise.all(Array.from({ length: tasks }, (_, i) => rt.call(pids[i % threads], message, 60)))
}

/** A message of `size` bytes that nobody copies. */
function fillAndSend(rt) {
  return (pid, size) => {
    const { id, buffer } = rt.allocateBuffer(size)
    buffer.fill(7)
    rt.sendBuffer(pid, id)
  }
}

export default function iris() {
  const rt = new NodeRuntime()
  return {
    rt,
    spawn: (handler) => rt.spawn(handler),
    spawnVirtual: (handler) => rt.spawnVirtual(handler, HOOKED),
    spawnEcho: () => rt.spawn((message) => message),
    send: (pid, message) => rt.send(pid, message),
    ask: (pid, message) => rt.call(pid, message),
    fillAndSend: fillAndSend(rt),
    ...ofIris(rt),
    crossing: () => crossing(rt),
    burners: (threads) => burners(rt, threads),
    timers(fired) {
      const message = payload()
      const view = new DataView(message.buffer)
      const pid = rt.spawn((data) => fired(data.readDoubleLE(0)))
      return (ms, due) => {
        view.setFloat64(0, due, true)
        rt.sendAfter(pid, ms, message)
      }
    },
    offload(kind, array) {
      const kernel = offload(kind === 'map' ? mapped : summed)
      return kind === 'map' ? () => kernel.map(array) : () => kernel.reduce(array, 0)
    },
    close: () => rt.close(),
  }
}

/** iris, with `send` for large messages: it copies. */
export function copying() {
  const system = iris()
  const { rt } = system
  const fill = (pid, size) => {
    const buffer = Buffer.allocUnsafeSlow(size)
    buffer.fill(7)
    rt.send(pid, buffer)
  }
  return { ...system, fillAndSend: fill }
}
