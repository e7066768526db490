'use strict'

// `offload(fn, { strategy: 'jit' })`: a function that is compiled for the kinds of its arguments, called in place, and mapped
// or reduced over typed arrays off the loop.

const { availableParallelism } = require('node:os')
const binding = require('../binding.js')
const { aborted, makeError, outOfRange, wrongType } = require('./errors.js')
const {
  ARRAYS,
  NUMBER,
  codeOf,
  intact,
  isShared,
  nameOf,
  plainCodeOf,
  word,
} = require('./kernel-arguments.js')
const { treeOf } = require('./kernel-source.js')
const { LEFT, Variant, run } = require('./kernel-variant.js')

/** Compilations that a function keeps; what comes after runs in V8. */
const MOST_VARIANTS = 16
/** Calls until a function is hot: quantum speculation compiles off the loop from then on. */
const HOT = 32
/** Elements from which a map is worth threads. */
const MANY = 1 << 17

class Offloaded {
  #fn
  #name
  #source
  #options
  #variants = new Map()
  /** Compilations off the loop. */
  #coming = new Map()
  #inV8 = 0

  constructor(fn, options) {
    this.#fn = fn
    this.#name = fn.name || 'anonymous'
    this.#options = options
    this.#source = treeOf(fn)
    // What no kind of arguments could make compile is said at once.
    const codes = Array(this.#source.params).fill(NUMBER)
    const trial = this.#variant('call', codes)
    if (trial.reason !== undefined && !/typed array|elements|`length`/.test(trial.reason.message)) {
      throw trial.reason
    }
    if (trial.reason !== undefined) this.#variants.clear()
  }

  /** A specialisation, compiled now; `undefined`: there are too many, or a hot function's compiles off the loop. */
  #variant(mode, codes, output = 0, now = false) {
    const key = `${mode} ${output} ${codes.join()}`
    const variant = this.#variants.get(key)
    if (variant !== undefined) return variant
    if (this.#variants.size >= MOST_VARIANTS) return undefined
    const { label, plan } = this.#plan(mode, codes, output)
    if (!now && this.#isHot()) {
      this.#compile(key, label, plan)
      return undefined
    }
    const begun = performance.now()
    return this.#keep(key, new Variant(label, begun, () => new binding.JitKernel(plan)))
  }

  /** The same for a call that can wait: the variant, or what gives it. */
  #soon(mode, codes, output, now) {
    const variant = this.#variant(mode, codes, output, now)
    if (variant !== undefined) {
      if (variant.native === undefined) throw variant.reason
      return variant
    }
    const key = `${mode} ${output} ${codes.join()}`
    const coming = this.#coming.get(key)
    if (coming === undefined) throw tooMany()
    return coming.then(() => {
      const made = this.#variants.get(key)
      if (made.native === undefined) throw made.reason
      return made
    })
  }

  #plan(mode, codes, output) {
    const { approxMath = false, interpret = false } = this.#options
    const kinds = codes.map(word).join(', ')
    const label = `${this.#name} ${mode}(${kinds})${mode === 'map' ? ` -> ${word(output)}` : ''}`
    const { tree } = this.#source
    return { label, plan: { tree, args: codes, mode, output, approximate: approxMath, interpret } }
  }

  #keep(key, variant) {
    this.#variants.set(key, variant)
    return variant
  }

  #isHot() {
    if (!binding.jitQuantum()) return false
    const calls = [...this.#variants.values()].reduce((all, { calls }) => all + calls, this.#inV8)
    return calls > HOT
  }

  #compile(key, label, plan) {
    if (this.#coming.has(key)) return
    const begun = performance.now()
    const done = (make) => {
      this.#coming.delete(key)
      this.#keep(key, new Variant(label, begun, make))
    }
    const coming = binding.jitCompile(plan).then(
      (kernel) => done(() => kernel),
      (error) =>
        done(() => {
          throw error
        }),
    )
    this.#coming.set(key, coming)
  }

  /** `kernel(...args)`. */
  call(self, args) {
    const { params } = this.#source
    const codes = []
    const scalars = []
    const arrays = []
    let known = args.length >= params
    for (let i = 0; i < params && known; i++) {
      const code = plainCodeOf(args[i])
      if (code < 0) {
        // Not looked at any further: a conversion would run code of the caller's.
        known = false
        break
      }
      codes.push(code)
      if (code < 2) scalars.push(Number(args[i]))
      else arrays.push(args[i])
    }
    if (arrays.length > 0 && known) known = intact()
    const variant = known ? this.#variant('call', codes) : undefined
    if (variant?.native === undefined) {
      this.#inV8++
      return Reflect.apply(this.#fn, self, args)
    }
    if (variant.left > 16 && variant.left * 2 > variant.calls) {
      return Reflect.apply(this.#fn, self, args)
    }
    variant.calls++
    if (binding.jitQuantum()) return this.#race(variant, self, args, scalars, arrays)
    return this.#natively(variant, self, args, scalars, arrays)
  }

  #natively(variant, self, args, scalars, arrays) {
    const answer = run(variant, scalars, arrays)
    if (answer !== LEFT) return answer
    variant.left++
    return Reflect.apply(this.#fn, self, args)
  }

  /** Quantum speculation: machine code or V8. */
  #race(variant, self, args, scalars, arrays) {
    const { way, report } = variant.race('call')
    try {
      if (way === 1) return Reflect.apply(this.#fn, self, args)
      return this.#natively(variant, self, args, scalars, arrays)
    } finally {
      report()
    }
  }

  /** `kernel.map(...arrays and scalars, options?)`. */
  async map(args) {
    const { inputs, options } = split(args, ['output', 'transfer', 'signal'])
    const { params } = this.#source
    if (inputs.length < params || inputs.length === 0) {
      throw outOfRange(
        'the number of arguments of map',
        `${Math.max(params, 1)} or more`,
        inputs.length,
      )
    }
    const used = inputs.slice(0, Math.max(params, 1))
    const codes = used.map((value, i) => checked(value, `argument ${i} of map`))
    const first = used.find((_, i) => codes[i] >= 2)
    if (first === undefined) {
      throw wrongType('one argument of map', 'a typed array', used[0])
    }
    const count = first.length
    for (const [i, value] of used.entries()) {
      if (codes[i] >= 2 && value.length !== count) {
        throw outOfRange(
          `argument ${i} of map`,
          `${count} elements long, as the first array is`,
          value.length,
        )
      }
    }
    const output = outputOf(
      options.output,
      codes.find((code) => code >= 2),
    )
    signalOf(options.signal)
    // What was transferred could not be given back: there nothing is left for later.
    const soon = this.#soon('map', codes.slice(0, params), output, options.transfer === true)
    const arrays = used.filter((_, i) => codes[i] >= 2)
    const lent = lend(arrays, options.transfer ?? false)
    const result = new ARRAYS[output](count)
    const scalars = used
      .slice(0, params)
      .filter((_, i) => codes[i] < 2)
      .map(Number)
    // Not before the arrays are ours: the caller may write to them now.
    const variant = soon instanceof Variant ? soon : await soon
    const mapped = lent.slice(0, codes.slice(0, params).filter((code) => code >= 2).length)
    variant.calls++
    const turn =
      binding.jitQuantum() && count > 0 ? variant.race(count < MANY ? 'few' : 'many') : null
    const native = turn?.race.kernel() ?? variant.native
    // The ways with odd numbers of many elements use one thread.
    const most = turn !== null && count >= MANY && turn.way % 2 === 1 ? 1 : threads(count)
    const done = await withStop(options.signal, (stop) =>
      native.map(scalars, [...mapped, result], most, stop),
    )
    if (done) turn?.report(count)
    if (!done) throw aborted(options.signal ?? { reason: undefined })
    return options.transfer ? { result, inputs: lent } : result
  }

  /** `kernel.reduce(array, initial?, options?)`. */
  async reduce(args) {
    const { inputs, options } = split(args, ['transfer', 'signal', 'associative'])
    const [array, initial] = inputs
    const { params, associative } = this.#source
    if (params < 2 || params > 3) {
      throw outOfRange('the function of reduce', '(accumulator, element) or with the index', params)
    }
    const code = checked(array, 'array')
    if (code < 2) throw wrongType('array', 'a typed array', array)
    if (initial !== undefined && typeof initial !== 'number') {
      throw wrongType('initial', 'a number', initial)
    }
    if (options.associative !== undefined && typeof options.associative !== 'boolean') {
      throw wrongType('associative', 'a boolean', options.associative)
    }
    signalOf(options.signal)
    if (initial === undefined && array.length === 0) {
      // As the method of arrays.
      throw new TypeError('Reduce of empty array with no initial value')
    }
    const variant = this.#soon('reduce', [code], 0, true)
    const integers = code > 3 && (initial === undefined || Number.isSafeInteger(initial))
    const splits =
      params === 2 &&
      (options.associative === true ||
        associative === 'always' ||
        (associative === 'integers' && integers))
    const combine = splits ? this.#variant('call', [NUMBER, NUMBER], 0, true) : undefined
    const [lent] = lend([array], options.transfer ?? false)
    variant.calls++
    const start = initial === undefined ? 1 : 0
    const races = binding.jitQuantum() && combine?.native !== undefined && lent.length >= MANY
    const turn = races ? variant.race('fold') : null
    const count = turn?.way === 1 ? 1 : threads(lent.length)
    const result = await withStop(options.signal, (stop) =>
      variant.native.reduce(lent, start, initial ?? lent[0], count, combine?.native, stop),
    )
    if (result === undefined) throw aborted(options.signal ?? { reason: undefined })
    turn?.report(lent.length)
    return options.transfer ? { result, inputs: [lent] } : result
  }

  explain() {
    const { returnType } = this.#options
    const declared = returnType === undefined ? '' : `; declared ${returnType}`
    const lines = [`${this.#name}: jit, ${this.#variants.size} specialisation(s)${declared}`]
    for (const variant of this.#variants.values()) {
      lines.push(`  ${variant.describe()}`, ...variant.ways())
    }
    if (this.#inV8 > 0)
      lines.push(
        `  ${this.#inV8} calls ran in V8: arguments that kernels do not take, or types that compile off the loop`,
      )
    return lines.join('\n')
  }
}

const tooMany = () =>
  makeError(
    'ERR_IRIS_AT_CAPACITY',
    `a kernel keeps at most ${MOST_VARIANTS} compilations; offload the function again for other types`,
  )

function checked(value, what) {
  const code = codeOf(value)
  if (code < 0) throw wrongType(what, 'a number or a typed array of numbers', value)
  return code
}

function outputOf(output, first) {
  if (output === undefined) return first
  const code = ARRAYS.indexOf(output)
  if (typeof output === 'function' && code >= 2) return code
  throw wrongType('output', 'a typed array class, as Float64Array', output)
}

function signalOf(signal) {
  if (signal === undefined) return
  if (!(signal instanceof AbortSignal)) throw wrongType('signal', 'an AbortSignal', signal)
  if (signal.aborted) throw aborted(signal)
}

/** Options are the last argument if it is an object that is no typed array. */
function split(args, allowed) {
  const last = args.at(-1)
  if (typeof last !== 'object' || last === null || nameOf.call(last) !== undefined) {
    return { inputs: args, options: {} }
  }
  const proto = Object.getPrototypeOf(last)
  if (proto !== Object.prototype && proto !== null) return { inputs: args, options: {} }
  for (const name of Object.keys(last)) {
    if (!allowed.includes(name)) {
      throw outOfRange('an option', `one of ${allowed.join(', ')}`, name)
    }
  }
  const { transfer } = last
  if (transfer !== undefined && typeof transfer !== 'boolean') {
    throw wrongType('transfer', 'a boolean', transfer)
  }
  return { inputs: args.slice(0, -1), options: last }
}

/**
 * Arrays that nobody else reaches while threads read them: shared memory as it is, else a copy, or with `transfer` the
 * memory itself under a new array.
 */
function lend(arrays, transfer) {
  if (!transfer) return arrays.map((array) => (isShared(array) ? array : array.slice()))
  // Measured before: a transferred array has neither place nor length.
  const places = arrays.map(({ buffer, byteOffset, length }) => ({ buffer, byteOffset, length }))
  const buffers = [...new Set(arrays.filter((a) => !isShared(a)).map((a) => a.buffer))]
  let moved
  try {
    moved = structuredClone(buffers, { transfer: buffers })
  } catch (error) {
    throw makeError('ERR_IRIS_INVALID_TYPE', 'the memory of an array cannot be transferred', {
      cause: error,
    })
  }
  return arrays.map((array, i) => {
    if (isShared(array)) return array
    const { buffer, byteOffset, length } = places[i]
    return new ARRAYS[codeOf(array)](moved[buffers.indexOf(buffer)], byteOffset, length)
  })
}

const threads = (count) => (count >= MANY ? availableParallelism() : 1)

async function withStop(signal, run) {
  const stop = new binding.JitStop()
  const raise = () => stop.raise()
  signal?.addEventListener('abort', raise, { once: true })
  try {
    return await run(stop)
  } finally {
    signal?.removeEventListener('abort', raise)
  }
}

/** A kernel: a function with `map`, `reduce` and `explain`. */
function kernelOf(fn, options) {
  const offloaded = new Offloaded(fn, options)
  const kernel = function (...args) {
    return offloaded.call(this, args)
  }
  Object.defineProperty(kernel, 'name', { value: fn.name, configurable: true })
  Object.defineProperty(kernel, 'length', { value: fn.length, configurable: true })
  kernel.map = (...args) => offloaded.map(args)
  kernel.reduce = (...args) => offloaded.reduce(args)
  kernel.explain = () => offloaded.explain()
  return kernel
}

module.exports = { kernelOf }
