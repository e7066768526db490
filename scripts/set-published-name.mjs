// Sets the names under which this checkout would be published; see docs/releasing.md.
//
//   node scripts/set-published-name.mjs --npm @scope/iris --pypi iris-actors
//   IRIS_NPM_NAME=@scope/iris IRIS_PYPI_NAME=iris-actors node scripts/set-published-name.mjs
//
// Either name alone is fine: what it does not cover stays private and cannot be published by mistake.
// `require('iris')` and `import iris` do not depend on these names.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const NPM_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/
const PYPI_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/
const LONGEST_SUFFIX = '-linux-arm64-musl'.length

function refuse(message) {
  console.error(`set-published-name: ${message}`)
  process.exit(2)
}

function options() {
  try {
    return parseArgs({
      options: {
        npm: { type: 'string', default: process.env.IRIS_NPM_NAME },
        pypi: { type: 'string', default: process.env.IRIS_PYPI_NAME },
        root: {
          type: 'string',
          default: join(dirname(fileURLToPath(import.meta.url)), '..'),
        },
      },
    }).values
  } catch (error) {
    return refuse(error.message)
  }
}

const { npm, pypi, root } = options()
if (!npm && !pypi) refuse('say --npm NAME, --pypi NAME or both (or IRIS_NPM_NAME, IRIS_PYPI_NAME)')
if (npm && (!NPM_NAME.test(npm) || npm.length + LONGEST_SUFFIX > 214)) {
  refuse(`${JSON.stringify(npm)} is not a legal npm package name`)
}
if (pypi && !PYPI_NAME.test(pypi)) {
  refuse(`${JSON.stringify(pypi)} is not a legal PyPI project name`)
}
for (const name of [npm, pypi]) {
  if (name?.toLowerCase() === 'iris') refuse('the bare name iris belongs to others on npm and PyPI')
}

/** Every new text, before the first is written: a failure leaves the checkout as it was. */
const texts = new Map()

function editJson(path, edit) {
  const value = JSON.parse(readFileSync(path, 'utf8'))
  edit(value)
  texts.set(path, `${JSON.stringify(value, null, 2)}\n`)
}

function editText(path, edits) {
  let text = readFileSync(path, 'utf8')
  for (const [pattern, replacement] of edits) {
    if (!pattern.test(text)) refuse(`${path} has no line like ${pattern}: nothing was changed`)
    text = text.replace(pattern, replacement)
  }
  texts.set(path, text)
}

if (npm) {
  const publish = (manifest, name) => {
    manifest.name = name
    delete manifest.private
    manifest.publishConfig = { access: 'public', provenance: true }
  }
  editJson(join(root, 'package.json'), (manifest) => publish(manifest, npm))
  editJson(join(root, 'package-lock.json'), (lock) => {
    lock.name = npm
    lock.packages[''].name = npm
  })
  for (const build of readdirSync(join(root, 'npm'))) {
    const name = `${npm}-${build}`
    editJson(join(root, 'npm', build, 'package.json'), (manifest) => publish(manifest, name))
    editText(join(root, 'npm', build, 'README.md'), [[/^# `.*`$/m, `# \`${name}\``]])
  }
}
if (pypi) {
  editText(join(root, 'pyproject.toml'), [
    [/^name = ".*"$/m, `name = "${pypi}"`],
    [/^ *"Private :: Do Not Upload".*\n/m, ''],
  ])
}

for (const [path, text] of texts) writeFileSync(path, text)
console.log([npm && `npm: ${npm}`, pypi && `PyPI: ${pypi}`].filter(Boolean).join(', '))
