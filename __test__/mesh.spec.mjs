// Other nodes, from Node: two runtimes of one process, and processes of their own.

import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { deferred, eventually, rejects, root, run, runtime } from './support.mjs'

const LOCAL = '127.0.0.1:0'

async function pair(t, handler) {
  const [a, b] = [runtime(t), runtime(t)]
  const pid = b.spawn(handler)
  b.register('it', pid)
  const address = await b.listen(LOCAL)
  const proxy = await a.resolveRemote(address, 'it')
  return { a, b, pid, proxy, address }
}

test('an actor of another node is called by its name', async (t) => {
  const got = deferred()
  const { a, proxy, address } = await pair(t, (msg, ctx) => {
    if (ctx.isCall) return `re: ${msg}`
    got.resolve(msg)
  })
  assert.equal(a.isRemote(proxy), true)
  assert.equal(a.actorInfo(proxy).kind, 'remote')
  assert.equal(a.send(proxy, 'hello'), true)
  assert.equal((await got.promise).toString(), 'hello')
  assert.equal((await a.call(proxy, 'ping')).toString(), 're: ping')
  assert.equal(await a.resolveRemote(address, 'it'), proxy)
  assert.equal(await a.resolveRemotePy(address, 'nobody'), null)
  assert.equal(await a.isNodeUp(address), true)
  assert.deepEqual(
    a.nodes().map((n) => [n.address, n.connected, n.stalled]),
    [[address, true, false]],
  )
  const { handled } = await a.remoteInfo(proxy)
  assert.equal(handled, 2)
  assert.equal(a.getMetrics().mesh.proxies, 1)
})

test('a handler that throws there rejects the call here', async (t) => {
  const { a, b, proxy } = await pair(t, () => {
    throw new Error('no way')
  })
  await assert.rejects(a.call(proxy, 'x'), { code: 'ERR_IRIS_HANDLER_FAILED', message: /no way/ })
  assert.equal((await a.join(proxy)).reason, 'crash')
  assert.equal(a.isAlive(proxy), false)
  assert.equal(a.send(proxy, 'late'), false)
  assert.equal(b.listActors().length, 0)
})

test('sendMany, sendNamed, timers and monitors take a proxy', async (t) => {
  const seen = []
  const { a, b, pid, proxy } = await pair(t, (msg) => {
    seen.push(msg.toString())
  })
  a.register('there', proxy)
  assert.equal(a.sendMany(proxy, ['1', '2', '3']), 3)
  assert.equal(a.sendNamed('there', '4'), true)
  await eventually(() => seen.length === 4)
  a.sendAfter(proxy, 1, '5')
  await eventually(() => seen.length === 5)
  assert.deepEqual(seen, ['1', '2', '3', '4', '5'])
  const down = deferred()
  a.monitor(proxy, down.resolve)
  b.stop(pid)
  const { typeName, reason, fromPid } = await down.promise
  assert.deepEqual([typeName, reason, fromPid], ['DOWN', 'shutdown', proxy])
  assert.equal(a.whereis('there'), null)
})

test('stop and kill of a proxy end the actor', async (t) => {
  const { a, b, pid, proxy } = await pair(t, () => {})
  assert.equal(a.stop(proxy), true)
  assert.equal(a.isAlive(proxy), false)
  assert.equal((await b.join(pid)).reason, 'shutdown')
  assert.equal((await a.join(proxy)).reason, 'shutdown')
})

test('a link holds across nodes', async (t) => {
  const { a, b, pid, proxy } = await pair(t, (_, ctx) => (ctx.isCall ? 'x' : undefined))
  const mine = a.spawn(() => {})
  a.link(mine, proxy)
  await a.call(proxy, 'behind the link')
  a.kill(mine)
  assert.equal((await b.join(pid)).reason, 'killed')
})

test('what carries code is not local', async (t) => {
  const { a, proxy } = await pair(t, () => {})
  assert.throws(() => a.spawnChild(proxy, () => {}), { code: 'ERR_IRIS_NOT_LOCAL' })
  assert.throws(() => a.hotSwap(proxy, () => {}), { code: 'ERR_IRIS_NOT_LOCAL' })
  assert.equal(a.isAlive(proxy), true)
})

test('a bounded proxy tells its pressure and keeps to its policy', async (t) => {
  const [a, b] = [runtime(t), runtime(t)]
  a.configureMesh({ proxyCapacity: 10 })
  const [began, gate] = [deferred(), deferred()]
  const handled = []
  const slow = b.spawnBounded(
    async (msg) => {
      began.resolve()
      await gate.promise
      handled.push(Number(msg))
    },
    { capacity: 4 },
  )
  b.register('slow', slow)
  const proxy = await a.resolveRemote(await b.listen(LOCAL), 'slow')
  let taken = 0
  assert.equal(a.send(proxy, String(taken++)), true)
  await began.promise
  // Full is what stays full: nothing waits on its way, and there is no room behind.
  await eventually(() => {
    while (a.send(proxy, String(taken))) taken++
    return a.mailboxSize(proxy) === 10 && b.mailboxSize(slow) === 4
  })
  assert.equal(a.mailboxBackpressure(proxy), 'CRITICAL')
  a.setOverflowPolicy(proxy, 'dropold')
  gate.resolve()
  await eventually(() => handled.length >= taken)
  assert.deepEqual(
    handled,
    Array.from({ length: handled.length }, (_, i) => i),
  )
  assert.equal(b.getMetrics().refused.full, 0)
})

test('pids travel inside messages', async (t) => {
  const { a, b, pid, proxy } = await pair(t, (msg, ctx) => {
    b.send(b.importPid(msg), 'thanks')
    return ctx.isCall ? 'sent' : undefined
  })
  const got = deferred()
  const mine = a.spawn(got.resolve)
  await a.listen(LOCAL)
  await a.call(proxy, a.exportPid(mine))
  assert.equal((await got.promise).toString(), 'thanks')
  assert.equal(b.importPid(a.exportPid(proxy)), pid)
})

test('monitorRemote puts the proxy under the global supervisor and tells the watcher', async (t) => {
  const { a, b, pid, proxy, address } = await pair(t, () => {})
  const down = deferred()
  assert.equal(a.monitorRemote(address, pid, down.resolve), proxy)
  assert.deepEqual(a.childPids(), [proxy])
  b.kill(pid)
  assert.equal((await down.promise).reason, 'killed')
  await eventually(() => a.childPids().length === 0)
})

test('errors say which address and what the system said', async (t) => {
  const [a, b] = [runtime(t), runtime(t)]
  const address = await b.listen(LOCAL)
  await assert.rejects(a.listen(address), { code: 'ERR_IRIS_IO', message: /in use/ })
  assert.equal(b.unlisten(address), true)
  assert.equal(b.unlisten(address), false)
  await rejects(a.resolveRemote(address, 'x'), 'ERR_IRIS_UNREACHABLE')
  assert.equal(await a.isNodeUp(address), false)
  const aborted = a.resolveRemote(await b.listen(LOCAL), 'x', { signal: AbortSignal.abort() })
  await rejects(aborted, 'ERR_IRIS_ABORTED')
})

test('fault row 31: another secret, or none, is refused', async (t) => {
  const [a, b, c] = [runtime(t), runtime(t), runtime(t)]
  const address = await b.listen(LOCAL, { secret: 'swordfish and more' })
  b.register(
    'echo',
    b.spawn((m) => m),
  )
  await rejects(a.resolveRemote(address, 'echo'), 'ERR_IRIS_AUTH_FAILED')
  c.configureMesh({ secret: Buffer.from('password') })
  await rejects(c.resolveRemote(address, 'echo'), 'ERR_IRIS_AUTH_FAILED')
  a.configureMesh({ secret: 'swordfish and more' })
  const echo = await a.resolveRemote(address, 'echo')
  assert.equal((await a.call(echo, 'x')).toString(), 'x')
  assert.deepEqual(b.nodes().length, 1)
})

test('fault row 31: certificates of another authority, or none, are refused', async (t) => {
  const pem = (name) => join(root, `tests/vectors/tls/${name}.pem`)
  const tls = { cert: pem('node'), key: pem('node-key'), ca: pem('ca') }
  const other = { cert: pem('other-node'), key: pem('other-node-key'), ca: pem('ca') }
  const [a, b, c, d] = [runtime(t), runtime(t), runtime(t), runtime(t)]
  const address = await b.listen(LOCAL, { tls })
  b.register(
    'echo',
    b.spawn((m) => m),
  )
  await rejects(a.resolveRemote(address, 'echo'), 'ERR_IRIS_AUTH_FAILED')
  c.configureMesh({ tls: other })
  await rejects(c.resolveRemote(address, 'echo'), 'ERR_IRIS_AUTH_FAILED')
  d.configureMesh({ tls: { ...tls, serverName: 'elsewhere.example' } })
  await rejects(d.resolveRemote(address, 'echo'), 'ERR_IRIS_AUTH_FAILED')
  // As text, too.
  const text = Object.fromEntries(Object.entries(tls).map(([k, v]) => [k, readFileSync(v, 'utf8')]))
  a.configureMesh({ tls: { ...text, serverName: 'localhost' } })
  const echo = await a.resolveRemote(address, 'echo')
  const long = Buffer.alloc(300_000, 7)
  assert.deepEqual(await a.call(echo, long), long)
  assert.deepEqual(b.nodes().length, 1)
})

test('permissions bind', async (t) => {
  const [a, b] = [runtime(t), runtime(t)]
  const address = await b.listen(LOCAL, { permissions: { send: 'names', stop: false } })
  const [open, hidden] = [b.spawn((m) => m), b.spawn((m) => m)]
  b.register('open', open)
  const proxy = await a.resolveRemote(address, 'open')
  assert.equal(a.stop(proxy), false)
  assert.equal(b.isAlive(open), true)
  assert.equal((await a.join(a.remotePid(address, hidden))).reason, 'noproc')
  assert.throws(
    () =>
      a.link(
        proxy,
        a.spawn(() => {}),
      ),
    { code: 'ERR_IRIS_NOT_PERMITTED' },
  )
})

test('garbage is closed, and others are served', async (t) => {
  const { a, proxy, address } = await pair(t, (m) => m)
  const [host, port] = address.split(':')
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', Buffer.alloc(64, 255)]) {
    const socket = connect(Number(port), host)
    socket.on('error', () => {}) // closed with bytes unread, a connection may be reset
    socket.write(bytes)
    await new Promise((resolve) => socket.on('close', resolve)) // `once` of events rejects at an error
  }
  assert.equal((await a.call(proxy, 'x')).toString(), 'x')
})

test('fault row 43: a process without file descriptors gets a typed error, and goes on', async () => {
  const { exit, stdout, stderr } = await run(`
    import { closeSync, openSync } from 'node:fs'
    const rt = new NodeRuntime({ logger: null })
    const b = new NodeRuntime({ logger: null })
    await b.listen('127.0.0.1:0')
    const open = []
    try { for (;;) open.push(openSync('/dev/null')) } catch {}
    const codes = []
    for (const ask of [() => rt.listen('127.0.0.1:0'), () => b.listen('127.0.0.1:0'), () => b.resolveRemote('127.0.0.1:9', 'x')]) {
      try { await ask() } catch (e) { codes.push(e.code) }
    }
    for (const fd of open) closeSync(fd)
    await rt.listen('127.0.0.1:0')
    console.log(codes.join())
    await Promise.all([rt.close(), b.close()])
  `)
  const code = 'ERR_IRIS_AT_CAPACITY'
  assert.deepEqual([exit, stdout.trim(), stderr], [0, [code, code, code].join(), ''])
})

test('a process that listens lives, and one that sent something sends it before it ends', async (t) => {
  const rt = runtime(t)
  const got = deferred()
  rt.register('sink', rt.spawn(got.resolve))
  const address = await rt.listen(LOCAL)
  const { exit, stderr } = await run(`
    const rt = new NodeRuntime()
    const sink = await rt.resolveRemote('${address}', 'sink')
    rt.send(sink, 'last words')
  `)
  assert.deepEqual([exit, stderr], [0, ''])
  assert.equal((await got.promise).toString(), 'last words')
})

async function node(t) {
  const other = fork(new URL('./mesh-child.mjs', import.meta.url))
  t.after(() => other.kill('SIGKILL'))
  const [{ mine }] = await once(other, 'message')
  return { other, address: mine }
}

const brisk = { heartbeatMs: 50, downAfterMs: 3000, resumeWindowMs: 500 }

test('fault row 17: a process that is killed is down', async (t) => {
  const rt = runtime(t)
  rt.ref().configureMesh(brisk)
  const { other, address } = await node(t)
  const proxy = await rt.resolveRemote(address, 'it')
  other.kill('SIGKILL')
  assert.equal((await rt.join(proxy)).reason, 'node_down')
})

test('fault row 18: a process that is stopped is down once, and comes back as another', async (t) => {
  const rt = runtime(t)
  rt.ref().configureMesh(brisk)
  const { other, address } = await node(t)
  const proxy = await rt.resolveRemote(address, 'it')
  const exported = rt.exportPid(proxy)
  let downs = 0
  rt.monitor(proxy, () => downs++)
  other.kill('SIGSTOP')
  assert.equal((await rt.join(proxy)).reason, 'node_down')
  other.kill('SIGCONT')
  const again = await rt.resolveRemote(address, 'it')
  assert.notEqual(again, proxy)
  assert.equal((await rt.call(again, 'x')).toString(), 'x')
  assert.throws(() => rt.importPid(exported), { code: 'ERR_IRIS_NO_SUCH_ACTOR' })
  assert.equal(downs, 1)
})

test('fault row 16: a blocked event loop is stalled, not down', async (t) => {
  const rt = runtime(t)
  rt.ref().configureMesh({ ...brisk, downAfterMs: 6000 })
  const { address } = await node(t)
  const block = await rt.resolveRemote(address, 'block')
  // Longer than `downAfterMs`, and than the other's `stallMs` of 5 s.
  const over = rt.call(block, '8000', { timeoutMs: 60_000 })
  await eventually(() => rt.nodes()[0].stalled)
  assert.equal(rt.isAlive(block), true)
  await over
  await eventually(() => !rt.nodes()[0].stalled)
  assert.equal(rt.isAlive(block), true)
})

test('fault row 28: a process that closes says goodbye', async (t) => {
  const rt = runtime(t).ref()
  const { other, address } = await node(t)
  const proxy = await rt.resolveRemote(address, 'it')
  other.send('close')
  assert.equal((await rt.join(proxy)).reason, 'disconnected')
})

const python = join(root, '.venv/bin/python')

test('Node and Python call each other by name', {
  skip: !existsSync(python) && 'no .venv',
}, async (t) => {
  const rt = runtime(t)
  rt.register(
    'shout',
    rt.spawn((text) => text.toString().toUpperCase()),
  )
  const mine = await rt.listen(LOCAL)
  const other = spawn(python, [join(root, 'examples/python/mesh.py'), mine], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => other.kill())
  const lines = createInterface({ input: other.stdout })[Symbol.asyncIterator]()
  const theirs = (await lines.next()).value
  const words = await rt.resolveRemote(theirs, 'words')
  const counted = JSON.parse(await rt.call(words, 'b a b'))
  assert.deepEqual(counted, [
    ['b', 2],
    ['a', 1],
  ])
  assert.equal((await lines.next()).value, 'python got: PYTHON GREETS NODE')
  other.stdin.end()
  assert.equal((await rt.join(words)).reason, 'disconnected')
})

/** Fields in their order: `name` a varint, `name:n` a number of n bytes, `:b` a flag, `:t` a text, `:l` bytes after their length, `:h` the next n bytes. */
const layouts = {
  preamble: 'magic:4 low:1 high:1 secured:b reserved:1 capabilities:4',
  hello: 'kind:1 node:h16 incarnation:8 you:h24 received:8 grants:1 max_payload:4 address:t',
  welcome: 'kind:1 node:h16 incarnation:8 you:h24 received:8 grants:1 max_payload:4 address:t',
  refuse: 'kind:1 code:1 incarnation:8 why:t',
  data: 'length:4 kind:1 offset:8 ack:8 bytes:r',
  ack: 'length:4 kind:1 ack:8',
  ping: 'length:4 kind:1 ack:8 stalled:b stamp:8',
  pong: 'length:4 kind:1 ack:8 stamp:8',
  send: 'length op:1 to from payload:r',
  call: 'length op:1 to from id timeout_ms payload:r',
  reply: 'length op:1 id payload:r',
  fail: 'length op:1 id kind:1 message:t stack:t',
  cancel: 'length op:1 id',
  resolve: 'length op:1 id name:t',
  resolved: 'length op:1 id pid credit',
  watch: 'length op:1 pid',
  credit: 'length op:1 pid more',
  exit: 'length op:1 pid reason:1 message:t stack:t',
  stop: 'length op:1 pid mode:1',
  link: 'length op:1 to from on:b',
  info: 'length op:1 id pid',
  info_is: 'length op:1 id alive:b queue capacity handled',
  goodbye: 'length op:1',
  gossip: 'length op:1 payload:r',
  down: 'length op:1 to reference reason:1 about:l message:t stack:t',
  trap: 'length op:1 pid on:b',
  link_far: 'length op:1 to on:b other:l',
  codec: 'length op:1 pid name:t',
}

/** The wire in JavaScript, as far as the vectors go. */
function read(bytes, layout) {
  let at = 0
  const raw = (n) => {
    at += n
    assert.ok(at <= bytes.length, layout)
    return bytes.subarray(at - n, at)
  }
  const number = (n) => raw(n).reduceRight((v, byte) => v * 256 + byte, 0)
  const varint = () => {
    let v = 0
    for (let unit = 1; ; unit *= 128) {
      const byte = number(1)
      v += (byte % 128) * unit
      if (byte < 128) return v
    }
  }
  const found = {}
  for (const field of layout.split(' ')) {
    const [name, how = ''] = field.split(':')
    if (how === '') found[name] = varint()
    else if (how === 'b') found[name] = number(1) === 1
    else if (how === 't') found[name] = raw(varint()).toString()
    else if (how === 'l') found[name] = raw(varint()).toString('hex')
    else if (how === 'r') found[name] = raw(bytes.length - at).toString('hex')
    else if (how[0] === 'h') found[name] = raw(Number(how.slice(1))).toString('hex')
    else found[name] = number(Number(how))
  }
  assert.equal(at, bytes.length, layout)
  return found
}

test('the wire means in JavaScript what the vectors say', () => {
  const vectors = JSON.parse(readFileSync(join(root, 'tests/vectors/wire.json'), 'utf8'))
  assert.ok(vectors.length >= 30)
  for (const { kind, hex, fields } of vectors) {
    const found = read(Buffer.from(hex, 'hex'), layouts[kind])
    for (const [name, value] of Object.entries(fields)) assert.equal(found[name], value, kind)
  }
})
