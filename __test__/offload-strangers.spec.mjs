// Functions that nobody wrote for the compiler, with arguments for each: offloaded they answer, and do, what they do
// undecorated, machine code and interpreter. Left as it was written (biome does not see it): odd code is the point.
import assert from 'node:assert/strict'
import test from 'node:test'
import { offload } from '../index.mjs'

const N = [0, -0, 1, -1, 2, 3.7, -2.5, 0.5, -0.5, NaN, Infinity, -Infinity, 2**31, 2**32, -(2**31), 2**53, 1e300, 5e-324, 255, 256, 33, true, false, undefined, null, 'x', '5', 10n, {}, []]
const u = N.map((x) => () => [x])
const S = [0, -0, 1, -3, 2.5, NaN, Infinity, 2**31, 2**32+5, true, undefined, null, '7']
const b = S.flatMap((x) => S.map((y) => () => [x, y]))
const types = [Float64Array, Float32Array, Int32Array, Uint32Array, Int16Array, Uint16Array, Int8Array, Uint8Array, Uint8ClampedArray]
const vals = [1, 0, -1, 300, 2.5, NaN, -0, 1e10]
const arrs = []
for (const T of types) arrs.push(() => [new T(vals)])
arrs.push(() => [new BigInt64Array([1n, 2n])], () => [new Float64Array(0)], () => [new Float64Array(new SharedArrayBuffer(32))],
 () => [new Float64Array(new ArrayBuffer(16, { maxByteLength: 64 }))],
 () => { const ab = new ArrayBuffer(32); const a = new Float64Array(ab); structuredClone(ab, { transfer: [ab] }); return [a] },
 () => [new Float64Array(new ArrayBuffer(64), 8, 3)], () => [[1, 2, 3]], () => ['abc'], () => [new DataView(new ArrayBuffer(8))], () => [Buffer.from('abc')],
 () => { const ab = new ArrayBuffer(32, { maxByteLength: 64 }); const a = new Float64Array(ab, 16, 2); ab.resize(24); return [a] },
 () => { const a = new Float64Array([1,2,3]); Object.defineProperty(a, 'length', { value: 2 }); return [a] },
 () => { const a = new Float64Array([1,2,3]); a[7.5] = 3; a.foo = 1; return [a] },
 () => { class My extends Float64Array { get length() { return 1 } }; return [new My([1,2,3])] },
 () => { const a = new Float64Array([1,2,3]); Object.setPrototypeOf(a, { get length() { return 9 } }); return [a] },
 () => [new Proxy(new Float64Array([1, 2]), {})], () => [Object.freeze({ 0: 1, length: 1 })], () => [null], () => [undefined], () => [5])
const idx = [0, 1, -1, 1.5, NaN, Infinity, 100, -0, undefined, null, '1', true, 2**32, 4294967295, 'length', 'foo']
const ai = types.flatMap((T) => idx.map((i) => () => [new T(vals), i]))
const aiv = types.flatMap((T) => [0, 1, -1, 1.5, NaN, 100, undefined, '0', 'zz'].flatMap((i) => [0, -1, 300, 2.5, NaN, -0, 1e20, undefined, true, Infinity, '3', 2**32+1, -129.5, 0.5, 1.5].map((v) => () => [new T(3), i, v])))
const aa = types.flatMap((T) => types.map((U) => () => [new T(vals), new U([3, 1, 2, 0, 200])]))
const C = []
const c = (f, ...sets) => C.push([f, sets.flat()])
c((x) => x | 0, u); c((x) => x >>> 0, u); c((x) => ~x, u); c((x) => -x, u); c((x) => +x, u); c((x) => !x, u); c((x) => !!x, u)
c((x) => x << 33, u); c((x) => x >> 35, u); c((x) => x >>> 40, u); c((x) => x << -1, u)
c((x, y) => x << y, b); c((x, y) => x >>> y, b); c((x, y) => x % y, b); c((x, y) => x / y, b); c((x, y) => x + y, b); c((x, y) => x * y, b); c((x, y) => x - y, b)
c((x, y) => x & y, b); c((x, y) => x ^ y, b); c((x, y) => (x | y) + 0, b)
c((x, y) => x < y, b); c((x, y) => x == y, b); c((x, y) => x === y, b); c((x, y) => x != y, b); c((x, y) => x >= y, b)
c((x, y) => x && y, b); c((x, y) => x || y, b); c((x, y) => x ?? y, b); c((x, y) => x ? y : 1, b); c((x, y) => (x, y), b)
c((x, y) => Math.min(x, y), b); c((x, y) => Math.max(x, y, 0), b); c((x, y) => Math.imul(x, y), b); c(() => Math.max(), [() => []]); c(() => Math.min(), [() => []])
c((x) => Math.sqrt(x), u); c((x) => Math.abs(x), u); c((x) => Math.round(x), u); c((x) => Math.sign(x), u); c((x) => Math.fround(x), u); c((x) => Math.clz32(x), u); c((x) => Math.trunc(x), u); c((x) => Math.ceil(x), u); c((x) => Math.floor(x), u)
c((x) => isNaN(x), u); c((x) => isFinite(x), u); c((x) => Number.isInteger(x), u); c((x) => Number.isNaN(x), u); c((x) => Number(x), u); c((x) => Number.isFinite(x), u)
c((x) => Number.isSafeInteger(x), u)
c((x) => { let y = x; y++; ++y; y--; return y }, u); c((x) => x++, u); c((x) => ++x, u); c((x) => x-- + x, u); c((x) => { const y = x; return y }, u)
c((x) => { x += 1; x *= 2; x -= 3; x /= 4; x %= 5; x |= 0; x &= 255; x ^= 7; x <<= 3; x >>= 1; x >>>= 1; return x }, u)
c((x) => { x &&= 5; return x }, u); c((x) => { x ||= 5; return x }, u); c((x) => { x ??= 5; return x }, u)
c((x) => { x **= 2; return x }, u); c((x) => x ** 2, u)
c((x) => typeof x, u); c((x) => void x, u); c((x) => x === undefined, u); c((x) => x == null, u); c((x) => x === null, u)
c((x) => { let s = 0; for (let i = 0; i < 10; i++) { if (i === 3) continue; if (i === 7) break; s += i * x } return s }, u)
c((x) => { let i = 0; do { i++ } while (i < x && i < 50); return i }, u)
c((x) => { outer: for (let i = 0; i < 5; i++) { for (let j = 0; j < 5; j++) { if (j === 2) continue outer; if (i === 3) break outer; x += i * j } } return x }, u)
c((x) => { a: { if (x > 0) break a; x = 100 } return x }, u)
c((x) => { let y = 1; { let y = 2; x += y } return x + y }, u)
c((x) => { let y = x; { let y = 5; y += x } return y }, u)
c((x) => { for (let x = 0; x < 3; x++) {} return x }, u)
c((x) => { var y = 1; { var y = 2 } return y + x }, u)
c((x) => { if (x > 0) { var y = 1 } return y }, u)
c((x) => { switch (x) { case 1: return 10; case 2: x = 5; case 3: x += 1; break; default: x = -1; case 0: x += 100 } return x }, u)
c((x) => { switch (true) { case x > 1: return 1; case x < 0: return 2 } return 3 }, u)
c((x) => { switch (x) { case NaN: return 1; case -0: return 2; default: return 3 } }, u)
c((x) => { switch (x | 0) { default: x = 1; break; case 5: return 2 } return x }, u)
c((x) => { return }, u); c((x) => {}, u); c((x) => { if (x) return 1 }, u); c((x) => { if (x) return true; return 1 }, u)
c((x) => { let r; if (x > 1) r = 5; return r }, u)
c((x) => { let r; if (x > 1) r = 5; return r + 1 }, u)
c((x) => { let t = 0; for (const k = 5; t < k; t++); return t * x }, u)
c((x) => { const k = 5; k = 6; return k + x }, u)
c((x) => { return y; let y = 1 }, u)
c((x) => { { x += z; let z = 1 } return x }, u)
c((x = 5) => x * 2, u, [() => []]); c((x, y = 2) => x * y, b, u); c((...a) => a[0], u); c(({ x }) => x, u); c(([x]) => x, u)
c((x) => { let [p, q] = [x, 2]; return p + q }, u); c((x) => { let p = x, q = 1; [p, q] = [q, p]; return p * 2 - q }, u)
c((x) => `${x}`, u); c((x) => 'a' + x, u); c((x) => x.length, u, arrs); c((x) => [x], u); c((x) => ({ x }), u); c((x) => x?.length, u)
c((x) => Math.sin(x), u); c((x) => Math.hypot(x, 2), u); c((x) => Math.pow(x, 2), u); c((x) => Math.random() * 0, u); c((x) => Math.atan2(x, 1), u)
c(function (x) { return this === undefined ? 1 : 2 }, u); c(function (x) { return arguments.length }, u); c(function (x) { 'use strict'; return x * 2 }, u)
c(async (x) => x, []); c(function* (x) { yield x }, []); c((x) => { try { return x } catch { return 1 } }, u); c((x) => { throw new Error('a') }, u)
c((x) => new Date(x) | 0, []); c((x) => parseInt(x), u); c((x) => x instanceof Object, u); c((x) => 'a' in x, u); c((x) => delete x.y, u); c((x) => Math.PI * x + Math.E, u); c((x) => Number.MAX_SAFE_INTEGER + x, u)
const outer = 5; c((x) => x + outer, u)
c(Math.abs, u); c(Number, u); c(class { }, []); c({ m(x) { return x } }.m, u); c(function named(x) { return x > 0 ? named(x - 1) : 5 }, u)
c(((x) => x).bind(null), u)
c((x) => { let a = 0, b = 1; for (let i = 0; i < 100; i++) { const t = a + b; a = b; b = t } return a * x }, u)
c((x) => { let h = 0; for (let i = 0; i < 100; i++) { h = (h << 5) - h + i; h |= 0 } return h ^ x }, u)
c((x) => { let h = 2166136261; for (let i = 0; i < 20; i++) { h ^= i; h = Math.imul(h, 16777619) } return h >>> 0 }, u)
c((x) => { let s = 1; for (let i = 0; i < 40; i++) s *= 2; return s + x }, u)
c((x) => { let s = 0; for (let i = 2147483640; i < 2147483660; i++) s = i; return s }, u)
c((x) => { let s = 0; s = s - 0; return -s }, u); c((x) => { let s = 0; s *= -1; return s }, u); c((x) => { let i = 5; i = i % 5 * -1; return i }, u)
c((x) => { let b = x > 0; b = !b; return b }, u); c((x) => { let b = x > 0; b = 5; return b }, u); c((x) => (x > 0) + (x < 0), u); c((x) => -(x > 0), u); c((x) => (x > 1) & 1, u)
c((x) => x > 0 && x < 5, u); c((x) => x > 0 || 7, u); c((x) => (x > 0) === true, u); c((x) => (x > 0) == 1, u)
c((x, y) => { while (y) { const t = x % y; x = y; y = t; } return x }, b)
c((x) => { for (;;) { if (x > 10 || !(x > 0)) return x; x++ } }, u)
c((x) => { var i = 0; for (var k in { a: 1 }) i++; return i }, u)
c((x) => 0.1 + 0.2 + x, u); c((x) => 1e21 + x, u); c((x) => 0xff + 0b11 + 0o17 + 1_000, u)
c((x) => (x, 1, x), u); c((x) => { x = x + (x = 5); return x }, u); c((x) => { let y = x; return y + (y += 1) + y }, u); c((x) => { return (x += 1) * (x -= 2) + x }, u)
c((x) => { if (x) ; else x = 3; return x }, u); c((x) => { debugger; return x }, u)
c((x) => { let undefined1; return undefined1 }, u); c((x) => Infinity * x, u); c((x) => -NaN, u); c((x) => x === x, u)
c((NaN1, Math1) => NaN1 + Math1, b); c((Math) => Math.abs(1), u); c((isNaN) => isNaN(1), u); c((x) => { const Number = 5; return Number + x }, u)
// arrays
c((a) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i]; return s }, arrs)
c((a) => { let s = 0; for (const x of a) s += x; return s }, arrs)
c((a) => { let s = 0; for (const x of a) { if (x === 0) continue; if (x > 200) break; s += x } return s }, arrs)
c((a) => a[0], arrs); c((a) => a[-1], arrs); c((a) => a[a.length], arrs); c((a) => a[1.5], arrs); c((a) => a['0'], arrs); c((a) => a[NaN], arrs); c((a) => a[undefined], arrs)
c((a, i) => a[i], ai); c((a, i) => a[i] === undefined, ai); c((a, i) => a[i] + 1, ai); c((a, i) => a[i] ?? 5, ai); c((a, i) => a[i] || 5, ai)
c((a, i) => a[i] | 0, ai); c((a, i) => (a[i] = 5), ai); c((a, i) => a[i]++, ai); c((a, i) => ++a[i], ai); c((a, i) => (a[i] += 1.5), ai); c((a, i) => { a[a[i]] = 9 }, ai); c((a, i) => { a[a[i]] = 9; return a[a[i]] }, ai); c((a, i) => a[a[i]], ai)
c((a, i) => { a[0] = 77; a[a[i]] = 9; a[1] = 66 }, ai)
c((a, i) => { a[i] = a[i + 1]; return a[i] }, ai); c((a, i) => { const x = a[i]; a[i] = 3; return x }, ai); c((a, i) => typeof a[i], ai)
c((a, i, v) => { a[i] = v }, aiv); c((a, i, v) => (a[i] = v), aiv); c((a, i, v) => { a[i] = v; return a[i] }, aiv); c((a, i, v) => (a[i] |= v), aiv)
c((a, i, v) => { a[i] = a[0] = v; return a[i] }, aiv)
c((a, b) => { for (let i = 0; i < a.length; i++) a[i] = b[i] * 2 }, aa)
c((a, b) => { for (let i = 0; i < a.length; i++) a[b[i]] = i }, aa)
c((a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s }, aa)
c((a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * (b[i] ?? 1); return s }, aa)
c((a) => { for (let i = a.length - 1; i > 0; i--) { const t = a[i]; a[i] = a[0]; a[0] = t } }, arrs)
c((a) => { for (let i = 0; i < a.length; i++) for (let j = i + 1; j < a.length; j++) if (a[j] < a[i]) { const t = a[i]; a[i] = a[j]; a[j] = t } }, arrs)
c((a) => { for (const x of a) a[0] += x }, arrs); c((a) => { for (let x of a) { x = x * 2; a[1] = x } return a[1] }, arrs)
c((a) => a, arrs); c((a) => !a, arrs); c((a) => a === a, arrs); c((a) => a == null, arrs); c((a) => a && 1, arrs); c((a) => a ? 1 : 2, arrs); c((a) => typeof a, arrs); c((a) => a.byteLength, arrs); c((a) => a.slice(1).length, arrs); c((a) => a.foo, arrs); c((a) => { a.foo = 1 }, arrs); c((a) => { const k = a; return k[0] }, arrs); c((a) => a + 1, arrs); c((a) => { a = 5; return a }, arrs)
c((a) => { a[0] = 1; a[1] = 256; a[2] = -0; a[3] = 1/0; a[4] = 0.5; a[5] = 1.5; a[6] = 2.5 }, arrs)
c((a) => a[0] / a[1] % a[2], arrs); c((a) => a.length - 1, arrs); c((a) => { a.length = 0; return a.length }, arrs); c((a) => { let m = -Infinity; for (const x of a) m = Math.max(m, x); return m }, arrs)
c((a) => { let n = 0; for (const x of a) if (x !== x) n++; return n }, arrs); c((a) => { let i = 0; while (a[i] !== undefined) i++; return i }, arrs); c((a) => { let i = 0, s = 0; while (i < a.length) s += a[i++]; return s }, arrs); c((a) => { let i = 3; a[--i] = i; a[i--] += i; return i }, arrs)

const enc = (x) => {
  if (typeof x === 'number') return Object.is(x, -0) ? 'n:-0' : `n:${x}`
  if (typeof x === 'bigint') return `b:${x}`
  if (ArrayBuffer.isView(x) && x[Symbol.iterator]) { let l; try { l = Array.prototype.map.call(Object.keys(x), (k) => `${k}=${enc(x[k])}`) } catch (e) { l = String(e) } return `${Object.prototype.toString.call(x)}${l}` }
  if (x === null || typeof x !== 'object') return typeof x + ':' + String(x)
  try { return JSON.stringify(x) } catch { return 'obj' }
}
const outcome = (f, args) => { let r; try { r = 'ok ' + enc(Reflect.apply(f, undefined, args)) } catch (e) { r = `err ${e.constructor.name} ${e.message}` } return r + ' | ' + args.map(enc).join(' ; ') }

for (const [i, [f, calls]] of C.entries()) {
  test(`${i}: ${String(f).slice(0, 80)}`, () => {
    for (const options of [{}, { interpret: true }]) {
      let kernel
      try {
        kernel = offload(f, options)
      } catch (error) {
        assert.equal(error.code, 'ERR_IRIS_NOT_COMPILABLE', error.stack)
        assert.match(error.message, /does not compile|no source|no parameter|constant|elsewhere|approxMath|hides|compile|assigned/)
        return
      }
      for (const call of calls) {
        assert.equal(outcome(kernel, call()), outcome(f, call()), kernel.explain())
      }
    }
  })
}

test('a value that kernels do not take is not converted', () => {
  let asked = 0
  const odd = { valueOf() { asked++; return 5 } }
  assert.equal(offload((x) => x + 1)(odd), 6)
  assert.equal(asked, 1)
})

test('a store under the index undefined makes a property, as in V8', () => {
  const scatter = offload((a, b) => { a[0] = 1; for (let i = 0; i < 3; i++) a[b[i]] = i; a[1]++ })
  const a = new Float64Array(4)
  scatter(a, new Float64Array([2, 3]))
  assert.deepEqual([...a], [1, 1, 0, 1])
  assert.equal(a.undefined, 2)
  assert.match(scatter.explain(), /left: 1 x a store under the index undefined/)
})

test('typed arrays whose class was changed are left to V8', () => {
  const length = offload((a) => a.length + a[0])
  class Short extends Float64Array { get length() { return 1 } }
  assert.equal(length(new Short([5, 6])), 6)
  const all = offload((a) => { let s = 0; for (const x of a) s += x; return s })
  const a = new Float64Array([1, 2])
  a[Symbol.iterator] = function* () { yield 40 }
  assert.equal(all(a), 40)
  const prototype = Object.getPrototypeOf(Int8Array.prototype)
  const original = prototype[Symbol.iterator]
  try {
    prototype[Symbol.iterator] = function* () { yield 7 }
    assert.equal(all(new Float64Array([1, 2])), 7)
  } finally {
    prototype[Symbol.iterator] = original
  }
})
