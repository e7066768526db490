// offload: kernels answer what V8 answers, natively and interpreted; what does not compile says why and where.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  getJitLogging,
  getQuantumSpeculation,
  IrisError,
  offload,
  setJitLogging,
  setQuantumSpeculation,
} from '../index.mjs'

const edge = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 7, -7, 31, 32, 33, 255.5, 256, 1e10]
const far = [
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  -(2 ** 63),
  1e300,
  5e-324,
  Infinity,
  -Infinity,
  NaN,
]
const pool = [...edge, ...far]

/** What the linter would not have us write. */
const written = (...text) => new Function(...text)

/** Both ways of a kernel agree with V8. */
function agrees(fn, ...calls) {
  const ways = [false, true].map((interpret) => offload(fn, { interpret }))
  for (const args of calls) {
    const copies = () => args.map((a) => (ArrayBuffer.isView(a) ? a.slice() : a))
    const own = copies()
    const expected = fn(...own)
    for (const kernel of ways) {
      const given = copies()
      const what = `${fn}\n(${args.map(String)})`
      assert.ok(Object.is(kernel(...given), expected), `${what}: not ${String(expected)}`)
      assert.deepEqual(given, own, what)
    }
  }
}

const pairs = pool.flatMap((x) => pool.map((y) => [x, y]))
const singles = pool.map((x) => [x])

test('the rows of arithmetic', () => {
  for (const fn of [
    (x, y) => x + y,
    (x, y) => x - y,
    (x, y) => x * y,
    (x, y) => x / y,
    (x, y) => x % y,
    (x, y) => x | y,
    (x, y) => x & y,
    (x, y) => x ^ y,
    (x, y) => x << y,
    (x, y) => x >> y,
    (x, y) => x >>> y,
    (x, y) => x < y,
    (x, y) => x >= y,
    (x, y) => x === y,
    written('x', 'y', 'return x != y'),
    written('x', 'y', 'return x == y'),
    written('x', 'y', 'return x == (y > 1)'),
    (x, y) => x && y,
    (x, y) => x || y,
    (x, y) => x ?? y,
    (x, y) => (x ? y : -y),
    (x, y) => Math.min(x, y),
    (x, y) => Math.max(x, y, 1),
    (x, y) => Math.imul(x, y),
    (x, y) => (x + y) | 0,
  ]) {
    agrees(fn, ...pairs)
  }
})

test('the rows of one operand', () => {
  for (const fn of [
    (x) => -x,
    (x) => +x,
    (x) => ~x,
    (x) => !x,
    (x) => x | 0,
    (x) => x >>> 0,
    (x) => Math.sqrt(x),
    (x) => Math.abs(x),
    (x) => Math.floor(x),
    (x) => Math.ceil(x),
    (x) => Math.trunc(x),
    (x) => Math.round(x),
    (x) => Math.sign(x),
    (x) => Math.fround(x),
    (x) => Math.clz32(x),
    (x) => Number.isInteger(x),
    written('x', 'return isNaN(x)'),
    written('x', 'return x++, x'),
    written('x', 'return x == null'),
    (x) => x-- - x,
    (_x) => undefined,
    (x) => {
      if (x > 0) return x
    },
  ]) {
    agrees(fn, ...singles)
  }
})

test('statements', () => {
  agrees(
    (n) => {
      let s = 0
      outer: for (let i = 0; i < 10; i++) {
        for (let j = 0; ; j++) {
          if (j > i) continue outer
          if (i * j > n) break outer
          s += i * j
        }
      }
      return s
    },
    [5],
    [30],
    [1e9],
  )
  agrees(
    written(
      'n',
      'let s = 0; do { switch (n & 3) { case 0: s += 1; case 1: s += 10; break; default: s += 100 } } while (n-- > 0); return s',
    ),
    [0],
    [9],
  )
  agrees(
    (n) => {
      var a
      let b = 1
      while (n > 0) {
        const c = a
        a = n
        if (c === undefined) b = b * 3
        n--
      }
      return b + a
    },
    [0],
    [4],
  )
})

const kinds = [Float64Array, Float32Array, Int32Array, Uint32Array, Int16Array, Uint16Array]
const bytes = [Int8Array, Uint8Array, Uint8ClampedArray]

test('typed arrays: elements, length, stores, and what is out of range', () => {
  for (const Type of [...kinds, ...bytes]) {
    agrees((a, i) => a[i], ...pool.map((i) => [new Type([1.5, -2, 300]), i]))
    agrees(
      (a, i, x) => {
        a[i] = x
        a[1] += x
        return a.length
      },
      ...pool.flatMap((x) => [0, 2, 3, -1, 0.5].map((i) => [new Type([1, 2, 3]), i, x])),
    )
    agrees(
      (a) => {
        let s = 0
        for (const x of a) s += x
        return s
      },
      [new Type([1.5, 2, 200])],
      [new Type(0)],
    )
  }
})

test('map and reduce are the methods of arrays, off the loop', async () => {
  const fn = (x) => x * 1.5 - 3
  for (const Type of [...kinds, ...bytes]) {
    const array = Type.from({ length: 300_000 }, (_, i) => i - 1000)
    const kernel = offload(fn)
    assert.deepEqual(await kernel.map(array), array.map(fn))
  }
  const wave = Float64Array.from({ length: 200_000 }, (_, i) => (i % 7) - 2.3)
  for (const [reducer, initial] of [
    [(a, b) => a + b, 0],
    [(a, b) => a * 0.5 - b, 7],
    [(a, b) => Math.max(a, b), -Infinity],
    [(a, b, i) => a + b * i, 0],
  ]) {
    assert.equal(await offload(reducer).reduce(wave, initial), wave.reduce(reducer, initial))
  }
  const ints = Int32Array.from({ length: 500_000 }, (_, i) => Math.imul(i, 2654435761))
  for (const reducer of [
    (a, b) => (a + b) | 0,
    (a, b) => Math.imul(a, b | 1),
    (a, b) => Math.imul(b, a),
    (a, b) => a ^ b,
  ]) {
    assert.equal(await offload(reducer).reduce(ints), ints.reduce(reducer))
  }
  await assert.rejects(offload((a, b) => a + b).reduce(new Float64Array(0)), TypeError)
})

test('inputs are copied, shared, or transferred and handed back', async () => {
  const kernel = offload((x, y) => x + y)
  const a = new Float64Array([1, 2])
  const running = kernel.map(a, 1)
  a.fill(9)
  assert.deepEqual(await running, new Float64Array([2, 3]))
  const shared = new Float64Array(new SharedArrayBuffer(16))
  assert.deepEqual(await kernel.map(shared, 1), new Float64Array([1, 1]))
  const { result, inputs } = await kernel
    .map(a, a.subarray(1), { transfer: true })
    .catch(() => ({}))
  assert.equal(result, undefined, 'of different lengths')
  const whole = new Float64Array([4, 5, 6])
  const done = await kernel.map(whole.subarray(1), 1, { transfer: true, output: Int8Array })
  assert.equal(whole.length, 0, 'detached')
  assert.deepEqual(done.result, new Int8Array([6, 7]))
  assert.deepEqual(done.inputs, [new Float64Array([5, 6])])
  assert.equal(inputs, undefined)
})

test('a signal ends a run', async () => {
  const kernel = offload((x) => {
    while (true) x += 1
  })
  const controller = new AbortController()
  const running = kernel.map(new Float64Array(4), { signal: controller.signal })
  setImmediate(() => controller.abort())
  await assert.rejects(running, { code: 'ERR_IRIS_ABORTED', name: 'AbortError' })
})

test('what does not compile says why, with line and column', () => {
  const far = 1
  const cases = [
    [(x) => x + far, /`far` is no parameter/, 1, 12],
    [async () => 1, /async/, 1, 1],
    [function* () {}, /generator/, 1, 1],
    [(x) => `${x}`, /template/, 1, 8],
    [(x) => Math.sin(x), /approxMath/, 1, 8],
    [(x) => x ** 2, /approxMath/, 1, 8],
    [({ x }) => x, /plain name/, 1, 2],
    [(x) => typeof x, /`typeof`/, 1, 8],
    [(x) => [x], /an array/, 1, 8],
    [(x) => x.y, /x\.y/, 1, 8],
    [(x) => parseInt(x, 10), /only functions of Math/, 1, 8],
  ]
  for (const [fn, message, line, column] of cases) {
    assert.throws(
      () => offload(fn),
      (error) => {
        assert.ok(error instanceof IrisError)
        assert.equal(error.code, 'ERR_IRIS_NOT_COMPILABLE')
        assert.match(error.message, message)
        assert.deepEqual([error.line, error.column], [line, column], String(fn))
        return true
      },
    )
  }
  assert.throws(() => offload(Math.sqrt), { code: 'ERR_IRIS_NOT_COMPILABLE' })
  assert.throws(() => offload((() => 1).bind(null)), { code: 'ERR_IRIS_NOT_COMPILABLE' })
})

test('bad input', async () => {
  const TYPE = { code: 'ERR_IRIS_INVALID_TYPE' }
  const RANGE = { code: 'ERR_IRIS_INVALID_ARGUMENT' }
  for (const v of [undefined, null, 1, 'f', {}]) assert.throws(() => offload(v), TYPE)
  for (const v of [null, 1, 'jit', true]) assert.throws(() => offload((x) => x, v), TYPE)
  for (const v of ['Jit', '', 1, null]) {
    assert.throws(() => offload((x) => x, { strategy: v }), RANGE)
  }
  assert.throws(() => offload((x) => x, { pool: 1 }), RANGE)
  assert.throws(() => offload((x) => x, { approxMath: 1 }), TYPE)
  for (const returnType of ['Float', 1, null, {}]) {
    assert.throws(() => offload((x) => x, { returnType }), RANGE)
    assert.throws(() => offload((x) => x, { strategy: 'actor', returnType }), RANGE)
  }
  for (const set of [setJitLogging, setQuantumSpeculation]) {
    for (const v of [undefined, 1, 'on', null]) assert.throws(() => set(v), TYPE)
  }
  const kernel = offload((x) => x)
  for (const v of ['a', [1], new BigInt64Array(1), new DataView(new ArrayBuffer(1)), null, 1]) {
    await assert.rejects(kernel.map(v), (e) => e.code.startsWith('ERR_IRIS_INVALID'))
  }
  await assert.rejects(kernel.map(new Int8Array(1), { output: Array }), TYPE)
  await assert.rejects(kernel.map(new Int8Array(1), { signal: 1 }), TYPE)
  await assert.rejects(kernel.map(new Int8Array(1), { odd: 1 }), RANGE)
  for (const options of [{ pool: 0 }, { queue: -1 }, { timeoutMs: 0 }, { approxMath: true }]) {
    assert.throws(() => offload(() => 1, { strategy: 'actor', ...options }), RANGE)
  }
  // Arguments that a kernel does not take are the function's own.
  assert.equal(offload((x, y) => x + y)('a', 1), 'a1')
  assert.ok(Number.isNaN(offload((x, y) => x + y)(1)))
})

test('a declared type is for readers', () => {
  const kernel = offload((x) => x * 2, { strategy: 'jit', returnType: 'float' })
  assert.equal(kernel(4), 8)
  assert.match(kernel.explain(), /; declared float$/m)
})

test('explain, logging and quantum speculation', () => {
  const hypot = offload(function hypot(x, y) {
    return Math.sqrt(x * x + y * y)
  })
  assert.equal(hypot(3, 4), 5)
  assert.match(hypot.explain(), /hypot call\(number, number\): native; compiled in .* ms; 1 calls/)
  assert.equal(getJitLogging(), false)
  assert.equal(getQuantumSpeculation(), false)
  setQuantumSpeculation(true)
  for (let i = 0; i < 60; i++) assert.equal(hypot(3, 4), 5)
  setQuantumSpeculation(false)
  assert.match(hypot.explain(), /^ {4}(kernel|v8): runs; \d+ ns; 1 wins; \d+ calls$/m)
})

test('actor: a pool of Workers', async () => {
  const fn = offload((a, b) => ({ sum: a + b, list: [a, b] }), { strategy: 'actor', pool: 2 })
  assert.deepEqual(await fn(1, 2), { sum: 3, list: [1, 2] })
  assert.match(fn.explain(), /1 of 2 Worker/)
  await assert.rejects(
    fn(() => 1),
    { name: 'DataCloneError' },
  )
  await fn.close()
  await assert.rejects(fn(1, 2), { code: 'ERR_IRIS_RUNTIME_CLOSED' })
  const bad = offload((n) => n.missing.field, { strategy: 'actor', pool: 1 })
  await assert.rejects(
    bad({}),
    (e) => e instanceof TypeError && /missing|undefined/.test(e.message),
  )
  await bad.close()
  const outside = 1
  const closure = offload(() => outside, { strategy: 'actor', pool: 1 })
  await assert.rejects(
    closure(),
    (e) => e instanceof ReferenceError && /offload a module/.test(e.message),
  )
  await closure.close()
  const loop = offload(
    () => {
      for (;;);
    },
    { strategy: 'actor', pool: 1, queue: 1, timeoutMs: 300 },
  )
  const first = loop()
  const second = loop()
  await assert.rejects(loop(), { code: 'ERR_IRIS_MAILBOX_FULL' })
  await assert.rejects(first, { code: 'ERR_IRIS_TIMEOUT' })
  await assert.rejects(second, { code: 'ERR_IRIS_TIMEOUT' })
  await loop.close()
  const module = offload(new URL('data:text/javascript,export default (x) => x * 2'), {
    strategy: 'actor',
  })
  assert.equal(await module(21), 42)
  await module.close()
  const quit = offload(() => process.exit(1), { strategy: 'actor', pool: 1 })
  await assert.rejects(quit(), { code: 'ERR_IRIS_ACTOR_EXITED' })
  await quit.close()
})
