'use strict'

// Codecs: how messages that are no bytes become bytes, and back. The core carries the name of an actor's codec; each thread
// has the codecs themselves, by name.

const v8 = require('node:v8')
const { toBytes } = require('./bytes.js')
const { makeError, outOfRange, wrongType } = require('./errors.js')
const { traced } = require('./telemetry.js')

/** Bytes as they are: what every actor speaks that does not say. */
const raw = { name: 'raw', encode: (message) => message, decode: (data) => data }

/** JSON as every language reads it. */
const json = {
  name: 'json',
  encode(message) {
    const text = JSON.stringify(message)
    if (text === undefined) throw outOfRange('a json message', 'something that JSON has', message)
    return text
  },
  decode: (data) => JSON.parse(data.toString('utf8')),
}

/** What structuredClone takes: Map, Set, Date, BigInt, typed arrays, cycles. Between Node processes only. */
const structured = {
  name: 'structured',
  encode: (message) => v8.serialize(message),
  decode: (data) => v8.deserialize(data),
}

const codecs = new Map([raw, json, structured].map((codec) => [codec.name, codec]))

const printable = (name) =>
  name.length > 0 &&
  !name.startsWith(TRACED) &&
  Buffer.byteLength(name) <= 255 &&
  !/\p{C}/u.test(name)

/** Makes a codec known by its name on this thread; the same one again is fine. */
function registerCodec(codec) {
  if (
    typeof codec !== 'object' ||
    codec === null ||
    typeof codec.name !== 'string' ||
    typeof codec.encode !== 'function' ||
    typeof codec.decode !== 'function'
  ) {
    throw wrongType('codec', '{ name, encode, decode } or the name of one', codec)
  }
  const { name } = codec
  if (!printable(name)) throw outOfRange('codec.name', '1 to 255 printable bytes', name)
  const held = codecs.get(name)
  if (held !== undefined && held !== codec) {
    throw outOfRange('codec.name', 'a name that no other codec has', name)
  }
  codecs.set(name, codec)
}

/** The codec of a name; `whose` says in the error who speaks it. */
function getCodec(name, whose = '') {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name)
  const codec = codecs.get(name) ?? tracedCodecs.get(name)
  if (codec !== undefined) return codec
  if (name.startsWith(TRACED)) {
    const inner = name.slice(TRACED.length)
    return tracing(inner === raw.name ? undefined : getCodec(inner, whose))
  }
  throw makeError(
    'ERR_IRIS_NO_SUCH_CODEC',
    `${whose}no codec ${JSON.stringify(name)} is registered on this thread (there are ${codecNames().join(', ')}); registerCodec makes one known`,
  )
}

/** Before the name of the codec of an actor that runs in the context of who sends to it. */
const TRACED = 'traced+'
const tracedCodecs = new Map()

/** `codec`, with the sender's trace context beside each message. */
function tracing(codec) {
  const name = TRACED + (codec ?? raw).name
  let made = tracedCodecs.get(name)
  if (made === undefined) {
    made = traced(name, codec)
    tracedCodecs.set(name, made)
  }
  return made
}

/** The codec's name as users know it; `null`: bytes as they are. */
function plainName(name) {
  if (typeof name !== 'string') return null
  if (!name.startsWith(TRACED)) return name
  const inner = name.slice(TRACED.length)
  return inner === raw.name ? null : inner
}

/** The names of all codecs that this thread knows. */
const codecNames = () => [...codecs.keys()].sort()

/** What the option `codec` means; `undefined`: bytes as they are. */
function codecOption(value) {
  if (value === undefined) return undefined
  if (typeof value === 'string') return forActor(getCodec(value))
  registerCodec(value)
  return forActor(value)
}

const forActor = (codec) => (codec === raw ? undefined : codec)

/** A message as bytes; what the codec throws is thrown. */
const encode = (codec, message) => toBytes(codec.encode(message), `what codec ${codec.name} made`)

/** A reply as bytes: nothing is 0 bytes. */
function encodeReply(codec, reply) {
  if (codec.traced !== true) return reply === undefined ? EMPTY : encode(codec, reply)
  if (codec.inner !== undefined) return encodeReply(codec.inner, reply)
  return reply === undefined || reply === null ? EMPTY : toBytes(reply, 'a reply')
}

function decodeReply(codec, bytes) {
  if (codec.traced !== true) return bytes.length === 0 ? undefined : codec.decode(bytes)
  return codec.inner === undefined ? bytes : decodeReply(codec.inner, bytes)
}

const EMPTY = Buffer.alloc(0)

/** A handler of messages as a handler of bytes; what the runtime itself tells is not encoded. */
function decoding(codec, handler) {
  if (codec === undefined) return handler
  if (codec.traced === true) return codec.bind(handler)
  return (message, ctx) => handler(Buffer.isBuffer(message) ? codec.decode(message) : message, ctx)
}

module.exports = {
  registerCodec,
  getCodec,
  codecNames,
  codecOption,
  encode,
  encodeReply,
  decodeReply,
  decoding,
  tracing,
  plainName,
}
