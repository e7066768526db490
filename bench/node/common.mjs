// What the Node programs of bench/ share: the payload, memory, percentiles and the line each figure
// is printed as.
import { readFileSync } from 'node:fs'

export const PAYLOAD = 64

/**
 * A message: 64 bytes in memory of their own (a pooled Buffer would be cloned with its 8 KiB pool).
 */
export const payload = () => new Uint8Array(PAYLOAD).fill(7)

export function emit(metric, value, unit) {
  console.log(JSON.stringify({ metric, value: Math.round(value * 1000) / 1000, unit }))
}

/** Resident memory of this process in bytes. */
export function rss() {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096
}

/** Collects garbage, if node runs with --expose-gc. */
export function collect() {
  globalThis.gc?.()
  globalThis.gc?.()
}

export function deferred() {
  let resolve
  const promise = new Promise((done) => {
    resolve = done
  })
  return { promise, resolve }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length - 1) * share))]
}

export const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

export const thousands = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
