// From measurements to verdicts: medians, ratios, and the musts and goals at the speed of this run.
import { systems } from './systems.mjs'

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

/**
 * How fast this machine is now: what the row's listed peers did in this run against what they are
 * listed with. With several of them the geometric mean, so that one peer's bad day does not move
 * the bar.
 */
function scaleOf(row, medians) {
  const ratios = Object.entries(row.listed)
    .filter(([name]) => medians.has(name))
    .map(([name, listed]) => medians.get(name) / listed)
  return ratios.length > 0 ? geometricMean(ratios) : 1
}

/** @returns one verdict for each row, measured or not: what is missing shows */
export function judge(rows, measurements) {
  const verdicts = []
  for (const row of rows) {
    const values = new Map()
    for (const { row: id, system, value } of measurements) {
      if (id === row.id) values.set(system, [...(values.get(system) ?? []), value])
    }
    const medians = new Map([...values].map(([name, all]) => [name, median(all)]))
    const scale = scaleOf(row, medians)
    const own = [...values.keys()].find((name) => systems[name].ours)
    const ours = own && {
      median: medians.get(own),
      min: Math.min(...values.get(own)),
      max: Math.max(...values.get(own)),
      runs: values.get(own).length,
    }
    const reference = medians.get(row.must.of)
    const must =
      typeof row.must === 'number'
        ? row.must * scale
        : row.must.times * (reference ?? row.listed[row.must.of] * scale)
    const goal = row.goal * scale
    const reaches = (bar) => ours && (row.lower ? ours.median <= bar : ours.median >= bar)
    const peers = [...medians]
      .filter(([name]) => name !== own)
      .map(([name, value]) => ({
        name,
        label: systems[name].label,
        ceiling: systems[name].ceiling ?? false,
        median: value,
        min: Math.min(...values.get(name)),
        max: Math.max(...values.get(name)),
        // How much better iris is: above 1 it is ahead, whichever way the unit points.
        ratio: ours && (row.lower ? value / ours.median : ours.median / value),
      }))
    verdicts.push({
      row,
      ours,
      peers,
      scale,
      must,
      goal,
      mustMet: reaches(must) ?? false,
      goalMet: reaches(goal) ?? false,
      // What part of the goal is reached; 1 and more is there.
      goalShare: ours && (row.lower ? goal / ours.median : ours.median / goal),
    })
  }
  return verdicts
}
