// Quantum speculation: costs are injected by the name of the way, so that no test looks at a clock.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import test, { afterEach, beforeEach } from 'node:test'
import { getQuantumSpeculation, offload, setQuantumSpeculation } from '../index.mjs'

const binding = createRequire(import.meta.url)('../binding.js')

beforeEach(() => setQuantumSpeculation(true))
afterEach(() => {
  setQuantumSpeculation(false)
  binding.jitCosts(null)
})

const poly = (x) => x * x + 3 * x - 1
const best = (kernel) => /^ {4}(.*): runs; (\d+) ns; (\d+) wins/m.exec(kernel.explain())?.slice(1)

for (const [costs, winner] of [
  [{ kernel: 10, v8: 50 }, 'kernel'],
  [{ kernel: 50, v8: 10 }, 'v8'],
]) {
  test(`calls in place end in the cheapest way: ${winner}`, () => {
    binding.jitCosts(costs)
    const kernel = offload(poly)
    for (let i = 0; i < 200; i++) assert.equal(kernel(i), poly(i))
    assert.deepEqual(best(kernel), [winner, '10', '1'])
    assert.match(kernel.explain(), /(kernel: kept|v8: dropped); 50 ns/)
  })
}

const MAPS = [
  [{ lanes: 10, 'one by one': 5 }, 1000, 'one by one'],
  [{ lanes: 5, 'one by one': 10 }, 1000, 'lanes'],
  [
    {
      'lanes, threads': 9,
      'lanes, one thread': 6,
      'one by one, threads': 7,
      'one by one, one thread': 8,
    },
    1 << 17,
    'lanes, one thread',
  ],
]
for (const [costs, count, winner] of MAPS) {
  test(`maps of ${count} elements end in the cheapest way: ${winner}`, async () => {
    binding.jitCosts(costs)
    const kernel = offload(poly)
    const source = Float64Array.from({ length: count }, (_, i) => i)
    const expected = source.map(poly)
    const once = async () => assert.deepEqual(await kernel.map(source), expected)
    for (let i = 0; i < 36; i++) await once()
    binding.jitSettle()
    for (let i = 0; i < 40; i++) await once()
    assert.equal(best(kernel)?.[0], winner, kernel.explain())
  })
}

test('a reduction is split over threads or not, as it pays', async () => {
  binding.jitCosts({ threads: 9, 'one thread': 3 })
  const max = offload((a, b) => Math.max(a, b))
  const source = Float64Array.from({ length: 1 << 17 }, (_, i) => i)
  for (let i = 0; i < 60; i++) assert.equal(await max.reduce(source), (1 << 17) - 1)
  assert.deepEqual(best(max), ['one thread', '3', '1'])
})

test('a hot kernel compiles new types off the loop', async () => {
  const get = offload((a) => a[0] + 1)
  for (let i = 0; i < 40; i++) assert.equal(get(new Float64Array([i])), i + 1)
  assert.equal(get(new Int32Array([7])), 8)
  assert.match(get.explain(), /1 calls ran in V8: .*types that compile off the loop/)
  assert.doesNotMatch(get.explain(), /Int32Array/)
  // Its promise settles before a later one of the same pool does anything for us: a map waits for its own.
  const kernel = offload(poly)
  for (let i = 0; i < 40; i++) kernel(i)
  const source = new Float64Array([1, 2])
  const mapped = kernel.map(source)
  source.fill(0)
  assert.deepEqual(await mapped, new Float64Array([3, 9]), 'copied when it was called')
  assert.match(kernel.explain(), /map\(Float64Array\) -> Float64Array: native/)
  while (!/Int32Array/.test(get.explain())) await new Promise(setImmediate)
  assert.equal(get(new Int32Array([7])), 8)
  assert.match(get.explain(), /call\(Int32Array\): native; .* 1 calls/)
})

test('what does not compile says so from off the loop as well', async () => {
  const kernel = offload((a, b) => a + b)
  for (let i = 0; i < 40; i++) kernel(i, 1)
  const picked = offload((x) => (x > 0 ? 1 : 2))
  for (let i = 0; i < 40; i++) picked(i)
  await assert.rejects(Promise.all([picked.map(new Float64Array(2), { output: Array })]), TypeError)
  assert.deepEqual(await kernel.map(new Float64Array([1]), true), new Float64Array([2]))
})

test('the control answers', () => {
  assert.equal(getQuantumSpeculation(), true)
  setQuantumSpeculation(false)
  assert.equal(getQuantumSpeculation(), false)
  const kernel = offload(poly)
  for (let i = 0; i < 100; i++) kernel(i)
  assert.doesNotMatch(kernel.explain(), /kernel: |v8: /)
})
