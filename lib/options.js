'use strict'

// Checks of what users pass: types throw TypeError, ranges RangeError, both with a code; unknown options are refused, so a
// typing error is not a default.

const { outOfRange, wrongType } = require('./errors.js')
const telemetry = require('./telemetry.js')

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

const STRATEGIES = ['restartone', 'restartall', 'restforone']
const RESTARTS = ['permanent', 'transient', 'temporary']

const word = (words, what) => (value) => {
  if (typeof value !== 'string') throw wrongType(what, 'a string', value)
  if (!words.includes(value)) throw outOfRange(what, `one of ${words.join(', ')}`, value)
  return value
}

const strategy = word(STRATEGIES, 'strategy')
const restart = word(RESTARTS, 'restart')

function real(value, what, min, max) {
  if (typeof value !== 'number') throw wrongType(what, 'a number', value)
  // Written so that NaN fails.
  if (!(value >= min && value <= max)) throw outOfRange(what, `${min} to ${max}`, value)
  return value
}

/** `true`, or an object, as the bytes of four doubles. */
function backoff(value) {
  if (value === false) return undefined
  if (value !== true && (typeof value !== 'object' || value === null)) {
    throw wrongType('backoff', 'a boolean or an object', value)
  }
  const o =
    value === true ? {} : object(value, 'backoff', ['initialMs', 'maxMs', 'factor', 'jitter'])
  const day = 86_400_000
  const initialMs = optional(o.initialMs, real, 'initialMs', 0, day) ?? 100
  const maxMs = optional(o.maxMs, real, 'maxMs', initialMs, day) ?? Math.max(30_000, initialMs)
  const factor = optional(o.factor, real, 'factor', 1, 100) ?? 2
  const jitter = optional(o.jitter, real, 'jitter', 0, 1) ?? 0.5
  return new Uint8Array(new Float64Array([initialMs, maxMs, factor, jitter]).buffer)
}

const SUPERVISOR = ['strategy', 'maxRestarts', 'withinMs', 'restart', 'backoff']

/** How a supervisor is set up. */
function supervisor(value, known = SUPERVISOR) {
  const o = object(value, 'options', known)
  return {
    strategy: optional(o.strategy, strategy),
    maxRestarts: optional(o.maxRestarts, integer, 'maxRestarts', 0, 2 ** 32 - 1),
    withinMs: optional(o.withinMs, real, 'withinMs', 1, MAX_TIMER),
    restart: optional(o.restart, restart),
    backoff: optional(o.backoff, backoff),
  }
}

function id(value) {
  if (typeof value !== 'string') throw wrongType('id', 'a string', value)
  if (value === '' || value.includes('/') || value.includes('\0')) {
    throw outOfRange('id', 'one segment of a path', value)
  }
  return value
}

/** How one child is supervised, and its supervisor set up. */
function supervised(value) {
  const known = ['restart', 'maxRestarts', 'withinMs', 'backoff', 'id']
  const o = supervisor(value, known)
  // `restart` is the child's here, not the supervisor's.
  return { ...o, strategy: undefined, restart: undefined, ...childOptions(value ?? {}) }
}

const childOptions = (o) => ({ restart: optional(o.restart, restart), id: optional(o.id, id) })

/** The children of `rt.supervise`. */
function children(value) {
  if (!Array.isArray(value)) throw wrongType('children', 'an array', value)
  const seen = new Set()
  for (const spec of value) {
    if (typeof spec !== 'object' || spec === null) throw wrongType('a child', 'an object', spec)
    id(spec.id)
    if (seen.has(spec.id)) throw outOfRange('id', 'given once among siblings', spec.id)
    seen.add(spec.id)
    if (spec.children !== undefined) {
      const { id: _, children: below, ...rest } = spec
      children(below)
      supervisor(rest)
      continue
    }
    object(spec, 'a child', ['id', 'start', 'restart', 'workers'])
    callable(spec.start, 'start')
    optional(spec.restart, restart)
    optional(spec.workers, integer, 'workers', 1, 65_536)
  }
  return value
}

/** How an actor speculates, as numbers: when a ghost begins (negative: by itself), the grace, the rate; `undefined`: not at all. */
function vortex(value) {
  if (value === undefined || value === false) return undefined
  if (value !== true && (typeof value !== 'object' || value === null || Array.isArray(value))) {
    throw wrongType('vortex', 'a boolean or an object', value)
  }
  const o = value === true ? {} : object(value, 'vortex', ['ghostAfterMs', 'graceMs', 'maxRate'])
  return [
    optional(o.ghostAfterMs, millis, 'ghostAfterMs') ?? -1,
    optional(o.graceMs, millis, 'graceMs') ?? 1000,
    optional(o.maxRate, real, 'maxRate', 0, 1) ?? 1,
  ]
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
  const tracing = optional(o.tracing, flag, 'tracing') ?? false
  if (tracing) telemetry.load()
  return {
    tracing,
    timeSliceMs: slice,
    callTimeoutMs: optional(o.callTimeoutMs, millis, 'callTimeoutMs') ?? 5000,
    logger: o.logger === undefined ? logger : o.logger,
    onCrash: optional(o.onCrash ?? undefined, callable, 'onCrash'),
    onPressure: optional(o.onPressure ?? undefined, callable, 'onPressure'),
  }
}

const OF_THREAD = ['timeSliceMs', 'callTimeoutMs', 'logger', 'onCrash', 'onPressure', 'tracing']

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
  strategy,
  supervisor,
  supervised,
  children,
  routing,
  vortex,
  runtime,
  attach,
}
