// The actors of the pipeline: one reader -> N parsers -> a few aggregators, which acknowledge to
// the reader.
//
//            lines              words, by the aggregator that owns them
//   reader --------> parser 1 ----------> aggregator 1
//      ^  \                   \ /
//      |   `-------> parser 2 -X--------> aggregator 2
//      |                                       |
//      `--------------- acknowledge -----------'
//
// Flow control. The reader sends a file chunk by chunk, and after each chunk a numbered MARK to
// every parser; a parser passes it on to every aggregator. Messages between two actors keep their
// order, so an aggregator that has the mark of *all* parsers has handled every word of that chunk:
// it acknowledges it to the reader. At most WINDOW chunks are unacknowledged, hence at most WINDOW
// * CHUNK bytes of text are on their way, whatever the size of the file.
//
// The end is a mark like any other, END: order holds between a sender and a receiver only, so an
// aggregator is done when it has counted END from every parser, not when the first one comes.
import { open } from 'node:fs/promises'
import { count, inRun, LONGER_THAN_A_WORD, summary, WORD } from './words.mjs'

const CHUNK = 64 * 1024 // bytes the reader reads at a time
const WINDOW = 16 // chunks on their way at most
export const MAX_LINE = 64 * 1024 // a longer line travels in pieces, cut between two words

// The first byte of a message says what it is; four bytes follow it: the file type of a text, the
// number of a mark.
const TEXT = 0
const MARK = 1
const END = 2
const READ = 3
const ACK = 4
const ALL_HANDLED = 5
const TOP_WORDS = 6
const HEAD = 5

const NEWLINE = 0x0a

function control(kind, number = 0) {
  const message = Buffer.alloc(HEAD)
  message[0] = kind
  message.writeUInt32LE(number, 1)
  return message
}

/**
 * `send` answers false when nobody took the message. Here that means that a part of the pipeline is
 * gone.
 */
function tell(rt, pid, message) {
  if (!rt.send(pid, message)) throw new Error(`actor ${pid} does not take messages any more`)
}

/**
 * Streams the files. Reads one chunk for each READ or ACK message, so that it never holds the event
 * loop for long.
 */
class Reader {
  constructor(rt, files, types, parsers, aggregators, progress) {
    this.rt = rt
    this.files = files
    this.types = types
    this.parsers = parsers
    this.aggregators = aggregators
    this.progress = progress
    this.turn = 0 // the parser that gets the next line
    this.marks = 0 // chunks sent
    this.acknowledged = new Map() // chunk -> aggregators that have handled it
    this.unacknowledged = 0
    this.waiting = false // for an acknowledgement
    this.ended = 0 // aggregators that have handled everything
    this.handle = null // of the open file
    this.next = 0 // the file to open next
    this.type = 0
    this.chunk = Buffer.alloc(CHUNK)
    this.line = Buffer.alloc(HEAD + MAX_LINE) // a message under construction; `send` copies it
    this.length = HEAD // of it
    this.begun = false // a line of which a part has been read
  }

  async receive(message, ctx) {
    const kind = message[0]
    if (kind === ALL_HANDLED) {
      if (++this.ended === this.aggregators) ctx.stop()
      return
    }
    if (kind === ACK) {
      const mark = message.readUInt32LE(1)
      const handled = (this.acknowledged.get(mark) ?? 0) + 1
      this.acknowledged.set(mark, handled)
      if (handled < this.aggregators) return
      this.acknowledged.delete(mark)
      this.unacknowledged--
      if (!this.waiting) return
    }
    if (!(await this.readChunk())) return // the end is sent
    this.waiting = this.unacknowledged >= WINDOW
    if (!this.waiting) tell(this.rt, ctx.pid, control(READ))
  }

  async readChunk() {
    if (this.handle === null) {
      if (this.next === this.files.length) {
        for (const parser of this.parsers) tell(this.rt, parser, control(END))
        return false
      }
      const file = this.files[this.next++]
      this.type = this.types.indexOf(file.type)
      this.handle = await open(file.path)
    }
    const { bytesRead } = await this.handle.read(this.chunk, 0, CHUNK, null)
    if (bytesRead === 0) {
      await this.handle.close()
      this.handle = null
      if (this.begun) this.endLine() // the last line has no newline
      this.progress.files++
      return true
    }
    this.progress.bytes += bytesRead
    this.split(this.chunk.subarray(0, bytesRead))
    for (const parser of this.parsers) tell(this.rt, parser, control(MARK, this.marks))
    this.marks++
    this.unacknowledged++
    return true
  }

  split(chunk) {
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, start)
      const end = newline < 0 ? chunk.length : newline
      this.begun = true
      while (start < end) {
        const room = this.line.length - this.length
        const part = Math.min(room, end - start)
        chunk.copy(this.line, this.length, start, start + part)
        this.length += part
        start += part
        if (this.length === this.line.length) this.cut()
      }
      if (newline < 0) return
      this.endLine()
      start = newline + 1
    }
  }

  /** The line is longer than a message may be: sends it up to the last run and keeps that run. */
  cut() {
    let run = this.length
    while (run > HEAD && inRun(this.line[run - 1])) run--
    const rest = Buffer.from(this.line.subarray(run, this.length))
    this.length = run
    this.sendLine()
    // Of a run that is too long for a word this much is enough to see it.
    const kept = rest.subarray(0, LONGER_THAN_A_WORD)
    kept.copy(this.line, HEAD)
    this.length = HEAD + kept.length
  }

  endLine() {
    this.sendLine()
    this.begun = false
    this.progress.lines++
  }

  sendLine() {
    if (this.length === HEAD) return // nothing in it
    this.line[0] = TEXT
    this.line.writeUInt32LE(this.type, 1)
    tell(this.rt, this.parsers[this.turn], this.line.subarray(0, this.length))
    this.turn = (this.turn + 1) % this.parsers.length
    this.length = HEAD
  }
}

/** The aggregator that owns a word: any rule will do that always answers the same. */
const shardOf = (word, shards) =>
  (word.charCodeAt(0) * 31 + word.charCodeAt(word.length - 1) * 7 + word.length) % shards

/** Finds the words of a line and tells each aggregator its own. */
function parser(rt, aggregators) {
  const shards = aggregators.length
  const found = aggregators.map(() => '')
  const message = Buffer.alloc(HEAD + MAX_LINE + 1)
  return (line) => {
    if (line[0] !== TEXT) {
      for (const aggregator of aggregators) tell(rt, aggregator, line) // MARK or END: to everyone
      return
    }
    const words = line.latin1Slice(HEAD).match(WORD)
    if (words === null) return
    for (const word of words) found[shardOf(word, shards)] += ` ${word}`
    line.copy(message, 0, 0, HEAD)
    for (let shard = 0; shard < shards; shard++) {
      if (found[shard] === '') continue
      const length = message.latin1Write(found[shard], HEAD)
      tell(rt, aggregators[shard], message.subarray(0, HEAD + length))
      found[shard] = ''
    }
  }
}

/** Counts the words that are its own, by file type. */
function aggregator(rt, types, parsers, readerPid) {
  const counts = types.map(() => new Map())
  const marks = new Map() // mark -> parsers it came from
  let ends = 0
  return (message) => {
    const number = message.readUInt32LE(1)
    switch (message[0]) {
      case TEXT: {
        const words = message.latin1Slice(HEAD + 1).split(' ') // the text begins with a space
        for (const word of words) count(counts[number], word)
        return
      }
      case MARK: {
        const seen = (marks.get(number) ?? 0) + 1
        if (seen < parsers) {
          marks.set(number, seen)
        } else {
          marks.delete(number)
          tell(rt, readerPid(), control(ACK, number))
        }
        return
      }
      case END:
        if (++ends === parsers) tell(rt, readerPid(), control(ALL_HANDLED))
        return
      case TOP_WORDS:
        return JSON.stringify(counts.map(summary))
    }
  }
}

/**
 * Spawns the pipeline and starts it. `reader` ends when every word has been counted: join it, then
 * ask the aggregators.
 */
export function start(rt, files, types, { parsers: parserCount, aggregators: aggregatorCount }) {
  const progress = { files: 0, lines: 0, bytes: 0 }
  let reader
  const aggregators = Array.from({ length: aggregatorCount }, () =>
    rt.spawn(aggregator(rt, types, parserCount, () => reader)),
  )
  const parsers = Array.from({ length: parserCount }, () => rt.spawn(parser(rt, aggregators)))
  const state = new Reader(rt, files, types, parsers, aggregatorCount, progress)
  reader = rt.spawn((message, ctx) => state.receive(message, ctx))
  rt.send(reader, control(READ))
  return { reader, parsers, aggregators, progress }
}

/** Asks an aggregator for its words: one summary for each file type. */
export async function ask(rt, aggregator) {
  return JSON.parse(await rt.call(aggregator, control(TOP_WORDS), 60))
}
