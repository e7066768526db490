// What users' compilers must accept and refuse. Nothing here runs: `make tsc` checks it under strict settings.

import iris = require('iris')

import type {
  ActorInfo,
  BoundedSpawnOptions,
  CallOptions,
  Context,
  CrashReport,
  ExitInfo,
  ExitReason,
  Handler,
  HandlerResult,
  IrisErrorCode,
  Message,
  Metrics,
  Pid,
  RuntimeOptions,
  SpawnOptions,
} from 'iris'

const { NodeRuntime, IrisError, version } = iris

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(_: Same<A, B>): void {}

export async function everyCall(): Promise<void> {
  const rt = new NodeRuntime()
  new NodeRuntime({})
  const options: RuntimeOptions = {
    timeSliceMs: 5,
    stopTimeoutMs: 5000,
    callTimeoutMs: 5000,
    defaultCapacity: 100,
    workers: 2,
    logger: console,
    onCrash: (report) => same<typeof report, CrashReport>(true),
  }
  new NodeRuntime(options)
  new NodeRuntime({ logger: null, onCrash: null })
  new NodeRuntime({ logger: undefined, workers: undefined })
  new NodeRuntime({ onCrash: async ({ error }) => same<typeof error, unknown>(true) })

  same<typeof rt.version, string>(true)
  same<typeof rt.id, number>(true)
  same<typeof rt.closed, boolean>(true)
  same<typeof version, string>(true)

  // Handlers: sync, async, every kind of reply, none.
  const pid = rt.spawn((message, ctx) => {
    same<typeof message, Buffer>(true)
    same<typeof ctx, Context>(true)
  })
  same<typeof pid, Pid>(true)
  rt.spawn(() => 'text', 50)
  rt.spawn((message) => message, { budget: 50 })
  rt.spawn(async () => new Uint8Array(1), { reentrant: true })
  rt.spawn(async () => {}, { budget: undefined, reentrant: undefined })
  rt.spawn(() => new ArrayBuffer(1))
  rt.spawn(() => null)
  rt.spawn((_message, ctx) => ctx.reply())
  rt.spawn(console.log)
  const handler: Handler = (message): HandlerResult => message
  const spawnOptions: SpawnOptions = { budget: 1 }
  rt.spawn(handler, spawnOptions)
  const bounded: BoundedSpawnOptions = { capacity: 10, overflow: 'dropnew' }
  rt.spawnBounded(handler, bounded)
  rt.spawnBounded(handler, 100, 10)
  const observed = rt.spawnWithPathObserved(100, '/probe')
  rt.spawnWithPathObserved({ path: '/probe', capacity: 1 })
  rt.getMessages(observed).length
  rt.selectiveRecv(observed, (message) => 'reason' in message, { timeoutMs: 1 })
  rt.setActorHealth(observed, 'degraded')
  // @ts-expect-error not a condition
  rt.setActorHealth(observed, 'ill')
  const restarts: number[] = rt.supervisionTree().flatMap((s) => s.children.map((c) => c.restarts))
  restarts.sort()
  rt.onNodeUp(({ id, address }) => `${id} ${address?.length}`)
  rt.onNodeDown(({ id, reason }) => `${id} ${reason}`)
  rt.joinCluster([], { name: 'x', gossipMs: 50 }).then(() =>
    rt.register('wide', 1, { scope: 'cluster' }),
  )
  rt.onDeadLetter(({ pid, reason, data }) => `${pid} ${reason} ${data?.length}`)
  rt.onPressure((pid, level) => pid > 0 && level === 'HIGH')
  rt.spawnVirtual(handler)
  rt.spawnVirtual(handler, 100, 1000)
  rt.spawnVirtual(handler, {
    idleTimeoutMs: 1000,
    onActivate: async (ctx) => ({ pid: ctx.pid }),
    onDeactivate: (ctx) => ctx.state.pid,
  })
  rt.spawnBounded(handler, { capacity: 1, budget: 1, reentrant: false })

  same<ReturnType<typeof rt.send>, boolean>(true)
  rt.send(pid, 'text')
  rt.send(pid, Buffer.from('x'))
  rt.send(pid, new Uint8Array(1))
  rt.send(pid, new ArrayBuffer(1))
  rt.send(pid, new SharedArrayBuffer(1))
  const sent: number = rt.sendMany(pid, ['a', Buffer.from('b'), new Uint8Array(1)])
  rt.sendMany(pid, new Set<Message>(['a']))
  const named: boolean = rt.sendNamed('name', 'text')

  const reply = await rt.call(pid, 'text')
  same<typeof reply, Buffer>(true)
  const callOptions: CallOptions = { timeoutMs: 10, signal: new AbortController().signal }
  await rt.call(pid, 'text', callOptions)
  await rt.call(pid, 'text', 0.5)
  await rt.call(pid, 'text', { signal: undefined })

  const size = rt.mailboxSize(pid)
  same<typeof size, number | null>(true)
  rt.register('name', pid)
  const gone: boolean = rt.unregister('name')
  const found = rt.whereis('name') ?? rt.resolve('name')
  same<typeof found, Pid | null>(true)

  const stopped: boolean = rt.stop(pid) || rt.stop(pid, { drain: true, timeoutMs: 5 })
  const killed: boolean = rt.kill(pid)
  const exit = await rt.join(pid)
  same<typeof exit, ExitInfo>(true)
  same<typeof exit.reason, ExitReason>(true)
  await rt.join(pid, 1)
  await rt.join(pid, { timeoutMs: 1, signal: AbortSignal.timeout(1) })
  const alive: boolean = rt.isAlive(pid)
  rt.onCrash((report) => console.error(report.pid, report.reason, report.message, report.stack))
  rt.onCrash(null)

  const pids = rt.listActors()
  same<typeof pids, Pid[]>(true)
  const info = rt.actorInfo(pid)
  same<typeof info, ActorInfo | null>(true)
  const metrics: Metrics = rt.getMetrics()
  const terms: number[] = [
    metrics.attempted,
    metrics.refused.full,
    metrics.dead.crash,
    metrics.exited.name_conflict,
    metrics.loop.longestHoldMs,
  ]

  rt.ref().unref()
  await rt.close()
  await rt.close({ timeoutMs: 100 })
  await using other = new NodeRuntime()
  void [other, sent, named, gone, stopped, killed, alive, terms]
}

export function inAHandler(rt: iris.NodeRuntime): Pid {
  return rt.spawn(async (message, ctx) => {
    same<typeof ctx.pid, Pid>(true)
    same<typeof ctx.runtime, iris.NodeRuntime>(true)
    same<typeof ctx.sender, Pid | null>(true)
    same<typeof ctx.isCall, boolean>(true)
    if (ctx.sender !== null) ctx.send(ctx.sender, message)
    const answer: Buffer = await ctx.call(1, 'text', { timeoutMs: 1 })
    ctx.reply(answer)
    ctx.stop()
  })
}

export function errors(error: unknown): IrisErrorCode | undefined {
  if (!(error instanceof IrisError)) return undefined
  same<typeof error.code, IrisErrorCode>(true)
  switch (error.code) {
    case 'ERR_IRIS_TIMEOUT':
      return error.code
    // @ts-expect-error no such code
    case 'ERR_IRIS_TIME_OUT':
      return undefined
    default:
      return error.code
  }
}

export async function wrong(rt: iris.NodeRuntime): Promise<void> {
  // @ts-expect-error no such option
  new NodeRuntime({ timeSlice: 5 })
  // @ts-expect-error a number
  new NodeRuntime({ workers: '2' })
  // @ts-expect-error a logger has `error`
  new NodeRuntime({ logger: {} })
  // @ts-expect-error a function
  rt.spawn('handler')
  // @ts-expect-error a handler is required
  rt.spawn()
  // @ts-expect-error a reply is bytes or text
  rt.spawn(() => 42)
  // @ts-expect-error a reply is bytes or text, also later
  rt.spawn(async () => ({ answer: 42 }))
  // @ts-expect-error two parameters at most
  rt.spawn((_message, _ctx, _more) => {})
  // @ts-expect-error the message is a Buffer
  rt.spawn((message: string) => message)
  // @ts-expect-error no such option
  rt.spawn(() => {}, { budgets: 1 })
  rt.spawnWithMailbox(async (mailbox) => {
    for await (const received of mailbox) same<typeof received, iris.Received>(true)
    const got = await mailbox.recv({ timeoutMs: 1 })
    same<typeof got, iris.Received | null>(true)
    // @ts-expect-error a matcher answers a boolean at once
    mailbox.selectiveRecv(async () => true)
  })
  const timer: iris.TimerId = rt.sendAfter(1, 1, 'x')
  const cancelled = rt.cancelTimer(timer)
  same<typeof cancelled, boolean>(true)
  const pool = rt.spawnChildPool(1, (message) => message, 2, { routing: 'shortest', capacity: 5 })
  const pids = [...pool]
  same<typeof pids, iris.Pid[]>(true)
  // @ts-expect-error a version is a number
  rt.rollbackBehavior(1, '1')
  // @ts-expect-error a hook gets a context
  rt.spawnVirtual(() => {}, { onActivate: (pid: number) => pid })
  // @ts-expect-error a virtual actor is not reentrant
  rt.spawnVirtual(() => {}, { reentrant: true })
  // @ts-expect-error capacity is spawnBounded's
  rt.spawn(() => {}, { capacity: 1 })
  // @ts-expect-error capacity is required
  rt.spawnBounded(() => {}, {})
  // @ts-expect-error capacity is required
  rt.spawnBounded(() => {}, 100)
  // @ts-expect-error no such policy
  rt.spawnBounded(() => {}, { capacity: 1, overflow: 'spil' })
  // @ts-expect-error a message is bytes or text
  rt.send(1, 42)
  // @ts-expect-error a message is bytes or text
  rt.send(1, { some: 'object' })
  // @ts-expect-error 8-bit arrays only
  rt.send(1, [1, 2, 3])
  // @ts-expect-error a pid is a number
  rt.send('1', 'text')
  // @ts-expect-error null is nobody: look before you send
  rt.send(rt.whereis('name'), 'text')
  // @ts-expect-error many messages
  rt.sendMany(1, 42)
  // @ts-expect-error no such option
  await rt.call(1, 'text', { timeout: 1 })
  // @ts-expect-error a signal, not its controller
  await rt.call(1, 'text', { signal: new AbortController() })
  // @ts-expect-error a reply is a Buffer
  const text: string = await rt.call(1, 'text')
  // @ts-expect-error join answers a promise
  const reason: ExitReason = rt.join(1).reason
  // @ts-expect-error no such option
  rt.stop(1, { force: true })
  // @ts-expect-error read only
  rt.closed = true
  // @ts-expect-error a hook
  rt.onCrash('hook')
  // @ts-expect-error no blocking call exists in Node
  rt.callBlocking(1, 'text')
  // @ts-expect-error private to the runtime
  rt.spawn((_message, ctx) => ctx._take())
  // @ts-expect-error no such code
  new IrisError('ERR_OTHER', 'text')
  void [text, reason]
}

interface Order {
  id: number
}
interface Receipt {
  paid: boolean
}

export async function typed(
  rt: iris.NodeRuntime,
  anything: iris.Codec<unknown>,
  exact: iris.Codec<Order>,
) {
  const orders = rt.spawn<Order, Receipt>((order, ctx) => ({ paid: order.id > 0 && ctx.isCall }), {
    codec: 'json',
  })
  same<typeof orders, iris.Pid<Order, Receipt>>(true)
  const number: number = orders
  rt.send(orders, { id: 1 })
  rt.sendMany(orders, [{ id: 1 }, { id: 2 }])
  rt.sendAfter(orders, 1, { id: 1 })
  rt.sendInterval(orders, 1, { id: 1 })
  rt.sendWithBackpressure(orders, { id: 1 })
  await rt.sendAsync(orders, { id: 1 }, { signal: AbortSignal.timeout(1) })
  const receipt = await rt.call(orders, { id: 1 }, 5)
  same<typeof receipt, Receipt>(true)
  rt.stop(orders)
  rt.hotSwap(orders, (order) => ({ paid: order.id > 1 }))
  // The reply is what the handler returns, or what the caller says where the pid does not.
  const inferred = rt.spawn(async (order: Order) => [order.id], { codec: 'structured' })
  same<typeof inferred, iris.Pid<Order, number[]>>(true)
  const some = rt.spawn<Order>(() => {}, { codec: anything, budget: 10 })
  same<typeof some, iris.Pid<Order>>(true)
  const said = await rt.call<Order, Receipt>(some, { id: 1 })
  same<typeof said, Receipt>(true)
  const unsaid = await rt.call(some, { id: 1 })
  same<typeof unsaid, unknown>(true)
  const found = rt.whereis<Order, Receipt>('orders')
  if (found !== null) same<Awaited<ReturnType<typeof ask>>, Receipt>(true)
  const ask = () => rt.call(orders, { id: 1 })
  rt.spawn((order) => order.id, { codec: exact })
  const pull = rt.spawnWithMailbox<Order, Receipt>(
    async (mailbox) => {
      for await (const message of mailbox) {
        if (message instanceof iris.SystemMessage) continue
        if ('reply' in message) message.reply({ paid: message.data.id > 0 })
        else same<typeof message, Order>(true)
      }
      await mailbox.selectiveRecv((m) => !(m instanceof iris.SystemMessage) && m.id === 1)
    },
    { codec: exact },
  )
  rt.send(pull, { id: 1 })
  const pool = rt.spawnChildPool(number, (order: Order) => order.id, 2, { codec: 'json' })
  const answer = await pool.call({ id: 1 })
  same<typeof answer, number>(true)
  rt.spawnBounded((order: Order) => void order, { codec: 'json', capacity: 1 })
  rt.spawnVirtual((order: Order) => void order, { codec: 'json', idleTimeoutMs: 1 })
  rt.spawnChild(orders, (order: Order, ctx) => void ctx.send(orders, order), { codec: 'json' })
  rt.spawn((message: Order | iris.SystemMessage) => void message, { codec: 'json', system: true })
  const generic = <T, R>(pid: iris.Pid<T, R>, message: T): Promise<R> => rt.call(pid, message)
  same<Awaited<ReturnType<typeof askGeneric>>, Receipt>(true)
  const askGeneric = () => generic(orders, { id: 1 })
  // @ts-expect-error an order has an id
  rt.send(orders, { ix: 1 })
  // @ts-expect-error orders are not bytes
  rt.send(orders, 'text')
  // @ts-expect-error an id is a number
  rt.call(orders, { id: '1' })
  // @ts-expect-error orders each
  rt.sendMany(orders, ['text'])
  // @ts-expect-error an order
  rt.sendAfter(orders, 1, 'text')
  // @ts-expect-error not any number is an actor that takes orders
  const forged: iris.Pid<Order> = number
  // @ts-expect-error a receipt
  const wrong: string = await rt.call(orders, { id: 1 })
  // @ts-expect-error a receipt
  rt.spawn<Order, Receipt>(() => ({ paid: 'yes' }), { codec: 'json' })
  // @ts-expect-error a receipt
  rt.spawn<Order, Receipt>((_order, ctx) => ctx.reply(1), { codec: 'json' })
  // @ts-expect-error a codec has a name
  rt.spawn((order: Order) => void order, { codec: { encode: String, decode: String } })
  // @ts-expect-error a receipt is no bytes
  rt.hotSwap(orders, () => 'text')
  // @ts-expect-error an order
  pool.send('text')
  void [forged, wrong]
}

export function speculation(rt: iris.NodeRuntime): void {
  rt.spawn((_message, ctx) => void ctx.signal?.aborted, { vortex: true })
  rt.spawnBounded(() => {}, {
    capacity: 1,
    vortex: { ghostAfterMs: 1, graceMs: 1, maxRate: 0.05 },
  })
  rt.spawn<Order>((order) => void order.id, { codec: 'json', vortex: { maxRate: 0 } })
  const known: boolean = rt.vortexSetAutoGhostPolicy('PreferPrimary')
  same<ReturnType<typeof rt.vortexGetAutoGhostPolicy>, iris.GhostPolicy | null>(true)
  const [primary, ghost]: [number, number] = rt.vortexGetAutoResolutionCounts()
  const replays: number = rt.vortexGetAutoReplayCount()
  rt.vortexResetAutoTelemetry()
  void [known, primary, ghost, replays]
  // @ts-expect-error milliseconds
  rt.spawn(() => {}, { vortex: { ghostAfterMs: '1' } })
  // @ts-expect-error a virtual actor does not speculate
  rt.spawnVirtual(() => {}, { vortex: true })
}

export async function supervision(rt: iris.NodeRuntime): Promise<void> {
  const start = () => rt.spawn(() => {})
  const hears = rt.spawn((message: Buffer | iris.SystemMessage) => void message, { system: true })
  const ref: iris.MonitorRef = rt.monitor(hears, hears)
  rt.monitor(hears, (down) => same<typeof down, iris.SystemMessage>(true))
  const was: boolean = rt.demonitor(ref)
  void was
  rt.link(hears, hears)
  rt.setTrapExit(hears, true)
  rt.pathSuperviseWithFactory('/svc', hears, start, 'restforone', {
    restart: 'transient',
    maxRestarts: 1,
    withinMs: 1,
    backoff: { initialMs: 1, jitter: 0 },
    id: 'one',
  })
  rt.pathSuperviseWithFactory('/svc', hears, async (old) => old ?? start(), 'restartone')
  const sup: iris.Supervisor = await rt.supervise(
    '/app',
    [
      { id: 'a', start, restart: 'temporary', workers: 2 },
      { id: 'b', strategy: 'restartall', children: [{ id: 'c', start: async () => start() }] },
    ],
    { strategy: 'restartone', backoff: true },
  )
  same<(typeof sup)['children'], Pid[]>(true)
  rt.onRestart((event) => same<typeof event, iris.SupervisionEvent>(true))
  for (const [path, pid] of rt.listChildren('/')) void [path.length, pid]
  // @ts-expect-error one of three words
  rt.pathSuperviseWithFactory('/svc', hears, start, 'one_for_one')
  // @ts-expect-error a factory answers a pid
  rt.pathSuperviseWithFactory('/svc', hears, () => 'pid', 'restartone')
  // @ts-expect-error a child has a start, or children
  rt.supervise('/svc', [{ id: 'a' }])
  // @ts-expect-error a system message comes from the runtime alone
  new iris.SystemMessage()
}

export async function offloads(signal: AbortSignal): Promise<void> {
  const kernel = iris.offload((x: number, y: number) => Math.sqrt(x * x + y * y))
  same<typeof kernel, iris.Kernel<(x: number, y: number) => number>>(true)
  same<ReturnType<typeof kernel>, number>(true)
  const mapped = await kernel.map(new Float64Array(3), 4)
  same<typeof mapped, Float64Array<ArrayBuffer>>(true)
  const ints = await kernel.map(new Float64Array(3), 4, { output: Int32Array, signal })
  same<typeof ints, Int32Array<ArrayBuffer>>(true)
  const moved = await kernel.map(new Float64Array(3), { output: Float64Array, transfer: true })
  same<typeof moved, iris.Transferred<Float64Array<ArrayBuffer>>>(true)
  same<typeof moved.inputs, iris.NumberArray[]>(true)
  const sum: number = await kernel.reduce(new Uint8Array(3), 0, { associative: true })
  const both = await kernel.reduce(new Uint8Array(3), sum, { transfer: true })
  same<typeof both, iris.Transferred<number>>(true)
  same<ReturnType<typeof kernel.explain>, string>(true)
  iris.offload((x: number) => Math.sin(x), {
    approxMath: true,
    interpret: false,
    returnType: 'float',
  })
  const pool = iris.offload(async (text: string) => text.length, { strategy: 'actor', pool: 2 })
  same<ReturnType<typeof pool>, Promise<number>>(true)
  await pool.close()
  iris.setJitLogging(true)
  same<ReturnType<typeof iris.getQuantumSpeculation>, boolean>(true)
  // @ts-expect-error its arguments are the function's
  kernel('x', 1)
  // @ts-expect-error an ordinary array is none of numbers alone
  kernel.map([1, 2, 3])
  // @ts-expect-error BigInts are not compiled
  kernel.reduce(new BigInt64Array(1), 0)
  // @ts-expect-error a strategy is one of two words
  iris.offload((x: number) => x, { strategy: 'thread' })
  // @ts-expect-error a pool is the other strategy's
  iris.offload((x: number) => x, { pool: 2 })
}
