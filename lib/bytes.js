'use strict'

// What counts as a message, and how its bytes are had. Everything is asked of the engine, not of the value: a subclass may
// say what it likes of its length, and a getter may run code in the middle of a send.

// Not the global: that is a getter.
const { Buffer } = require('node:buffer')
const { types } = require('node:util')
const { makeError, wrongType } = require('./errors.js')

// Node's own Buffer class: `new FastBuffer(arrayBuffer, offset, length)` is a Buffer in half the time of
// `buffer.subarray`, since nothing is looked up on the way.
const FastBuffer = Buffer[Symbol.species]

const WANTED = 'a Buffer, Uint8Array, ArrayBuffer or string'

const { prototype } = Object.getPrototypeOf(Uint8Array)
const getter = (name) =>
  Function.prototype.call.bind(Object.getOwnPropertyDescriptor(prototype, name).get)
const tagOf = getter(Symbol.toStringTag)
const bufferOf = getter('buffer')

/** Bytes of a Uint8Array. */
const lengthOf = getter('length')

/** Whether `value` is a Uint8Array (a Buffer too), of any realm and subclass. */
const isBytes = (value) => tagOf(value) === 'Uint8Array'

/** A view of an ArrayBuffer; throws if it was transferred away. */
function view(buffer, what) {
  try {
    return new Uint8Array(buffer)
  } catch {
    throw makeError('ERR_IRIS_INVALID_TYPE', `${what} was transferred away: its memory is gone`)
  }
}

/** The bytes of `data` as a Uint8Array that no other thread can change; the memory is the caller's where possible. */
function toBytes(data, what) {
  if (typeof data === 'string') return Buffer.from(data, 'utf8')
  if (isBytes(data)) {
    const buffer = bufferOf(data)
    if (types.isSharedArrayBuffer(buffer)) return new Uint8Array(data)
    if (lengthOf(data) === 0) view(buffer, what)
    return data
  }
  if (types.isArrayBuffer(data)) return view(data, what)
  if (types.isSharedArrayBuffer(data)) return new Uint8Array(new Uint8Array(data))
  throw wrongType(what, WANTED, data)
}

/** Whether `value` is of a type that `toBytes` takes. */
const isMessage = (value) =>
  typeof value === 'string' ||
  isBytes(value) ||
  types.isArrayBuffer(value) ||
  types.isSharedArrayBuffer(value)

/** A Buffer of its own with these bytes. */
function copyBytes(data) {
  const copy = Buffer.allocUnsafe(lengthOf(data))
  copy.set(data)
  return copy
}

module.exports = { FastBuffer, isBytes, isMessage, lengthOf, toBytes, copyBytes }
