// Which files are read: one file, all of a directory, or what git tracks in this checkout. Paths
// are bytes here, as they are on disk: a file name need not be UTF-8.
import { execFileSync } from 'node:child_process'
import { closeSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import path from 'node:path'

/** Directories that hold nothing anybody wrote. */
const SKIPPED = new Set([
  '.git',
  '.mypy_cache',
  '.pytest_cache',
  '.ruff_cache',
  '.venv',
  '__pycache__',
  'dist',
  'node_modules',
  'target',
])

/** As git does: a NUL byte near the beginning means that this is no text. */
const SNIFFED = 8000

/** Something is wrong with what was asked for: said in one line, without a stack. */
export class BadInput extends Error {}

const reasons = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is not a directory',
  ELOOP: 'symbolic links go round in a circle',
  ENAMETOOLONG: 'the name is too long',
}
const reason = (error) => reasons[error.code] ?? error.message

/**
 * `Cargo.lock` -> `lock`, `Makefile` and `.gitignore` -> `(none)`, what is no plain extension ->
 * `(other)`.
 */
export function typeOf(name) {
  const base = name.slice(name.lastIndexOf('/') + 1)
  const dot = base.lastIndexOf('.')
  if (dot <= 0) return '(none)'
  const extension = base.slice(dot + 1)
  return /^[A-Za-z0-9_+-]{1,16}$/.test(extension) ? extension.toLowerCase() : '(other)'
}

/** Opens a file and looks at its beginning: readable, and text? */
function inspect(file) {
  const descriptor = openSync(file, 'r')
  try {
    const head = Buffer.alloc(SNIFFED)
    const length = readSync(descriptor, head, 0, SNIFFED, 0)
    const nul = head.subarray(0, length).indexOf(0)
    return nul < 0 ? null : `binary: a NUL byte at offset ${nul}`
  } finally {
    closeSync(descriptor)
  }
}

const slash = Buffer.from('/')
const join = (dir, name) => Buffer.concat([dir, slash, name])

function* walk(dir) {
  const entries = readdirSync(dir, { encoding: 'buffer', withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isDirectory()) yield join(dir, entry.name)
    else if (!SKIPPED.has(entry.name.toString())) yield* walk(join(dir, entry.name))
  }
}

/** What git tracks below `root`; null where there is no git or no repository. */
function tracked(root) {
  try {
    const listed = execFileSync('git', ['-C', root, 'ls-files', '-z'], {
      maxBuffer: 1 << 30,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const files = []
    for (let start = 0; start < listed.length; ) {
      const end = listed.indexOf(0, start)
      files.push(join(Buffer.from(root), listed.subarray(start, end)))
      start = end + 1
    }
    return files.length > 0 ? files : null
  } catch {
    return null
  }
}

/**
 * The files to read and those left out, with the reason.
 *
 * @param given a path, or undefined for what is tracked in the checkout `root`
 */
export function gather(given, root) {
  if (given === '') throw new BadInput('the path is empty')
  const from = given ?? root
  let found
  try {
    found = statSync(from)
  } catch (error) {
    throw new BadInput(`${from}: ${reason(error)}`)
  }
  if (found.isFile()) {
    const file = Buffer.from(from)
    let wrong
    try {
      wrong = inspect(file)
    } catch (error) {
      throw new BadInput(`${from}: ${reason(error)}`)
    }
    if (wrong) throw new BadInput(`${from}: ${wrong}; there are no words to count`)
    return { files: [entryOf(file, from, found)], skipped: [] }
  }
  if (!found.isDirectory()) throw new BadInput(`${from}: neither a file nor a directory`)

  let paths
  try {
    paths = (given === undefined && tracked(root)) || [...walk(Buffer.from(from))]
  } catch (error) {
    throw new BadInput(`${from}: ${reason(error)}`)
  }
  const files = []
  const skipped = []
  for (const file of paths.sort(Buffer.compare)) {
    const name = path.relative(from, file.toString())
    try {
      const stat = lstatSync(file)
      const wrong = stat.isFile() ? inspect(file) : 'not a regular file'
      if (wrong) skipped.push({ name, reason: wrong })
      else files.push(entryOf(file, name, stat))
    } catch (error) {
      skipped.push({ name, reason: reason(error) })
    }
  }
  if (files.length === 0) throw new BadInput(`${from}: no text file in it`)
  return { files, skipped }
}

const entryOf = (file, name, { size, mtimeMs }) => ({
  path: file,
  name,
  type: typeOf(file.latin1Slice()),
  size,
  mtimeMs,
})

/** The names of the files that are no longer what they were when they were gathered. */
export function changed(files) {
  return files
    .filter(({ path: file, size, mtimeMs }) => {
      try {
        const now = statSync(file)
        return now.size !== size || now.mtimeMs !== mtimeMs
      } catch {
        return true
      }
    })
    .map(({ name }) => name)
}
