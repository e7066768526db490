#!/usr/bin/env node
// make bench: iris and its peers in turn, in one run, on the same work. See docs/performance.md.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { draw } from './lib/chart.mjs'
import { judge } from './lib/judge.mjs'
import { measure } from './lib/measure.mjs'
import { between, brief, briefHead, markdown, text } from './lib/report.mjs'
import { rows } from './lib/rows.mjs'
import { prepare } from './lib/setup.mjs'
import { bench, root, systems } from './lib/systems.mjs'

const usage = `usage: node bench/run.mjs [--quick] [--only row,row] [--rounds n] [--no-write]

  --quick      every row in less than two minutes: fewer peers and rounds, nothing written to docs/
  --only       rows or groups (${Object.keys(rows).join(', ')}): ${Object.values(rows)
    .flat()
    .map(({ id }) => id)
    .join(', ')}
  --rounds     how often each is measured (5, with --quick 3)
  --no-write   leave docs/performance.md, README.md and the charts as they are`

function fail(message) {
  console.error(message)
  process.exit(2)
}

function options() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        'no-write': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    return fail(`${error.message}\n${usage}`)
  }
}

/**
 * The rows that were asked for, by group. A row brings along the rows that come out of the same
 * process.
 */
function chosen(only) {
  if (!only) return rows
  const wanted = new Set(only.split(',').map((word) => word.trim()))
  const known = new Set([
    ...Object.keys(rows),
    ...Object.values(rows).flatMap((g) => g.map(({ id }) => id)),
  ])
  for (const word of wanted) if (!known.has(word)) fail(`no row or group called ${word}\n${usage}`)
  return Object.fromEntries(
    Object.entries(rows)
      .map(([group, all]) => {
        const works = new Set(all.filter(({ id }) => wanted.has(id)).map(({ work }) => work))
        return [group, all.filter(({ work }) => wanted.has(group) || works.has(work))]
      })
      .filter(([, all]) => all.length > 0),
  )
}

const version = (command, args) => {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return null
  }
}

const args = options()
if (args.help) {
  console.log(usage)
  process.exit(0)
}
const rounds = Number(args.rounds ?? (args.quick ? 3 : 5))
if (!Number.isSafeInteger(rounds) || rounds < 1)
  fail(`--rounds must be a whole number above 0\n${usage}`)
const groups = chosen(args.only)
const complete = !args.only && !args.quick

const needs = new Set(
  Object.values(groups).flatMap((all) =>
    all.flatMap((row) => row.systems.map((name) => systems[name].needs)),
  ),
)
needs.delete(null)
if (complete) needs.add('Node peers') // the chart library comes with them
const missing = prepare(needs, (line) => console.error(line))
for (const [need, reason] of missing) console.log(`not measured: ${need}: ${reason}`)

const progress = process.stderr.isTTY ? (line) => process.stderr.write(`\r\x1b[K${line}`) : () => {}

const about = {
  kind: 'run',
  date: new Date().toISOString(),
  commit: version('git', ['-C', root, 'rev-parse', '--short', 'HEAD']),
  cpu: os.cpus()[0]?.model.trim(),
  cores: os.cpus().length,
  node: process.version,
  python: version(path.join(root, '.venv/bin/python'), ['--version']),
  rustc: version('rustc', ['--version']),
  load: Number(os.loadavg()[0].toFixed(2)),
  rounds,
  quick: args.quick,
}
if (about.load > 1) {
  console.log(
    `this machine is busy (load ${about.load}): figures are low and wide, ratios hold better`,
  )
}

const start = performance.now()
const lines = [about]
const verdicts = {}
for (const [group, all] of Object.entries(groups)) {
  const { measurements, failures } = await measure(group, all, {
    rounds,
    quick: args.quick,
    leastMs: args.quick ? 150 : 400,
    missing,
    progress,
  })
  progress('')
  verdicts[group] = judge(all, measurements)
  for (const measurement of measurements) lines.push({ kind: 'measurement', ...measurement })
  console.log(`\n${text(group, verdicts[group])}`)
  for (const { work, system, message } of failures) {
    console.log(`  failed: ${systems[system].label}, ${work}: ${message}`)
    lines.push({ kind: 'failure', group, work, system, message })
  }
}

const judged = Object.entries(verdicts).flatMap(([group, all]) =>
  all.map((verdict) => ({ group, ...verdict })),
)
for (const { group, row, ours, peers, scale, must, goal, mustMet, goalMet } of judged) {
  lines.push({
    kind: 'verdict',
    group,
    row: row.id,
    unit: row.unit,
    iris: ours ?? null,
    scale,
    must,
    mustMet,
    goal,
    goalMet,
    peers,
  })
}
const measured = judged.filter(({ ours }) => ours)
const met = measured.filter(({ mustMet }) => mustMet)
const goals = measured.filter(({ goalMet }) => goalMet)
const took = (performance.now() - start) / 1000
console.log(
  `\nmusts: ${met.length} of ${judged.length} pass${
    measured.length < judged.length ? ` (${judged.length - measured.length} not measured)` : ''
  }; goals: ${goals.length} of ${judged.length} reached; ${rounds} rounds in ${took.toFixed(0)} s`,
)

const results = path.join(bench, 'results')
mkdirSync(results, { recursive: true })
const name = complete ? 'latest' : args.quick ? 'quick' : 'partial'
const file = path.join(results, `${name}.jsonl`)
writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
console.log(`figures: ${path.relative(process.cwd(), file)}`)

if (complete && !args['no-write'] && measured.length > 0) {
  const when = [
    about.date.slice(0, 10),
    `commit ${about.commit}`,
    `${rounds} rounds`,
    about.cpu,
    `${about.cores} cores`,
    `Node ${about.node.slice(1)}`,
    about.python ?? 'no Python',
    about.rustc,
    `load before it began ${about.load}`,
  ].join(', ')
  const tables = Object.entries(verdicts).map(([group, all]) => markdown(group, all))
  const charts = []
  if (missing.has('Node peers')) console.log('no charts: the chart library is not installed')
  else for (const [group, all] of Object.entries(verdicts)) charts.push(draw(group, all))
  for (const chart of charts) console.log(`chart: ${path.relative(process.cwd(), chart)}`)
  between(path.join(root, 'docs/performance.md'), `${when}\n\n${tables.join('\n\n')}`)
  const short = Object.entries(verdicts).flatMap(([group, all]) => brief(group, all))
  between(path.join(root, 'README.md'), [...briefHead, ...short].join('\n'))
}
