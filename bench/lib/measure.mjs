// Runs the measurements: round by round, each row's systems in turn (A B A B, the first one
// rotating), each in a fresh process.
import { spawn } from 'node:child_process'
import { systems } from './systems.mjs'

const LIMIT_MS = 120_000 // a measurement that takes longer is a failure, reported and left out

/** Starts one process and answers the figures that it printed. */
function measureOnce({ command, args, env }, leastMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args.map(String), {
      env: { ...process.env, BENCH_MIN_MS: String(leastMs), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    child.stdout.on('data', (data) => {
      out += data
    })
    child.stderr.on('data', (data) => {
      err += data
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const figures = out
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
      if (code === 0 && figures.length > 0) resolve(figures)
      else reject(new Error(`${signal ?? `exit code ${code}`}: ${err.trim().slice(-400) || out}`))
    })
  })
}

/**
 * Rows that share a work (`spawn` and its RSS) come out of the same process.
 *
 * @returns the measurements { row, system, metric, value, unit, round } and the failures { row,
 * system, message }
 */
export async function measure(
  group,
  rows,
  { rounds, quick, leastMs, limitMs = Infinity, missing, progress },
) {
  const jobs = new Map()
  for (const row of rows) {
    const job = jobs.get(row.work) ?? { rows: [], names: new Set() }
    job.rows.push(row)
    for (const name of (quick && row.quick) || row.systems) {
      if (!missing.has(systems[name].needs)) job.names.add(name)
    }
    jobs.set(row.work, job)
  }

  const measurements = []
  const failures = new Map()
  const began = performance.now()
  for (let round = 0; round < rounds; round++) {
    // On a busy machine fewer rounds: the next one is not begun if it would not be over in time.
    if (round > 0 && (performance.now() - began) * (1 + 1 / round) > limitMs) break
    for (const [work, job] of jobs) {
      const names = [...job.names]
      for (let i = 0; i < names.length; i++) {
        const name = names[(i + round) % names.length]
        const [first] = job.rows
        const n = (first.nOf?.[name] ?? first.n)[quick ? 1 : 0]
        progress(`${group} ${work}: ${systems[name].label} (round ${round + 1} of ${rounds})`)
        try {
          for (const figure of await measureOnce(
            systems[name].start(work, n, first.size),
            leastMs,
          )) {
            const row = job.rows.find(({ metric }) => metric === figure.metric)
            if (row) measurements.push({ group, row: row.id, system: name, n, round, ...figure })
          }
        } catch (error) {
          failures.set(`${work} ${name}`, { work, system: name, message: error.message })
          job.names.delete(name) // it failed once: do not wait for it in every round
        }
      }
    }
  }
  return { measurements, failures: [...failures.values()] }
}
