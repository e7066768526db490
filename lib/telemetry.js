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

/** What the active context is to the receiver; `undefined`: nothing. */
function carrierOf() {
  if (api === undefined) return undefined
  const active = api.context.active()
  if (active === api.ROOT_CONTEXT) return undefined
  const carrier = {}
  if (api.propagation.fields().length > 0) {
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

function contextOf(carrier) {
  if (carrier === undefined) return api.ROOT_CONTEXT
  if (api.propagation.fields().length > 0) {
    return api.propagation.extract(api.ROOT_CONTEXT, carrier)
  }
  const [, traceId, spanId, flags] = W3C.exec(carrier.traceparent) ?? []
  if (traceId === undefined) return api.ROOT_CONTEXT
  const { tracestate } = carrier
  const traceState = tracestate === undefined ? undefined : api.createTraceState(tracestate)
  const traceFlags = Number.parseInt(flags, 16)
  const span = { traceId, spanId, traceFlags, traceState, isRemote: true }
  return api.trace.setSpanContext(api.ROOT_CONTEXT, span)
}

const hasHead = (bytes) => bytes.length >= HEAD && MAGIC.equals(bytes.subarray(0, MAGIC.length))

/** A message and the context of its sender as bytes. */
function wrap(data) {
  const bytes = toBytes(data, 'data')
  const carrier = carrierOf()
  // One that looks like ours says that it has none.
  if (carrier === undefined && !hasHead(bytes)) return bytes
  let text = carrier === undefined ? '' : JSON.stringify(carrier)
  if (Buffer.byteLength(text) > MOST) text = ''
  const length = Buffer.byteLength(text)
  const all = Buffer.allocUnsafe(HEAD + length + bytes.length)
  MAGIC.copy(all)
  all.writeUInt16LE(length, MAGIC.length)
  all.write(text, HEAD)
  all.set(bytes, HEAD + length)
  return all
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
      const [bytes, carrier] = unwrap(message)
      return api.context.with(contextOf(carrier), () => handler(decode(bytes), ctx))
    },
  }
}

module.exports = { load, traced }
