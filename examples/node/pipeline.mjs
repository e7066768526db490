#!/usr/bin/env node
// Counts the words of real text with actors: a reader streams files line by line to parsers, which
// tell aggregators; these are asked for the most frequent words of every file type, and the answer
// is compared with a plain count.
//
//   node examples/node/pipeline.mjs [path] [--parsers 4] [--aggregators 3] [--json out.json]
//
// Exit code: 0 both counts are equal, 1 they are not or an actor crashed, 2 nothing to count (bad
// input).
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { NodeRuntime } from 'iris'
import { ask, start } from './wordcount/actors.mjs'
import { BadInput, changed, gather } from './wordcount/files.mjs'
import { countPlainly } from './wordcount/plain.mjs'
import { chart, mebibytes, Progress, whole } from './wordcount/show.mjs'
import { top } from './wordcount/words.mjs'

const checkout = path.resolve(import.meta.dirname, '../..')
const RESOLUTION_MS = 1 // how often the event loop's delay is looked at
const usage =
  'usage: node examples/node/pipeline.mjs [path] [--parsers 4] [--aggregators 3] [--json out.json]'

/** An actor failed: said in one line. */
class Crashed extends Error {}

function options() {
  let parsed
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        parsers: { type: 'string', default: '4' },
        aggregators: { type: 'string', default: '3' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new BadInput(`${error.message}\n${usage}`)
  }
  const { values, positionals } = parsed
  if (positionals.length > 1) throw new BadInput(`one path at most\n${usage}`)
  const several = (name) => {
    if (!/^[1-9]\d{0,2}$/.test(values[name])) {
      throw new BadInput(`--${name} must be a whole number from 1 to 999\n${usage}`)
    }
    return Number(values[name])
  }
  return {
    help: values.help,
    given: positionals[0],
    json: values.json,
    parsers: several('parsers'),
    aggregators: several('aggregators'),
  }
}

/** Runs the pipeline; answers one summary for each type and what the run was like. */
async function countWithActors(files, types, counts) {
  const rt = new NodeRuntime()
  const crash = new Promise((_, reject) => {
    rt.onCrash(({ pid, message }) => reject(new Crashed(`actor ${pid} crashed: ${message}`)))
  })
  crash.catch(() => {}) // may come when nobody waits any more
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  const shown = new Progress(process.stderr)
  const began = performance.now()
  delay.enable()

  const { reader, parsers, aggregators, progress } = start(rt, files, types, counts)
  const all = [reader, ...parsers, ...aggregators]
  const seconds = () => (performance.now() - began) / 1000
  const ticker = setInterval(() => {
    const queue = Math.max(...all.map((pid) => rt.mailboxSize(pid) ?? 0))
    const rate = progress.lines / seconds()
    shown.show(
      `${progress.files}/${files.length} files, ${mebibytes(progress.bytes)}, ` +
        `${whole(progress.lines)} lines (${whole(rate)}/s), longest queue now ${whole(queue)}`,
    )
  }, 50)

  try {
    const { reason, message } = await Promise.race([rt.join(reader), crash])
    if (reason !== 'shutdown') throw new Crashed(`the reader ended by ${reason}: ${message}`)
    const shards = await Promise.all(aggregators.map((pid) => ask(rt, pid)))
    const took = seconds()
    await sleep(5 * RESOLUTION_MS) // the histogram sees the last turn of the loop too
    delay.disable()
    const longest = Math.max(...[...parsers, ...aggregators].map((pid) => highWater(rt, pid)))
    const metrics = rt.getMetrics()
    const summaries = types.map((_, type) => merge(shards.map((shard) => shard[type])))
    // The histogram counts its own interval.
    const held = Math.max(0, delay.max - RESOLUTION_MS * 1e6)
    return { ...progress, summaries, took, longest, held, metrics }
  } finally {
    clearInterval(ticker)
    shown.end()
    await rt.close()
  }
}

/** The longest that an actor's queue has been. */
const highWater = (rt, pid) => rt.actorInfo(pid)?.highWater ?? 0

const milliseconds = (ns) => `${(ns / 1e6).toFixed(1)} ms`

/**
 * A word belongs to one aggregator, so numbers add up and the first words are among the first of
 * each.
 */
const merge = (parts) => ({
  words: parts.reduce((sum, { words }) => sum + words, 0),
  distinct: parts.reduce((sum, { distinct }) => sum + distinct, 0),
  top: top(parts.flatMap((part) => part.top)),
})

function save(file, answer) {
  try {
    writeFileSync(file, `${JSON.stringify(answer, null, 2)}\n`)
  } catch (error) {
    throw new BadInput(`${file} cannot be written: ${error.message}`)
  }
}

async function main() {
  const { help, given, json, ...counts } = options()
  if (help) {
    console.log(usage)
    return 0
  }
  const { files, skipped } = gather(given, checkout)
  const types = [...new Set(files.map(({ type }) => type))].sort()
  const size = files.reduce((sum, file) => sum + file.size, 0)
  console.log(
    `${whole(files.length)} files (${mebibytes(size)}, ${types.length} types) -> reader -> ` +
      `${counts.parsers} parsers -> ${counts.aggregators} aggregators`,
  )
  for (const { name, reason } of skipped.slice(0, 5)) console.log(`left out: ${name}: ${reason}`)
  if (skipped.length > 5) console.log(`left out: ${skipped.length - 5} more files`)

  const run = await countWithActors(files, types, counts)
  const messages = run.metrics.handled
  const answer = {
    files: files.length,
    lines: run.lines,
    bytes: run.bytes,
    types: Object.fromEntries(types.map((type, i) => [type, run.summaries[i]])),
  }

  const began = performance.now()
  let plain
  try {
    plain = countPlainly(files, types)
  } catch (error) {
    const moved = changed(files)
    if (moved.length === 0) throw error
    throw new BadInput(`these files changed meanwhile, run it again: ${moved.join(', ')}`)
  }
  const plainTook = (performance.now() - began) / 1000

  console.log(chart(answer.types, process.stdout.columns ?? 80) || '\nthere is not one word in it')
  console.log('')
  console.log(
    `${whole(run.lines)} lines, ${mebibytes(run.bytes)}, ${whole(messages)} messages in ` +
      `${run.took.toFixed(2)} s: ${whole(messages / run.took)} messages/s ` +
      `(plain count: ${plainTook.toFixed(2)} s)`,
  )
  console.log(`longest queue: ${whole(run.longest)} messages`)
  console.log(
    `event loop held longest: ${milliseconds(run.held)} by anything, ` +
      `${run.metrics.loop.longestHoldMs.toFixed(1)} ms by actors`,
  )
  if (json) save(json, answer)

  if (
    plain.lines === run.lines &&
    JSON.stringify(plain.summaries) === JSON.stringify(run.summaries)
  ) {
    console.log('equal to the plain count')
    return 0
  }
  const moved = changed(files)
  if (moved.length > 0) {
    console.error(`not equal: these files changed meanwhile, run it again: ${moved.join(', ')}`)
  } else {
    const wrong = types.filter(
      (_, i) => JSON.stringify(plain.summaries[i]) !== JSON.stringify(run.summaries[i]),
    )
    console.error(
      `not equal to the plain count: lines ${run.lines} / ${plain.lines}, types ${wrong}`,
    )
  }
  return 1
}

process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE') process.exit(0) // whoever reads has seen enough
  throw error
})

try {
  process.exitCode = await main()
} catch (error) {
  const expected = error instanceof BadInput || error instanceof Crashed
  console.error(expected ? error.message : error)
  process.exitCode = error instanceof BadInput ? 2 : 1
}
