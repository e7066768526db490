// Generated functions x inputs, three ways: V8, machine code, the interpreter. IRIS_SEED=n repeats a run, IRIS_CASES=200000 soaks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { offload } from '../index.mjs'

const seed = Number(process.env.IRIS_SEED ?? Date.now() % 2 ** 31)
const cases = Number(process.env.IRIS_CASES ?? 5000)
/** Calls of each function. */
const CALLS = 10

let state = seed >>> 0
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = (n) => Math.floor(random() * n)
const pick = (items) => items[below(items.length)]

const NUMBERS = [
  '0',
  '1',
  '-1',
  '0.5',
  '2',
  '3',
  '7',
  '31',
  '-0',
  '255',
  '1e10',
  '4294967296',
  'NaN',
]
const INPUTS = [0, -0, 1, -1, 0.5, -2.5, 3, 7, 2 ** 31, -(2 ** 31), 2 ** 53, 1e300, Infinity, NaN]
const BINARY = ['+', '-', '*', '/', '%', '|', '&', '^', '<<', '>>', '>>>']
const ONE = ['sqrt', 'abs', 'floor', 'ceil', 'trunc', 'round', 'sign', 'fround', 'clz32']
const COMPARE = ['<', '<=', '>', '>=', '===', '!==']

/** What the next function is made of: `a` is an array, and a map's function has none. */
let names = ['x', 'y', 's', 't', 'a.length']

function number(depth) {
  if (depth === 0) return pick([...names, pick(NUMBERS)])
  const d = depth - 1
  const kind = below(9)
  switch (kind === 4 && names.length === 2 ? 8 : kind) {
    case 0:
      return `Math.${pick(ONE)}(${number(d)})`
    case 1:
      return `Math.${pick(['min', 'max', 'imul'])}(${number(d)}, ${number(d)})`
    case 2:
      return `(${pick(['- ', '~', '+'])}${number(d)})`
    case 3:
      return `(${truth(d)} ? ${number(d)} : ${number(d)})`
    case 4:
      return `a[${number(d)}]`
    case 5:
      return `(${number(d)} ${pick(['&&', '||', '??'])} ${number(d)})`
    default:
      return `(${number(d)} ${pick(BINARY)} ${number(d)})`
  }
}

function truth(depth) {
  if (below(4) === 0) return `!(${number(depth)})`
  return `(${number(depth)} ${pick(COMPARE)} ${number(depth)})`
}

function statement(depth) {
  const target = pick(['s', 't', 'x', `a[+${number(1)}]`])
  const d = depth - 1
  switch (depth === 0 ? 0 : below(6)) {
    case 1:
      return `if (${truth(1)}) { ${block(d)} } else { ${block(d)} }`
    case 2:
      return `for (let i = 0; i < ${below(5)}; i++) { ${block(d)} if (${truth(1)}) ${pick(['break', 'continue'])}; t += i }`
    case 3:
      return `for (const v of a) { s += v * ${number(1)}; ${block(d)} }`
    case 4:
      return `switch (${number(1)} & 3) { case 0: ${block(d)} case 1: ${block(d)} break; default: ${block(d)} }`
    default:
      return `${target} ${pick(['=', '+=', '-=', '*=', '|=', '>>>='])} ${number(2)};`
  }
}

const block = (depth) => Array.from({ length: 1 + below(2) }, () => statement(depth)).join(' ')

test(`${cases} generated calls agree (IRIS_SEED=${seed})`, () => {
  for (let n = 0; n < cases; n += CALLS) {
    const text = `let s = 0; let t; ${block(2)} ${below(2) ? `if (${truth(1)}) return t;` : ''} return ${number(3)}`
    const fn = new Function('x', 'y', 'a', text)
    const ways = [offload(fn), offload(fn, { interpret: true })]
    const Type = pick([
      Float64Array,
      Float32Array,
      Int32Array,
      Uint8Array,
      Uint8ClampedArray,
      Int16Array,
    ])
    for (let i = 0; i < CALLS; i++) {
      const [x, y] = [pick(INPUTS), pick(INPUTS)]
      const array = Type.from([1.5, -2, 300, pick(INPUTS)])
      const expected = array.slice()
      const value = fn(x, y, expected)
      for (const kernel of ways) {
        const own = array.slice()
        const got = kernel(x, y, own)
        const what = `seed ${seed}: function (x, y, a) { ${text} }\n(${x}, ${y}, ${Type.name} ${array})`
        assert.ok(Object.is(got, value), `${what}: ${got}, V8 says ${value}`)
        // Not their bytes: which NaN it is is nobody's promise.
        assert.ok(
          own.every((v, at) => Object.is(v, expected[at])),
          `${what}: stored ${own}, V8 ${expected}`,
        )
      }
      assert.match(ways[0].explain(), /: native;/, text)
    }
  }
})

const KINDS = [
  Float64Array,
  Float32Array,
  Int32Array,
  Uint32Array,
  Int16Array,
  Uint16Array,
  Int8Array,
  Uint8Array,
]

test(`${cases / 10} generated maps agree with V8 element by element (IRIS_SEED=${seed})`, async () => {
  names = ['x', 'y']
  for (let n = 0; n < cases / 10; n++) {
    const body =
      below(2) === 0
        ? `return ${number(3)}`
        : `if (${truth(1)}) return ${number(2)}; let s = ${number(1)}; if (${truth(1)}) s += ${number(1)}; return s`
    const fn = new Function('x', 'y', body)
    const kernel = offload(fn)
    // Numbers that no lane leaves at, or any: 37, so that some fill no vector.
    const tame = () => below(2000) / 8 - 100
    const [first, second] = [pick(KINDS), pick(KINDS)].map((Kind) => {
      const one = below(2) ? tame : () => pick(INPUTS)
      return Kind.from({ length: 37 }, one)
    })
    const output = pick(KINDS)
    const got = await kernel.map(first, second, { output })
    const expected = output.from(first, (x, i) => fn(x, second[i]))
    const what = `seed ${seed}: function (x, y) { ${body} } on ${first.constructor.name}, ${second.constructor.name} to ${output.name}`
    const differ = [...expected.keys()].filter((i) => !Object.is(got[i], expected[i]))
    assert.deepEqual(
      differ.map((i) => [first[i], second[i], got[i], expected[i]]),
      [],
      what,
    )
    assert.match(kernel.explain(), /native/, what)
  }
})
