'use strict'

// OpenTelemetry: the context of whoever sends is active around the handler. The carrier is a codec of its own around the
// actor's: only actors of a runtime with `tracing` have it, every sender learns of it where it learns of codecs, and nobody
// else pays. See docs/adr/0026-trace-context.md.

const { toBytes } = require('./bytes.js')
const { makeError } = require('./errors.js')

/** Before a message that bears a context: these, the length of the carrier as JSON (16 bits), the JSON. */
const MAGIC = Buffer.from([0xf1, 0x69, 0x72, 0x69, 0x73, 0x2b, 0x74, 0x63])
const HEAD = MAGIC.length + 2
const MOST = 0xffff

const W3C = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

let api

/** Loads the API; throws if it is not installed. */
function load() {
  try {
    api ??= require('@opentelemetry/api')
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    throw makeError(
      'ERR_IRIS_INVALID_ARGUMENT',
      'tracing needs the package @opentelemetry/api: npm install @opentelemetry/api',
    )
  }
}

/** Whether somebody has set a propagator. */
const propagates = () => api.propagation.fields().length > 0

/** What this context is to the receiver; `undefined`: nothing. */
function carrierOf(active, propagated) {
  const carrier = {}
  if (propagated) {
    api.propagation.inject(active, carrier)
  } else {
    // Nobody has set a propagator: the standard's own header.
    const span = api.trace.getSpanContext(active)
    if (span !== undefined && api.isSpanContextValid(span)) {
      const flags = span.traceFlags.toString(16).padStart(2, '0')
      carrier.traceparent = `00-${span.traceId}-${span.spanId}-${flags}`
      const state = span.traceState?.serialize()
      if (state) carrier.tracestate = state
    }
  }
  return Object.keys(carrier).length === 0 ? undefined : carrier
}

function contextOf(carrier, propagated) {
  if (propagated) return api.propagation.extract(api.ROOT_CONTEXT, carrier)
  const [, traceId, spanId, flags] = W3C.exec(carrier.traceparent) ?? []
  if (traceId === undefined) return api.ROOT_CONTEXT
  const { tracestate } = carrier
  const traceState = tracestate === undefined ? undefined : api.createTraceState(tracestate)
  const traceFlags = Number.parseInt(flags, 16)
  const span = { traceId, spanId, traceFlags, traceState, isRemote: true }
  return api.trace.setSpanContext(api.ROOT_CONTEXT, span)
}

const hasHead = (bytes) => bytes.length >= HEAD && MAGIC.equals(bytes.subarray(0, MAGIC.length))

/** Before a message whose sender has no context, and that looks as if it had one. */
const NO_CARRIER = Buffer.concat([MAGIC, Buffer.alloc(2)])

// Contexts never change, and a span sends more than one message as a rule: the last one that was written, and the last one
// that was read, are kept with what they were made from.
let sent = { active: undefined, propagated: false, head: undefined }
let received = { head: undefined, propagated: false, context: undefined }

/** What goes before a message that is sent now; `undefined`: nothing. */
function headNow() {
  if (api === undefined) return undefined
  const active = api.context.active()
  if (active === api.ROOT_CONTEXT) return undefined
  const propagated = propagates()
  if (sent.active !== active || sent.propagated !== propagated) {
    sent = { active, propagated, head: headOf(carrierOf(active, propagated)) }
  }
  return sent.head
}

function headOf(carrier) {
  if (carrier === undefined) return undefined
  const text = Buffer.from(JSON.stringify(carrier))
  if (text.length > MOST) return NO_CARRIER
  const head = Buffer.concat([MAGIC, Buffer.alloc(2), text])
  head.writeUInt16LE(text.length, MAGIC.length)
  return head
}

/** A message and the context of its sender as bytes. */
function wrap(data) {
  const bytes = toBytes(data, 'data')
  // One that looks like ours says that it has none.
  const head = headNow() ?? (hasHead(bytes) ? NO_CARRIER : undefined)
  if (head === undefined) return bytes
  const all = Buffer.allocUnsafe(head.length + bytes.length)
  all.set(head)
  all.set(bytes, head.length)
  return all
}

/** Where the message begins in the bytes that `contextOfSender` has looked at last. */
let body = 0

/** The context of whoever sent these bytes. */
function contextOfSender(bytes) {
  const { head } = received
  const propagated = propagates()
  if (
    head !== undefined &&
    received.propagated === propagated &&
    bytes.length >= head.length &&
    bytes.compare(head, 0, head.length, 0, head.length) === 0
  ) {
    body = head.length
    return received.context
  }
  const [message, carrier] = unwrap(bytes)
  body = bytes.length - message.length
  if (carrier === undefined) return api.ROOT_CONTEXT
  const context = contextOf(carrier, propagated)
  received = { head: Buffer.from(bytes.subarray(0, body)), propagated, context }
  return context
}

/** The message and its sender's carrier. */
function unwrap(bytes) {
  if (!hasHead(bytes)) return [bytes, undefined]
  const from = HEAD + bytes.readUInt16LE(MAGIC.length)
  if (from > bytes.length) return [bytes, undefined]
  const message = bytes.subarray(from)
  if (from === HEAD) return [message, undefined]
  try {
    const carrier = JSON.parse(bytes.toString('utf8', HEAD, from))
    return [message, typeof carrier === 'object' && carrier !== null ? carrier : undefined]
  } catch {
    return [message, undefined]
  }
}

/** `inner` (`undefined`: bytes as they are) with the sender's context beside each message. */
function traced(name, inner) {
  const decode = inner === undefined ? (bytes) => bytes : (bytes) => inner.decode(bytes)
  return {
    name,
    inner,
    traced: true,
    encode: inner === undefined ? wrap : (message) => wrap(inner.encode(message)),
    decode: (bytes) => decode(unwrap(bytes)[0]),
    /** A handler that runs in the context of who sent. */
    bind: (handler) => (message, ctx) => {
      if (!Buffer.isBuffer(message)) return handler(message, ctx)
      const context = contextOfSender(message)
      const bytes = body === 0 ? message : message.subarray(body)
      if (inner !== undefined) {
        return api.context.with(context, () => handler(inner.decode(bytes), ctx))
      }
      if (context === api.context.active()) return handler(bytes, ctx)
      return api.context.with(context, handler, undefined, bytes, ctx)
    },
  }
}

module.exports = { load, traced }
