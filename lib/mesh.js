'use strict'

// Other nodes: listening, connecting, names and pids over there. The sockets are the core's; here are promises and checks.

const { isBytes, toBytes } = require('./bytes.js')
const { aborted, closed, outOfRange, wrongType } = require('./errors.js')
const check = require('./options.js')

/** How long a question to another node may take when it does not say, in milliseconds. */
const QUESTION_MS = 5000
const PROBE_MS = 2000
/** How long the end of a process is put off for messages that are on their way, and how often it looks, in milliseconds. */
const FLUSH_MS = 2000
const LOOK_MS = 5

const CLUSTER = ['name', 'gossipMs', 'timeoutMs', 'advertise']
const PERMISSIONS = ['send', 'resolve', 'stop']
const TLS = ['cert', 'key', 'ca', 'serverName']
const LISTEN = ['secret', 'tls', 'insecure', 'permissions']
const MESH = [
  'secret',
  'tls',
  'heartbeatMs',
  'downAfterMs',
  'phi',
  'resumeWindowMs',
  'handshakeTimeoutMs',
  'stallMs',
  'maxPayload',
  'sendBuffer',
  'proxyCapacity',
  'window',
  'maxPeers',
  'maxHandshakes',
  'permissions',
]

function text(value, what) {
  if (typeof value !== 'string') throw wrongType(what, 'a string', value)
  return value
}

function secret(value) {
  if (typeof value !== 'string' && !isBytes(value)) {
    throw wrongType('secret', 'a string, a Buffer or a Uint8Array', value)
  }
  const bytes = toBytes(value, 'secret')
  if (bytes.length === 0) throw outOfRange('secret', 'at least one byte', value)
  return bytes
}

/** As the text that the core takes apart. */
function certificates(value) {
  const o = check.object(value, 'tls', TLS)
  const part = (name, given) => {
    text(given, `tls.${name}`)
    if (given === '' || given.includes('\0')) {
      throw outOfRange(`tls.${name}`, 'a text without NUL', given)
    }
    return given
  }
  const name = o.serverName === undefined ? '' : part('serverName', o.serverName)
  return [part('cert', o.cert), part('key', o.key), part('ca', o.ca), name].join('\0')
}

/** As the bits that the core knows. */
function permissions(value) {
  const o = check.object(value, 'permissions', PERMISSIONS)
  const { send = 'any' } = o
  if (typeof send !== 'string') throw wrongType('permissions.send', 'a string', send)
  if (send !== 'any' && send !== 'names') {
    throw outOfRange('permissions.send', "'any' or 'names'", send)
  }
  const may = (name) => check.optional(o[name], check.flag, `permissions.${name}`) ?? true
  return (send === 'any' ? 1 : 0) | (may('resolve') ? 2 : 0) | (may('stop') ? 4 : 0)
}

function number(value, what) {
  if (typeof value !== 'number') throw wrongType(what, 'a number', value)
  if (!(value > 0 && value <= 2 ** 53)) throw outOfRange(what, 'a number from 0 to 2^53', value)
  return value
}

/** The knobs in the order in which the core takes them. */
function knobs(value) {
  const o = check.object(value, 'options', MESH)
  const ms = (name) => check.optional(o[name], check.millis, name)
  const count = (name, most) => check.optional(o[name], check.integer, name, 1, most)
  return [
    check.optional(o.secret, secret),
    check.optional(o.tls, certificates),
    ms('heartbeatMs'),
    ms('downAfterMs'),
    check.optional(o.phi, number, 'phi'),
    ms('resumeWindowMs'),
    ms('handshakeTimeoutMs'),
    ms('stallMs'),
    count('maxPayload', 2 ** 30),
    count('sendBuffer', 2 ** 32),
    count('proxyCapacity', 2 ** 30),
    count('window', 2 ** 30),
    count('maxPeers', 2 ** 31),
    count('maxHandshakes', 2 ** 31),
    check.optional(o.permissions, permissions),
  ]
}

/** Those that may have sent something. */
const meshes = new Set()
let flushUntil = 0

/** The loop is empty: is there still something on its way? */
function flush() {
  if (![...meshes].some((mesh) => mesh.sending)) return
  const now = performance.now()
  if (flushUntil === 0) flushUntil = now + FLUSH_MS
  if (now < flushUntil) setTimeout(() => {}, LOOK_MS)
}

const number64 = (bytes, at) => Number(bytes.readBigUInt64LE(at))

class Mesh {
  #lane
  #native
  #turns
  #waits
  #hold
  #listening = new Set()
  #flushing = false

  constructor(lane, border, { turns, waits, hold }) {
    this.#lane = lane
    this.#turns = turns
    this.#native = border.native
    this.#waits = waits
    this.#hold = hold
  }

  configure(options) {
    const [key, tls, ...rest] = knobs(options)
    // NaN: as it was.
    const numbers = Float64Array.from(rest, (n) => n ?? Number.NaN)
    this.#native.configureMesh(key, new Uint8Array(numbers.buffer), tls)
  }

  /** The outcome of what `start` asks the core for; the process lives until it is there. */
  #ask(start) {
    if (this.#lane.closing) throw closed()
    const answer = this.#waits.begin(start)
    this.#hold.hold()
    this.#flushAtExit()
    return answer
  }

  async listen(address, options) {
    text(address, 'address')
    const o = check.object(options, 'options', LISTEN)
    const key = check.optional(o.secret, secret)
    const insecure = check.optional(o.insecure, check.flag, 'insecure') ?? false
    const may = check.optional(o.permissions, permissions)
    const tls = check.optional(o.tls, certificates)
    const bytes = await this.#ask((k) => this.#native.listen(address, key, insecure, may, k, tls))
    const bound = bytes.toString()
    // A listener holds the process, as those of `node:net` do.
    if (!this.#lane.closing && !this.#listening.has(bound)) {
      this.#listening.add(bound)
      this.#hold.hold()
    }
    return bound
  }

  unlisten(address) {
    const was = this.#native.unlisten(text(address, 'address'))
    const now = new Set(this.#native.listening())
    for (const bound of this.#listening) {
      if (!now.has(bound)) {
        this.#listening.delete(bound)
        this.#hold.release()
      }
    }
    return was
  }

  async join(seeds, options) {
    if (!Array.isArray(seeds)) throw wrongType('seeds', 'an array', seeds)
    const all = seeds.map((seed) => text(seed, 'a seed'))
    const odd = all.find((seed) => seed === '' || seed.includes('\0'))
    if (odd !== undefined) throw outOfRange('a seed', 'an address', odd)
    const o = check.object(options, 'options', CLUSTER)
    const name = check.optional(o.name, text, 'name')
    const gossip = check.optional(o.gossipMs, check.millis, 'gossipMs')
    const timeout = check.optional(o.timeoutMs, check.millis, 'timeoutMs')
    const advertise = check.optional(o.advertise, text, 'advertise')
    const joined = all.join('\0')
    await this.#ask((k) => this.#native.joinCluster(joined, name, gossip, timeout, advertise, k))
  }

  /** Gives a name, here or in the whole cluster. */
  register(name, pid, options) {
    const { scope = 'local' } = check.object(options, 'options', ['scope'])
    if (typeof scope !== 'string') throw wrongType('scope', 'a string', scope)
    if (scope === 'cluster') this.#native.registerCluster(name, pid)
    else if (scope === 'local') this.#native.register(name, pid)
    else throw outOfRange('scope', "'local' or 'cluster'", scope)
  }

  async resolve(address, name, options) {
    text(address, 'address')
    text(name, 'name')
    const { timeoutMs, signal } = check.wait(options, QUESTION_MS)
    if (signal?.aborted) throw aborted(signal)
    const answer = this.#ask((k) => this.#native.resolveRemote(address, name, timeoutMs, k))
    const bytes = await this.#unless(signal, answer)
    return bytes.length === 0 ? null : number64(bytes, 0)
  }

  async isUp(address, options) {
    text(address, 'address')
    const { timeoutMs, signal } = check.wait(options, PROBE_MS)
    if (signal?.aborted) throw aborted(signal)
    const answer = this.#ask((k) => this.#native.isNodeUp(address, timeoutMs, k))
    return (await this.#unless(signal, answer)).length !== 0
  }

  /** Who gives up is told at once; the core's answer finds nobody. */
  #unless(signal, answer) {
    if (signal === undefined) return answer
    return new Promise((resolve, reject) => {
      const abort = () => reject(aborted(signal))
      signal.addEventListener('abort', abort, { once: true })
      const end = () => signal.removeEventListener('abort', abort)
      answer.then(resolve, reject).then(end, end)
    })
  }

  proxy(address, pid, watched = false) {
    if (this.#lane.closing) throw closed()
    const proxy = this.#native.remotePid(text(address, 'address'), pid, watched)
    this.#flushAtExit()
    return proxy
  }

  async info(pid, options) {
    if (typeof pid !== 'number') throw wrongType('pid', 'a number', pid)
    const { timeoutMs, signal } = check.wait(options, QUESTION_MS)
    if (signal?.aborted) throw aborted(signal)
    if (!this.#native.isRemote(pid)) return null
    const answer = this.#ask((k) => this.#native.lookRemote(pid, timeoutMs, k))
    const bytes = await this.#unless(signal, answer)
    if (bytes.length === 0) return null
    const [queue, capacity, handled] = [0, 8, 16].map((at) => number64(bytes, at))
    return { queue, capacity: capacity === 0 ? null : capacity, handled }
  }

  nodes() {
    const flat = this.#native.nodes()
    const all = []
    for (let i = 0; i < flat.length; i += 4) {
      const [id, address, connected, stalled] = flat.slice(i, i + 4)
      all.push({
        id,
        address: address ?? null,
        connected: connected === 1,
        stalled: stalled === 1,
      })
    }
    return all
  }

  /** What was sent and has not left yet puts the end of the process off, for a while. */
  #flushAtExit() {
    if (this.#flushing) return
    this.#flushing = true
    this.#turns.lingers = true
    if (meshes.size === 0) process.on('beforeExit', flush)
    meshes.add(this)
  }

  get sending() {
    return !this.#lane.disposed && !this.#lane.closing && this.#native.isMeshSending()
  }

  dispose() {
    meshes.delete(this)
    for (const _ of this.#listening) this.#hold.release()
    this.#listening.clear()
  }
}

module.exports = { Mesh }
