// Works of supervision: restarts, recovery, look-ups among a million, monitors. As in more.mjs.
import { deferred, emit, payload, percentile, sleep } from './common.mjs'

const now = () => performance.now()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Crash, restart, crash ...: each replacement is sent the next crash as it begins. */
function restart(system) {
  let cycle
  return async (n) => {
    cycle ??= await system.crasher()
    const start = now()
    await cycle(n)
    return now() - start
  }
}

/** From the send of a message that crashes until the replacement handles the one behind it. */
async function recovery(system, n) {
  const recover = await system.recovering()
  const times = []
  for (let i = 0; i < n + 1000; i++) {
    const start = now()
    await recover()
    if (i >= 1000) times.push((now() - start) * 1000)
  }
  emit('p50', percentile(times, 0.5), 'us')
  emit('p99', percentile(times, 0.99), 'us')
}

/** `n` messages to a name, of which every hundredth crashes: how many of the others are handled. */
async function kept(system, n) {
  const { send, handled } = await system.keeping()
  for (let i = 1; i <= n; i++) send(i % 100 === 50)
  await turn()
  // Over when nothing more is handled for a while; who has lost some is not waited for.
  for (let seen = -1; seen < handled(); await sleep(300)) seen = handled()
  emit('kept', handled(), 'msg')
}

const MANY = 1_000_000

/** Who has a name, among a million. */
function nameLookup(system) {
  const { register, whereis } = system.names()
  for (let i = 0; i < MANY; i++) register(`name-${i}`)
  return async (n) => {
    const start = now()
    for (let i = 0; i < n; i++) {
      if (whereis(`name-${(i * 7919) % MANY}`) === null) throw new Error('lost')
    }
    return now() - start
  }
}

/** `whereisPath` among a million paths. */
function pathLookup({ rt }) {
  const pid = rt.spawn(() => {})
  for (let i = 0; i < MANY; i++) rt.registerPath(`/svc/${i % 1000}/${i}`, pid)
  return async (n) => {
    const start = now()
    for (let i = 0; i < n; i++) {
      const at = (i * 7919) % MANY
      rt.whereisPath(`/svc/${at % 1000}/${at}`)
    }
    return now() - start
  }
}

/** One level of a tree of a million paths: a thousand answers each. */
function pathList({ rt }) {
  const pid = rt.spawn(() => {})
  for (let i = 0; i < MANY; i++) rt.registerPath(`/svc/${i % 1000}/${i}`, pid)
  return async (n) => {
    const start = now()
    for (let i = 0; i < n; i++) {
      if (rt.listChildrenDirect(`/svc/${i % 1000}`).length !== 1000) throw new Error('lost')
    }
    return now() - start
  }
}

function monitor({ rt }) {
  const [pid, hears] = [rt.spawn(() => {}), rt.spawn(() => {}, { system: true })]
  return async (n) => {
    const start = now()
    for (let i = 0; i < n; i++) rt.demonitor(rt.monitor(pid, hears))
    return now() - start
  }
}

export const rated = {
  restart: [restart, 'restart/s'],
  namelookup: [nameLookup, 'lookup/s'],
  pathlookup: [pathLookup, 'lookup/s'],
  pathlist: [pathList, 'listing/s'],
  monitor: [monitor, 'monitor/s'],
}

export const measured = { recovery, kept }

const boom = new Uint8Array(1)

/** What the works ask of iris. */
export function ofIris(rt) {
  const supervise = (path, start) => {
    const pid = start()
    rt.register(path, pid)
    rt.pathSuperviseWithFactory(path, pid, start, 'restartone', {
      maxRestarts: 2 ** 32 - 1,
      withinMs: 1,
    })
  }
  return {
    names() {
      const pid = rt.spawn(() => {})
      return { register: (name) => rt.register(name, pid), whereis: (name) => rt.whereis(name) }
    },
    crasher() {
      let left = 0
      let done
      const start = () => {
        const pid = rt.spawn(() => {
          throw new Error('boom')
        })
        if (left > 0 && --left === 0) done.resolve()
        else if (left > 0) rt.send(pid, boom)
        return pid
      }
      supervise('/crasher', start)
      return (n) => {
        left = n
        done = deferred()
        rt.sendNamed('/crasher', boom)
        return done.promise
      }
    },
    keeping() {
      const message = payload()
      let handled = 0
      supervise('/keeping', () =>
        rt.spawn((data) => {
          if (data.length === 1) throw new Error('boom')
          handled++
        }),
      )
      const send = (crash) => rt.sendNamed('/keeping', crash ? boom : message)
      return { send, handled: () => handled }
    },
    recovering() {
      const message = payload()
      let done
      supervise('/recovering', () =>
        rt.spawn((data) => {
          if (data.length === 1) throw new Error('boom')
          done.resolve()
        }),
      )
      return () => {
        done = deferred()
        const pid = rt.whereis('/recovering')
        rt.send(pid, boom)
        rt.send(pid, message)
        return done.promise
      }
    },
  }
}

/** And of nact: its actors keep their mailbox when `onCrash` resets them. */
export function ofNact(system, spawn, dispatch) {
  const make = (name, handle, begin = () => {}) =>
    spawn(
      system,
      (state, message) => {
        handle(message)
        return state
      },
      name,
      { initialStateFunc: () => begin() ?? 0, onCrash: (_message, _error, ctx) => ctx.reset },
    )
  return {
    crasher() {
      let left = 0
      let done
      const fail = () => {
        throw new Error('boom')
      }
      const begin = () => {
        if (left > 0 && --left === 0) done.resolve()
        else if (left > 0) dispatch(actor, 0)
      }
      const actor = make('crasher', fail, begin)
      return (n) => {
        left = n
        done = deferred()
        dispatch(actor, 0)
        return done.promise
      }
    },
    keeping() {
      let handled = 0
      const actor = make('keeping', (message) => {
        if (message === 0) throw new Error('boom')
        handled++
      })
      return { send: (crash) => dispatch(actor, crash ? 0 : 1), handled: () => handled }
    },
    recovering() {
      let done
      const actor = make('recovering', (message) => {
        if (message === 0) throw new Error('boom')
        done.resolve()
      })
      return () => {
        done = deferred()
        dispatch(actor, 0)
        dispatch(actor, 1)
        return done.promise
      }
    },
  }
}
