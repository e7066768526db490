// docs/faults.md and the tests say the same.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { line, missing, page, ROWS, tests } from '../scripts/fault-table.mjs'

const rows = tests()
const written = readFileSync(page, 'utf8')

test('every row of the core is a test in each language that has it', () => {
  assert.deepEqual(missing(rows), [])
})

test('docs/faults.md lists the tests that there are', () => {
  for (const [row, [, languages]] of Object.entries(ROWS)) {
    const is = written.split('\n').find((each) => each.startsWith(`| ${row} |`))
    assert.ok(is !== undefined, `row ${row} is not in docs/faults.md`)
    if (languages !== '') {
      assert.equal(is, line(row, rows[row]), 'run: node scripts/fault-table.mjs')
      continue
    }
    // What others own may have more tests by now, but none that are gone.
    const names = Object.values(rows[row]).flatMap((found) => found.map(([title]) => title))
    for (const [, title] of is.matchAll(/`([^`]+)`/g)) {
      assert.ok(names.includes(title), `${title} is gone; run: node scripts/fault-table.mjs`)
    }
  }
})

test('a row that is no test is found', () => {
  const none = { ...rows, 12: { rust: [], node: [], python: rows[12].python } }
  assert.deepEqual(missing(none), ['row 12 is no test in rust', 'row 12 is no test in node'])
})
