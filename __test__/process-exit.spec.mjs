// What keeps a process alive, and how it ends.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { run } from './support.mjs'

/** Ends with `exit` and `stdout`, and says nothing on stderr. */
async function ends(code, { exit = 0, signal = null, stdout = '', ...options } = {}) {
  const done = await run(code, options)
  assert.deepEqual(done, { exit, signal, stdout, stderr: '' })
}

describe('a process ends by itself', { concurrency: 2 }, () => {
  for (const [name, code, stdout = ''] of [
    ['with a runtime that was never used', 'new NodeRuntime()'],
    [
      'with idle actors, bounded and named ones',
      "const rt = new NodeRuntime(); rt.register('a', rt.spawn(() => {})); rt.spawnBounded(() => {}, 1, 1)",
    ],
    [
      'after what was sent has been handled',
      "const rt = new NodeRuntime(); rt.send(rt.spawn(() => console.log('handled')), 'x')",
      'handled\n',
    ],
    [
      'after a flood over many turns of the loop',
      `const rt = new NodeRuntime({ timeSliceMs: 1 })
       let n = 0
       const pid = rt.spawn((m, ctx) => { if (++n < 300000) ctx.send(pid, m); else console.log(n) })
       rt.send(pid, Buffer.from('x'))`,
      '300000\n',
    ],
    [
      'after a call was answered',
      "const rt = new NodeRuntime(); console.log(String(await rt.call(rt.spawn((m) => m), 'x')))",
      'x\n',
    ],
    [
      'after a call was answered later, though nothing else holds it',
      `const rt = new NodeRuntime()
       const pid = rt.spawn(() => new Promise((resolve) => setTimeout(resolve, 20, 'late').unref()))
       console.log(String(await rt.call(pid, 'x')))`,
      'late\n',
    ],
    [
      'after a call timed out',
      `const rt = new NodeRuntime()
       await rt.call(rt.spawn(() => new Promise(() => {})), 'x', 0.02).catch((e) => console.log(e.code))`,
      'ERR_IRIS_TIMEOUT\n',
    ],
    [
      'after a delayed message has come, and only then',
      `const rt = new NodeRuntime()
       rt.sendAfter(rt.spawn((m) => console.log(String(m))), 20, 'late')`,
      'late\n',
    ],
    [
      'with pull actors that wait, and after what they were sent was received',
      `const rt = new NodeRuntime()
       const pid = rt.spawnWithMailbox(async (mailbox) => {
         for await (const message of mailbox) console.log(String(message))
       })
       rt.spawnWithMailbox((mailbox) => mailbox.recv(1e6))
       rt.send(pid, 'received')`,
      'received\n',
    ],
    [
      'once an interval is cancelled',
      `const rt = new NodeRuntime()
       let n = 0
       const timer = rt.sendInterval(rt.spawn(() => {
         if (n === 3) return // a tick that was in the mailbox when it was cancelled
         console.log(++n)
         if (n === 3) rt.cancelTimer(timer)
       }), 1, '')`,
      '1\n2\n3\n',
    ],
    [
      'once the target of its timers has ended',
      `const rt = new NodeRuntime()
       const pid = rt.spawn(() => {})
       rt.sendInterval(pid, 2 ** 40, '')
       rt.sendAfter(pid, 2 ** 40, '')
       setImmediate(() => rt.kill(pid))`,
    ],
    [
      'after a delayed message found the mailbox full',
      `const rt = new NodeRuntime()
       const pid = rt.spawnBounded(() => new Promise(() => {}), { capacity: 1 })
       rt.send(pid, '')
       setImmediate(() => rt.send(pid, ''))
       rt.sendAfter(pid, 20, '')`,
    ],
    [
      'after an actor that was stopped has ended',
      `const rt = new NodeRuntime()
       const pid = rt.spawn(() => {})
       rt.stop(pid)
       console.log((await rt.join(pid)).reason)`,
      'shutdown\n',
    ],
    [
      'after a handler that never settles was abandoned and reported',
      `const rt = new NodeRuntime({ logger: null, onCrash: ({ reason }) => console.log(reason) })
       const pid = rt.spawn(() => new Promise(() => {}))
       rt.send(pid, 'x')
       setImmediate(() => rt.stop(pid, { timeoutMs: 5 }))`,
      'timeout\n',
    ],
    [
      'while somebody joins an idle actor',
      "const rt = new NodeRuntime(); rt.join(rt.spawn(() => {})).then(() => console.log('?'))",
    ],
    [
      'after close',
      "const rt = new NodeRuntime(); rt.ref(); rt.spawn(() => {}); await rt.close(); console.log('closed')",
      'closed\n',
    ],
    ['after ref and unref', 'const rt = new NodeRuntime(); rt.ref().ref().unref()'],
    [
      'after unref, though messages and calls go on',
      "const rt = new NodeRuntime(); rt.unref(); console.log(String(await rt.call(rt.spawn((m) => m), 'x')))",
      'x\n',
    ],
    [
      'after ref, when a timer lets go of it',
      "const rt = new NodeRuntime(); rt.ref(); setTimeout(() => { console.log('held'); rt.unref() }, 20).unref()",
      'held\n',
    ],
    [
      'at the end of an await using block',
      `{
         const rt = new NodeRuntime()
         try { rt.spawn(() => {}) } finally { await rt[Symbol.asyncDispose]() }
         console.log(rt.closed)
       }`,
      'true\n',
    ],
  ]) {
    test(name, () => ends(code, { stdout }))
  }
})

describe('fault row 36: a process ends cleanly', { concurrency: 2 }, () => {
  const traffic = `
    const rt = new NodeRuntime({ logger: null })
    const stuck = rt.spawn(() => new Promise(() => {}))
    const busy = rt.spawn((m, ctx) => void ctx.send(busy, m))
    for (let i = 0; i < 100; i++) rt.send(busy, Buffer.from('x'))
    for (let i = 0; i < 100; i++) rt.call(stuck, 'x', { timeoutMs: i }).catch(() => {})
    const big = rt.spawn((m) => m)
    for (let i = 0; i < 10; i++) rt.call(big, Buffer.alloc(1 << 20)).catch(() => {});`

  for (const [name, code] of [
    ['in mid-call', 'setImmediate(() => process.exit(3))'],
    ['after some turns', 'setTimeout(() => process.exit(3), 30)'],
    ['at once', 'process.exit(3)'],
    ['in a handler', "rt.send(rt.spawn(() => process.exit(3)), 'x')"],
    ['in an async handler', "rt.send(rt.spawn(async () => { await null; process.exit(3) }), 'x')"],
    [
      'in the crash hook',
      "rt.onCrash(() => process.exit(3)); rt.send(rt.spawn(() => { throw new Error() }), 'x')",
    ],
    ['while it closes', 'rt.close(); setImmediate(() => process.exit(3))'],
    [
      'while its exit hooks still use the runtime',
      "process.on('exit', () => { rt.send(busy, 'x'); rt.kill(busy); rt.getMetrics(); rt.spawn(() => {}); rt.call(stuck, 'x').catch(() => {}) }); process.exit(3)",
    ],
  ]) {
    test(`by process.exit ${name}`, () => ends(traffic + code, { exit: 3 }))
  }

  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`by ${signal} in mid-call`, async () => {
      const onStdout = (_text, child) => child.kill(signal)
      await ends(`${traffic} setTimeout(() => console.log('busy'), 10)`, {
        exit: null,
        signal,
        stdout: 'busy\n',
        onStdout,
      })
    })

    test(`by ${signal} with a handler that closes the runtime`, async () => {
      const onStdout = (text, child) => text === 'busy\n' && child.kill(signal)
      const code = `${traffic}
        process.on('${signal}', async () => { await rt.close({ timeoutMs: 1 }); console.log('drained') })
        setTimeout(() => console.log('busy'), 10)`
      await ends(code, { stdout: 'busy\ndrained\n', onStdout })
    })
  }
})

describe('errors of the user are the user’s', { concurrency: 2 }, () => {
  test('an uncaught one ends the process as ever', async () => {
    const { exit, stderr } = await run(`
      const rt = new NodeRuntime()
      rt.send(rt.spawn(() => {}), 'x')
      setImmediate(() => { throw new Error('mine') })`)
    assert.equal(exit, 1)
    assert.match(stderr, /Error: mine/)
  })

  test('a call that nobody awaits rejects unhandled, as any promise', async () => {
    const { exit, stderr } = await run("new NodeRuntime().call(1, 'x')")
    assert.equal(exit, 1)
    assert.match(stderr, /ERR_IRIS_NO_SUCH_ACTOR/)
  })

  test('and iris leaves no stray rejection behind, whatever goes wrong', () =>
    ends(
      `
      const rt = new NodeRuntime({ logger: null, onCrash: async () => { throw new Error('hook') } })
      const pid = rt.spawn(async (m) => { await null; if (String(m) === 'crash') throw new Error('boom'); return 42 })
      const quietly = (p) => p.catch(() => {})
      const controller = new AbortController()
      quietly(rt.call(pid, 'x', { signal: controller.signal }))
      quietly(rt.call(pid, 'x', { timeoutMs: 0 }))
      quietly(rt.call(pid, 'crash'))
      quietly(rt.join(pid, { timeoutMs: 0, signal: controller.signal }))
      quietly(rt.join(pid, { signal: controller.signal }))
      rt.send(pid, 'crash')
      rt.send(rt.spawn(() => Promise.reject()), 'x')
      rt.send(rt.spawn(() => Promise.reject(), { reentrant: true }), 'x')
      controller.abort()
      setTimeout(async () => { await rt.close(); console.log('done') }, 30)`,
      { args: ['--unhandled-rejections=strict'], stdout: 'done\n' },
    ))
})
