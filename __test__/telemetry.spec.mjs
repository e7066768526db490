// OpenTelemetry contexts through send and call, with the real API.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { NodeRuntime } from '../index.mjs'
import { index, runtime, turn } from './support.mjs'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
const spans = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const tracer = provider.getTracer('test')

/** Runs `f` in a new span; answers the span's context. */
function inSpan(name, f) {
  const span = tracer.startSpan(name)
  const with_ = trace.setSpan(context.active(), span)
  context.with(with_, f)
  span.end()
  return span.spanContext()
}

const activeSpan = () => trace.getSpanContext(context.active())

/** A propagator as a user may have one. */
const named = {
  fields: () => ['x-span'],
  inject: (ctx, carrier, setter) =>
    setter.set(carrier, 'x-span', JSON.stringify(trace.getSpanContext(ctx) ?? null)),
  extract(ctx, carrier, getter) {
    const span = JSON.parse(getter.get(carrier, 'x-span') ?? 'null')
    return span === null ? ctx : trace.setSpanContext(ctx, span)
  },
}

for (const propagator of [false, true]) {
  const how = propagator ? 'a propagator of the user' : 'the W3C header'
  test(`send and call carry the context by ${how}`, async (t) => {
    if (propagator) {
      propagation.setGlobalPropagator(named)
      t.after(() => propagation.disable())
    }
    const rt = runtime(t, { tracing: true })
    const seen = []
    const last = rt.spawn(async (message) => {
      await turn()
      seen.push(['last', message.toString(), activeSpan()?.spanId])
      return 'answer'
    })
    const first = rt.spawn(async (message, ctx) => {
      seen.push(['first', message.toString(), activeSpan()?.spanId])
      return ctx.call(last, message)
    })
    let call
    const { spanId } = inSpan('outer', () => {
      call = rt.call(first, 'inside')
    })
    assert.equal((await call).toString(), 'answer')
    assert.equal((await rt.call(first, 'outside')).toString(), 'answer')
    assert.deepEqual(seen, [
      ['first', 'inside', spanId],
      ['last', 'inside', spanId],
      ['first', 'outside', undefined],
      ['last', 'outside', undefined],
    ])
  })
}

test('a span in a handler is the child of the one that sent', async (t) => {
  spans.reset()
  const rt = runtime(t, { tracing: true })
  const pid = rt.spawn(() => tracer.startSpan('handle', {}, context.active()).end())
  let call
  const outer = inSpan('outer', () => {
    call = rt.call(pid, 'x')
  })
  await call
  const handled = spans.getFinishedSpans().find(({ name }) => name === 'handle')
  assert.equal(handled.spanContext().traceId, outer.traceId)
  const parent = handled.parentSpanContext?.spanId ?? handled.parentSpanId
  assert.equal(parent, outer.spanId)
})

test('every way to send carries it, and no message is changed by it', async (t) => {
  const rt = runtime(t, { tracing: true })
  const seen = []
  const pid = rt.spawn((message) => {
    seen.push([message, activeSpan()?.spanId])
  })
  rt.register('traced', pid)
  rt.registerPath('/traced', pid)
  const looksLikeOurs = Buffer.from([0xf1, 0x69, 0x72, 0x69, 0x73, 0x2b, 0x74, 0x63, 9, 9, 1])
  const sent = [Buffer.alloc(0), Buffer.from('x'), looksLikeOurs, Buffer.alloc(100_000, 'y')]
  rt.send(pid, looksLikeOurs)
  const { spanId } = inSpan('outer', () => {
    for (const message of sent) rt.send(pid, message)
    rt.sendMany(pid, ['m'])
    rt.sendNamed('traced', 'n')
    rt.sendPath('/traced', 'p')
    rt.sendAfter(pid, 0, 'later')
    rt.sendAsync(pid, 'async')
  })
  while (seen.length < sent.length + 6) await turn()
  assert.deepEqual(seen[0], [looksLikeOurs, undefined])
  for (const [i, message] of sent.entries()) assert.ok(seen[i + 1][0].equals(message))
  for (const [, id] of seen.slice(1)) assert.equal(id, spanId)
  const texts = seen.slice(5).map(([message]) => message.toString())
  assert.deepEqual(texts.sort(), ['async', 'later', 'm', 'n', 'p'])
})

test('a codec, replies and actorInfo are what they are without tracing', async (t) => {
  const rt = runtime(t, { tracing: true })
  const json = rt.spawn((message) => ({ got: message, span: activeSpan()?.spanId }), {
    codec: 'json',
  })
  let call
  const { spanId } = inSpan('outer', () => {
    call = rt.call(json, [1])
  })
  assert.deepEqual(await call, { got: [1], span: spanId })
  assert.equal(rt.actorInfo(json).codec, 'json')
  const nothing = rt.spawn(() => {})
  assert.equal(rt.actorInfo(nothing).codec, null)
  assert.equal((await rt.call(nothing, 'x')).length, 0)
  const failing = rt.spawn(() => {
    throw new RangeError('boom')
  })
  await assert.rejects(rt.call(failing, 'x'), RangeError)
})

test('each of many messages has the context of its own sender', async (t) => {
  const rt = runtime(t, { tracing: true })
  const seen = []
  const pid = rt.spawn((message) => {
    seen.push([message.toString(), activeSpan()?.spanId])
  })
  const contexts = [ROOT_CONTEXT]
  for (let i = 0; i < 3; i++) {
    contexts.push(trace.setSpan(ROOT_CONTEXT, tracer.startSpan(`span ${i}`)))
  }
  const expected = []
  for (let i = 0; i < 200; i++) {
    // In turn, several in a row, and with a propagator that is set in between.
    const of = contexts[((i * i) % 7) % contexts.length]
    if (i === 100) propagation.setGlobalPropagator(named)
    context.with(of, () => rt.send(pid, `m${i}`))
    expected.push([`m${i}`, trace.getSpanContext(of)?.spanId])
    if (i % 10 === 9) while (seen.length <= i) await turn()
  }
  propagation.disable()
  assert.deepEqual(seen, expected)
})

test('an actor of another thread runs in the context of who sends', async (t) => {
  const rt = runtime(t, { tracing: true })
  const from = (name) => JSON.stringify(import.meta.resolve(name))
  const code = `
    import { parentPort, workerData } from 'node:worker_threads'
    import otel from ${from('@opentelemetry/api')}
    import hooks from ${from('@opentelemetry/context-async-hooks')}
    import { NodeRuntime } from ${JSON.stringify(index)}
    const { context, trace } = otel
    context.setGlobalContextManager(new hooks.AsyncLocalStorageContextManager().enable())
    const rt = NodeRuntime.attach(workerData, { tracing: true })
    setInterval(() => {}, 1e6)
    parentPort.postMessage(rt.spawn(() => trace.getSpanContext(context.active())?.spanId ?? 'none'))`
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
  const worker = new Worker(url, { workerData: rt.id })
  t.after(() => worker.terminate())
  const pid = await new Promise((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
  })
  for (let i = 0; i < 3; i++) {
    let call
    const { spanId } = inSpan('outer', () => {
      call = rt.call(pid, 'who?')
    })
    assert.equal((await call).toString(), spanId)
    assert.equal((await rt.call(pid, 'and now?')).toString(), 'none')
  }
})

test('a message without a context runs in none, whatever was active at the spawn', async (t) => {
  const rt = runtime(t, { tracing: true })
  let pid
  inSpan('spawning', () => {
    pid = rt.spawn(() => (context.active() === ROOT_CONTEXT ? 'root' : 'another'))
  })
  assert.equal((await rt.call(pid, 'x')).toString(), 'root')
})

test('without the option messages are bytes and nothing else', async (t) => {
  const rt = runtime(t)
  const pid = rt.spawn((message) => message)
  let call
  inSpan('outer', () => {
    call = rt.call(pid, 'x')
  })
  assert.equal((await call).toString(), 'x')
  assert.throws(() => new NodeRuntime({ tracing: 1 }), { code: 'ERR_IRIS_INVALID_TYPE' })
})
