// Distributed Erlang, without epmd: the other node is found by its port (OTP 25 and later).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import path from 'node:path'

const beams = path.resolve(import.meta.dirname, '../../erlang/ebin')

/** Runs both nodes; what the client prints are the figures. */
export async function run(work, n, size) {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  const loopback = ['-kernel', 'inet_dist_use_interface', '{127,0,0,1}', '-setcookie', 'bench']
  const common = ['-noshell', '-pa', beams, '-start_epmd', 'false', '-erl_epmd_port', String(port)]
  const start = (name, more, stdio) =>
    spawn('erl', [...common, ...loopback, '-name', `${name}@127.0.0.1`, ...more], { stdio })
  const server = start('server', ['-run', 'dist', 'serve'], 'ignore')
  process.on('exit', () => server.kill('SIGKILL'))
  const client = ['-dist_listen', 'false', '-run', 'dist', 'main', work, n, size].map(String)
  const [code] = await once(start('client', client, ['ignore', 'inherit', 'inherit']), 'exit')
  process.exit(code)
}
