// The systems that are measured, and how each is started: one process for one measurement.
import { existsSync } from 'node:fs'
import path from 'node:path'

export const bench = path.resolve(import.meta.dirname, '..')
export const root = path.resolve(bench, '..')

const node = (name) => (work, n, size) => ({
  command: process.execPath,
  args: ['--expose-gc', path.join(bench, 'node/measure.mjs'), name, work, n, size].filter(Boolean),
})

/** Two processes on loopback. */
const remote = (name) => (work, n, size) => ({
  command: process.execPath,
  args: [path.join(bench, 'node/remote.mjs'), name, work.split('-')[1], n, size].filter(Boolean),
})

const python = (name, venv) => (work, n, size) => ({
  command: path.join(venv, 'bin/python'),
  args: [path.join(bench, 'python/measure.py'), name, work, n, size].filter(Boolean),
})

const offload = (name, venv) => (work, n) => ({
  command: path.join(venv, 'bin/python'),
  args: [path.join(bench, 'python/offload.py'), name, work, n],
})

/** Two Python processes on loopback. */
const pythonRemote = (name, venv) => (work, n, size) => ({
  command: path.join(venv, 'bin/python'),
  args: [path.join(bench, 'python/remote.py'), name, work.split('-')[1], n, size].filter(Boolean),
})

const rust =
  (name, env = {}) =>
  (work, n) => ({
    command: path.join(bench, 'rust/target/release', name),
    args: [work, n],
    env,
  })

const erlang = (work, n, size) => ({
  command: 'erl',
  args: ['-noshell', '+P', '3000000', '-pa', path.join(bench, 'erlang/ebin')]
    .concat(['-run', 'bench', 'main', work, n, size])
    .filter(Boolean),
})

/**
 * `needs` names what must be installed (setup.mjs); `ours` marks iris; `ceiling` what is no actor
 * system.
 */
export const systems = {
  iris: { label: 'iris', needs: 'iris for Node', ours: true, start: node('iris') },
  'iris-copy': { label: 'iris, send', needs: 'iris for Node', start: node('iris-copy') },
  'iris-remote': { label: 'iris', needs: 'iris for Node', ours: true, start: remote('iris') },
  'iris-secret': {
    label: 'iris, encrypted',
    needs: 'iris for Node',
    start: remote('iris-secret'),
  },
  nats: { label: 'NATS', needs: 'NATS', start: remote('nats') },
  zeromq: { label: 'zeromq', needs: 'Node peers', start: remote('zeromq') },
  moleculer: { label: 'moleculer, TCP', needs: 'Node peers', start: remote('moleculer') },
  'erlang-remote': { label: 'distributed Erlang', needs: 'Erlang', start: remote('erlang') },
  net: { label: 'net, a write each', needs: null, start: remote('net') },
  'net-batch': { label: 'net, batched', needs: null, ceiling: true, start: remote('net-batch') },
  postmessage: { label: 'postMessage', needs: null, start: node('postmessage') },
  piscina: { label: 'piscina', needs: 'Node peers', start: node('piscina') },
  sab: { label: 'shared ring', needs: null, ceiling: true, start: node('sab') },
  settimeout: { label: 'setTimeout', needs: null, start: node('settimeout') },
  nact: { label: 'nact', needs: 'Node peers', start: node('nact') },
  comedy: { label: 'comedy', needs: 'Node peers', start: node('comedy') },
  messagechannel: { label: 'MessageChannel', needs: null, start: node('messagechannel') },
  queue: { label: 'bare queue', needs: null, ceiling: true, start: node('queue') },
  'queue-microtask': {
    label: 'bare queue',
    needs: null,
    ceiling: true,
    start: node('queue-microtask'),
  },
  erlang: { label: 'Erlang', needs: 'Erlang', start: erlang },
  'py-iris': {
    label: 'iris',
    needs: 'iris for Python',
    ours: true,
    start: python('iris', path.join(root, '.venv')),
  },
  'py-remote': {
    label: 'iris',
    needs: 'iris for Python',
    ours: true,
    start: pythonRemote('iris', path.join(root, '.venv')),
  },
  xoscar: {
    label: 'xoscar',
    needs: 'xoscar',
    start: pythonRemote('xoscar', path.join(bench, '.venv')),
  },
  'py-copy': {
    label: 'iris, send',
    needs: 'iris for Python',
    start: python('copy', path.join(root, '.venv')),
  },
  simplequeue: {
    label: 'SimpleQueue + thread',
    needs: 'Python peers',
    ceiling: true,
    start: python('simplequeue', path.join(bench, '.venv')),
  },
  asyncio: {
    label: 'asyncio.Queue',
    needs: 'Python peers',
    start: python('asyncio', path.join(bench, '.venv')),
  },
  'call-later': {
    label: 'asyncio call_later',
    needs: 'Python peers',
    start: python('asyncio', path.join(bench, '.venv')),
  },
  pykka: {
    label: 'pykka',
    needs: 'Python peers',
    start: python('pykka', path.join(bench, '.venv')),
  },
  'off-iris': {
    label: 'iris',
    needs: 'iris for Python',
    ours: true,
    start: offload('iris', path.join(root, '.venv')),
  },
  numba: { label: 'numba', needs: 'numba', start: offload('numba', path.join(bench, '.venv')) },
  'off-numpy': {
    label: 'numpy',
    needs: 'iris for Python',
    start: offload('numpy', path.join(root, '.venv')),
  },
  'off-python': {
    label: 'plain Python',
    needs: 'iris for Python',
    start: offload('python', path.join(root, '.venv')),
  },
  'js-loop': { label: 'plain JS on the loop', needs: null, start: node('js-loop') },
  'rs-iris': { label: 'iris', needs: 'Rust programs', ours: true, start: rust('iris') },
  tokio: { label: 'tokio mpsc', needs: 'Rust programs', start: rust('tokio') },
  'tokio-one': {
    label: 'tokio mpsc, one thread',
    needs: 'Rust programs',
    start: rust('tokio', { TOKIO: 'one' }),
  },
  actix: { label: 'actix', needs: 'Rust programs', start: rust('actix') },
  ractor: { label: 'ractor', needs: 'Rust programs', start: rust('ractor') },
}

/** Whether a program is on the PATH. */
export const onPath = (program) =>
  (process.env.PATH ?? '').split(path.delimiter).some((dir) => existsSync(path.join(dir, program)))
