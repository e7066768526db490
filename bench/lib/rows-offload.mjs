// Rows of offload: functions at native speed, beside numba, numpy and plain Python; beside piscina and plain JavaScript.
const M = 1e6

const python = {
  metric: 'ms',
  unit: 'ms',
  lower: true,
  n: [1 * M, 1 * M],
  systems: ['off-iris', 'numba', 'off-numpy', 'off-python'],
  full: true,
}

/** An array of a million elements: iris splits it over the cores, numba runs on one thread, as both come. */
const arrays = (work, title, listed, goal) => ({
  ...python,
  id: `offload-${work}`,
  work: `offload-${work}`,
  title: `1,000,000 elements of ${title}`,
  listed: { numba: listed },
  must: { times: 1.5, of: 'numba' },
  goal,
})

const compile = (work, title) => ({
  ...python,
  id: `offload-${work}`,
  work: `offload-${work}`,
  title,
  systems: ['off-iris', 'numba'],
  n: [1000, 1000],
  listed: {},
  must: 10,
  goal: 2,
})

/** Ten million elements; how long the loop was held meanwhile is a row of its own. */
const node = (kind, title, listed, goal) => [
  {
    id: `offload-${kind}`,
    work: `offload${kind}`,
    title: `Node: ${title}`,
    metric: 'ms',
    unit: 'ms',
    lower: true,
    n: [10 * M, 1 * M],
    systems: ['iris', 'piscina', 'js-loop'],
    listed: { piscina: listed },
    must: { times: 1.25, of: 'piscina' },
    goal,
    full: true,
  },
  {
    id: `offload-${kind}-delay`,
    work: `offload${kind}`,
    title: `Node: loop delay p99 meanwhile, ${kind}`,
    metric: 'delay_p99',
    unit: 'ms',
    lower: true,
    n: [10 * M, 1 * M],
    systems: ['iris', 'piscina', 'js-loop'],
    listed: {},
    must: 10,
    goal: 3,
    full: true,
  },
]

/** @type {import('./rows.mjs').Row[]} */
export const offloadRows = [
  {
    ...python,
    id: 'offload-scalar',
    work: 'offload-scalar',
    title: 'a call with three floats',
    metric: 'ns',
    unit: 'ns',
    n: [1, 1],
    systems: ['off-iris', 'numba', 'off-python'],
    listed: { numba: 100 },
    must: 150,
    goal: 100,
    full: false,
  },
  arrays('sincos', 'sin(x)*cos(y)+sqrt(z)-1.5', 19, 19),
  { ...arrays('square', 'x*x', 0.19, 0.19), full: false },
  arrays('rational', 'a rational of 10 operations', 1.2, 1.2),
  {
    ...arrays('recurrence', '', 1.6, 1.6),
    title: 'a recurrence of 1,000,000 steps',
    systems: ['off-iris', 'numba', 'off-python'],
  },
  compile('first', 'the first call of a new function'),
  compile('first-array', 'the first call of a new function with an array'),
  ...node('map', 'map of 10,000,000 elements', 47, 47),
  ...node('reduce', 'reduce of 10,000,000 elements', 11, 11),
]
