// What a word is, and the order of a list of them. The Python twin says the same, so that both give
// the same answer.

/**
 * A word is a run of ASCII letters, digits and `_` that does not begin with a digit and is at most
 * 255 bytes long. It is looked for in bytes (read as Latin-1), so that text of any encoding gives
 * one answer.
 */
export const WORD = /\b[A-Za-z_]\w{0,254}\b/g

/** More bytes of a run than a word can have: from here on it is no word, however it goes on. */
export const LONGER_THAN_A_WORD = 256

export const TOP = 20

/** Whether a byte belongs to a run. */
export const inRun = (byte) =>
  (byte >= 0x61 && byte <= 0x7a) || // a-z
  (byte >= 0x41 && byte <= 0x5a) || // A-Z
  (byte >= 0x30 && byte <= 0x39) || // 0-9
  byte === 0x5f // _

/**
 * A copy with memory of its own: a part of a string keeps the whole string alive, and these are
 * kept for long.
 */
const own = (word) => (word.length < 13 ? word : Buffer.from(word, 'latin1').latin1Slice())

/** Counts one word in a Map. */
export function count(counts, word) {
  const old = counts.get(word)
  if (old === undefined) counts.set(own(word), 1)
  else counts.set(word, old + 1)
}

/** Most frequent first; words that are equally frequent in the order of their bytes. */
const byRank = ([a, n], [b, m]) => m - n || (a < b ? -1 : 1)

/**
 * The first words of what yields [word, count]. One pass and no sort: an actor that is asked must
 * not hold the event loop for long, and it may know a million words.
 */
export function top(entries) {
  const first = []
  for (const entry of entries) {
    if (first.length === TOP && byRank(first[TOP - 1], entry) < 0) continue
    let at = first.length
    while (at > 0 && byRank(entry, first[at - 1]) < 0) at--
    first.splice(at, 0, entry)
    if (first.length > TOP) first.pop()
  }
  return first
}

/** How many words and how many different ones a Map holds, and its first. */
export function summary(counts) {
  let words = 0
  for (const n of counts.values()) words += n
  return { words, distinct: counts.size, top: top(counts) }
}
