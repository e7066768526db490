// The service: HTTP in front, supervised actors behind.
import { createServer } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { analyse, crashes } from './inputs.mjs'

const WORKERS = 4
const CAPACITY = 1024

/** Starts the actors under a supervisor; answers what the server and the report need. */
export function startService(rt) {
  const log = []
  const crashedAt = new Map()

  /** Analyses lines. It has a bug: one line in a hundred is too much for it. */
  const worker = () =>
    rt.spawnBounded(
      (message, ctx) => {
        const line = message.toString()
        if (crashes(line)) {
          crashedAt.set(ctx.pid, performance.now())
          throw new TypeError(`cannot read ${JSON.stringify(line.slice(0, 40))}`)
        }
        const answer = JSON.stringify(analyse(line))
        rt.sendNamed('journal', answer)
        return answer
      },
      { capacity: CAPACITY },
    )

  /** Adds up what was answered. It never crashes, and no restart of a worker may cost it a message. */
  const journal = () => {
    const sum = { answers: 0, words: 0 }
    const pid = rt.spawn((message, ctx) => {
      if (ctx.isCall) return JSON.stringify(sum)
      sum.answers++
      sum.words += JSON.parse(message).words
    })
    return pid
  }

  rt.onRestart(({ path, id, oldPid, pid, reason, message }) => {
    const recovery = performance.now() - crashedAt.get(oldPid)
    crashedAt.delete(oldPid)
    log.push({ path: `${path}/${id}`, oldPid, pid, reason, message, recovery })
  })
  const supervisor = rt.supervise(
    '/svc',
    [
      { id: 'analyse', start: worker, workers: WORKERS },
      { id: 'journal', start: journal },
    ],
    // Far above what the load causes: a real service would rather give up sooner.
    { strategy: 'restartone', maxRestarts: 1000, withinMs: 1000 },
  )
  rt.register('journal', supervisor.whereis('journal'))

  let next = 0
  /** A worker that lives now; after a crash its place is empty for a moment. */
  async function aWorker() {
    for (;;) {
      for (let i = 0; i < WORKERS; i++) {
        const pid = supervisor.whereis(`analyse/${next++ % WORKERS}`)
        if (pid !== null) return pid
      }
      await turn()
    }
  }

  /** Answers a line; whoever crashes a worker gets its error, everybody else behind them gets an answer. */
  const ask = async (line) => rt.call(await aWorker(), line)
  return { supervisor, log, ask }
}

async function bodyOf(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

/** `POST /analyse` with a line, `GET /metrics`. */
export function startServer(rt, ask) {
  return createServer(async (request, response) => {
    try {
      if (request.url === '/metrics') {
        response.setHeader('content-type', 'text/plain; version=0.0.4')
        response.end(rt.prometheus())
      } else if (request.url === '/analyse' && request.method === 'POST') {
        const body = await bodyOf(request)
        response.end(await ask(body))
      } else {
        response.writeHead(404).end()
      }
    } catch (error) {
      response.writeHead(500).end(`${error.name}: ${error.message}`)
    }
  })
}
