'use strict'

// One compilation of a function, and what its calls cost.

const binding = require('../binding.js')
const { makeError } = require('./errors.js')
const { unsupported } = require('./kernel-source.js')

/** What a turn adds to the number of its way if the cost is asked for. */
const MEASURED = 256

const log = (line) => process.stderr.write(`iris.jit: ${line}\n`)

/** What a kernel answers that left: nothing has happened, V8 does the call. */
const LEFT = Symbol('left')

function run({ native }, scalars, arrays) {
  try {
    return native.call(scalars, arrays)
  } catch (error) {
    if (error.message === 'left') return LEFT
    throw refused(error)
  }
}

/** One compilation. */
class Variant {
  calls = 0
  /** Calls that V8 had to do. */
  left = 0
  native
  milliseconds = 0
  reason = undefined
  /** The ways to run it by kind, while quantum speculation is on. */
  races = new Map()

  /** `make` gives the kernel, or throws why there is none. */
  constructor(label, begun, make) {
    this.label = label
    try {
      this.native = make()
    } catch (error) {
      this.reason = refused(error)
    }
    this.milliseconds = performance.now() - begun
    if (binding.jitLogging()) log(this.describe())
  }

  /** The race of a kind (src/node/jit_race.rs), and what the call does in it. */
  race(kind) {
    let race = this.races.get(kind)
    if (race === undefined) {
      race = new binding.JitRace(this.native, kind)
      this.races.set(kind, race)
    }
    const turn = race.turn()
    const way = turn % MEASURED
    const begun = turn >= MEASURED ? process.hrtime.bigint() : undefined
    const report = (elements = 1024) => {
      if (begun === undefined) return
      const nanoseconds = Number(process.hrtime.bigint() - begun)
      race.report(way, Math.round((nanoseconds * 1024) / elements))
    }
    return { race, way, report }
  }

  /** A line for each way. */
  ways() {
    const all = [...this.races.values()].flatMap((race) => race.standing())
    return all.map(({ name, best, state, wins, runs, median }) => {
      const cost = median == null ? 'not measured' : `${median} ns`
      return `    ${name}: ${best ? 'runs' : state}; ${cost}; ${wins} wins; ${runs} calls`
    })
  }

  get runs() {
    if (this.native === undefined) return 'v8'
    return this.native.native ? 'native' : 'interpreted'
  }

  describe() {
    const reason = this.reason?.message ?? this.native?.backendError
    const why = reason == null ? '' : ` (${reason})`
    const left = this.left === 0 ? '' : `; left: ${this.left} x a store under the index undefined`
    const took = this.milliseconds.toFixed(1)
    return `${this.label}: ${this.runs}${why}; compiled in ${took} ms; ${this.calls} calls${left}`
  }
}

/** An error of the compiler. */
function refused(error) {
  const found = /^(\w+) (\d+) (\d+) ([\s\S]*)$/.exec(error.message)
  if (found === null) return makeError('ERR_IRIS_INTERNAL', error.message)
  const [, kind, line, column, message] = found
  if (kind === 'internal') return makeError('ERR_IRIS_INTERNAL', message)
  const at = line === '0' ? {} : { line: Number(line), column: Number(column) - 1 }
  return unsupported(message, at)
}

module.exports = { LEFT, Variant, run }
