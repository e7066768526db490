// What Node itself has between threads, and for later.
import { Worker } from 'node:worker_threads'
import { payload } from '../common.mjs'

const worker = (mode, data) =>
  new Worker(new URL('threads-worker.mjs', import.meta.url), { workerData: { mode, ...data } })

/** `postMessage`, which clones. */
export const postMessage = () => ({
  async crossing() {
    const other = worker('post')
    const heard = () => new Promise((resolve) => other.once('message', resolve))
    await heard()
    const message = payload()
    return {
      async count(n) {
        const ready = heard()
        other.postMessage(n)
        await ready
        const done = heard()
        return () => done
      },
      send: (data) => other.postMessage(data),
      echo() {
        const back = heard()
        other.postMessage(message)
        return back
      },
    }
  },
})

const SLOTS = 4096
const SIZE = 64

/** The ceiling: a ring of fixed slots in shared memory, one writer and one reader, both of which may block. */
export const ring = () => ({
  async crossing() {
    const sab = new SharedArrayBuffer(256 + SLOTS * SIZE)
    const words = new Int32Array(sab, 0, 64)
    const bytes = new Uint8Array(sab, 256)
    const other = worker('ring', { sab, slots: SLOTS, size: SIZE })
    const heard = () => new Promise((resolve) => other.once('message', resolve))
    await heard()
    const message = payload()
    let head = 0
    let tail = 0
    const put = (data) => {
      while (head - tail >= SLOTS) {
        tail = Atomics.load(words, 16)
        if (head - tail >= SLOTS) Atomics.wait(words, 16, tail, 50)
      }
      bytes.set(data, (head % SLOTS) * SIZE)
      Atomics.store(words, 0, ++head)
      if (Atomics.load(words, 32) !== 0) Atomics.notify(words, 0)
    }
    return {
      async count(n) {
        Atomics.store(words, 48, head + n)
        const done = heard()
        return () => done
      },
      send: put,
      async echo() {
        put(message)
        while (Atomics.load(words, 16) < head) Atomics.wait(words, 16, head - 1, 50)
      },
    }
  },
})

/** `setTimeout` with a closure for each. */
export const timeouts = () => ({
  timers: (fired) => (ms, due) => setTimeout(() => fired(due), ms),
})
