'use strict'

// Checks of what users pass: types throw TypeError, ranges RangeError, both with a code; unknown options are refused, so a
// typing error is not a default.

const { outOfRange, wrongType } = require('./errors.js')

const MAX_TIMER = 2 ** 53
const MAX_BUDGET = 1_000_000
const MAX_CAPACITY = 2 ** 30

function integer(value, what, min, max) {
  if (typeof value !== 'number') throw wrongType(what, 'a number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(what, `an integer from ${min} to ${max}`, value)
  }
  return value
}

function millis(value, what) {
  if (typeof value !== 'number') throw wrongType(what, 'a number of milliseconds', value)
  // Written so that NaN fails.
  if (!(value >= 0 && value <= MAX_TIMER)) throw outOfRange(what, '0 to 2^53 milliseconds', value)
  return value
}

function flag(value, what) {
  if (typeof value !== 'boolean') throw wrongType(what, 'a boolean', value)
  return value
}

function callable(value, what) {
  if (typeof value !== 'function') throw wrongType(what, 'a function', value)
  return value
}

function object(value, what, known) {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null) throw wrongType(what, 'an object', value)
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw outOfRange(what, `an object with only ${known.join(', ')}`, key)
  }
  return value
}

const optional = (value, check, ...rest) =>
  value === undefined ? undefined : check(value, ...rest)

function abortSignal(value) {
  if (!(value instanceof AbortSignal)) throw wrongType('signal', 'an AbortSignal', value)
  return value
}

/** A wait: a bare number is seconds (the seed's form), an object has `timeoutMs` and `signal`. */
function wait(value, defaultMs) {
  if (value === undefined) return { timeoutMs: defaultMs, signal: undefined }
  if (typeof value === 'number') {
    if (!(value >= 0 && value * 1e3 <= MAX_TIMER))
      throw outOfRange('timeout', '0 to 2^53 ms', value)
    return { timeoutMs: value * 1e3, signal: undefined }
  }
  const o = object(value, 'options', ['timeoutMs', 'signal'])
  const { timeoutMs } = o
  return {
    signal: optional(o.signal, abortSignal),
    timeoutMs: optional(timeoutMs, millis, 'timeoutMs') ?? defaultMs,
  }
}

const budget = (value) => integer(value, 'budget', 1, MAX_BUDGET)
const capacity = (value, what = 'capacity') => integer(value, what, 1, MAX_CAPACITY)

const POLICIES = ['dropnew', 'dropold', 'redirect', 'spill', 'block']

/** The policy of a full mailbox; those that name another actor need its pid, the others take none. */
function overflow(value, target, what = 'overflow') {
  if (typeof value !== 'string') throw wrongType(what, 'a string', value)
  if (!POLICIES.includes(value)) throw outOfRange(what, `one of ${POLICIES.join(', ')}`, value)
  if (target !== undefined && typeof target !== 'number') {
    throw wrongType('target', 'a number', target)
  }
  const needs = value === 'redirect' || value === 'spill'
  if (needs && target === undefined) throw outOfRange('target', `a pid with ${value}`, target)
  if (!needs && target !== undefined) throw outOfRange('target', `undefined with ${value}`, target)
  return value
}

function routing(value) {
  if (typeof value !== 'string') throw wrongType('routing', 'a string', value)
  if (value !== 'roundrobin' && value !== 'shortest') {
    throw outOfRange('routing', "'roundrobin' or 'shortest'", value)
  }
}

/** A bound of the whole runtime; `null` takes it away. */
const limit = (value, what) => (value === null ? null : integer(value, what, 1, 2 ** 53))

/** What is of the thread and not of the runtime; `logger` has a default for those who do not say. */
function ofThread(o, logger) {
  const slice = optional(o.timeSliceMs, millis, 'timeSliceMs') ?? 5
  if (slice === 0) throw outOfRange('timeSliceMs', 'more than 0', 0)
  if (o.logger !== undefined && o.logger !== null && typeof o.logger.error !== 'function') {
    throw wrongType('logger', 'null or an object with an error function', o.logger)
  }
  return {
    timeSliceMs: slice,
    callTimeoutMs: optional(o.callTimeoutMs, millis, 'callTimeoutMs') ?? 5000,
    logger: o.logger === undefined ? logger : o.logger,
    onCrash: optional(o.onCrash ?? undefined, callable, 'onCrash'),
    onPressure: optional(o.onPressure ?? undefined, callable, 'onPressure'),
  }
}

const OF_THREAD = ['timeSliceMs', 'callTimeoutMs', 'logger', 'onCrash', 'onPressure']

/** The options of a runtime. */
function runtime(value) {
  const known = [...OF_THREAD, 'stopTimeoutMs', 'defaultCapacity', 'workers']
  const o = object(value, 'options', known)
  return {
    ...ofThread(o, console),
    native: {
      workers: optional(o.workers, integer, 'workers', 1, 1024),
      stopTimeoutMs: optional(o.stopTimeoutMs, millis, 'stopTimeoutMs'),
      defaultCapacity: optional(o.defaultCapacity, capacity, 'defaultCapacity'),
    },
  }
}

/** The options of a thread that joins the runtime `id`; its owner logs the failures. */
function attach(id, value) {
  const o = object(value, 'options', OF_THREAD)
  return { ...ofThread(o, null), native: { attach: integer(id, 'id', 1, 2 ** 32 - 1) } }
}

module.exports = {
  integer,
  millis,
  flag,
  callable,
  object,
  optional,
  signal: abortSignal,
  wait,
  budget,
  capacity,
  overflow,
  limit,
  routing,
  runtime,
  attach,
}
