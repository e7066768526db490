// The same count without actors, one file after the other: what the pipeline's answer is compared
// with.
import { closeSync, openSync, readSync } from 'node:fs'
import { count, inRun, LONGER_THAN_A_WORD, summary, WORD } from './words.mjs'

const CHUNK = 1 << 20

/** Counts a file into a Map, in bounded memory whatever its size and the length of its lines. */
function countFile(file, counts, chunk) {
  const descriptor = openSync(file, 'r')
  let tail = '' // a run that the end of the chunk may have cut
  let lines = 0
  let last = 0x0a
  try {
    for (;;) {
      const length = readSync(descriptor, chunk, 0, chunk.length, null)
      if (length === 0) break
      const bytes = chunk.subarray(0, length)
      for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) lines++
      last = bytes[length - 1]
      const text = tail + bytes.latin1Slice()
      let run = text.length
      while (run > 0 && inRun(text.charCodeAt(run - 1))) run--
      for (const word of text.slice(0, run).match(WORD) ?? []) count(counts, word)
      // Of a run that is too long for a word this much is enough to see it, however it goes on.
      tail = text.slice(run, run + LONGER_THAN_A_WORD)
    }
  } finally {
    closeSync(descriptor)
  }
  for (const word of tail.match(WORD) ?? []) count(counts, word)
  return last === 0x0a ? lines : lines + 1
}

/** One summary for each file type, and the lines of all files. */
export function countPlainly(files, types) {
  const counts = types.map(() => new Map())
  const chunk = Buffer.alloc(CHUNK)
  let lines = 0
  for (const { path, type } of files) lines += countFile(path, counts[types.indexOf(type)], chunk)
  return { summaries: counts.map(summary), lines }
}
