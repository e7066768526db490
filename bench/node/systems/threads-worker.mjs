// The other thread of `postMessage` and of the ring.
import { parentPort, workerData } from 'node:worker_threads'

function post() {
  let left = 0
  parentPort.on('message', (message) => {
    if (typeof message === 'number') {
      left = message
      parentPort.postMessage('ready')
    } else if (left === 0) parentPort.postMessage(message)
    else if (--left === 0) parentPort.postMessage('done')
  })
  parentPort.postMessage('there')
}

function ring({ sab, slots, size }) {
  const words = new Int32Array(sab, 0, 64)
  const bytes = new Uint8Array(sab, 256)
  const copy = new Uint8Array(size)
  parentPort.postMessage('there')
  let tail = 0
  for (;;) {
    let head = Atomics.load(words, 0)
    if (head === tail) {
      Atomics.store(words, 32, 1)
      Atomics.wait(words, 0, tail, 100)
      Atomics.store(words, 32, 0)
      head = Atomics.load(words, 0)
    }
    while (tail < head) {
      copy.set(bytes.subarray((tail % slots) * size, ((tail % slots) + 1) * size))
      Atomics.store(words, 16, ++tail)
      Atomics.notify(words, 16)
      if (tail === Atomics.load(words, 48)) parentPort.postMessage('done')
    }
  }
}

workerData.mode === 'post' ? post() : ring(workerData)
