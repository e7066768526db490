// The surface that was asked for, in Node: each call under its camelCase name, each example of the usage reference as its twin,
// run as a program of its own.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import * as iris from '../index.mjs'
import { root, run } from './support.mjs'

const reference = readFileSync(join(root, 'tests/vectors/seed-usage.txt'), 'utf8')
const python = readFileSync(join(root, 'python/tests/test_seed.py'), 'utf8')

/** Calls that are named otherwise here, or are Python's alone. */
const OTHERWISE = {
  spawn_py_handler_bounded: 'spawnBounded',
  selective_recv_blocking: 'selectiveRecv',
  set_release_gil_limits: null,
  set_release_gil_strict: null,
}

const camel = (name) => name.replace(/_(\w)/g, (_, c) => c.toUpperCase())

test('each call of the reference is there under its camelCase name', () => {
  const listed = /^SIGNATURES = """\n(.*?)^"""/ms.exec(python)[1]
  const names = Array.from(listed.matchAll(/^(\w+)\(/gm), ([, name]) => name)
  assert.ok(names.length >= 50)
  for (const name of names) {
    assert.ok(reference.includes(name), name)
    const here = name in OTHERWISE ? OTHERWISE[name] : camel(name)
    if (here !== null) assert.equal(typeof iris.NodeRuntime.prototype[here], 'function', here)
  }
  for (const f of [
    iris.offload,
    iris.setJitLogging,
    iris.getJitLogging,
    iris.setQuantumSpeculation,
    iris.getQuantumSpeculation,
  ]) {
    assert.equal(typeof f, 'function')
  }
})

const HEAD = `
  const rt = new NodeRuntime()
  function handler(msg) {
    console.log('got', String(msg))
  }
  const pid = rt.spawn(handler, 50)
`

/** The program, and what it prints. */
const examples = {
  'push and pull': [
    `
    // push actor
    const push = rt.spawn((m) => console.log('push', String(m)))
    // pull actor
    async function mailboxWorker(mailbox) {
      while (true) {
        const msg = await mailbox.recv()
        if (!msg) break
        console.log('pull', String(msg))
      }
    }
    const pull = rt.spawnWithMailbox(mailboxWorker)
    rt.send(push, 'a')
    rt.send(pull, 'b')
    await rt.call(pid, 'last')
    `,
    ['push a', 'pull b', 'got last'],
  ],
  'timers and batches': [
    `
    const timer = rt.sendAfter(pid, 200, 'tick')
    // cancel
    console.log(rt.cancelTimer(timer))
    // batch send
    const accepted = rt.sendMany(pid, [Buffer.from('a'), new Uint8Array([98]), 'c'])
    console.log('accepted', accepted)
    `,
    ['true', 'accepted 3', 'got a', 'got b', 'got c'],
  ],
  'mailbox size': [
    `
    const size = rt.mailboxSize(pid)
    console.log('size=', size)
    `,
    ['size= 0'],
  ],
  'names and paths': [
    `
    rt.register('auth', pid)
    console.log(rt.whereis('auth') === pid)
    rt.registerPath('/svc/test/one', pid)
    console.log(rt.listChildren('/svc/test').map(([path, at]) => [path, at === pid]))
    `,
    ['true', "[ [ '/svc/test/one', true ] ]"],
  ],
  supervisors: [
    `
    rt.createPathSupervisor('/svc/test')
    rt.pathSupervisorWatch('/svc/test', pid)
    console.log(rt.pathSupervisorChildren('/svc/test').length)
    `,
    ['1'],
  ],
  'hot swap': [
    `
    function a(msg) {
      console.log('got', String(msg))
    }
    const swapped = rt.spawn(a)
    rt.send(swapped, 'one')
    await rt.call(swapped, 'two')
    rt.hotSwap(swapped, (m) => console.log('upgraded', String(m)))
    rt.send(swapped, 'three')
    `,
    ['got one', 'got two', 'upgraded three'],
  ],
  'other nodes': [
    `
    const other = new NodeRuntime()
    other.register('auth_worker', other.spawn((m) => console.log('there', String(m))))
    const addr = await other.listen('127.0.0.1:0')
    const proxy = await rt.resolveRemotePy(addr, 'auth_worker')
    if (proxy) rt.send(proxy, 'login')
    await rt.call(proxy, 'and wait')
    console.log(await rt.isNodeUp(addr), await rt.resolveRemote(addr, 'nobody'))
    const there = other.resolve('auth_worker')
    rt.sendRemote(addr, there, 'by number')
    const watched = rt.monitorRemote(addr, there)
    await rt.call(watched, 'and again')
    const ended = rt.join(watched)
    other.stop(there)
    console.log((await ended).reason)
    await other.close()
    `,
    [
      'there login',
      'there and wait',
      'true null',
      'there by number',
      'there and again',
      'shutdown',
    ],
  ],
  stop: [
    `
    rt.stop(pid)
    await rt.join(pid)
    console.log(rt.isAlive(pid))
    `,
    ['false'],
  ],
  overflow: [
    `
    const primary = rt.spawnBounded((m) => console.log(String(m)), 100, 1)
    const fallback = rt.spawn((m) => console.log('fallback', String(m)), 100)
    rt.setOverflowPolicy(primary, 'redirect', fallback)
    rt.send(primary, 'first')
    rt.send(primary, 'second')
    `,
    ['fallback second', 'first'],
  ],
  'buffers and pressure': [
    `
    const { id, buffer } = rt.allocateBuffer(5)
    buffer.set(Buffer.from('bytes'))
    console.log(rt.sendBuffer(pid, id))
    const second = rt.allocateBuffer(1)
    console.log(rt.sendUserWithBackpressure(pid, second.id))
    console.log(rt.sendWithBackpressure(pid, 'x'), rt.mailboxBackpressure(pid))
    `,
    ['true', "[ true, 'NORMAL' ]", "[ true, 'NORMAL' ] NORMAL", 'got bytes', 'got \0', 'got x'],
  ],
  'observed actors': [
    `
    const observed = rt.spawnWithPathObserved(100, '/svc/observed')
    rt.sendMany(observed, ['a', 'b', 'c'])
    console.log(String(await rt.selectiveRecv(observed, (m) => String(m) === 'b', 5)))
    console.log(rt.getMessages(observed).map(String))
    `,
    ['b', "[ 'a', 'c' ]"],
  ],
  'children, pools and virtual actors': [
    `
    const child = rt.spawnChild(pid, (m) => console.log('child', String(m)))
    rt.spawnChildWithMailbox(pid, async (mailbox) => { for await (const _ of mailbox); })
    const pool = rt.spawnChildPool(pid, (m) => 'pool ' + m, 2)
    const sleeper = rt.spawnVirtual((m) => 'woken by ' + m, 100, 1000)
    console.log(rt.isAlive(sleeper), String(await rt.call(sleeper, 'a call')))
    console.log(pool.size, String(await pool.call('x')))
    const ended = rt.join(child)
    rt.stop(pid)
    console.log((await ended).reason, pool.send('x'))
    `,
    ['true woken by a call', '2 pool x', 'parent_exit false'],
  ],
  together: [
    `
    function hello(msg) {
      console.log('hello', String(msg))
    }
    const greeter = rt.spawn(hello)
    rt.register('greeter', greeter)
    rt.sendNamed('greeter', 'world')
    const tid = rt.sendInterval(greeter, 1000, 'ping')
    // later
    rt.cancelTimer(tid)
    `,
    ['hello world'],
  ],
  ghosts: [
    `rt.vortexResetAutoTelemetry()
    rt.vortexSetAutoGhostPolicy('PreferPrimary')
    const [primaryWins, ghostWins] = rt.vortexGetAutoResolutionCounts()
    const replayed = rt.vortexGetAutoReplayCount()
    console.log(primaryWins, ghostWins, replayed)`,
    ['0 0 0'],
  ],
}

describe('the twin of an example runs, prints what it should and ends by itself:', () => {
  for (const [name, [code, printed]] of Object.entries(examples)) {
    test(name, async () => {
      const { exit, stdout, stderr } = await run(HEAD + code)
      assert.deepEqual([exit, stderr], [0, ''])
      assert.deepEqual(stdout.trimEnd().split('\n').sort(), [...printed].sort())
    })
  }

  test('as the reference has it for Node', async () => {
    const lines = [
      "const { NodeRuntime } = require('./index.js');",
      'const rt = new NodeRuntime();',
      "const pid = rt.spawn((msg) => console.log('got', msg));",
      "rt.send(pid, Buffer.from('hello'));",
    ]
    for (const line of lines) assert.ok(reference.includes(line), line)
    const code = lines.join('\n')
    const done = await promisify(execFile)(process.execPath, ['-e', code], { cwd: root })
    assert.deepEqual(done, { stdout: 'got <Buffer 68 65 6c 6c 6f>\n', stderr: '' })
  })

  test('offload', async () => {
    const { exit, stdout, stderr } = await run(`
      import { offload } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)}
      const vecMag = offload((x, y, z) => Math.sqrt(x * x + y * y + z * z), {
        strategy: 'jit',
      })
      console.log(vecMag(1.0, 2.0, 3.0))`)
    assert.deepEqual([exit, stderr, stdout], [0, '', '3.7416573867739413\n'])
  })
})
