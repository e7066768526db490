// Installs and builds what is measured, on first use and when a lock file changed. What cannot be
// had is reported and left out; the rest is measured all the same.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { bench, onPath, root } from './systems.mjs'

function run(command, args, options = {}) {
  try {
    execFileSync(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 26,
      ...options,
    })
  } catch (error) {
    const said = `${error.stderr ?? ''}`.trim().split('\n')
    const telling = said.find((line) => /error/i.test(line)) ?? said.slice(-3).join(' | ')
    throw new Error(
      `${path.basename(command)} ${args[0]} failed: ${telling.trim() || error.message}`,
    )
  }
}

const digest = (...files) => {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('hex')
}

/** Runs `make` unless it ran before for these very files. */
function once(stamp, files, make) {
  const want = digest(...files)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return
  make()
  mkdirSync(path.dirname(stamp), { recursive: true })
  writeFileSync(stamp, want)
}

function nodePeers() {
  const dir = path.join(bench, 'node')
  once(path.join(dir, 'node_modules/.bench-stamp'), [path.join(dir, 'package-lock.json')], () =>
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: dir }),
  )
}

/** Installs what `name` lists into bench/.venv, on the interpreter that iris is measured on. */
function pythonPackages(name) {
  const venv = path.join(bench, '.venv')
  const wanted = path.join(bench, 'python', name)
  const ours = path.join(root, '.venv/bin/python')
  const python = existsSync(ours) ? ours : onPath('python3.11') ? 'python3.11' : 'python3'
  once(path.join(venv, `.${name}-stamp`), [wanted], () => {
    if (!existsSync(path.join(venv, 'bin/pip'))) run(python, ['-m', 'venv', venv])
    run(path.join(venv, 'bin/python'), ['-m', 'pip', 'install', '-q', '-r', wanted])
  })
}

function rustPrograms() {
  const dir = path.join(bench, 'rust')
  // Not --locked: the lock file follows the dependencies of iris, the peers are pinned in Cargo.toml.
  run('cargo', ['build', '--release'], {
    cwd: dir,
    env: { ...process.env, CARGO_TARGET_DIR: path.join(dir, 'target') },
  })
}

function erlangProgram() {
  if (!onPath('erl') || !onPath('erlc')) throw new Error('there is no erl on the PATH')
  const dir = path.join(bench, 'erlang')
  const sources = ['bench.erl', 'dist.erl'].map((name) => path.join(dir, name))
  once(path.join(dir, 'ebin/.bench-stamp'), sources, () => {
    mkdirSync(path.join(dir, 'ebin'), { recursive: true })
    run('erlc', ['-o', path.join(dir, 'ebin'), ...sources])
  })
}

function natsServer() {
  if (!onPath('nats-server') && !existsSync('/usr/sbin/nats-server'))
    throw new Error('there is no nats-server (Debian: apt-get install nats-server)')
  nodePeers()
}

/** Apart from the other Python peers: it needs compiled packages that not every platform has. */
function xoscar() {
  pythonPackages('requirements.txt')
  pythonPackages('requirements-xoscar.txt')
}

function irisForNode() {
  const probe = `new (require(${JSON.stringify(root)}).NodeRuntime)()`
  try {
    run(process.execPath, ['-e', probe])
  } catch (error) {
    throw new Error(`it does not load; run \`make build\` first (${error.message})`)
  }
}

function irisForPython() {
  const python = path.join(root, '.venv/bin/python')
  if (!existsSync(python)) throw new Error('there is no .venv; run `make build` first')
  try {
    run(python, ['-c', 'import iris; iris.Runtime().close()'])
  } catch (error) {
    throw new Error(`it does not import; run \`make build\` first (${error.message})`)
  }
}

const steps = {
  'iris for Node': irisForNode,
  'Node peers': nodePeers,
  'iris for Python': irisForPython,
  'Python peers': () => pythonPackages('requirements.txt'),
  numba: () => pythonPackages('requirements-numba.txt'),
  'Rust programs': rustPrograms,
  Erlang: erlangProgram,
  NATS: natsServer,
  xoscar,
}

/** Makes ready what is in `needs`; answers what is missing: a map from the need to the reason. */
export function prepare(needs, log) {
  const missing = new Map()
  for (const [need, step] of Object.entries(steps)) {
    if (!needs.has(need)) continue
    const start = performance.now()
    try {
      step()
      const took = (performance.now() - start) / 1000
      if (took > 2) log(`${need}: ready after ${took.toFixed(0)} s`)
    } catch (error) {
      missing.set(need, error.message)
    }
  }
  return missing
}
