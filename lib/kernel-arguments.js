'use strict'

// What kernels take: numbers, booleans and typed arrays, each with the code that the compiler knows it by.

/** Typed arrays that kernels take; the place is the code of src/node/jit.rs. */
const ARRAYS = [
  undefined,
  undefined,
  Float64Array,
  Float32Array,
  Int32Array,
  Uint32Array,
  Int16Array,
  Uint16Array,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
]
const CODES = new Map(ARRAYS.flatMap((type, code) => (type ? [[type.name, code]] : [])))
const NUMBER = 0
const BOOL = 1

/** Typed arrays whose class nobody derived or changed: their elements, `length` and iterator are those of the language. */
const PLAIN = new Map(ARRAYS.flatMap((type, code) => (type ? [[type.prototype, code]] : [])))
PLAIN.set(Buffer.prototype, CODES.get('Uint8Array'))

const TypedArray = Object.getPrototypeOf(Int8Array)
/** The name of a typed array's class, whatever its prototype says; `undefined` for anything else. */
const nameOf = Object.getOwnPropertyDescriptor(TypedArray.prototype, Symbol.toStringTag).get

/** The code of an argument; -1: kernels do not take it. */
function codeOf(value) {
  if (typeof value === 'number') return NUMBER
  if (typeof value === 'boolean') return BOOL
  return CODES.get(nameOf.call(value)) ?? -1
}

const ITERATE = TypedArray.prototype[Symbol.iterator]
const LENGTH = Object.getOwnPropertyDescriptor(TypedArray.prototype, 'length').get
const NEXT = Object.getPrototypeOf(new Int8Array()[Symbol.iterator]()).next

/** Whether typed arrays still are what the language says; programs may change that. */
const intact = () =>
  Object.getOwnPropertyDescriptor(TypedArray.prototype, 'length').get === LENGTH &&
  TypedArray.prototype[Symbol.iterator] === ITERATE &&
  Object.getPrototypeOf(new Int8Array()[Symbol.iterator]()).next === NEXT

/** The code of an argument of a call in place; -1: V8 takes it. */
function plainCodeOf(value) {
  if (typeof value === 'number') return NUMBER
  if (typeof value === 'boolean') return BOOL
  if (typeof value !== 'object' || value === null) return -1
  const code = PLAIN.get(Object.getPrototypeOf(value)) ?? -1
  // A prototype may be put on anything: the name is the language's own.
  if (code < 0 || nameOf.call(value) !== ARRAYS[code].name) return -1
  // An empty one may be detached, where iterating throws.
  const odd =
    value.length === 0 || Object.hasOwn(value, 'length') || Object.hasOwn(value, Symbol.iterator)
  return odd ? -1 : code
}

const isShared = (array) => array.buffer instanceof SharedArrayBuffer

/** What `explain` and the log call an argument. */
const word = (code) => (code === NUMBER ? 'number' : code === BOOL ? 'boolean' : ARRAYS[code].name)

module.exports = { ARRAYS, NUMBER, codeOf, intact, isShared, nameOf, plainCodeOf, word }
