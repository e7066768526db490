// One catalogue: the Rust source, docs/errors.md, the types and the Python classes say the same.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import iris, { IrisError, NodeRuntime } from '../index.mjs'
import { root, runtime } from './support.mjs'

const read = (...path) => readFileSync(join(root, ...path), 'utf8')
const kinds = [...read('src', 'error.rs').matchAll(/^ {4}(\w+) = "(ERR_IRIS_\w+)",$/gm)]
const codes = kinds.map(([, , code]) => code)
const rows = [...read('docs', 'errors.md').matchAll(/^\| `(ERR_IRIS_\w+)` \|(.+)\|(.+)\|(.+)\|$/gm)]

describe('the catalogue', () => {
  test('has codes', () => assert.ok(codes.length >= 16))

  test('is the table of docs/errors.md, in the same order', () => {
    assert.deepEqual(
      rows.map(([, code]) => code),
      codes,
    )
    for (const [, code, when] of rows) assert.ok(when.trim().length > 20, code)
  })

  test('is IrisErrorCode of index.d.ts', () => {
    const union = /export type IrisErrorCode =([^\n]*(?:\n {2}\|.*)*)/.exec(read('index.d.ts'))[1]
    assert.deepEqual(
      [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code),
      codes,
    )
  })

  test('has the Python class that the table says', () => {
    const source = read('python', 'iris', 'errors.py')
    const classes = source.matchAll(/^class (\w+)\(IrisError, (\w+)\):.*?code = "(\w+)"/gms)
    const python = new Map(
      [...classes].map(([, name, base, code]) => [code, `\`${name}\` (\`${base}\`)`]),
    )
    for (const [, code, , , shown] of rows) assert.equal(shown.trim(), python.get(code), code)
    for (const [, name, code] of kinds) assert.ok(python.get(code).startsWith(`\`${name}\``), code)
  })

  test('has the Node class that the table says', (t) => {
    const shown = new Map(rows.map(([, code, , node]) => [code, node.trim()]))
    const rt = runtime(t)
    const caught = (f) => {
      try {
        f()
      } catch (error) {
        return error
      }
    }
    const type = caught(() => rt.spawn(1))
    assert.ok(type instanceof TypeError && type instanceof IrisError)
    assert.equal(shown.get(type.code), '`TypeError`')
    const range = caught(() => rt.spawn(() => {}, 0))
    assert.ok(range instanceof RangeError && range instanceof IrisError)
    assert.equal(shown.get(range.code), '`RangeError`')
  })
})

describe('IrisError', () => {
  test('is no test for errors of others', () => {
    const foreign = Object.assign(new Error(), { code: 'ENOENT' })
    for (const value of [foreign, new TypeError(), { code: 'ERR_IRIS_TIMEOUT' }, null, 'text']) {
      assert.equal(value instanceof IrisError, false)
    }
  })

  test('names timeouts and aborts as the platform does', async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => new Promise(() => {}))
    const late = await rt.call(pid, '', { timeoutMs: 0 }).catch((error) => error)
    assert.equal(late.name, 'TimeoutError')
    const reason = new Error('why')
    const gone = await rt.call(pid, '', { signal: AbortSignal.abort(reason) }).catch((e) => e)
    assert.equal(gone.name, 'AbortError')
    assert.equal(gone.cause, reason)
    assert.ok(late instanceof IrisError && gone instanceof IrisError)
  })

  test('says which value was wrong, whatever it is', (t) => {
    const rt = runtime(t)
    const evil = new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error('no prototype')
        },
      },
    )
    const values = [
      undefined,
      null,
      1,
      1n,
      Symbol('s'),
      {},
      [],
      () => {},
      Object.create(null),
      evil,
    ]
    for (const value of values) {
      assert.throws(() => rt.send(1, value), {
        code: 'ERR_IRIS_INVALID_TYPE',
        message: /data must be/,
      })
    }
  })
})

test('CommonJS and ES modules share one module', () => {
  assert.equal(iris.NodeRuntime, NodeRuntime)
  assert.equal(iris.IrisError, IrisError)
  assert.equal(iris.version, /"version": "(.*)"/.exec(read('package.json'))[1])
})
