// Wrong input to every public call: a typed error with a code, or a counted refusal; never an abort, a hang, or half a job.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { IrisError, NodeRuntime } from '../index.mjs'
import { assertBalanced, deferred, root, runtime, turn } from './support.mjs'

const pem = (name) => readFileSync(join(root, `tests/vectors/tls/${name}.pem`), 'utf8')
const PEM = { cert: pem('node'), key: pem('node-key'), ca: pem('ca') }
const OTHER_KEY = pem('other-node-key')
const TYPE = 'ERR_IRIS_INVALID_TYPE'
const RANGE = 'ERR_IRIS_INVALID_ARGUMENT'
const PATH = 'ERR_IRIS_INVALID_PATH'
const NOBODY = 'ERR_IRIS_NO_SUCH_ACTOR'

const nothing = () => {}
const notNumbers = [
  undefined,
  null,
  '1',
  '',
  true,
  {},
  [],
  [1],
  nothing,
  Symbol('s'),
  1n,
  new Number(1),
]
const notPids = [0, -1, 1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 2 ** 64, Number.MIN_VALUE]
const notStrings = [undefined, null, 1, true, {}, [], nothing, Symbol('s'), 1n, new String('s')]
const notData = [
  undefined,
  null,
  1,
  true,
  {},
  [],
  [1, 2],
  nothing,
  Symbol('s'),
  1n,
  new Date(),
  new Uint16Array(2),
  new DataView(new ArrayBuffer(1)),
]
const notFunctions = [undefined, null, 1, 'f', true, {}, [], Symbol('s'), 1n, Promise.resolve()]
const notObjects = ['o', true, nothing, Symbol('s'), 1n]
const notIntegers = [0, -1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53]
const notTimes = [-1, Number.NaN, Infinity, -Infinity, 2 ** 54]

const notAddresses = ['', 'host', ':1', 'host:', 'host:x', '::1:9', '1.2.3.4:70000', 'unix:']
const more = (name) => (name === 'sendRemote' ? ['x'] : [])

/** `[what, values, call with a value, code]` */
const WIDE = { scope: 'cluster' }

const cases = [
  ['new NodeRuntime(options)', [null, 1, ...notObjects], (_rt, v) => new NodeRuntime(v), TYPE],
  [
    'an unknown option',
    ['timeslice', 'Workers', '0', ''],
    (_rt, v) => new NodeRuntime({ [v]: 1 }),
    RANGE,
  ],
  ...['timeSliceMs', 'stopTimeoutMs', 'callTimeoutMs'].flatMap((name) => [
    [name, [null, '1', {}, 1n, true], (_rt, v) => new NodeRuntime({ [name]: v }), TYPE],
    [name, notTimes, (_rt, v) => new NodeRuntime({ [name]: v }), RANGE],
  ]),
  ['timeSliceMs of 0', [0, -0], (_rt, v) => new NodeRuntime({ timeSliceMs: v }), RANGE],
  ...['workers', 'defaultCapacity'].flatMap((name) => [
    [name, [null, '1', {}, 1n, true], (_rt, v) => new NodeRuntime({ [name]: v }), TYPE],
    [name, notIntegers, (_rt, v) => new NodeRuntime({ [name]: v }), RANGE],
  ]),
  [
    'logger',
    [1, 'console', {}, nothing, { error: 1 }],
    (_rt, v) => new NodeRuntime({ logger: v }),
    TYPE,
  ],
  ['onCrash option', [1, 'f', {}, true], (_rt, v) => new NodeRuntime({ onCrash: v }), TYPE],

  ['spawn(handler)', notFunctions, (rt, v) => rt.spawn(v), TYPE],
  ['spawn options', [null, ...notObjects], (rt, v) => rt.spawn(nothing, v), TYPE],
  ['spawn budget', [null, '1', {}, 1n, true], (rt, v) => rt.spawn(nothing, { budget: v }), TYPE],
  ['spawn budget', notIntegers, (rt, v) => rt.spawn(nothing, { budget: v }), RANGE],
  ['spawn budget, positional', notIntegers, (rt, v) => rt.spawn(nothing, v), RANGE],
  [
    'spawn reentrant',
    [null, 0, 1, 'yes', {}],
    (rt, v) => rt.spawn(nothing, { reentrant: v }),
    TYPE,
  ],
  [
    'an unknown spawn option',
    ['budgets', 'capacity', 'release_gil'],
    (rt, v) => rt.spawn(nothing, { [v]: 1 }),
    RANGE,
  ],
  ['spawnBounded(handler)', notFunctions, (rt, v) => rt.spawnBounded(v, { capacity: 1 }), TYPE],
  [
    'spawnBounded without capacity',
    [undefined, null, {}, 100],
    (rt, v) => rt.spawnBounded(nothing, v),
    TYPE,
  ],
  [
    'capacity',
    [null, '1', {}, 1n, true],
    (rt, v) => rt.spawnBounded(nothing, { capacity: v }),
    TYPE,
  ],
  ['capacity', notIntegers, (rt, v) => rt.spawnBounded(nothing, { capacity: v }), RANGE],
  ['capacity, positional', notIntegers, (rt, v) => rt.spawnBounded(nothing, 1, v), RANGE],
  [
    'observed budget',
    [0, -1, 0.5, Number.NaN],
    (rt, v) => rt.spawnWithPathObserved(v, '/o'),
    RANGE,
  ],
  ['observed options', notObjects, (rt, v) => rt.spawnWithPathObserved(v, '/o'), TYPE],
  ['observed path', notStrings, (rt, v) => rt.spawnWithPathObserved(1, v), TYPE],
  ['an observed path', ['', 'a', '//', '/a//b'], (rt, v) => rt.spawnWithPathObserved(1, v), PATH],
  [
    'an unknown observed option',
    ['Path', '0'],
    (rt, v) => rt.spawnWithPathObserved({ path: '/o', [v]: 1 }),
    RANGE,
  ],
  ['getMessages(pid)', notNumbers, (rt, v) => rt.getMessages(v), TYPE],
  ['getMessages of nobody', notPids, (rt, v) => rt.getMessages(v), NOBODY],
  ['selectiveRecv(pid)', notNumbers, (rt, v) => rt.selectiveRecv(v, nothing), TYPE],
  ['selectiveRecv of nobody', notPids, (rt, v) => rt.selectiveRecv(v, nothing), NOBODY],
  ['spawnVirtual(handler)', notFunctions, (rt, v) => rt.spawnVirtual(v), TYPE],
  ['virtual budget', notIntegers, (rt, v) => rt.spawnVirtual(nothing, v), RANGE],
  ['virtual options', notObjects, (rt, v) => rt.spawnVirtual(nothing, v), TYPE],
  [
    'an unknown virtual option',
    ['idle', '0'],
    (rt, v) => rt.spawnVirtual(nothing, { [v]: 1 }),
    RANGE,
  ],
  [
    'idleTimeoutMs, positional',
    ['1', {}, true, 1n],
    (rt, v) => rt.spawnVirtual(nothing, 1, v),
    TYPE,
  ],
  ['idleTimeoutMs', notTimes, (rt, v) => rt.spawnVirtual(nothing, { idleTimeoutMs: v }), RANGE],
  ['virtual capacity', notIntegers, (rt, v) => rt.spawnVirtual(nothing, { capacity: v }), RANGE],
  ...['onActivate', 'onDeactivate'].map((name) => [
    name,
    notFunctions.slice(1),
    (rt, v) => rt.spawnVirtual(nothing, { [name]: v }),
    TYPE,
  ]),
  ['bounded budget, positional', notIntegers, (rt, v) => rt.spawnBounded(nothing, v, 1), RANGE],
  [
    'overflow',
    [null, 1, {}],
    (rt, v) => rt.spawnBounded(nothing, { capacity: 1, overflow: v }),
    TYPE,
  ],
  [
    'overflow target',
    [null, '1', {}, 1n, true],
    (rt, v) => rt.spawnBounded(nothing, { capacity: 1, overflow: 'spill', target: v }),
    TYPE,
  ],
  [
    'overflow target',
    notPids,
    (rt, v) => rt.spawnBounded(nothing, { capacity: 1, overflow: 'spill', target: v }),
    NOBODY,
  ],
  [
    'overflow without its target',
    ['redirect', 'spill'],
    (rt, v) => rt.spawnBounded(nothing, { capacity: 1, overflow: v }),
    RANGE,
  ],
  [
    'overflow',
    ['', 'drop'],
    (rt, v) => rt.spawnBounded(nothing, { capacity: 1, overflow: v }),
    RANGE,
  ],

  ...['spawnChild', 'spawnChildWithMailbox', 'spawnChildPool'].flatMap((name) => [
    [`${name}(parent)`, notNumbers, (rt, v) => rt[name](v, nothing, 2), TYPE],
    [`${name}(parent)`, notPids, (rt, v) => rt[name](v, nothing, 2), NOBODY],
    [`${name}(handler)`, notFunctions, (rt, v, pid) => rt[name](pid, v, 2), TYPE],
    [`${name} number`, notIntegers, (rt, v, pid) => rt[name](pid, nothing, v), RANGE],
  ]),
  ...['spawnChild', 'spawnChildWithMailbox'].map((name) => [
    `${name} options`,
    [null, ...notObjects],
    (rt, v, pid) => rt[name](pid, nothing, v),
    TYPE,
  ]),
  [
    'spawnChildPool(workers)',
    [undefined, null, '1', {}],
    (rt, v, pid) => rt.spawnChildPool(pid, nothing, v),
    TYPE,
  ],
  [
    'spawnChildPool options',
    [null, ...notObjects],
    (rt, v, pid) => rt.spawnChildPool(pid, nothing, 2, v),
    TYPE,
  ],
  [
    'pool routing',
    ['', 'random'],
    (rt, v, pid) => rt.spawnChildPool(pid, nothing, 2, { routing: v }),
    RANGE,
  ],
  [
    'pool capacity',
    notIntegers,
    (rt, v, pid) => rt.spawnChildPool(pid, nothing, 2, { capacity: v }),
    RANGE,
  ],
  ['spawnWithMailbox(handler)', notFunctions, (rt, v) => rt.spawnWithMailbox(v), TYPE],
  [
    'spawnWithMailbox options',
    [null, ...notObjects],
    (rt, v) => rt.spawnWithMailbox(nothing, v),
    TYPE,
  ],
  [
    'spawnWithMailbox budget',
    notIntegers,
    (rt, v) => rt.spawnWithMailbox(nothing, { budget: v }),
    RANGE,
  ],
  [
    'spawnWithMailbox capacity',
    notIntegers,
    (rt, v) => rt.spawnWithMailbox(nothing, { capacity: v }),
    RANGE,
  ],
  [
    'an unknown spawnWithMailbox option',
    ['reentrant', 'overflow'],
    (rt, v) => rt.spawnWithMailbox(nothing, { [v]: 1 }),
    RANGE,
  ],
  ['send(pid)', notNumbers, (rt, v) => rt.send(v, 'x'), TYPE],
  ['send(pid) of a Buffer', notNumbers, (rt, v) => rt.send(v, Buffer.from('x')), TYPE],
  ['send(data)', notData, (rt, v, pid) => rt.send(pid, v), TYPE],
  ['send(data) to nobody', notData, (rt, v) => rt.send(0, v), TYPE],
  ['sendMany(pid)', notNumbers, (rt, v) => rt.sendMany(v, ['x']), TYPE],
  [
    'sendMany(messages)',
    [undefined, null, 1, 'text', {}, nothing, Symbol('s'), Buffer.from('x'), new Uint8Array(1)],
    (rt, v, pid) => rt.sendMany(pid, v),
    TYPE,
  ],
  ['sendMany([data])', notData, (rt, v, pid) => rt.sendMany(pid, ['fine', v, 'fine']), TYPE],
  ['sendNamed(name)', notStrings, (rt, v) => rt.sendNamed(v, 'x'), TYPE],
  ['sendNamed(data)', notData, (rt, v) => rt.sendNamed('name', v), TYPE],

  ['registerPath(path)', notStrings, (rt, v, pid) => rt.registerPath(v, pid), TYPE],
  ['registerPath(pid)', notNumbers, (rt, v) => rt.registerPath('/a', v), TYPE],
  ['registerPath(pid)', notPids, (rt, v) => rt.registerPath('/a', v), NOBODY],
  ...['unregisterPath', 'whereisPath', 'listChildren', 'listChildrenDirect'].map((name) => [
    `${name}(path)`,
    notStrings,
    (rt, v) => rt[name](v),
    TYPE,
  ]),
  ['monitor(target)', notNumbers, (rt, v) => rt.monitor(v, nothing), TYPE],
  ['monitor(target)', [0, -1, 0.5, Number.NaN], (rt, v) => rt.monitor(v, nothing), NOBODY],
  [
    'monitor(watcher)',
    [undefined, null, '1', true, {}, [], Symbol('s'), 1n],
    (rt, v, pid) => rt.monitor(pid, v),
    TYPE,
  ],
  ['monitor(watcher)', notPids, (rt, v, pid) => rt.monitor(pid, v), NOBODY],
  ['monitor by one that hears no system messages', [0], (rt, _v, p) => rt.monitor(p, p), RANGE],
  ['demonitor(reference)', notNumbers, (rt, v) => rt.demonitor(v), TYPE],
  ...['link', 'unlink'].flatMap((name) => [
    [`${name}(a)`, notNumbers, (rt, v, pid) => rt[name](v, pid), TYPE],
    [`${name}(b)`, notNumbers, (rt, v, pid) => rt[name](pid, v), TYPE],
  ]),
  ['link(a)', [0, -1, 0.5, Number.NaN, 2 ** 53], (rt, v, pid) => rt.link(v, pid), NOBODY],
  ['setTrapExit(pid)', notNumbers, (rt, v) => rt.setTrapExit(v, true), TYPE],
  ['setTrapExit(pid)', notPids, (rt, v) => rt.setTrapExit(v, true), NOBODY],
  [
    'setTrapExit(traps)',
    [undefined, null, 0, 1, 'yes', {}],
    (rt, v, pid) => rt.setTrapExit(pid, v),
    TYPE,
  ],
  ...['createPathSupervisor', 'removePathSupervisor', 'pathSupervisorChildren', 'watchPath'].map(
    (name) => [`${name}(path)`, notStrings, (rt, v) => rt[name](v), TYPE],
  ),
  ...['createPathSupervisor', 'removePathSupervisor', 'pathSupervisorChildren', 'watchPath'].map(
    (name) => [`${name}(path)`, ['', 'a', '//', '/a//b'], (rt, v) => rt[name](v), PATH],
  ),
  ...[
    ['strategy', [null, 1, {}, true]],
    ['maxRestarts', [null, '1', {}, 1n, true]],
    ['withinMs', [null, '1', {}, 1n, true]],
    ['restart', [null, 1, {}, true]],
    ['backoff', [null, 1, 'yes', 1n]],
  ].map(([name, values]) => [
    `createPathSupervisor ${name}`,
    values,
    (rt, v) => rt.createPathSupervisor('/a', { [name]: v }),
    TYPE,
  ]),
  ...[
    ['strategy', ['', 'one_for_one', 'RESTARTALL']],
    ['maxRestarts', [-1, 0.5, Number.NaN, Infinity, 2 ** 32]],
    ['withinMs', [0, -1, Number.NaN, Infinity, 2 ** 54]],
    ['restart', ['', 'always']],
    ['backoff', [{ initial: 1 }, { initialMs: -1 }, { factor: 0 }, { jitter: 2 }, { maxMs: 1 }]],
    ['strategies', ['restartone']],
  ].map(([name, values]) => [
    `createPathSupervisor ${name}`,
    values,
    (rt, v) => rt.createPathSupervisor('/a', { [name]: v }),
    RANGE,
  ]),
  ['pathSupervisorWatch(path)', notStrings, (rt, v, pid) => rt.pathSupervisorWatch(v, pid), TYPE],
  ['pathSupervisorWatch(pid)', notNumbers, (rt, v) => rt.pathSupervisorWatch('/a', v), TYPE],
  ['pathSupervisorWatch(pid)', notPids, (rt, v) => rt.pathSupervisorWatch('/a', v), NOBODY],
  [
    'pathSuperviseWithFactory(path)',
    notStrings,
    (rt, v, pid) => rt.pathSuperviseWithFactory(v, pid, nothing, 'restartone'),
    TYPE,
  ],
  [
    'pathSuperviseWithFactory(pid)',
    notNumbers,
    (rt, v) => rt.pathSuperviseWithFactory('/a', v, nothing, 'restartone'),
    TYPE,
  ],
  [
    'pathSuperviseWithFactory(pid)',
    notPids,
    (rt, v) => rt.pathSuperviseWithFactory('/a', v, nothing, 'restartone'),
    NOBODY,
  ],
  [
    'pathSuperviseWithFactory(factory)',
    notFunctions,
    (rt, v, pid) => rt.pathSuperviseWithFactory('/a', pid, v, 'restartone'),
    TYPE,
  ],
  [
    'pathSuperviseWithFactory(strategy)',
    notStrings,
    (rt, v, pid) => rt.pathSuperviseWithFactory('/a', pid, nothing, v),
    TYPE,
  ],
  [
    'pathSuperviseWithFactory(strategy)',
    ['', 'restart', 'one_for_all'],
    (rt, v, pid) => rt.pathSuperviseWithFactory('/a', pid, nothing, v),
    RANGE,
  ],
  [
    'pathSuperviseWithFactory options',
    [null, ...notObjects],
    (rt, v, pid) => rt.pathSuperviseWithFactory('/a', pid, nothing, 'restartone', v),
    TYPE,
  ],
  [
    'pathSuperviseWithFactory options',
    [{ strategy: 'restartall' }, { id: '' }, { id: 'a/b' }, { restart: 'often' }],
    (rt, v, pid) => rt.pathSuperviseWithFactory('/a', pid, nothing, 'restartone', v),
    RANGE,
  ],
  ['terminateChild(path)', notStrings, (rt, v, pid) => rt.terminateChild(v, pid), TYPE],
  ['terminateChild(pid)', notNumbers, (rt, v) => rt.terminateChild('/a', v), TYPE],
  ['sendPath(path)', notStrings, (rt, v) => rt.sendPath(v, 'x'), TYPE],
  ['sendPath(path)', ['', 'a', '/', '/a//b'], (rt, v) => rt.sendPath(v, 'x'), PATH],
  ['sendPath(data)', notData, (rt, v) => rt.sendPath('/a', v), TYPE],
  ['supervise(path)', notStrings, (rt, v) => rt.supervise(v, []), TYPE],
  ['supervise(path)', ['', 'a', '//', '/a//b'], (rt, v) => rt.supervise(v, []), PATH],
  ['supervise(children)', [undefined, null, 1, 'a', {}], (rt, v) => rt.supervise('/a', v), TYPE],
  [
    'supervise a child',
    [null, 1, {}, { id: 1, start: nothing }, { id: 'a' }, { id: 'a', start: 1 }],
    (rt, v) => rt.supervise('/a', [v]),
    TYPE,
  ],
  [
    'supervise a child',
    [
      { id: '', start: nothing },
      { id: 'a/b', start: nothing },
      { id: 'a', start: nothing, budget: 1 },
      { id: 'a', start: nothing, restart: 'often' },
      { id: 'a', start: nothing, workers: 0 },
      { id: 'a', children: [], strategy: 'none' },
    ],
    (rt, v) => rt.supervise('/a', [v]),
    RANGE,
  ],
  ['supervise options', [null, ...notObjects], (rt, v) => rt.supervise('/a', [], v), TYPE],
  ...['onRestart', 'onSupervision'].map((name) => [
    `${name}(hook)`,
    [1, 'f', {}, true, Symbol('s')],
    (rt, v) => rt[name](v),
    TYPE,
  ]),
  ['spawn system', [null, 0, 1, 'yes', {}], (rt, v) => rt.spawn(nothing, { system: v }), TYPE],

  ...['sendAfter', 'sendInterval'].flatMap((name) => [
    [`${name}(pid)`, notNumbers, (rt, v) => rt[name](v, 1, 'x'), TYPE],
    [`${name}(pid)`, notPids, (rt, v) => rt[name](v, 1, 'x'), NOBODY],
    [`${name}(ms)`, [undefined, null, '1', {}, 1n], (rt, v, pid) => rt[name](pid, v, 'x'), TYPE],
    [`${name}(ms)`, notTimes, (rt, v, pid) => rt[name](pid, v, 'x'), RANGE],
    [`${name}(data)`, notData, (rt, v, pid) => rt[name](pid, 1, v), TYPE],
  ]),
  ['sendInterval(0)', [0, -0], (rt, v, pid) => rt.sendInterval(pid, v, 'x'), RANGE],
  ['cancelTimer(timer)', notNumbers, (rt, v) => rt.cancelTimer(v), TYPE],
  ['sendAsync(pid)', notNumbers, (rt, v) => rt.sendAsync(v, 'x'), TYPE],
  ['sendAsync(data)', notData, (rt, v, pid) => rt.sendAsync(pid, v), TYPE],
  ['sendAsync options', [null, ...notObjects], (rt, v, pid) => rt.sendAsync(pid, 'x', v), TYPE],
  ['sendAsync signal', [null, 1, {}], (rt, v, pid) => rt.sendAsync(pid, 'x', { signal: v }), TYPE],
  ['sendWithBackpressure(pid)', notNumbers, (rt, v) => rt.sendWithBackpressure(v, 'x'), TYPE],
  ['sendWithBackpressure(data)', notData, (rt, v, pid) => rt.sendWithBackpressure(pid, v), TYPE],

  ['setOverflowPolicy(pid)', notNumbers, (rt, v) => rt.setOverflowPolicy(v, 'dropold'), TYPE],
  ['setOverflowPolicy(pid)', notPids, (rt, v) => rt.setOverflowPolicy(v, 'dropold'), NOBODY],
  ['setOverflowPolicy(policy)', notStrings, (rt, v, pid) => rt.setOverflowPolicy(pid, v), TYPE],
  [
    'setOverflowPolicy(policy)',
    ['', 'drop', 'DROPNEW', 'redirect', 'spill'],
    (rt, v, pid) => rt.setOverflowPolicy(pid, v),
    RANGE,
  ],
  [
    'setOverflowPolicy(target)',
    [null, '1', {}, 1n],
    (rt, v, pid) => rt.setOverflowPolicy(pid, 'spill', v),
    TYPE,
  ],
  ['setOverflowPolicy(target)', notPids, (rt, v, p) => rt.setOverflowPolicy(p, 'spill', v), NOBODY],
  [
    'setOverflowPolicy to itself, or with a target too many',
    ['redirect', 'spill', 'block', 'dropold'],
    (rt, v, pid) => rt.setOverflowPolicy(pid, v, pid),
    RANGE,
  ],
  ['setWatermarks', [undefined, null, '1', 1n], (rt, v) => rt.setWatermarks(v, 10), TYPE],
  ['setWatermarks', [...notIntegers, 11], (rt, v) => rt.setWatermarks(v, 10), RANGE],
  ...['setSystemCapacity', 'setMessageCapacity'].flatMap((name) => [
    [name, [undefined, '1', {}, 1n, true], (rt, v) => rt[name](v), TYPE],
    [name, [0, -1, 0.5, Number.NaN, Infinity], (rt, v) => rt[name](v), RANGE],
  ]),
  ['vortexSetAutoGhostPolicy', notStrings, (rt, v) => rt.vortexSetAutoGhostPolicy(v), TYPE],
  ['vortex', [null, 1, 'yes', nothing, 1n, []], (rt, v) => rt.spawn(nothing, { vortex: v }), TYPE],
  [
    'an unknown vortex option',
    ['ghostAfter', 'grace_ms', '0'],
    (rt, v) => rt.spawn(nothing, { vortex: { [v]: 1 } }),
    RANGE,
  ],
  ...['ghostAfterMs', 'graceMs', 'maxRate'].flatMap((name) => [
    [
      name,
      [null, '1', {}, 1n, true],
      (rt, v) => rt.spawn(nothing, { vortex: { [name]: v } }),
      TYPE,
    ],
    [name, notTimes, (rt, v) => rt.spawn(nothing, { vortex: { [name]: v } }), RANGE],
  ]),
  ['maxRate', [1.1, 2], (rt, v) => rt.spawn(nothing, { vortex: { maxRate: v } }), RANGE],
  ['setLoadShedding', [undefined, null, 0, 1, 'on'], (rt, v) => rt.setLoadShedding(v), TYPE],

  ['call(pid)', notNumbers, (rt, v) => rt.call(v, 'x'), TYPE],
  ['call(pid)', notPids, (rt, v) => rt.call(v, 'x'), NOBODY],
  ['call(pid) with a Buffer', notPids, (rt, v) => rt.call(v, Buffer.from('x')), NOBODY],
  ['call(data)', notData, (rt, v, pid) => rt.call(pid, v), TYPE],
  ['call options', [null, ...notObjects], (rt, v, pid) => rt.call(pid, 'x', v), TYPE],
  ['call timeout', notTimes, (rt, v, pid) => rt.call(pid, 'x', v), RANGE],
  [
    'call timeoutMs',
    [null, '1', {}, 1n, true],
    (rt, v, pid) => rt.call(pid, 'x', { timeoutMs: v }),
    TYPE,
  ],
  ['call timeoutMs', notTimes, (rt, v, pid) => rt.call(pid, 'x', { timeoutMs: v }), RANGE],
  [
    'call signal',
    [null, 1, {}, new AbortController(), new EventTarget()],
    (rt, v, pid) => rt.call(pid, 'x', { signal: v }),
    TYPE,
  ],
  [
    'an unknown call option',
    ['timeout', 'Signal'],
    (rt, v, pid) => rt.call(pid, 'x', { [v]: 1 }),
    RANGE,
  ],

  ['attach(id)', notNumbers, (_rt, v) => NodeRuntime.attach(v), TYPE],
  ['attach(id)', [...notIntegers.slice(0, 6), 2 ** 33], (_rt, v) => NodeRuntime.attach(v), RANGE],
  ['attach options', [null, 1, ...notObjects], (rt, v) => NodeRuntime.attach(rt.id, v), TYPE],
  [
    'an attach option that is the runtime’s',
    ['workers', 'stopTimeoutMs', 'defaultCapacity', 'id'],
    (rt, v) => NodeRuntime.attach(rt.id, { [v]: 1 }),
    RANGE,
  ],
  ['attach logger', [1, {}], (rt, v) => NodeRuntime.attach(rt.id, { logger: v }), TYPE],
  ['attach onCrash', [1, 'f'], (rt, v) => NodeRuntime.attach(rt.id, { onCrash: v }), TYPE],
  ['attach timeSliceMs', notTimes, (rt, v) => NodeRuntime.attach(rt.id, { timeSliceMs: v }), RANGE],

  ['spawnThreaded(url)', notStrings, (rt, v) => rt.spawnThreaded(v), TYPE],
  ['spawnThreaded(url)', ['', 'handler.mjs', './x'], (rt, v) => rt.spawnThreaded(v), RANGE],
  ...['threads', 'budget', 'capacity', 'maxRestarts'].flatMap((name) => [
    [
      `spawnThreaded ${name}`,
      [null, '1', {}],
      (rt, v) => rt.spawnThreaded('/x', { [name]: v }),
      TYPE,
    ],
    [
      `spawnThreaded ${name}`,
      [-1, 0.5, Number.NaN, 2 ** 40],
      (rt, v) => rt.spawnThreaded('/x', { [name]: v }),
      RANGE,
    ],
  ]),
  ['spawnThreaded options', [null, 1, ...notObjects], (rt, v) => rt.spawnThreaded('/x', v), TYPE],
  [
    'spawnThreaded onReplace',
    [1, 'f', {}],
    (rt, v) => rt.spawnThreaded('/x', { onReplace: v }),
    TYPE,
  ],
  ['spawnThreaded routing', ['x', ''], (rt, v) => rt.spawnThreaded('/x', { routing: v }), RANGE],
  ['spawnThreaded codec', [1, {}], (rt, v) => rt.spawnThreaded('/x', { codec: v }), TYPE],

  ['allocateBuffer(size)', notNumbers, (rt, v) => rt.allocateBuffer(v), TYPE],
  [
    'allocateBuffer(size)',
    [-1, 0.5, Number.NaN, Infinity, 2 ** 32 + 1, 2 ** 53],
    (rt, v) => rt.allocateBuffer(v),
    RANGE,
  ],
  ...['sendBuffer', 'sendUserWithBackpressure'].flatMap((name) => [
    [`${name}(pid)`, notNumbers, (rt, v) => rt[name](v, 1), TYPE],
    [`${name}(id)`, notNumbers, (rt, v, pid) => rt[name](pid, v), TYPE],
    [`${name}(id)`, notPids, (rt, v, pid) => rt[name](pid, v), 'ERR_IRIS_NO_SUCH_BUFFER'],
  ]),
  ['freeBuffer(id)', notNumbers, (rt, v) => rt.freeBuffer(v), TYPE],

  ['register(name)', notStrings, (rt, v, pid) => rt.register(v, pid), TYPE],
  ['register(name)', ['', 'x'.repeat(1025)], (rt, v, pid) => rt.register(v, pid), RANGE],
  ['register(pid)', notNumbers, (rt, v) => rt.register('new', v), TYPE],
  ['register(pid)', notPids, (rt, v) => rt.register('new', v), NOBODY],
  ...['unregister', 'whereis', 'resolve'].map((name) => [
    `${name}(name)`,
    notStrings,
    (rt, v) => rt[name](v),
    TYPE,
  ]),

  ...['stop', 'kill', 'isAlive', 'mailboxSize', 'actorInfo', 'mailboxBackpressure'].map((name) => [
    `${name}(pid)`,
    notNumbers,
    (rt, v) => rt[name](v),
    TYPE,
  ]),
  ['hotSwap(handler)', notFunctions, (rt, v, pid) => rt.hotSwap(pid, v), TYPE],
  ...['hotSwap', 'behaviorVersion', 'rollbackBehavior'].flatMap((name) => [
    [
      `${name}(pid)`,
      notNumbers,
      (rt, v) => (name === 'hotSwap' ? rt.hotSwap(v, nothing) : rt[name](v)),
      TYPE,
    ],
    [
      `${name}(pid)`,
      notPids,
      (rt, v) => (name === 'hotSwap' ? rt.hotSwap(v, nothing) : rt[name](v)),
      NOBODY,
    ],
  ]),
  ['rollback steps', [null, '1', {}, 1n], (rt, v, pid) => rt.rollbackBehavior(pid, v), TYPE],
  [
    'rollback steps, too many as well',
    [...notIntegers, 1, 17],
    (rt, v, pid) => rt.rollbackBehavior(pid, v),
    RANGE,
  ],
  ['stop options', [null, 1, ...notObjects], (rt, v, pid) => rt.stop(pid, v), TYPE],
  ['stop drain', [null, 1, 'yes'], (rt, v, pid) => rt.stop(pid, { drain: v }), TYPE],
  ['stop timeoutMs', [null, '1', 1n], (rt, v, pid) => rt.stop(pid, { timeoutMs: v }), TYPE],
  ['stop timeoutMs', notTimes, (rt, v, pid) => rt.stop(pid, { timeoutMs: v }), RANGE],
  ['an unknown stop option', ['timeout', 'Drain'], (rt, v, pid) => rt.stop(pid, { [v]: 1 }), RANGE],

  ['join(pid)', notNumbers, (rt, v) => rt.join(v), TYPE],
  ['join(pid)', notPids.filter((v) => v !== 1), (rt, v) => rt.join(v), NOBODY],
  ['join options', [null, ...notObjects], (rt, v, pid) => rt.join(pid, v), TYPE],
  ['join timeout', notTimes, (rt, v, pid) => rt.join(pid, v), RANGE],
  ['join signal', [null, 1, {}], (rt, v, pid) => rt.join(pid, { signal: v }), TYPE],
  ...['listen', 'isNodeUp'].flatMap((name) => [
    [`${name}(address)`, notStrings, (rt, v) => rt[name](v), TYPE],
    [`${name}(address)`, notAddresses, (rt, v) => rt[name](v), RANGE],
    [`${name} options`, [null, ...notObjects], (rt, v) => rt[name]('127.0.0.1:1', v), TYPE],
  ]),
  ['joinCluster(seeds)', ['x', 1, null, {}, undefined], (rt, v) => rt.joinCluster(v), TYPE],
  ['joinCluster(a seed)', notStrings, (rt, v) => rt.joinCluster([v]), TYPE],
  ['joinCluster(a seed)', notAddresses, (rt, v) => rt.joinCluster([v]), RANGE],
  ['joinCluster options', [null, ...notObjects], (rt, v) => rt.joinCluster([], v), TYPE],
  ['joinCluster name', ['', 'x'.repeat(257)], (rt, v) => rt.joinCluster([], { name: v }), RANGE],
  ['joinCluster gossipMs', [-1, 0, 9, NaN], (rt, v) => rt.joinCluster([], { gossipMs: v }), RANGE],
  ['joinCluster advertise', ['', 'x'], (rt, v) => rt.joinCluster([], { advertise: v }), RANGE],
  ['joinCluster: an unknown option', ['seed'], (rt, v) => rt.joinCluster([], { [v]: 1 }), RANGE],
  ['register scope', [1, null, {}], (rt, v, pid) => rt.register('n', pid, { scope: v }), TYPE],
  ['register scope', ['', 'all'], (rt, v, pid) => rt.register('n', pid, { scope: v }), RANGE],
  ['register options', [null, ...notObjects], (rt, v, pid) => rt.register('n', pid, v), TYPE],
  ['register(name) in the cluster', notStrings, (rt, v, pid) => rt.register(v, pid, WIDE), TYPE],
  ['register(pid) in the cluster', notPids, (rt, v) => rt.register('n', v, WIDE), NOBODY],
  ['onNodeUp(hook)', [1, 'f', {}, true, Symbol('s')], (rt, v) => rt.onNodeUp(v), TYPE],
  ['onNodeDown(hook)', [1, 'f', {}, true, Symbol('s')], (rt, v) => rt.onNodeDown(v), TYPE],
  ...['resolveRemote', 'resolveRemotePy'].flatMap((name) => [
    [`${name}(address)`, notStrings, (rt, v) => rt[name](v, 'x'), TYPE],
    [`${name}(address)`, notAddresses, (rt, v) => rt[name](v, 'x'), RANGE],
    [`${name}(name)`, notStrings, (rt, v) => rt[name]('127.0.0.1:1', v), TYPE],
    [`${name}(name)`, ['', 'x'.repeat(1025)], (rt, v) => rt[name]('127.0.0.1:1', v), RANGE],
    [`${name} timeout`, notTimes, (rt, v) => rt[name]('127.0.0.1:1', 'x', v), RANGE],
    [`${name} signal`, [null, 1, {}], (rt, v) => rt[name]('127.0.0.1:1', 'x', { signal: v }), TYPE],
  ]),
  ['listen beyond this machine', ['0.0.0.0:0', '[::]:0'], (rt, v) => rt.listen(v), RANGE],
  ['listen secret', [null, 1, {}, true], (rt, v) => rt.listen('[::1]:0', { secret: v }), TYPE],
  ['listen secret', ['', Buffer.alloc(0)], (rt, v) => rt.listen('[::1]:0', { secret: v }), RANGE],
  ...[
    ['listen tls', (rt, tls) => rt.listen('[::1]:0', { tls })],
    ['configureMesh tls', (rt, tls) => rt.configureMesh({ tls })],
  ].flatMap(([name, give]) => [
    [name, [null, 1, ...notObjects], give, TYPE],
    [`${name}.cert`, notStrings, (rt, v) => give(rt, { ...PEM, cert: v }), TYPE],
    [`${name}.key`, notStrings, (rt, v) => give(rt, { ...PEM, key: v }), TYPE],
    [`${name}.ca`, notStrings, (rt, v) => give(rt, { ...PEM, ca: v }), TYPE],
    [`${name}.serverName`, [null, 1, {}], (rt, v) => give(rt, { ...PEM, serverName: v }), TYPE],
    [`${name}.serverName`, ['', 'a b'], (rt, v) => give(rt, { ...PEM, serverName: v }), RANGE],
    [`${name}.cert`, ['', '\0', PEM.key], (rt, v) => give(rt, { ...PEM, cert: v }), RANGE],
    [`${name}.key`, ['', PEM.cert, OTHER_KEY], (rt, v) => give(rt, { ...PEM, key: v }), RANGE],
    [`${name}.ca`, ['', PEM.key], (rt, v) => give(rt, { ...PEM, ca: v }), RANGE],
    [`${name}: more`, [{ ...PEM, passphrase: 'x' }], give, RANGE],
    [`${name}: no file`, ['/no/file'], (rt, v) => give(rt, { ...PEM, ca: v }), 'ERR_IRIS_IO'],
  ]),
  ['listen insecure', [null, 1, 'y'], (rt, v) => rt.listen('[::1]:0', { insecure: v }), TYPE],
  [
    'listen permissions',
    [null, 1, 'all', { send: 1 }, { stop: 1 }, { resolve: 'y' }],
    (rt, v) => rt.listen('[::1]:0', { permissions: v }),
    TYPE,
  ],
  [
    'listen permissions',
    [{ send: 'all' }, { spawn: true }],
    (rt, v) => rt.listen('[::1]:0', { permissions: v }),
    RANGE,
  ],
  ...['unlisten', 'disconnect'].map((name) => [
    `${name}(address)`,
    notStrings,
    (rt, v) => rt[name](v),
    TYPE,
  ]),
  ['disconnect(address)', notAddresses, (rt, v) => rt.disconnect(v), RANGE],
  ...['remotePid', 'monitorRemote', 'sendRemote'].flatMap((name) => [
    [`${name}(address)`, notStrings, (rt, v, pid) => rt[name](v, pid, ...more(name)), TYPE],
    [`${name}(address)`, notAddresses, (rt, v, pid) => rt[name](v, pid, ...more(name)), RANGE],
    [`${name}(pid)`, notNumbers, (rt, v) => rt[name]('127.0.0.1:1', v, ...more(name)), TYPE],
    [`${name}(pid)`, [0, -1, 2 ** 53], (rt, v) => rt[name]('[::1]:1', v, ...more(name)), NOBODY],
  ]),
  ['sendRemote(data)', notData, (rt, v, pid) => rt.sendRemote('127.0.0.1:1', pid, v), TYPE],
  [
    'monitorRemote(watcher)',
    [null, '1', {}, true],
    (rt, v, pid) => rt.monitorRemote('127.0.0.1:1', pid, v),
    TYPE,
  ],
  ['exportPid(pid)', notNumbers, (rt, v) => rt.exportPid(v), TYPE],
  ['exportPid(pid)', notPids, (rt, v) => rt.exportPid(v), NOBODY],
  ['importPid(bytes)', [undefined, null, 1, {}, [1], 'x'], (rt, v) => rt.importPid(v), TYPE],
  [
    'importPid(bytes)',
    [Buffer.alloc(0), Buffer.alloc(34), Buffer.alloc(40, 255)],
    (rt, v) => rt.importPid(v),
    RANGE,
  ],
  ['isRemote(pid)', notNumbers, (rt, v) => rt.isRemote(v), TYPE],
  ['remoteInfo(pid)', notNumbers, (rt, v) => rt.remoteInfo(v), TYPE],
  ['configureMesh', [null, 1, ...notObjects], (rt, v) => rt.configureMesh(v), TYPE],
  ['an unknown mesh option', ['Secret', 'TLS'], (rt, v) => rt.configureMesh({ [v]: 1 }), RANGE],
  ...['heartbeatMs', 'downAfterMs', 'resumeWindowMs', 'handshakeTimeoutMs', 'stallMs'].map(
    (name) => [name, notTimes, (rt, v) => rt.configureMesh({ [name]: v }), RANGE],
  ),
  ...['maxPayload', 'sendBuffer', 'proxyCapacity', 'window', 'maxPeers', 'maxHandshakes'].map(
    (name) => [
      name,
      [0, -1, 0.5, Number.NaN, 2 ** 53],
      (rt, v) => rt.configureMesh({ [name]: v }),
      RANGE,
    ],
  ),
  ['phi', [0, -1, Number.NaN, Infinity], (rt, v) => rt.configureMesh({ phi: v }), RANGE],
  ['onCrash(hook)', [1, 'f', {}, true, Symbol('s')], (rt, v) => rt.onCrash(v), TYPE],
  ['setActorHealth(pid)', ['x', {}, null], (rt, v) => rt.setActorHealth(v, 'healthy'), TYPE],
  ['setActorHealth(word)', [1, {}, null], (rt, v) => rt.setActorHealth(1, v), TYPE],
  ['onDeadLetter', [1, 'f', {}, true, Symbol('s')], (rt, v) => rt.onDeadLetter(v), TYPE],
  ['onPressure(hook)', [1, 'f', {}, true, Symbol('s')], (rt, v) => rt.onPressure(v), TYPE],
  ['onPressure', [1, 'f', {}, true], (_rt, v) => new NodeRuntime({ onPressure: v }), TYPE],
  ['close options', [null, 1, ...notObjects], (rt, v) => rt.close(v), TYPE],
  ['close timeoutMs', notTimes, (rt, v) => rt.close({ timeoutMs: v }), RANGE],
  ['an unknown close option', ['timeout'], (rt, v) => rt.close({ [v]: 1 }), RANGE],
]

/** The calls of the runtime that a case has made with something wrong. */
const tried = new Set()

/** `rt`, with a note of what is called. */
const noted = (rt) =>
  new Proxy(rt, {
    get(target, name) {
      tried.add(name)
      const value = target[name]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

function show(value) {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 12))
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null) return String(value)
  return `a ${value.constructor?.name}`
}

for (const [what, values, call, code] of cases) {
  test(`${what}: ${values.map(show).join(', ')} is ${code}`, async (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(nothing)
    rt.register('name', pid)
    for (const value of values) {
      let error
      let answered = false
      try {
        const answer = call(noted(rt), value, pid)
        answered = answer instanceof Promise
        await answer
      } catch (e) {
        error = e
      }
      assert.ok(error instanceof IrisError, `${show(value)}: ${error}`)
      assert.equal(error.code, code, `${show(value)}: ${error}`)
      assert.equal(error instanceof TypeError, code === TYPE)
      assert.equal(error instanceof RangeError, code === RANGE || code === PATH)
      const asks =
        /^(call[ (]|join|close|sendAsync|spawnThreaded|selectiveRecv|an unknown (call|close)|listen|isNodeUp|resolveRemote|remoteInfo|joinCluster)/.test(
          what,
        )
      assert.equal(answered, asks, 'what waits rejects, the rest throws')
    }
    // Nothing was done.
    assert.equal(rt.closed, false)
    assert.deepEqual(rt.listActors(), [pid])
    assert.deepEqual(rt.actorInfo(pid).names, ['name'])
    const metrics = rt.getMetrics()
    assert.deepEqual([metrics.accepted, metrics.openCalls, metrics.timers], [0, 0, 0])
    assertBalanced(metrics)
  })
}

test('the table has every call of the runtime that takes something', (t) => {
  if (tried.size === 0) return t.skip('the cases were left out')
  const descriptors = Object.getOwnPropertyDescriptors(NodeRuntime.prototype)
  const calls = Object.keys(descriptors).filter((name) => descriptors[name].value !== undefined)
  const takeNothing = [
    'constructor',
    'childPids',
    'childrenCount',
    'isLoadSheddingActive',
    'listActors',
    'listening',
    'getMetrics',
    'prometheus',
    'supervisionTree',
    'nodes',
    'ref',
    'unref',
    'vortexGetAutoGhostPolicy',
    'vortexGetAutoResolutionCounts',
    'vortexGetAutoReplayCount',
    'vortexResetAutoTelemetry',
  ]
  assert.deepEqual(
    takeNothing.filter((name) => !(name in descriptors)),
    [],
  )
  const missing = calls.filter((name) => !tried.has(name) && !takeNothing.includes(name))
  assert.deepEqual(missing, [])
  assert.deepEqual(
    takeNothing.filter((name) => tried.has(name)),
    [],
    'and it takes something',
  )
})

test('numbers that are no pids are nobody: counted, not thrown', (t) => {
  const rt = runtime(t)
  for (const pid of notPids) {
    assert.equal(rt.send(pid, 'x'), false)
    assert.equal(rt.send(pid, Buffer.from('x')), false)
    assert.equal(rt.sendMany(pid, ['x', 'y']), 0)
    assert.equal(rt.stop(pid), false)
    assert.equal(rt.kill(pid), false)
    assert.equal(rt.isAlive(pid), false)
    assert.equal(rt.mailboxSize(pid), null)
    assert.equal(rt.actorInfo(pid), null)
  }
  const { refused } = rt.getMetrics()
  assert.equal(refused.no_such_actor + refused.foreign, 4 * notPids.length)
})

test('a pid of another runtime is nobody here, whatever is asked', async (t) => {
  const [rt, other] = [runtime(t), runtime(t)]
  // The same slot and generation in both.
  const own = rt.spawn(nothing)
  const foreign = other.spawn(nothing)
  assert.notEqual(own, foreign)
  assert.equal(rt.send(foreign, 'x'), false)
  assert.equal(rt.sendMany(foreign, ['x']), 0)
  assert.equal(rt.stop(foreign), false)
  assert.equal(rt.kill(foreign), false)
  assert.equal(rt.isAlive(foreign), false)
  assert.equal(rt.mailboxSize(foreign), null)
  assert.equal(rt.actorInfo(foreign), null)
  await assert.rejects(rt.call(foreign, 'x'), { code: NOBODY, message: /another runtime/ })
  assert.equal((await rt.join(foreign)).reason, 'noproc')
  assert.ok(rt.isAlive(own) && other.isAlive(foreign))
})

test('a wrong this is a TypeError, and the class needs new', async (t) => {
  const rt = runtime(t)
  const names = Object.getOwnPropertyNames(NodeRuntime.prototype).filter((n) => n !== 'constructor')
  assert.ok(names.length > 20)
  for (const name of names) {
    for (const self of [
      undefined,
      null,
      {},
      Object.create(NodeRuntime.prototype),
      new Proxy(rt, {}),
    ]) {
      const { value, get } = Object.getOwnPropertyDescriptor(NodeRuntime.prototype, name)
      await assert.rejects(
        async () => {
          const answer = await (value ?? get).call(self, 1, 'x')
          // A constant of the module needs no runtime.
          if (name === 'version') throw new TypeError(answer)
        },
        TypeError,
        name,
      )
    }
  }
  assert.throws(() => NodeRuntime(), TypeError)
})

describe('arguments that run code', () => {
  test('while they are read may use the runtime, or close it', async (t) => {
    const rt = runtime(t)
    const seen = []
    const pid = rt.spawn((message) => void seen.push(String(message)))
    const options = {
      get budget() {
        rt.send(pid, Buffer.from('from a getter'))
        rt.spawn(nothing)
        return 10
      },
      get capacity() {
        rt.send(pid, 'from another')
        return 1
      },
    }
    assert.equal(rt.actorInfo(rt.spawnBounded(nothing, options)).budget, 10)
    await rt.call(pid, 'x', {
      get timeoutMs() {
        rt.kill(rt.spawn(nothing))
        return 1000
      },
    })
    assert.ok(seen.includes('from a getter') && seen.includes('from another'))
    const closing = runtime(t)
    assert.throws(
      () =>
        closing.spawn(nothing, {
          get budget() {
            closing.close()
            return 1
          },
        }),
      { code: 'ERR_IRIS_RUNTIME_CLOSED' },
    )
    const third = runtime(t)
    const target = third.spawn(nothing)
    const closeInIterator = function* () {
      yield 'a'
      third.close()
    }
    assert.throws(() => third.sendMany(target, closeInIterator()), {
      code: 'ERR_IRIS_RUNTIME_CLOSED',
    })
  })

  test('and throw give the user’s own error back', async (t) => {
    const rt = runtime(t)
    const own = new Error('own')
    assert.throws(
      () =>
        rt.spawn(nothing, {
          get budget() {
            throw own
          },
        }),
      own,
    )
    await assert.rejects(
      rt.call(rt.spawn(nothing), 'x', {
        get timeoutMs() {
          throw own
        },
      }),
      own,
    )
    assert.throws(
      () =>
        rt.stop(rt.spawn(nothing), {
          get drain() {
            throw own
          },
        }),
      own,
    )
  })
})

test('what a Context is given wrongly is a typed error in the handler', async (t) => {
  const rt = runtime(t)
  const codes = deferred()
  const other = rt.spawn(nothing)
  const pid = rt.spawn(async (_message, ctx) => {
    const got = []
    for (const f of [
      () => ctx.send('1', 'x'),
      () => ctx.send(other, 1),
      () => ctx.call('1', 'x'),
      () => ctx.call(other, 1),
      () => ctx.call(other, 'x', { timeout: 1 }),
      () => ctx.reply(1),
    ]) {
      try {
        await f()
        got.push('nothing')
      } catch (error) {
        got.push(error.code)
      }
    }
    codes.resolve(got)
  })
  rt.send(pid, '')
  assert.deepEqual(await codes.promise, [TYPE, TYPE, TYPE, TYPE, RANGE, TYPE])
  await turn()
  assert.ok(rt.isAlive(pid))
})
