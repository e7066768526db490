// The load, in a thread of its own: sends every line once over a bounded number of connections, and answers what came back.
import { Agent, request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const { port, lines, connections } = workerData
const agent = new Agent({ keepAlive: true, maxSockets: connections })

function post(line) {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, agent, method: 'POST', path: '/analyse' }
    const sent = request(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (part) => {
        body += part
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
      response.on('error', (error) => resolve({ status: 0, body: error.message }))
    })
    sent.on('error', (error) => resolve({ status: 0, body: error.message }))
    sent.end(line)
  })
}

const answers = new Array(lines.length)
let next = 0
async function connection() {
  while (next < lines.length) {
    const i = next++
    const began = performance.now()
    answers[i] = { ...(await post(lines[i])), ms: performance.now() - began }
  }
}
await Promise.all(Array.from({ length: connections }, connection))
agent.destroy()
parentPort.postMessage(answers)
