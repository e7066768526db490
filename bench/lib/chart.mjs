// A group's rows as bar charts in one SVG, drawn by ECharts without a browser.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { figure } from './report.mjs'
import { titles } from './rows.mjs'
import { bench } from './systems.mjs'

const COLUMNS = 2
const PANEL_WIDTH = 520
const BAR = 24
const HEAD = 64 // the chart's title
const ROOM = 74 // a panel's title and the gap below it
const LABELS = 170 // names of the systems
const COLOURS = { ours: '#7c3aed', peer: '#94a3b8', must: '#dc2626' }
const FONT = 'system-ui, sans-serif'

function bars({ row, ours, peers }) {
  const better = (a, b) => (row.lower ? b.median - a.median : a.median - b.median)
  // A ceiling would press all others against the axis: it stands in the panel's title.
  const rivals = peers.filter(({ ceiling }) => !ceiling).sort(better)
  const all = rivals.map(({ label, median }) => ({
    label,
    value: median,
    colour: COLOURS.peer,
  }))
  if (ours) all.push({ label: 'iris', value: ours.median, colour: COLOURS.ours })
  return all // ECharts draws a category axis from the bottom up: iris on top, then the best
}

/** The option object of one chart with a panel for each row. */
function option(group, verdicts) {
  const rows = []
  for (let i = 0; i < verdicts.length; i += COLUMNS) rows.push(verdicts.slice(i, i + COLUMNS))
  const chart = {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT },
    title: [
      { text: titles[group], left: 16, top: 12, textStyle: { fontSize: 17, fontFamily: FONT } },
    ],
    grid: [],
    xAxis: [],
    yAxis: [],
    series: [],
  }
  let top = HEAD
  for (const row of rows) {
    const height = Math.max(...row.map((verdict) => bars(verdict).length)) * BAR
    for (const [column, verdict] of row.entries()) {
      const index = chart.grid.length
      const left = column * PANEL_WIDTH
      const drawn = bars(verdict)
      const { title, unit, lower } = verdict.row
      const ceiling = verdict.peers.find((peer) => peer.ceiling)
      const beyond = ceiling ? `; ${ceiling.label}: ${figure(ceiling.median)}` : ''
      chart.title.push({
        text: `${title} (${unit}${lower ? ', less is better' : ''}${beyond})`,
        left: left + 16,
        top,
        textStyle: { fontSize: 13, fontWeight: 'normal', fontFamily: FONT },
      })
      chart.grid.push({
        left: left + LABELS,
        top: top + 28,
        width: PANEL_WIDTH - LABELS - 80,
        height: drawn.length * BAR,
      })
      chart.xAxis.push({
        type: 'value',
        gridIndex: index,
        show: false,
        max: Math.max(verdict.must, ...drawn.map(({ value }) => value)),
      })
      chart.yAxis.push({
        type: 'category',
        gridIndex: index,
        data: drawn.map(({ label }) => label),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { color: '#334155', fontFamily: FONT },
      })
      chart.series.push({
        type: 'bar',
        xAxisIndex: index,
        yAxisIndex: index,
        barWidth: BAR - 8,
        data: drawn.map(({ value, colour }) => ({ value, itemStyle: { color: colour } })),
        label: {
          show: true,
          position: 'right',
          color: '#334155',
          backgroundColor: '#ffffff',
          padding: [1, 2],
          fontFamily: FONT,
          formatter: ({ value }) => figure(value),
        },
        markLine: {
          silent: true,
          symbol: 'none',
          lineStyle: { color: COLOURS.must, type: 'dashed' },
          label: {
            formatter: 'must',
            position: 'start',
            color: COLOURS.must,
            fontSize: 10,
            fontFamily: FONT,
          },
          data: [{ xAxis: verdict.must }],
        },
      })
    }
    top += height + ROOM
  }
  return { chart, width: PANEL_WIDTH * Math.min(COLUMNS, verdicts.length), height: top }
}

/** Writes bench/results/<group>.svg and answers its path. */
export function draw(group, verdicts) {
  const require = createRequire(path.join(bench, 'node/package.json'))
  const echarts = require('echarts')
  const { chart, width, height } = option(group, verdicts)
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  drawing.setOption(chart)
  const file = path.join(bench, 'results', `${group}.svg`)
  writeFileSync(file, `${drawing.renderToSVGString()}\n`)
  drawing.dispose()
  return file
}
