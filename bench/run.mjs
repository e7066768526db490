#!/usr/bin/env node
// make bench: iris and its peers in turn, in one run, on the same work. See docs/performance.md.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { draw } from './lib/chart.mjs'
import { check, checks } from './lib/checks.mjs'
import { judge } from './lib/judge.mjs'
import { measure } from './lib/measure.mjs'
import { between, brief, briefHead, markdown, text } from './lib/report.mjs'
import { rows } from './lib/rows.mjs'
import { prepare } from './lib/setup.mjs'
import { bench, root, systems } from './lib/systems.mjs'

/** What a group may take with --quick, in milliseconds, so that all are over in two minutes. */
const QUICK_MS = { node: 64_000, python: 22_000, rust: 24_000, offload: 12_000 }

const ids = [...Object.values(rows).flat(), ...checks].map(({ id }) => id)
const usage = `usage: node bench/run.mjs [--quick] [--only row,row] [--rounds n] [--no-write]

  --quick      every row in less than two minutes: fewer peers and rounds, nothing written to docs/
  --only       groups (${Object.keys(rows).join(', ')}, checks) or rows:
               ${ids.join(', ')}
  --rounds     how often each is measured (5, with --quick 3)
  --no-write   leave docs/performance.md, README.md and the charts as they are`

function fail(message) {
  console.error(`${message}\n${usage}`)
  process.exit(2)
}

function options() {
  let values
  try {
    values = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        'no-write': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    fail(error.message)
  }
  const { quick, only } = values
  const rounds = Number(values.rounds ?? (quick ? 3 : 5))
  if (!Number.isSafeInteger(rounds) || rounds < 1) fail('--rounds must be a whole number above 0')
  const complete = !only && !quick
  return { ...values, rounds, complete, publish: complete && !values['no-write'] }
}

/** The rows that were asked for, by group, and the checks. A row brings along those of its work. */
function choose({ only, quick }) {
  if (!only) {
    const wanted = quick ? checks.filter((each) => each.quick) : checks
    const kept = ([group, all]) => [group, all.filter((row) => !(quick && row.full))]
    return { groups: Object.fromEntries(Object.entries(rows).map(kept)), wanted }
  }
  const words = new Set(only.split(',').map((word) => word.trim()))
  const known = new Set([...Object.keys(rows), 'checks', ...ids])
  for (const word of words) if (!known.has(word)) fail(`no row or group called ${word}`)
  const groups = {}
  for (const [group, all] of Object.entries(rows)) {
    const works = new Set(all.filter(({ id }) => words.has(id)).map(({ work }) => work))
    const chosen = all.filter(({ work }) => words.has(group) || works.has(work))
    if (chosen.length > 0) groups[group] = chosen
  }
  return { groups, wanted: checks.filter(({ id }) => words.has('checks') || words.has(id)) }
}

function version(command, args) {
  try {
    return String(execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })).trim()
  } catch {
    return null
  }
}

const describe = ({ rounds, quick }) => ({
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
  quick,
})

/** Installs and builds what is needed; answers what is missing. */
function ready(groups, wanted, publish) {
  const needs = new Set(wanted.map((each) => each.needs))
  for (const row of Object.values(groups).flat()) {
    for (const name of row.systems) needs.add(systems[name].needs)
  }
  needs.delete(null)
  if (publish) needs.add('Node peers') // the chart library comes with them
  const missing = prepare(needs, (line) => console.error(line))
  for (const [need, reason] of missing) console.log(`not measured: ${need}: ${reason}`)
  return missing
}

const progress = (line) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
}

/** Measures group after group and prints each; answers the verdicts by group. */
async function measureAll(groups, missing, { rounds, quick }, records) {
  const verdicts = {}
  for (const [group, all] of Object.entries(groups)) {
    const [leastMs, limitMs] = quick ? [150, QUICK_MS[group]] : [400, Infinity]
    const options = { rounds, quick, leastMs, limitMs, missing, progress }
    const measured = await measure(group, all, options)
    progress('')
    verdicts[group] = judge(all, measured.measurements)
    console.log(`\n${text(group, verdicts[group])}`)
    for (const { work, system, message } of measured.failures) {
      console.log(`  failed: ${systems[system].label}, ${work}: ${message}`)
    }
    for (const each of measured.measurements) records.push({ kind: 'measurement', ...each })
    for (const each of measured.failures) records.push({ kind: 'failure', group, ...each })
    for (const { row, ...verdict } of verdicts[group]) {
      records.push({ kind: 'verdict', group, row: row.id, unit: row.unit, ...verdict })
    }
  }
  return verdicts
}

function checkAll(wanted, missing, records) {
  const outcomes = []
  for (const each of wanted) {
    if (missing.has(each.needs)) continue
    progress(each.title)
    const outcome = check(each)
    progress('')
    console.log(`\n${each.title}: ${outcome.passed ? 'pass' : 'MISS'}`)
    for (const line of outcome.lines) console.log(`  ${line}`)
    outcomes.push({ ...each, ...outcome })
    records.push({ kind: 'check', id: each.id, passed: outcome.passed, figures: outcome.figures })
  }
  return outcomes
}

function summarise(verdicts, outcomes, { rounds }, took) {
  const all = Object.values(verdicts).flat()
  const measured = all.filter(({ ours }) => ours)
  const met = measured.filter(({ mustMet }) => mustMet).length
  const reached = measured.filter(({ goalMet }) => goalMet).length
  const absent = all.length - measured.length
  const passed = outcomes.filter((outcome) => outcome.passed).length
  console.log(
    `\nmusts: ${met} of ${all.length} pass${absent > 0 ? ` (${absent} not measured)` : ''}; ` +
      `goals: ${reached} of ${all.length} reached; checks: ${passed} of ${outcomes.length} pass; ` +
      `at most ${rounds} rounds, ${took.toFixed(0)} s`,
  )
}

function save(records, { complete, quick }) {
  const results = path.join(bench, 'results')
  mkdirSync(results, { recursive: true })
  const file = path.join(results, `${complete ? 'latest' : quick ? 'quick' : 'partial'}.jsonl`)
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  console.log(`figures: ${path.relative(process.cwd(), file)}`)
}

/** Tables and charts for docs/performance.md and README.md. */
function publish(about, verdicts, outcomes, missing) {
  const when = [
    about.date.slice(0, 10),
    `commit ${about.commit}`,
    `${about.rounds} rounds`,
    about.cpu,
    `${about.cores} cores`,
    `Node ${about.node.slice(1)}`,
    about.python ?? 'no Python',
    about.rustc,
    `load before it began ${about.load}`,
  ].join(', ')
  const groups = Object.entries(verdicts)
  const parts = [`${when}.`, ...groups.map(([group, all]) => markdown(group, all))]
  for (const { title, passed, lines } of outcomes) {
    parts.push(
      `### ${title}: ${passed ? 'pass' : '**miss**'}`,
      `\`\`\`text\n${lines.join('\n')}\n\`\`\``,
    )
  }
  between(path.join(root, 'docs/performance.md'), parts.join('\n\n'))
  const short = groups.flatMap(([group, all]) => brief(group, all))
  between(path.join(root, 'README.md'), [...briefHead, ...short].join('\n'))
  if (missing.has('Node peers')) {
    console.log('no charts: the chart library is not installed')
    return
  }
  for (const [group, all] of groups) {
    console.log(`chart: ${path.relative(process.cwd(), draw(group, all))}`)
  }
}

const given = options()
if (given.help) {
  console.log(usage)
  process.exit(0)
}
const { groups, wanted } = choose(given)
const missing = ready(groups, wanted, given.publish)
const about = describe(given)
if (about.load > 1) {
  console.log(`this machine is busy (load ${about.load}): read ratios, not figures`)
}
const began = performance.now()
const records = [about]
const verdicts = await measureAll(groups, missing, given, records)
const outcomes = checkAll(wanted, missing, records)
summarise(verdicts, outcomes, given, (performance.now() - began) / 1000)
save(records, given)
const ours = Object.values(verdicts).flat()
if (given.publish && ours.some((verdict) => verdict.ours)) {
  publish(about, verdicts, outcomes, missing)
}
