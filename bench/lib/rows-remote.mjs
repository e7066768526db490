// Two processes on loopback, side by side with what else carries messages between processes. All are left out of --quick.
const M = 1e6
const k = 1e3

const peers = ['iris-secret', 'erlang-remote', 'nats', 'zeromq', 'moleculer', 'net', 'net-batch']

/** Some take so long that they get less to do. */
const fewer = (n) => Object.fromEntries(['moleculer'].map((name) => [name, [n, Math.ceil(n / 4)]]))

const remote = (id, work, size, n, rest) => ({
  id,
  work,
  n: [n, Math.ceil(n / 4)],
  nOf: fewer(Math.ceil(n / 10)),
  size,
  systems: ['iris-remote', ...peers],
  full: true,
  ...rest,
})
const perSecond = { unit: 'msg/s', metric: 'rate' }
const micros = { unit: 'us', lower: true }

/** Calls: alone, and at half of the rate that the system itself reaches with 64 open at once. */
const calls = (id, metric, title, rest) =>
  remote(id, 'remote-rtt', 64, 10 * k, {
    ...micros,
    metric,
    nOf: {},
    title: `remote call, 64 B: ${title}`,
    ...rest,
  })

/** @type {import('./rows.mjs').Row[]} */
export const remoteRows = [
  remote('remote-64', 'remote-oneway-64', 64, 500 * k, {
    ...perSecond,
    title: 'remote one way, 64 B',
    listed: {
      nats: 0.68 * M,
      zeromq: 0.28 * M,
      moleculer: 0.065 * M,
      'erlang-remote': 0.4 * M,
      'net-batch': 5.2 * M,
    },
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
    listed: { nats: 5 * k, zeromq: 26 * k, 'erlang-remote': 54 * k },
    must: 20 * k,
    goal: 40 * k,
  }),
  calls('remote-rtt-p50', 'p50', 'round trip p50', {
    listed: { moleculer: 124, nats: 263, 'erlang-remote': 77, net: 77 },
    must: 90,
    goal: 77,
  }),
  calls('remote-rtt-p99', 'p99', 'round trip p99', {
    listed: { moleculer: 721, nats: 1600, 'erlang-remote': 120, net: 231 },
    must: 180,
    goal: 231,
  }),
  // The specification sets no must for these: no worse than the broker.
  calls('remote-half-p50', 'half_p50', 'p50 at half load', {
    listed: { nats: 1000 },
    must: { times: 1, of: 'nats' },
    goal: 250,
  }),
  calls('remote-half-p99', 'half_p99', 'p99 at half load', {
    listed: { nats: 5000 },
    must: { times: 1, of: 'nats' },
    goal: 1000,
  }),
]

const python = (id, work, size, n, rest) => ({
  id,
  work,
  size,
  n: [n, Math.ceil(n / 4)],
  systems: ['py-remote', 'xoscar'],
  full: true,
  ...rest,
})

/** @type {import('./rows.mjs').Row[]} */
export const pythonRemoteRows = [
  python('py-remote-64', 'remote-oneway', 64, 200 * k, {
    ...perSecond,
    nOf: { xoscar: [10 * k, 3 * k] },
    title: 'remote one way, 64 B',
    listed: { xoscar: 25 * k },
    must: 0.3 * M,
    goal: 0.7 * M,
  }),
  python('py-remote-rtt', 'remote-rtt', 64, 5 * k, {
    ...micros,
    metric: 'p50',
    title: 'remote call, 64 B: round trip p50',
    listed: { xoscar: 194 },
    must: 90,
    goal: 77,
  }),
  // The specification sets no must for this one: no worse than the peer.
  python('py-remote-64k', 'remote-oneway-64k', 65_536, 5 * k, {
    ...perSecond,
    nOf: { xoscar: [2 * k, k] },
    title: 'remote one way, 64 KiB',
    listed: { xoscar: 10 * k },
    must: { times: 1, of: 'xoscar' },
    goal: 20 * k,
  }),
]
