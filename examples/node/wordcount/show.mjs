// What the example prints: progress while it runs, bars at the end.
const BARS = 10 // words shown of a type
const TYPES = 3 // types shown
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

export const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

/** 1,234,567: the same whatever the locale. */
export const whole = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')

/** A line that is written over on a terminal, and now and then a line of its own in a log. */
export class Progress {
  constructor(stream) {
    this.stream = stream
    this.terminal = stream.isTTY === true
    this.every = this.terminal ? 100 : 2000
    this.last = performance.now()
  }

  show(line) {
    const now = performance.now()
    if (now - this.last < this.every) return
    this.last = now
    this.stream.write(
      this.terminal ? `\r\x1b[K${line.slice(0, this.stream.columns - 1)}` : `${line}\n`,
    )
  }

  end() {
    if (this.terminal) this.stream.write('\r\x1b[K')
  }
}

function bar(share, width) {
  const eighths = Math.max(1, Math.round(share * width * 8))
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7]
}

/** The first words of the types with the most words, as bars. */
export function chart(types, columns) {
  const lines = []
  const most = Object.entries(types)
    .filter(([, { words }]) => words > 0)
    .sort(([a, { words: n }], [b, { words: m }]) => m - n || (a < b ? -1 : 1))
    .slice(0, TYPES)
  for (const [type, { words, distinct, top }] of most) {
    lines.push('', `${type}: ${whole(words)} words, ${whole(distinct)} different`)
    const shown = top.slice(0, BARS)
    const label = Math.min(32, Math.max(...shown.map(([word]) => word.length)))
    const number = Math.max(...shown.map(([, n]) => whole(n).length))
    const room = Math.max(10, Math.min(columns, 120) - label - number - 6)
    for (const [word, n] of shown) {
      const name = word.length > label ? `${word.slice(0, label - 1)}…` : word
      lines.push(
        `  ${name.padEnd(label)} ${whole(n).padStart(number)} ${bar(n / shown[0][1], room)}`,
      )
    }
  }
  return lines.join('\n')
}
