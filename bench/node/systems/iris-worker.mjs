// The other thread of the rows between threads.
import { parentPort, workerData } from 'node:worker_threads'
import { NodeRuntime } from '../iris.mjs'

const rt = NodeRuntime.attach(workerData.id)
let left = 0
const counter = rt.spawn(() => {
  if (--left === 0) parentPort.postMessage('done')
})
const echo = rt.spawn((message) => {
  rt.send(message.readDoubleLE(8), message)
})
parentPort.on('message', (n) => {
  left = n
  parentPort.postMessage('ready')
})
parentPort.postMessage({ counter, echo })
