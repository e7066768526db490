// The ceiling: what an actor would cost if it were nothing but a closure and a queue in plain
// JavaScript. A ring buffer for each actor, one ready queue, a message budget for each drain; no
// isolation, no copy, no bounds, no books.
const BURST = 8192 // messages in a drain before the loop gets its turn
const TURN = 64 // messages an actor handles before the next one

class Actor {
  constructor(handler) {
    this.handler = handler
    this.ring = [undefined, undefined, undefined, undefined]
    this.head = 0
    this.length = 0
    this.ready = false
  }
}

function grow(actor) {
  const { ring, head, length } = actor
  const wider = new Array(ring.length * 2).fill(undefined)
  for (let i = 0; i < length; i++) wider[i] = ring[(head + i) & (ring.length - 1)]
  actor.ring = wider
  actor.head = 0
}

/**
 * `arm` starts a drain: `setImmediate` suits bursts, `queueMicrotask` suits one message at a time.
 */
function queue(arm) {
  let ready = []
  let next = 0
  let armed = false

  const drain = () => {
    let left = BURST
    while (next < ready.length && left > 0) {
      const actor = ready[next++]
      if (next === BURST) {
        ready = ready.slice(next)
        next = 0
      }
      for (let turn = TURN; actor.length > 0 && turn > 0; turn--) {
        const { ring, head } = actor
        const message = ring[head]
        ring[head] = undefined
        actor.head = (head + 1) & (ring.length - 1)
        actor.length--
        left--
        actor.handler(message)
      }
      if (actor.length > 0) ready.push(actor)
      else actor.ready = false
    }
    if (next < ready.length) {
      setImmediate(drain)
    } else {
      ready = []
      next = 0
      armed = false
    }
  }

  const send = (actor, message) => {
    if (actor.length === actor.ring.length) grow(actor)
    actor.ring[(actor.head + actor.length++) & (actor.ring.length - 1)] = message
    if (actor.ready) return
    actor.ready = true
    ready.push(actor)
    if (armed) return
    armed = true
    arm(drain)
  }

  return {
    names() {
      const holders = new Map()
      const register = (name) => holders.set(name, 1)
      return { register, whereis: (name) => holders.get(name) ?? null }
    },
    spawn: (handler) => new Actor(handler),
    spawnEcho: () => new Actor((message) => message.resolve(message.data)),
    send,
    ask: (actor, data) => new Promise((resolve) => send(actor, { data, resolve })),
  }
}

export const bursts = () => queue(setImmediate)
export const singles = () => queue(queueMicrotask)
