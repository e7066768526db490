// piscina: a pool of Workers that answers each task, so a message one way is a task whose answer nobody needs.
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
