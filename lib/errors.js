'use strict'

// Errors of iris: an Error, TypeError or RangeError with a `code` of the catalogue (docs/errors.md). `instanceof IrisError`
// holds for all of them, whatever builtin they extend.

const { inspect, types } = require('node:util')

const PREFIX = 'ERR_IRIS_'

class IrisError extends Error {
  constructor(code, message, options) {
    super(message, options)
    this.code = code
  }

  static [Symbol.hasInstance](value) {
    return (
      typeof value === 'object' &&
      value !== null &&
      typeof value.code === 'string' &&
      value.code.startsWith(PREFIX) &&
      value instanceof Error
    )
  }
}
IrisError.prototype.name = 'IrisError'

class IrisTypeError extends TypeError {
  constructor(code, message, options) {
    super(message, options)
    this.code = code
  }
}

class IrisRangeError extends RangeError {
  constructor(code, message, options) {
    super(message, options)
    this.code = code
  }
}

const NAMES = { ERR_IRIS_TIMEOUT: 'TimeoutError', ERR_IRIS_ABORTED: 'AbortError' }

const OUT_OF_RANGE = new Set(['ERR_IRIS_INVALID_ARGUMENT', 'ERR_IRIS_INVALID_PATH'])

/** An error of the catalogue. */
function makeError(code, message, options) {
  if (code === 'ERR_IRIS_INVALID_TYPE') return new IrisTypeError(code, message, options)
  if (OUT_OF_RANGE.has(code)) return new IrisRangeError(code, message, options)
  const error = new IrisError(code, message, options)
  const name = NAMES[code]
  if (name !== undefined) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  }
  return error
}

const closed = () => makeError('ERR_IRIS_RUNTIME_CLOSED', 'this runtime is closed; make a new one')

const aborted = (signal) =>
  makeError('ERR_IRIS_ABORTED', 'the wait was aborted', { cause: signal.reason })

const wrongType = (what, wanted, got) =>
  makeError('ERR_IRIS_INVALID_TYPE', `${what} must be ${wanted}, got ${describe(got)}`)

const outOfRange = (what, wanted, got) =>
  makeError('ERR_IRIS_INVALID_ARGUMENT', `${what} must be ${wanted}, got ${describe(got)}`)

/** A value in a few words; never throws, whatever the value is. */
function describe(value) {
  try {
    return inWords(value)
  } catch {
    return 'a value that cannot be shown'
  }
}

function inWords(value) {
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40))
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object') return String(value)
  const name = Object.getPrototypeOf(value)?.constructor?.name
  return name ? `a ${name}` : 'an object'
}

/** How much of a thrown value a report shows. */
const SHOWN = {
  depth: 3,
  breakLength: 120,
  maxArrayLength: 20,
  maxStringLength: 2000,
  customInspect: false,
}

/** A thrown value as text alone, for when nobody has time for its stack; never throws. */
function crashName(error) {
  try {
    return types.isNativeError(error) ? `${error.name}: ${error.message}` : crashText(error)[0]
  } catch {
    return crashText(error)[0]
  }
}

/**
 * Whether an error is called and says the same as the last one that was looked at, which is noted in `last`; `false` for what is
 * no plain error.
 */
function sameCrash(error, last) {
  try {
    if (!types.isNativeError(error)) return false
    const { name, message } = error
    if (typeof name !== 'string' || typeof message !== 'string') return false
    if (name === last.name && message === last.message) return true
    last.name = name
    last.message = message
    return false
  } catch {
    return false
  }
}

/** What a crash report says of a thrown value: text and stack; never throws, whatever the value is. */
function crashText(error) {
  try {
    if (error instanceof Error || types.isNativeError(error)) {
      // With its causes, or its errors if it is many; where there are none, no more of a user's code is run.
      const { stack } = error
      const more = Object.hasOwn(error, 'cause') || Object.hasOwn(error, 'errors')
      if (typeof stack !== 'string') return [`${error.name}: ${error.message}`, undefined]
      return [`${error.name}: ${error.message}`, more ? inspect(error, SHOWN) : stack]
    }
    return [`thrown: ${String(error)}`, undefined]
  } catch {
    return ['thrown: a value that cannot be shown', undefined]
  }
}

module.exports = {
  IrisError,
  aborted,
  makeError,
  closed,
  crashName,
  crashText,
  sameCrash,
  wrongType,
  outOfRange,
  describe,
}
