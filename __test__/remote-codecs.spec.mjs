// Typed messages for actors of other nodes: contract, "Codecs". What a proxy speaks comes with whatever made it known.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { deferred, eventually, index, rejects, root, runtime, throws } from './support.mjs'

const LOCAL = '127.0.0.1:0'
const UNKNOWN = 'ERR_IRIS_NO_SUCH_CODEC'
const order = { id: 7, lines: ['a', 'é'], none: null }

/** A runtime with an actor under a name that answers what it gets, and another that has found it. */
async function pair(t, codec) {
  const [here, there] = [runtime(t), runtime(t)]
  const seen = []
  const pid = there.spawn(
    (message, ctx) => {
      seen.push(message)
      return ctx.isCall ? { got: message } : undefined
    },
    { codec },
  )
  there.register('it', pid)
  const address = await there.listen(LOCAL)
  const proxy = await here.resolveRemote(address, 'it')
  return { here, there, pid, proxy, address, seen }
}

for (const codec of ['json', 'structured']) {
  test(`${codec} reaches an actor of another node by every way of sending, and so do replies`, async (t) => {
    const { here, there, proxy, seen } = await pair(t, codec)
    const message = codec === 'json' ? order : new Map([['order', { ...order, at: new Date(0) }]])
    assert.equal(here.actorInfo(proxy).codec, codec)
    here.register('far', proxy)
    here.registerPath('/far', proxy)
    assert.equal(here.send(proxy, message), true)
    assert.equal(here.sendMany(proxy, [message, message]), 2)
    assert.equal(here.sendNamed('far', message), true)
    assert.equal(here.sendPath('/far', message), true)
    assert.deepEqual(here.sendWithBackpressure(proxy, message), [true, 'NORMAL'])
    assert.equal(await here.sendAsync(proxy, message), true)
    here.sendAfter(proxy, 0, message)
    await eventually(() => seen.length === 8)
    assert.deepEqual(await here.call(proxy, message), { got: message })
    for (const got of seen) assert.deepEqual(got, message)
    // Exported, imported elsewhere, and back.
    const bytes = here.exportPid(proxy)
    const third = runtime(t)
    assert.deepEqual(await third.call(third.importPid(bytes), message), { got: message })
    assert.equal(there.actorInfo(there.importPid(bytes)).codec, codec)
  })
}

test('a sender can be answered in what it speaks, at once', async (t) => {
  const { here, there, address } = await pair(t, 'json')
  const answered = deferred()
  const server = there.spawn(
    (question, ctx) => {
      assert.equal(ctx.send(ctx.sender, { answer: question.n + 1 }), true)
    },
    { codec: 'json' },
  )
  there.register('server', server)
  const proxy = await here.resolveRemote(address, 'server')
  const client = here.spawn(
    (message, ctx) => {
      if (message.go) ctx.send(proxy, { n: 41 })
      else answered.resolve(message)
    },
    { codec: 'json' },
  )
  here.send(client, { go: true })
  assert.deepEqual(await answered.promise, { answer: 42 })
})

test('what the codec of a remote actor throws, the sender gets, and nothing is sent', async (t) => {
  const { here, proxy, seen } = await pair(t, 'json')
  assert.throws(() => here.send(proxy, { big: 1n }), TypeError)
  assert.throws(() => here.sendMany(proxy, [order, undefined]), {
    code: 'ERR_IRIS_INVALID_ARGUMENT',
  })
  await assert.rejects(here.call(proxy, { big: 1n }), TypeError)
  assert.deepEqual(await here.call(proxy, 1), { got: 1 })
  assert.deepEqual(seen, [1])
})

test('a pid by its number alone takes what is encoded already', async (t) => {
  const { here, pid, address, proxy, seen } = await pair(t, 'json')
  const plain = here.remotePid(address, pid)
  assert.notEqual(plain, proxy)
  assert.equal(here.actorInfo(plain).codec, null)
  assert.equal(here.sendRemote(address, pid, JSON.stringify(order)), true)
  assert.deepEqual(JSON.parse(await here.call(plain, '[1]')), { got: [1] })
  assert.deepEqual(seen, [order, [1]])
  throws(() => here.send(plain, order), 'ERR_IRIS_INVALID_TYPE')
})

test('bytes that an actor of another node cannot decode are its crash', async (t) => {
  const { here, pid, address } = await pair(t, 'json')
  const plain = here.remotePid(address, pid)
  await rejects(here.call(plain, 'no json'), 'ERR_IRIS_HANDLER_FAILED')
  assert.equal((await here.join(plain)).reason, 'crash')
})

test('a codec that this thread does not know is named', async (t) => {
  const rt = runtime(t)
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(index)}).then(async ({ NodeRuntime }) => {
      const rt = new NodeRuntime()
      const codec = { name: 'rot13', encode: (m) => m, decode: (m) => m }
      rt.register('it', rt.spawn((m) => m, { codec }))
      parentPort.postMessage(await rt.listen('${LOCAL}'))
    })`,
    { eval: true },
  )
  t.after(() => worker.terminate())
  const address = await new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject)
  })
  const proxy = await rt.resolveRemote(address, 'it')
  assert.equal(rt.actorInfo(proxy).codec, 'rot13')
  const error = { code: UNKNOWN, message: /rot13/ }
  assert.throws(() => rt.send(proxy, 'x'), error)
  assert.throws(() => rt.sendMany(proxy, ['x']), error)
  await assert.rejects(rt.call(proxy, 'x'), error)
})

const python = join(root, '.venv/bin/python')

const PROGRAM = `
import sys
import iris

rt = iris.Runtime()
sums = rt.spawn(lambda order: {"sum": sum(order["prices"]), "by": "python"}, codec="json")
rt.register("sums", sums)
rt.register("pickled", rt.spawn(lambda m: m, codec="pickle"))
print(rt.listen("127.0.0.1:0"), flush=True)
print(rt.export_pid(sums).hex(), flush=True)
there = rt.resolve_remote(sys.argv[1], "orders")
print(rt.actor_info(there).codec, rt.call_blocking(there, {"id": 7}), flush=True)
alien = rt.resolve_remote(sys.argv[1], "alien")
for ask in (rt.send, rt.call_blocking):
    try:
        ask(alien, {"id": 7})
    except iris.errors.NoSuchCodec as e:
        print(type(e).__name__, "structured" in str(e), flush=True)
sys.stdin.read()
rt.close()
`

test('Node and Python exchange values by json, and say of other codecs that they have none', {
  skip: !existsSync(python) && 'no .venv',
}, async (t) => {
  const rt = runtime(t)
  rt.register(
    'orders',
    rt.spawn(({ id }) => ({ receipt: id * 2, by: 'node' }), { codec: 'json' }),
  )
  rt.register(
    'alien',
    rt.spawn((m) => m, { codec: 'structured' }),
  )
  const mine = await rt.listen(LOCAL)
  const other = spawn(python, ['-c', PROGRAM, mine], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => other.kill())
  const lines = createInterface({ input: other.stdout })[Symbol.asyncIterator]()
  const line = async () => (await lines.next()).value
  const theirs = await line()
  const exported = Buffer.from(await line(), 'hex')
  assert.equal(await line(), "json {'receipt': 14, 'by': 'node'}")
  assert.equal(await line(), 'NoSuchCodec True')
  assert.equal(await line(), 'NoSuchCodec True')
  const expected = { sum: 6, by: 'python' }
  const sums = await rt.resolveRemote(theirs, 'sums')
  assert.deepEqual(await rt.call(sums, { prices: [1, 2, 3] }), expected)
  assert.equal(rt.importPid(exported), sums)
  const pickled = await rt.resolveRemote(theirs, 'pickled')
  assert.throws(() => rt.send(pickled, {}), { code: UNKNOWN, message: /pickle/ })
  other.stdin.end()
  assert.equal((await rt.join(sums)).reason, 'disconnected')
})
