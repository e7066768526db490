// Runs every JavaScript and TypeScript example of README.md and docs/: a claim in the docs gets a test or goes.
//
// A block fenced as js, mjs or ts is an ES module of its own; TypeScript is type-checked first. `no-run` behind the
// language (```js no-run) leaves a block out.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
// Inside the checkout, so that `import 'iris'` is this package; under target/, so that git does not see it.
const workshop = join(root, 'target', 'docs-examples')
const FENCE = /^ {0,3}(`{3,})(\S+)([^\n]*)\n(.*?)^ {0,3}\1\s*$/gms

function examplesOf(page) {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(FENCE)]
    .filter(([, , language, options]) => {
      return ['js', 'mjs', 'ts'].includes(language) && !options.split(/\s+/).includes('no-run')
    })
    .map((match) => ({
      page,
      line: text.slice(0, match.index).split('\n').length,
      language: match[2],
      code: match[4],
    }))
}

async function compile(source) {
  const project = `${source}.tsconfig.json`
  const compilerOptions = {
    noEmit: false,
    noUnusedLocals: false,
    outDir: workshop,
    rootDir: workshop,
  }
  writeFileSync(
    project,
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions,
      include: [],
      files: [source],
    }),
  )
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await run(process.execPath, [tsc, '-p', project], { cwd: root })
}

async function runExample({ page, line, language, code }) {
  const name = `${page.replaceAll(/[^\w.]/g, '_')}_line_${line}`
  const module = join(workshop, `${name}.mjs`)
  try {
    if (language === 'ts') {
      const source = join(workshop, `${name}.mts`)
      writeFileSync(source, code)
      await compile(source)
    } else {
      writeFileSync(module, code)
    }
    const child = run(process.execPath, [module], { cwd: root, timeout: 60_000 })
    child.child.stdin.end()
    await child
  } catch (error) {
    const why = error.killed ? 'it was still running after 60 s' : `exit code ${error.code}`
    assert.fail(`${page}:${line} (${why})\n${code}\n${error.stdout}\n${error.stderr}`)
  }
}

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true })
    .filter((name) => name.endsWith('.md'))
    .map((name) => relative(root, join(root, 'docs', name)))
    .sort(),
]
rmSync(workshop, { recursive: true, force: true })
mkdirSync(workshop, { recursive: true })

test('README.md has an example', () => {
  assert.notEqual(examplesOf('README.md').length, 0)
})

for (const example of pages.flatMap(examplesOf)) {
  test(`${example.page}:${example.line}`, () => runExample(example))
}
