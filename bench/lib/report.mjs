// Verdicts as text for the terminal and as Markdown between markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { titles } from './rows.mjs'

/** 7.41 M, 183 k, 612, 1.94 */
export function figure(value) {
  if (value >= 9.95e6) return `${(value / 1e6).toFixed(1)} M`
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e5) return `${(value / 1e3).toFixed(0)} k`
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`
  if (value < 10) return value.toFixed(2)
  if (value < 100) return value.toFixed(1)
  return Math.round(value).toLocaleString('en')
}

const times = (ratio) => `x${ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(2)}`
const word = (met) => (met ? 'pass' : 'MISS')

/** The group as lines of text: two for each row. */
export function text(group, verdicts) {
  const lines = [titles[group], '']
  for (const { row, ours, peers, must, goal, mustMet, goalMet, goalShare, scale } of verdicts) {
    const title = `${row.title} (${row.unit})`
    if (ours) {
      const spread = `${figure(ours.median)} [${figure(ours.min)} .. ${figure(ours.max)}]`
      const bars = `must ${figure(must)} ${word(mustMet)}, goal ${figure(goal)} ${
        goalMet ? 'reached' : `at ${(goalShare * 100).toFixed(0)} %`
      }`
      lines.push(`  ${title.padEnd(44)} iris ${spread.padEnd(30)} ${bars}`)
    } else {
      lines.push(`  ${title.padEnd(44)} iris not measured`)
    }
    const beside = peers.map(
      ({ label, median, ratio }) =>
        `${label} ${figure(median)}${ratio ? ` (${times(ratio)})` : ''}`,
    )
    const speed =
      Object.keys(row.listed).length > 0 ? `peers at ${scale.toFixed(2)} of listed: ` : ''
    if (beside.length > 0) lines.push(`    ${speed}${beside.join(', ')}`)
  }
  return lines.join('\n')
}

/** The whole table of a group, for docs/performance.md. */
export function markdown(group, verdicts) {
  const lines = [
    `### ${titles[group]}`,
    '',
    '| work | iris, median (min .. max) | beside it (how far iris is ahead) | must, scaled | goal, scaled |',
    '|---|---|---|---|---|',
  ]
  for (const { row, ours, peers, must, goal, mustMet, goalMet, goalShare } of verdicts) {
    const mine = ours
      ? `**${figure(ours.median)}** (${figure(ours.min)} .. ${figure(ours.max)})`
      : 'not measured'
    const beside = peers.map(
      ({ label, median, ratio }) =>
        `${label} ${figure(median)}${ratio ? ` (${times(ratio)})` : ''}`,
    )
    const reached = ours ? (goalMet ? 'reached' : `${(goalShare * 100).toFixed(0)} % of it`) : ''
    lines.push(
      `| ${row.title}, ${row.unit} | ${mine} | ${beside.join(', ')} | ${figure(must)} ${
        ours ? (mustMet ? 'pass' : '**miss**') : ''
      } | ${figure(goal)} ${reached} |`,
    )
  }
  return lines.join('\n')
}

/**
 * One line a row, for README.md: iris beside the best peer that is an actor system or a queue of
 * its language.
 */
export function brief(group, verdicts) {
  const lines = []
  for (const { row, ours, peers } of verdicts) {
    const rivals = peers.filter(({ ceiling }) => !ceiling)
    const best = rivals.sort((a, b) => (row.lower ? a.median - b.median : b.median - a.median))[0]
    if (!ours || !best) continue
    lines.push(
      `| ${group[0].toUpperCase()}${group.slice(1)}: ${row.title} | ${figure(ours.median)} ${row.unit} | ${
        best.label
      } ${figure(best.median)} | ${times(best.ratio)} |`,
    )
  }
  return lines
}

export const briefHead = [
  '| work | iris | best of the others | iris is ahead |',
  '|---|---|---|---|',
]

const START = '<!-- bench:start -->'
const END = '<!-- bench:end -->'

/** Puts `body` between the markers of a file; answers whether the file has them. */
export function between(file, body) {
  if (!existsSync(file)) return false
  const old = readFileSync(file, 'utf8')
  const start = old.indexOf(START)
  const end = old.indexOf(END)
  if (start < 0 || end < start) return false
  const fresh = `${old.slice(0, start + START.length)}\n${body}\n${old.slice(end)}`
  if (fresh !== old) writeFileSync(file, fresh)
  return true
}
