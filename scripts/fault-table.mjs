// docs/faults.md: which tests show which row of the fault catalogue. `node scripts/fault-table.mjs` writes it;
// __test__/fault-table.spec.mjs says when it is out of date.
//
// A test says its row in its name: `fault row 12: ...` in Node, `fault_row_12_...` in Rust, `test_fault_row_12_...` in Python;
// `rows 1 and 12` or `rows_1_and_12` for several. The word `row` may be left out.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
export const page = path.join(root, 'docs/faults.md')

/** What each row is, in which languages it must be a test, and why not in the others. Where no language stands, the tests that
 * there are are listed and no more is asked: the mesh and offload have their own pages. */
export const ROWS = {
  1: ['handler throws (sync, async, a non-Error)', 'rust node python'],
  2: ['Rust panic in core, task or callback', 'rust node python'],
  3: ['throw while a pull actor or a factory starts', 'rust node python'],
  4: ['crash loop over intensity', 'rust node python'],
  5: ['restartall in mid-traffic', 'rust node python'],
  6: ['parent dies while a child spawns', 'rust node python'],
  7: ['mailbox full, each policy, each send path', 'rust node python'],
  8: ['handler never returns', 'rust node python'],
  9: ['call times out, then the reply comes', 'rust node python'],
  10: ['caller dies in mid-call', 'rust node python'],
  11: ['call cycle A, B, A', 'rust node python'],
  12: ['actor stops with a full mailbox', 'rust node python'],
  13: ['hot swap under load; the swap throws; rollback', 'rust node python'],
  14: ['timer fires after stop or restart', 'rust node python'],
  15: ['clock jumps an hour', 'rust node python'],
  16: ['JS loop or GIL held 60 s', ''],
  17: ['peer kill -9', ''],
  18: ['peer SIGSTOP, later CONT', ''],
  19: ['TCP reset in mid-frame', ''],
  20: ['one-way partition', ''],
  21: ['partial partition', ''],
  22: ['partition heals with one name on both sides', ''],
  23: ['duplicated or reordered frames', ''],
  24: ['slow reader peer', ''],
  25: ['delay and loss', ''],
  26: ['simultaneous connect', ''],
  27: ['restart on the same address', ''],
  28: ['goodbye against crash', ''],
  29: ['frame over cap, garbage', ''],
  30: ['slow-loris handshake', ''],
  31: ['wrong, absent or replayed credential', ''],
  32: ['authenticated hostile peer', ''],
  33: ['protocol version mismatch', ''],
  36: ['Workers exit; process.exit, SIGTERM in mid-call', 'rust node python'],
  37: ['a blocking call from a handler, timer or I/O thread', 'rust node python'],
  38: ['Python exits with live threads', 'python', 'Python’s own'],
  39: ['fork after start', 'python', 'Python’s own'],
  40: ['SIGINT during a blocking wait', 'python', 'nothing waits by blocking in Node'],
  41: ['vortex: both branches finish; crash between effect and commit', 'rust node python'],
  42: ['JIT compile fails in mid-run', ''],
  43: ['out of file descriptors', ''],
  44: ['soak: spawn/stop cycles, call timeouts', 'rust node python'],
}

const LANGUAGES = {
  rust: {
    roots: ['tests', 'src'],
    file: /\.rs$/,
    name: /\bfn (fault(?:_rows?)?_(\d+(?:_and_\d+)*)_\w+)/g,
  },
  node: {
    roots: ['__test__'],
    file: /\.spec\.m?js$/,
    name: /\b(?:test|describe)\(\s*(['`])(faults?(?: rows?)? (\d+(?:(?:, | and )\d+)*): (?:(?!\1).)*)\1/g,
  },
  python: {
    roots: ['python/tests'],
    file: /^test_\w+\.py$/,
    name: /\bdef (test_fault(?:_rows?)?_(\d+(?:_and_\d+)*)_\w+)/g,
  },
}

function* filesIn(folder, file) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const at = path.join(folder, entry.name)
    if (entry.isDirectory()) yield* filesIn(at, file)
    else if (file.test(entry.name)) yield at
  }
}

/** The tests of each row: `{ 12: { rust: [[name, file], ...], node: [...], python: [...] } }`. */
export function tests() {
  const rows = {}
  for (const row of Object.keys(ROWS)) rows[row] = { rust: [], node: [], python: [] }
  for (const [language, { roots, file, name }] of Object.entries(LANGUAGES)) {
    for (const at of roots.flatMap((each) => [...filesIn(path.join(root, each), file)]).sort()) {
      for (const found of readFileSync(at, 'utf8').matchAll(name)) {
        const [title, numbers] = found.length === 4 ? found.slice(2) : found.slice(1)
        for (const row of numbers.match(/\d+/g).map(Number)) {
          if (rows[row] === undefined) throw new Error(`${at}: ${title}: there is no row ${row}`)
          rows[row][language].push([title, path.relative(root, at)])
        }
      }
    }
  }
  return rows
}

/** What is wrong: rows that are a test in too few languages. */
export function missing(rows) {
  return Object.entries(ROWS).flatMap(([row, [, languages]]) =>
    languages
      .split(' ')
      .filter((language) => language !== '' && rows[row][language].length === 0)
      .map((language) => `row ${row} is no test in ${language}`),
  )
}

const cell = (found) => found.map(([title, file]) => `\`${title}\` (${file})`).join('<br>') || '-'

/** One line of the table, as it stands in docs/faults.md. */
export function line(row, found) {
  const [what, , why] = ROWS[row]
  const cells = [`${row} | ${what}${why === undefined ? '' : ` (${why})`}`]
  return `| ${[...cells, cell(found.rust), cell(found.node), cell(found.python)].join(' | ')} |`
}

const HEAD = `# Faults that are tests

Each row of the fault catalogue that the runtime must pass, and the tests that show it; a test's name says its row. Rows 34 and 35 do
not exist. \`node scripts/fault-table.mjs\` writes this page from the tests, and \`__test__/fault-table.spec.mjs\` fails when a
row of the core (1-15, 36-41, 44) is no test in a language that has it, or when this page says something else than the tests.

Run one row in all three languages:

\`\`\`sh no-run
cargo test row_12 # row 41: --features vortex
node --test --test-name-pattern='row 12|rows .*12' __test__/*.spec.mjs
.venv/bin/pytest python/tests -k row_12
\`\`\`

Row 44 is short there (some 100,000 cycles of each kind) and long in \`make soak\`.

| row | fault | Rust | Node | Python |
|---|---|---|---|---|
`

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = tests()
  writeFileSync(
    page,
    `${HEAD}${Object.keys(ROWS)
      .map((row) => line(row, rows[row]))
      .join('\n')}\n`,
  )
  for (const each of missing(rows)) console.error(each)
  process.exitCode = missing(rows).length === 0 ? 0 : 1
}
