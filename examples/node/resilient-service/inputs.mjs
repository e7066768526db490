// The inputs: lines of the checkout's text files, and which of them the worker cannot bear. That is decided by the line
// itself, so it is known beforehand which requests must fail, and that all others must not.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gather } from '../wordcount/files.mjs'

/** One line in so many crashes the worker. */
const ONE_IN = 100
/** Longer lines are left out: they are data, not text. */
const MOST = 2000

/** The answer to a good line. */
export function analyse(line) {
  const words = line.match(/[A-Za-z_]\w*/g) ?? []
  return { bytes: Buffer.byteLength(line), words: words.length, longest: longest(words) }
}

const longest = (words) =>
  words.reduce((best, word) => (word.length > best.length ? word : best), '')

/** Whether this line is one that the worker has a bug with. */
export const crashes = (line) =>
  createHash('sha256').update(line).digest().readUInt32BE() % ONE_IN === 0

/** `count` lines, taken evenly from all that there are; if there are fewer, they come again. */
export function linesOf(given, checkout, count) {
  const lines = new Set()
  for (const file of gather(given, checkout).files) {
    for (const line of readFileSync(file.path, 'utf8').split('\n')) {
      const text = line.trim()
      if (text !== '' && text.length <= MOST) lines.add(text)
    }
  }
  const all = [...lines]
  const step = Math.max(1, all.length / count)
  return Array.from({ length: count }, (_, i) => all[Math.floor(i * step) % all.length])
}
