// piscina: a pool of Workers that answers each task, so a message one way is a task whose answer nobody needs.
import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { payload } from '../common.mjs'

const pool = (file, threads) =>
  new Piscina({
    filename: new URL(file, import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 1024,
  })

export default () => ({
  crossing() {
    const one = pool('piscina-worker.mjs', 1)
    const message = payload()
    let last
    return {
      count: () => () => last,
      send(data) {
        last = one.run(data)
      },
      echo: () => one.run(message),
    }
  },
  /** As many tasks as there are cores; a sum of floats has an order, so it is one. */
  offload(kind, array) {
    const threads = kind === 'map' ? availableParallelism() : 1
    const some = new Piscina({
      filename: new URL('piscina-offload.mjs', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
    })
    const part = Math.ceil(array.length / threads)
    return async () => {
      const output =
        kind === 'map' ? new Float64Array(new SharedArrayBuffer(array.byteLength)) : undefined
      const tasks = Array.from({ length: threads }, (_, i) => {
        const [from, to] = [i * part, Math.min((i + 1) * part, array.length)]
        return some.run({ kind, array, output, from, to })
      })
      const answers = await Promise.all(tasks)
      return kind === 'map' ? output : answers[0]
    }
  },
  burners(threads) {
    // One task at a time in each thread, as an actor has it: otherwise one thread might get most of the work.
    const some = new Piscina({
      filename: new URL('burn.mjs', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
    })
    return (tasks) => Promise.all(Array.from({ length: tasks }, () => some.run(payload())))
  },
})
