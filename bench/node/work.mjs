// The works: each is the same code for every system. `once(n)` answers the milliseconds that n
// units took, from the first send until the last message has been handled.
import { collect, deferred, payload, rss, sleep } from './common.mjs'

const now = () => performance.now()

function tell(system) {
  const { send } = system
  const message = payload()
  return async (n) => {
    const done = deferred()
    let handled = 0
    const actor = await system.spawn(() => {
      if (++handled === n) done.resolve()
    })
    const start = now()
    for (let i = 0; i < n; i++) send(actor, message)
    await done.promise
    return now() - start
  }
}

function pingpong(system) {
  const { send } = system
  return async (n) => {
    const done = deferred()
    let left = n
    let ping
    const pong = await system.spawn((message) => {
      send(ping, message)
    })
    ping = await system.spawn((message) => {
      if (--left === 0) done.resolve()
      else send(pong, message)
    })
    const start = now()
    send(pong, payload())
    await done.promise
    return now() - start
  }
}

/** A token goes round; the hops that are left travel in its first four bytes. */
function ring(system, size) {
  const { send } = system
  return async (n) => {
    const done = deferred()
    const actors = []
    for (let i = 0; i < size; i++) {
      const next = (i + 1) % size
      actors.push(
        await system.spawn((token) => {
          const left = (token[0] | (token[1] << 8) | (token[2] << 16) | (token[3] << 24)) - 1
          if (left <= 0) {
            done.resolve()
            return
          }
          token[0] = left
          token[1] = left >> 8
          token[2] = left >> 16
          token[3] = left >> 24
          send(actors[next], token)
        }),
      )
    }
    const token = payload()
    new DataView(token.buffer).setInt32(0, n, true)
    const start = now()
    send(actors[0], token)
    await done.promise
    return now() - start
  }
}

/** Who sends to whom in `big`: the same for every system, from a fixed seed. */
function plan(actors, sends) {
  let x = 0x9e3779b9
  const expected = new Int32Array(actors)
  const targets = []
  for (let i = 0; i < actors; i++) {
    const mine = new Int32Array(sends)
    for (let j = 0; j < sends; j++) {
      x ^= x << 13
      x >>>= 0
      x ^= x >>> 17
      x ^= x << 5
      x >>>= 0
      mine[j] = x % actors
      expected[mine[j]]++
    }
    targets.push(mine)
  }
  return { targets, expected }
}

/**
 * Every actor sends `n / size` messages to actors drawn at random; over when each has all of its
 * own.
 */
function big(system, size) {
  const { send } = system
  const message = payload()
  const go = new Uint8Array(1)
  return async (n) => {
    const { targets, expected } = plan(size, Math.max(1, Math.floor(n / size)))
    const done = deferred()
    let finished = 0
    const actors = []
    for (let i = 0; i < size; i++) {
      const mine = targets[i]
      const mineToGet = expected[i]
      let got = 0
      if (mineToGet === 0) finished++
      actors.push(
        await system.spawn((data) => {
          if (data.length === 1) {
            for (let j = 0; j < mine.length; j++) send(actors[mine[j]], message)
          } else if (++got === mineToGet && ++finished === size) {
            done.resolve()
          }
        }),
      )
    }
    const start = now()
    for (const actor of actors) send(actor, go)
    await done.promise
    return now() - start
  }
}

/** One message to each of n actors, which live on between the repetitions. */
function fanout(system) {
  const { send } = system
  const message = payload()
  const actors = []
  let left = 0
  let done
  const handler = () => {
    if (--left === 0) done.resolve()
  }
  return async (n) => {
    while (actors.length < n) actors.push(await system.spawn(handler))
    done = deferred()
    left = n
    const start = now()
    for (let i = 0; i < n; i++) send(actors[i], message)
    await done.promise
    return now() - start
  }
}

function call(system) {
  const data = payload()
  let echo
  return async (n) => {
    echo ??= await system.spawnEcho()
    const start = now()
    for (let i = 0; i < n; i++) await system.ask(echo, data)
    return now() - start
  }
}

/** `size` callers at once, each with one call open at a time. */
function callAtOnce(system, size) {
  const data = payload()
  let echo
  return async (n) => {
    echo ??= await system.spawnEcho()
    const each = Math.max(1, Math.floor(n / size))
    const caller = async () => {
      for (let i = 0; i < each; i++) await system.ask(echo, data)
    }
    const start = now()
    await Promise.all(Array.from({ length: size }, caller))
    // A tenth of the work may be less than one call for each caller: answer for n all the same.
    return ((now() - start) * n) / (each * size)
  }
}

/** What n idle actors cost: a rate, and the memory each one holds once garbage is gone. */
export async function spawn(system, n) {
  const handler = () => {}
  for (let i = 0; i < 100; i++) await system.spawn(handler)
  collect()
  const before = rss()
  const actors = []
  const start = now()
  if (system.spawnsLater) for (let i = 0; i < n; i++) actors.push(await system.spawn(handler))
  else for (let i = 0; i < n; i++) actors.push(system.spawn(handler))
  const took = now() - start
  collect()
  await sleep(100)
  return { rate: (n / took) * 1000, bytes: (rss() - before) / n, actors }
}

export const rated = {
  tell: [tell, 'msg/s'],
  pingpong: [pingpong, 'rt/s'],
  ring: [ring, 'hop/s'],
  big: [big, 'msg/s'],
  fanout: [fanout, 'msg/s'],
  call: [call, 'call/s'],
  call1000: [callAtOnce, 'call/s'],
}
