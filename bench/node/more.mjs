// Works beyond sends, calls and spawns. As in work.mjs `once(n)` answers the milliseconds that n units took; what gives several
// figures prints them itself (`measured`).
import { deferred, emit, payload, percentile } from './common.mjs'

const now = () => performance.now()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** One sender, one actor that awaits each message. */
function pull({ rt }) {
  const message = payload()
  return async (n) => {
    const done = deferred()
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      for (let i = 0; i < n; i++) await mailbox.recv()
      done.resolve()
    })
    const start = now()
    for (let i = 0; i < n; i++) rt.send(pid, message)
    await done.promise
    return now() - start
  }
}

function pullPing({ rt }) {
  return async (n) => {
    const done = deferred()
    let ping
    const pong = rt.spawnWithMailbox(async (mailbox) => {
      for (let i = 0; i < n; i++) rt.send(ping, await mailbox.recv())
    })
    ping = rt.spawnWithMailbox(async (mailbox) => {
      for (let i = 0; i < n; i++) {
        rt.send(pong, await mailbox.recv())
        if (i === n - 1) done.resolve()
      }
    })
    const start = now()
    rt.send(ping, payload())
    await done.promise
    return now() - start
  }
}

/** A message that is wanted comes, again and again, behind `size` that are not. */
function select({ rt }, size) {
  const [other, wanted] = [payload(), payload().fill(1)]
  const isWanted = (message) => message[0] === 1
  return async (n) => {
    const done = deferred()
    let start
    const pid = rt.spawnWithMailbox(async (mailbox) => {
      for (let i = 0; i < size; i++) rt.send(pid, other)
      start = now()
      for (let i = 0; i < n; i++) {
        rt.send(pid, wanted)
        await mailbox.selectiveRecv(isWanted)
      }
      done.resolve(now() - start)
    })
    return done.promise
  }
}

/** Two handlers take turns while messages keep coming. */
function swap({ rt }) {
  const message = payload()
  return async (n) => {
    let seen = 0
    const handlers = [() => seen++, () => seen++]
    const pid = rt.spawn(handlers[0])
    const start = now()
    for (let i = 1; i <= n; i++) {
      rt.send(pid, message)
      rt.hotSwap(pid, handlers[i & 1])
      if (i % 1000 === 0) await turn()
    }
    while (seen < n) await turn()
    const took = now() - start
    rt.stop(pid)
    return took
  }
}

function churn({ rt }) {
  const handler = () => {}
  return async (n) => {
    const start = now()
    for (let i = 1; i <= n; i++) {
      rt.stop(rt.spawn(handler))
      if (i % 1000 === 0) await turn()
    }
    await turn()
    return now() - start
  }
}

/** Messages of `size` bytes, each filled anew and seen before too many are on their way. */
function buffers(system, size) {
  const most = Math.max(1, Math.floor((64 << 20) / size))
  let waiting = deferred()
  let seen = 0
  let wanted = Infinity
  const handler = (message) => {
    if (message.length !== size || message[size - 1] !== 7) throw new Error('not what was sent')
    if (++seen === wanted) waiting.resolve()
  }
  const pid = system.rt.spawn(handler)
  return async (n) => {
    seen = 0
    const start = now()
    for (let sent = 0; sent < n; ) {
      const some = Math.min(most, n - sent)
      waiting = deferred()
      wanted = sent + some
      for (let i = 0; i < some; i++) system.fillAndSend(pid, size)
      await waiting.promise
      sent += some
    }
    return now() - start
  }
}

/** From this thread to another: over when the last has been seen there. */
function workerTell(system) {
  let other
  return async (n) => {
    other ??= await system.crossing()
    const message = payload()
    const counted = await other.count(n)
    const start = now()
    for (let i = 0; i < n; i++) other.send(message)
    other.flush?.()
    await counted()
    return now() - start
  }
}

async function workerPing(system, n) {
  const other = await system.crossing()
  const times = []
  for (let i = -n / 5; i < n; i++) {
    const start = now()
    await other.echo()
    if (i >= 0) times.push((now() - start) * 1000)
  }
  emit('p50', percentile(times, 0.5), 'us')
  emit('p99', percentile(times, 0.99), 'us')
}

/** The same work for one thread and for two, in turn; the best of each, as others may want the cores as well. */
async function cores(system, n) {
  const both = [await system.burners(1), await system.burners(2)]
  const best = [Infinity, Infinity]
  for (let round = 0; round < 8; round++) {
    for (const [i, burn] of both.entries()) {
      const start = now()
      await burn(n)
      if (round > 0) best[i] = Math.min(best[i], now() - start)
    }
  }
  emit('ratio', best[0] / best[1], 'x')
}

/** `delay(ms, due, fired)` calls `fired(due)` after that time. */
async function timers(system, n) {
  const round = async (count) => {
    const late = []
    const done = deferred()
    const fired = (due) => {
      late.push(now() - due)
      if (late.length === count) done.resolve()
    }
    const delay = await system.timers(fired, count)
    const start = now()
    for (let i = 0; i < count; i++) delay(100, now() + 100)
    const took = now() - start
    await done.promise
    return [count / took, late]
  }
  for (let i = 0; i < 2; i++) await round(n / 10)
  await round(n)
  const [perMs, late] = await round(n)
  emit('rate', perMs * 1000, 'timer/s')
  emit('p50', percentile(late, 0.5), 'ms')
  emit('p99', percentile(late, 0.99), 'ms')
}

export const rated = {
  pull: [pull, 'msg/s'],
  pullping: [pullPing, 'rt/s'],
  select: [select, 'msg/s'],
  swap: [swap, 'swap/s'],
  churn: [churn, 'cycle/s'],
  buffers: [buffers, 'msg/s'],
  buffers1m: [buffers, 'msg/s'],
  buffers64m: [buffers, 'msg/s'],
  workertell: [workerTell, 'msg/s'],
}

export const measured = { timers, workerping: workerPing, cores }
