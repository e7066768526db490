// Programs that answer yes or no beside their figures: floods, a million actors, memory under churn.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { bench, root } from './systems.mjs'

const node = (file) => [process.execPath, ['--expose-gc', path.join(bench, 'node', file)]]
const python = (file) => [path.join(root, '.venv/bin/python'), [path.join(bench, 'python', file)]]

export const checks = [
  {
    id: 'flood',
    title: 'Node: 5,000,000 sends beside an interval and an HTTP server',
    needs: 'iris for Node',
    command: node('flood.mjs'),
    quick: true,
  },
  {
    id: 'million',
    title: 'Node: 1,000,000 live actors',
    needs: 'iris for Node',
    command: node('million.mjs'),
  },
  {
    id: 'churn',
    title: 'Node: 300,000 spawn/stop cycles, 10,000,000 messages',
    needs: 'iris for Node',
    command: node('churn.mjs'),
  },
  {
    id: 'observed',
    title: 'Node: a tell that is watched and traced (metrics must cost < 3 %)',
    needs: 'iris for Node',
    command: node('observed.mjs'),
  },
  {
    id: 'py-million',
    title: 'Python: 1,000,000 live actors',
    needs: 'iris for Python',
    command: python('million.py'),
  },
  {
    id: 'py-churn',
    title: 'Python: 300,000 spawn/stop cycles, 10,000,000 messages',
    needs: 'iris for Python',
    command: python('churn.py'),
  },
]

/** Runs one; answers the lines that it printed, its figures and whether it was content. */
export function check({ command: [program, args] }) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 300_000,
    maxBuffer: 1 << 26,
  })
  const lines = `${stdout ?? ''}`.trim().split('\n')
  const figures = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  const said = lines.filter((line) => line !== '' && !line.startsWith('{'))
  if (error) said.push(error.message)
  else if (status !== 0) said.push(`exit code ${status}: ${`${stderr}`.trim().slice(-500)}`)
  return { lines: said, figures, passed: status === 0 }
}
