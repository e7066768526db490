import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { createLane } = require('../binding.js')
const { makeError } = require('../lib/errors.js')

test('fault row 2: a Rust panic in a native entry is an error with a code, and the runtime goes on', () => {
  const memory = {
    ctl: new Int32Array(16),
    records: new Int32Array(512 * 6),
    senders: new Float64Array(512),
    stage: new Uint8Array(64),
    outPids: new Float64Array(2),
    outLengths: new Int32Array(1),
    outCalls: new Float64Array(2),
    clock: new Float64Array(1),
    callKeys: new Int32Array(512),
    answered: new Int32Array(2),
    shown: new Int32Array(64),
    nudged: new Int32Array(new SharedArrayBuffer(12)),
    told: new Float64Array(4 * 256),
  }
  const native = createLane({}, memory, () => {}, makeError)
  for (let i = 0; i < 100; i++) {
    assert.throws(() => native.panic(), { code: 'ERR_IRIS_INTERNAL', message: /on purpose/ })
  }
  const pid = native.spawn(100, 0)
  assert.ok(pid > 0)
  assert.equal(native.isAlive(pid), true)
  native.kill(pid)
  assert.equal(native.isAlive(pid), false)
  native.dispose()
  assert.throws(() => native.spawn(100, 0), { code: 'ERR_IRIS_RUNTIME_CLOSED' })
})
