// Rows of supervision. What `performance.md` sets no must for has a floor well below what was measured first.
const k = 1e3

const only = { systems: ['iris'], listed: {}, metric: 'rate', full: true }

const native = { systems: ['rs-iris', 'ractor', 'actix'], listed: {}, full: true }

/** The same works of Rust actors. actix starts a stopped value again with its mailbox, on one thread: nothing crashes there. */
/** @type {import('./rows.mjs').Row[]} */
export const supervisionOfRust = [
  {
    ...native,
    id: 'rs-restart',
    work: 'restart',
    title: 'crash + restart under a supervisor',
    unit: 'restart/s',
    metric: 'rate',
    n: [20 * k, 10 * k],
    must: { times: 1.5, of: 'ractor' },
    goal: 1.4e6,
  },
  {
    ...native,
    id: 'rs-recovery',
    work: 'recovery',
    title: 'from a crash to the next message handled, p50',
    unit: 'us',
    metric: 'p50',
    lower: true,
    n: [10 * k, 5 * k],
    must: { times: 1, of: 'ractor' },
    goal: 1,
  },
  {
    ...native,
    id: 'rs-kept',
    work: 'kept',
    title: 'handled of 990 queued around 10 crashes',
    unit: 'msg',
    metric: 'kept',
    n: [1000, 1000],
    must: 990,
    goal: 990,
  },
]

/** @type {import('./rows.mjs').Row[]} */
export const supervisionRows = [
  {
    id: 'restart',
    work: 'restart',
    title: 'crash + restart under a supervisor',
    unit: 'restart/s',
    metric: 'rate',
    n: [20 * k, 10 * k],
    // OTP's supervisor looks through its list of restarts on every restart: it is asked in bursts of 200.
    nOf: { erlang: [200, 200] },
    systems: ['iris', 'nact', 'erlang'],
    listed: { nact: 89 * k },
    must: 100 * k,
    goal: 500 * k,
    full: true,
  },
  {
    id: 'recovery',
    work: 'recovery',
    title: 'from a crash to the next message handled, p50',
    unit: 'us',
    metric: 'p50',
    lower: true,
    n: [10 * k, 5 * k],
    nOf: { erlang: [200, 200] },
    systems: ['iris', 'nact', 'erlang'],
    listed: {},
    must: 100,
    goal: 10,
    full: true,
  },
  {
    id: 'kept',
    work: 'kept',
    title: 'handled of 990 queued around 10 crashes',
    unit: 'msg',
    metric: 'kept',
    n: [1000, 1000],
    systems: ['iris', 'nact', 'erlang'],
    listed: {},
    must: 990,
    goal: 990,
    full: true,
  },
  {
    ...only,
    id: 'name-lookup',
    work: 'namelookup',
    title: 'whereis among 1,000,000 names',
    unit: 'lookup/s',
    n: [100 * k, 50 * k],
    systems: ['iris', 'erlang', 'queue'],
    must: 0.5e6,
    goal: 2e6,
  },
  {
    ...only,
    id: 'path-lookup',
    work: 'pathlookup',
    title: 'whereisPath among 1,000,000 paths',
    unit: 'lookup/s',
    n: [100 * k, 50 * k],
    must: 0.4e6,
    goal: 2e6,
  },
  {
    ...only,
    id: 'path-list',
    work: 'pathlist',
    title: 'listChildrenDirect: 1,000 of 1,000,000 paths',
    unit: 'listing/s',
    n: [500, 200],
    must: 500,
    goal: 5 * k,
  },
  {
    ...only,
    id: 'monitor',
    work: 'monitor',
    title: 'monitor and demonitor',
    unit: 'monitor/s',
    n: [50 * k, 20 * k],
    systems: ['iris', 'erlang'],
    must: 0.3e6,
    goal: 1e6,
  },
]
