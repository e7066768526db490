// Rows of Node beyond sends, calls and spawns. What `performance.md` sets no must for has one all the same: a floor well below
// what was measured first, so that a slip shows. All but the timers are left out of --quick.
const M = 1e6
const k = 1e3

const timers = {
  work: 'timers',
  n: [100 * k, 100 * k],
  systems: ['iris', 'settimeout'],
}

const crossing = { systems: ['iris', 'postmessage', 'sab'], full: true }

/** Messages that are filled, sent and seen: without a copy, and with `send`. */
const buffers = (name, size, n, goal) => ({
  id: `buffer-${name.replace(' ', '-').toLowerCase()}`,
  work: 'buffers',
  title: `buffers of ${name}, filled and sent`,
  unit: 'msg/s',
  metric: `rate`,
  n: [n, n],
  size,
  systems: ['iris', 'iris-copy'],
  listed: {},
  must: { times: 0.9, of: 'iris-copy' },
  goal,
  full: true,
})

/** Two processes on loopback. NATS, moleculer, zeromq and Erlang were measured apart (listed in performance.md of the spec). */
const remote = (id, work, size, n, rest) => ({
  id,
  work,
  n: [n, Math.ceil(n / 4)],
  size,
  systems: ['iris-remote', 'net', 'net-batch'],
  full: true,
  ...rest,
})
const perSecond = { unit: 'msg/s', metric: 'rate' }
const micros = { unit: 'us', lower: true }

/** @type {import('./rows.mjs').Row[]} */
const remoteRows = [
  remote('remote-64', 'remote-oneway-64', 64, 500 * k, {
    ...perSecond,
    title: 'remote one way, 64 B',
    listed: { 'net-batch': 5.2 * M },
    must: 1.5 * M,
    goal: 4 * M,
  }),
  remote('remote-1k', 'remote-oneway-1k', 1024, 200 * k, {
    ...perSecond,
    title: 'remote one way, 1 KiB',
    listed: {},
    must: 0.2 * M,
    goal: 1 * M,
  }),
  remote('remote-64k', 'remote-oneway-64k', 65_536, 5 * k, {
    ...perSecond,
    title: 'remote one way, 64 KiB',
    listed: {},
    must: 20 * k,
    goal: 40 * k,
  }),
  remote('remote-rtt-p50', 'remote-rtt', 64, 20 * k, {
    ...micros,
    metric: 'p50',
    title: 'remote round trip p50, 64 B',
    listed: { net: 77 },
    must: 90,
    goal: 77,
  }),
  remote('remote-rtt-p99', 'remote-rtt', 64, 20 * k, {
    ...micros,
    metric: 'p99',
    title: 'remote round trip p99, 64 B',
    listed: { net: 231 },
    must: 180,
    goal: 231,
  }),
]

/** @type {import('./rows.mjs').Row[]} */
export const nodeMore = [
  {
    ...timers,
    id: 'timers',
    title: '100,000 timers of 100 ms: creation',
    unit: 'timer/s',
    metric: 'rate',
    listed: { settimeout: 1.4 * M },
    must: 1.5 * M,
    goal: 3 * M,
  },
  {
    ...timers,
    id: 'timers-p50',
    title: '100,000 timers of 100 ms: lateness p50',
    unit: 'ms',
    metric: 'p50',
    lower: true,
    // Not scaled: how late a timer is follows from its grid and the loop's slices, not from the speed of a peer.
    listed: {},
    must: 2,
    goal: 1,
  },
  {
    ...timers,
    id: 'timers-p99',
    title: '100,000 timers of 100 ms: lateness p99',
    unit: 'ms',
    metric: 'p99',
    lower: true,
    listed: {},
    must: 5,
    goal: 2,
  },
  {
    ...crossing,
    id: 'worker-tell',
    work: 'workertell',
    title: 'main -> Worker, one way',
    unit: 'msg/s',
    metric: 'rate',
    n: [300 * k, 100 * k],
    listed: { postmessage: 0.73 * M },
    must: 4 * M,
    goal: 10 * M,
  },
  {
    ...crossing,
    id: 'worker-ping',
    work: 'workerping',
    title: 'main -> Worker and back, p50',
    unit: 'us',
    metric: 'p50',
    lower: true,
    n: [20 * k, 5 * k],
    listed: { postmessage: 62 },
    must: 65,
    goal: 10,
  },
  {
    id: 'pull',
    work: 'pull',
    title: 'pull tell, one sender to one pull actor',
    unit: 'msg/s',
    metric: 'rate',
    n: [100 * k, 50 * k],
    systems: ['iris'],
    listed: {},
    must: 0.5 * M,
    goal: 2 * M,
    full: true,
  },
  {
    id: 'pull-ping',
    work: 'pullping',
    title: 'ping-pong of two pull actors',
    unit: 'rt/s',
    metric: 'rate',
    n: [20 * k, 10 * k],
    systems: ['iris'],
    listed: {},
    must: 50 * k,
    goal: 0.5 * M,
    full: true,
  },
  {
    id: 'select',
    work: 'select',
    title: 'selective receive behind 10,000 queued',
    unit: 'msg/s',
    metric: 'rate',
    n: [20 * k, 10 * k],
    size: 10 * k,
    systems: ['iris'],
    listed: {},
    must: 50 * k,
    goal: 0.5 * M,
    full: true,
  },
  {
    id: 'swap',
    work: 'swap',
    title: 'hot swaps under load',
    unit: 'swap/s',
    metric: 'rate',
    n: [50 * k, 20 * k],
    systems: ['iris'],
    listed: {},
    must: 0.1 * M,
    goal: 1 * M,
    full: true,
  },
  {
    id: 'churn',
    work: 'churn',
    title: 'spawn and stop',
    unit: 'cycle/s',
    metric: 'rate',
    n: [100 * k, 50 * k],
    systems: ['iris'],
    listed: {},
    must: 0.2 * M,
    goal: 1 * M,
    full: true,
  },
  buffers('64 KiB', 65_536, 4000, 100 * k),
  { ...buffers('1 MiB', 1 << 20, 400, 10 * k), work: 'buffers1m' },
  { ...buffers('64 MiB', 64 << 20, 8, 100), work: 'buffers64m' },
  ...remoteRows,
]
