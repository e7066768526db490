'use strict'

// `offload(fn, options)`, and the controls of the compiler.

const binding = require('../binding.js')
const { describe, makeError, outOfRange, wrongType } = require('./errors.js')
const { kernelOf } = require('./kernel.js')
const { actorOf } = require('./offload-pool.js')

const OPTIONS = {
  jit: ['strategy', 'returnType', 'approxMath', 'interpret'],
  actor: ['strategy', 'returnType', 'pool', 'queue', 'timeoutMs'],
}
/** Python's names, and those of this language. They convert nothing: readers and `explain` see them. */
const RETURN_TYPES = ['float', 'int', 'bool', 'tuple', 'list', 'array', 'None', 'number', 'boolean']

function offload(fn, options = {}) {
  if (typeof options !== 'object' || options === null) {
    throw wrongType('options', 'an object', options)
  }
  const { strategy = 'jit' } = options
  if (!Object.hasOwn(OPTIONS, strategy)) throw outOfRange('strategy', "'jit' or 'actor'", strategy)
  for (const name of Object.keys(options)) {
    if (!OPTIONS[strategy].includes(name)) {
      const known = OPTIONS[strategy].join(', ')
      throw outOfRange(`an option of strategy '${strategy}'`, `one of ${known}`, name)
    }
  }
  const { returnType } = options
  if (returnType !== undefined && !RETURN_TYPES.includes(returnType)) {
    throw outOfRange('returnType', `one of ${RETURN_TYPES.join(', ')}`, returnType)
  }
  if (strategy === 'actor') return actorOf(fn, options)
  if (typeof fn !== 'function') throw wrongType('fn', 'a function', fn)
  for (const name of ['approxMath', 'interpret']) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'boolean') throw wrongType(name, 'a boolean', value)
  }
  if (binding.JitKernel === undefined) {
    throw makeError('ERR_IRIS_NOT_COMPILABLE', `${describe(fn)}: iris was built without offload`)
  }
  return kernelOf(fn, options)
}

const control = (name) => [
  (on) => {
    if (typeof on !== 'boolean') throw wrongType('on', 'a boolean', on)
    binding[name]?.(on)
  },
  () => binding[name]?.() ?? false,
]

const [setJitLogging, getJitLogging] = control('jitLogging')
const [setQuantumSpeculation, getQuantumSpeculation] = control('jitQuantum')

const isOn = (name) => !['', '0', undefined].includes(process.env[name])
if (isOn('IRIS_JIT_LOG')) setJitLogging(true)
if (isOn('IRIS_JIT_QUANTUM')) setQuantumSpeculation(true)

module.exports = {
  offload,
  setJitLogging,
  getJitLogging,
  setQuantumSpeculation,
  getQuantumSpeculation,
}
