/// <reference types="node" />

/**
 * An actor's address: unique for the life of its runtime, never 0, never given twice. It fits the 53 bits that a `number`
 * holds exactly; some of them name the runtime, so a pid of another runtime is refused instead of hitting a stranger.
 *
 * `Pid<Order, Receipt>` is a number that the compiler knows to be of an actor that takes orders and replies receipts, since it
 * was spawned with a {@link Codec}: sending it anything else is an error at compile time.
 */
export type Pid<T = Message, R = unknown> = [T] extends [Message]
  ? [Message] extends [T]
    ? number
    : number & Speaks<T, R>
  : number & Speaks<T, R>

/** What a {@link Pid} of an actor with a codec says of it: what it takes, and what it replies. Only the compiler sees it. */
export interface Speaks<T, R> {
  readonly [speaks]: { take(message: T): void; give: R }
}

/** A pid of which the compiler knows no more: bytes are sent to it. */
export type PlainPid = number & { readonly [speaks]?: never }

declare const speaks: unique symbol

/**
 * What a message or a reply may be; strings travel as UTF-8. The bytes are copied before the call returns, so the sender
 * may change or reuse its memory at once. A message of 0 bytes is a message.
 */
export type Message = string | Uint8Array | ArrayBuffer | SharedArrayBuffer

/**
 * What a handler returns: the reply, if it was called. Nothing is an empty reply. The result of a handler that was sent a
 * message, not called, is ignored.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the usual one.
export type HandlerResult = Message | null | undefined | void

/**
 * Handles one message at a time. It may be `async`: the actor's next message waits for the promise, other actors do not
 * (see {@link SpawnOptions.reentrant}). If it throws or rejects, its actor ends with `crash` and nothing else does: "let
 * it crash", as Erlang/OTP has it.
 *
 * @param message the bytes: a Buffer that belongs to the handler, to keep and to change.
 * @param ctx the actor itself, the sender, the call.
 */
export type Handler = (message: Buffer, ctx: Context) => HandlerResult | PromiseLike<HandlerResult>

/** A {@link Handler} of an actor with a codec: it gets decoded messages, and what it replies is encoded. */
export type TypedHandler<T, R = unknown> = (
  message: T,
  ctx: Context<R>,
  // biome-ignore lint/suspicious/noConfusingVoidType: as in HandlerResult.
) => R | void | PromiseLike<R | void>

/**
 * How messages that are no bytes become bytes, and back: msgpackr, protobuf and the like plug in here. What `encode` throws is
 * thrown by whoever sends, and nothing is sent; what `decode` throws ends the receiver with `crash`, as if its handler had
 * thrown it. `encode` may answer memory that it uses again for the next message.
 */
// biome-ignore lint/suspicious/noExplicitAny: most codecs take anything.
export interface Codec<T = any> {
  /** The same in every thread, process and language that speaks it: 1 to 255 printable bytes. */
  readonly name: string
  encode(message: T): Message
  /** @param data the bytes: a Buffer that is the codec's to keep. */
  decode(data: Buffer): T
}

/**
 * A codec, or the name of one that this thread knows ({@link registerCodec}): `'json'`, `'structured'` (what
 * `structuredClone` takes, between Node processes), or one's own. A codec given here is registered by that.
 */
export type CodecOption<T> = 'json' | 'structured' | (string & {}) | Codec<T>

/**
 * What a handler gets beside its message. An actor has one for all its messages; a call has one of its own, and so has
 * each message of a `reentrant` actor, so keep it for as long as you need it there.
 */
export interface Context<R = Message> {
  /** The actor itself. */
  readonly pid: Pid
  /** The runtime that it lives in. */
  readonly runtime: NodeRuntime
  /** The actor that sent this message in its own name, with `ctx.send` or `ctx.call`; otherwise `null`. */
  readonly sender: Pid | null
  /** Whether this message is a call that has not been answered. Its caller may have given up meanwhile. */
  readonly isCall: boolean
  /**
   * A value of the actor's own, the same in all its contexts; `undefined` at first. What `onActivate` of a virtual actor
   * answers is put here; it is gone when the actor sleeps or ends.
   */
  // biome-ignore lint/suspicious/noExplicitAny: only the handler knows what it keeps there.
  state: any
  /**
   * For an actor that speculates ({@link SpawnOptions.vortex}): aborted when this branch of the message has lost, or the actor
   * has ended; the reason is an error with `ERR_IRIS_ABORTED`. `undefined` for all others.
   */
  readonly signal: AbortSignal | undefined
  /**
   * {@link NodeRuntime.send} in this actor's name: the receiver sees it as `ctx.sender`. `false` also if this actor has
   * ended meanwhile.
   */
  send<T>(pid: Pid<T>, data: NoInfer<T>): boolean
  send(pid: PlainPid, data: Message): boolean
  /**
   * {@link NodeRuntime.call} in this actor's name. Calling oneself is an error at once (`ERR_IRIS_SELF_CALL`); a cycle
   * (A calls B, B calls A) ends by the deadline. If this actor ends first, the call does too (`ERR_IRIS_ACTOR_EXITED`).
   */
  call<T, R>(pid: Pid<T, R>, data: NoInfer<T>, options?: number | CallOptions): Promise<R>
  call<T, R>(pid: Pid<T>, data: NoInfer<T>, options?: number | CallOptions): Promise<R>
  call(pid: PlainPid, data: Message, options?: number | CallOptions): Promise<Buffer>
  /**
   * Answers the call before the handler returns, or after: what it returns later is no reply then.
   *
   * @param data default: an empty reply.
   *   A late one is dropped and counted ({@link Metrics.lateReplies}).
   * @throws `ERR_IRIS_STALE_REPLY` if this is no call, or it has been answered.
   */
  reply(data?: R): void
  /**
   * Has this actor told when another ends: one `DOWN` in its mailbox. See {@link NodeRuntime.monitor}.
   *
   * @throws `ERR_IRIS_INVALID_ARGUMENT` if this actor was not spawned with {@link SpawnOptions.system}.
   */
  monitor(target: Pid): MonitorRef
  /** Links this actor with another. See {@link NodeRuntime.link}. */
  link(pid: Pid): void
  /**
   * Stops this actor: the handler finishes, what is queued dies.
   *
   * @returns whether it was alive.
   */
  stop(): boolean
}

/** A wait. A bare number in its place is seconds. */
export interface WaitOptions {
  /** How long to wait, in milliseconds: 0 to 2^53. */
  timeoutMs?: number | undefined
  /** Ends the wait with `ERR_IRIS_ABORTED` (name `AbortError`, `cause` is the signal's reason). */
  signal?: AbortSignal | undefined
}

/** How long a call waits; `timeoutMs` defaults to the runtime's {@link RuntimeOptions.callTimeoutMs}. */
export interface CallOptions extends WaitOptions {}

/** How long a join waits; `timeoutMs` defaults to forever. */
export interface JoinOptions extends WaitOptions {}

/** How an actor speculates. */
export interface VortexOptions {
  /**
   * When a second branch, the ghost, is begun beside a primary that has not returned, in milliseconds: 0 to 2^53. Default: when
   * it takes longer than 95 % of the actor's last 128 messages took, and never before there were 20.
   */
  ghostAfterMs?: number | undefined
  /** How long a ghost that is done waits for the primary with `'PreferPrimary'`, in milliseconds: 0 to 2^53. Default 1,000. */
  graceMs?: number | undefined
  /**
   * At most this part of the messages gets a ghost while the primary runs, over time: 0 to 1. Default 1. 0: a message is
   * handled again after a failure, and never beside a primary that runs.
   */
  maxRate?: number | undefined
}

/** Which of two branches of a message commits: see {@link NodeRuntime.vortexSetAutoGhostPolicy}. */
export type GhostPolicy = 'FirstSafePointWins' | 'PreferPrimary'

/** How an actor is set up. */
export interface SpawnOptions {
  /**
   * Messages that the actor may handle before other actors of its loop run, as Erlang's reductions. Default 100;
   * 1 to 1,000,000.
   */
  budget?: number | undefined
  /**
   * `true`: the next message does not wait for the promise of an `async` handler, as Orleans' reentrant grains. Default
   * `false`.
   */
  reentrant?: boolean | undefined
  /** `true`: its handler gets {@link SystemMessage}s too. Default `false`. */
  system?: boolean | undefined
  /**
   * `true`, or how: a message whose handler is slow or has failed is handled by a second branch too, and what is done through
   * `ctx` becomes visible only when the one that wins has returned. See docs/vortex.md. Default `false`.
   */
  vortex?: boolean | VortexOptions | undefined
  /** Bytes as they are; with another codec these are {@link Typed} options. */
  codec?: 'raw' | undefined
}

/** Options that name a codec: messages are of type `T`. */
export type Typed<Options, T> = Omit<Options, 'codec'> & { codec: CodecOption<T> }

/** How an actor with a bounded mailbox is set up. */
export interface BoundedSpawnOptions extends SpawnOptions {
  /** Messages that may wait: 1 to 2^30. The one that is being handled does not count. */
  capacity: number
  /** What happens to a message that finds the mailbox full. Default `'dropnew'`. */
  overflow?: OverflowPolicy | undefined
  /** The other actor of `redirect` and `spill`. */
  target?: Pid | undefined
}

/**
 * A hook of a virtual actor. It may be `async`: what is sent meanwhile waits. If it throws or rejects, the actor ends with
 * `crash`, and what waited is dead.
 *
 * @param ctx the actor: its pid, its state, `ctx.send` and `ctx.call`.
 */
export type VirtualHook = (ctx: Context) => unknown

/** How a virtual actor is set up. */
export interface VirtualSpawnOptions {
  /** Messages that it may handle before other actors of its loop run. Default 100; 1 to 1,000,000. */
  budget?: number | undefined
  /**
   * How long it stays active without a message, in milliseconds: 0 to 2^53 (more than 24 days: until it ends). Default:
   * until it ends.
   */
  idleTimeoutMs?: number | null | undefined
  /** Messages that may wait: 1 to 2^30. Default: the runtime's. */
  capacity?: number | undefined
  /** What happens to a message that finds the mailbox full. Default `'dropnew'`. */
  overflow?: OverflowPolicy | undefined
  /** The other actor of `redirect` and `spill`. */
  target?: Pid | undefined
  /** Runs before the first message, and before the first after each sleep; what it answers becomes `ctx.state`. */
  onActivate?: VirtualHook | undefined
  /** Runs before an active actor sleeps, and before it is stopped or closed; not if it crashes or is killed. */
  onDeactivate?: VirtualHook | undefined
  /** As {@link SpawnOptions.codec}. */
  codec?: 'raw' | undefined
}

/** What happens to a message that finds the mailbox full. */
export type OverflowPolicy =
  /** It is refused: `send` is `false`. */
  | 'dropnew'
  /** The oldest that waits is dropped, the new one is taken. */
  | 'dropold'
  /** It goes to the target: `send` is `true` if the target takes it. */
  | 'redirect'
  /** The oldest that waits moves to the target, the new one is taken. A target that is full or has ended loses it, counted. */
  | 'spill'
  /** The sender waits for room with {@link NodeRuntime.sendAsync}; `send`, which cannot wait, is `false`. */
  | 'block'

/**
 * How full a mailbox is: `HIGH` from 50 % of its capacity on, `CRITICAL` from 90 %; without a bound from the watermarks
 * on ({@link NodeRuntime.setWatermarks}).
 */
export type Pressure = 'NORMAL' | 'HIGH' | 'CRITICAL'

/** Hears of a mailbox that has come to another level. */
export type PressureHook = (pid: Pid, level: Pressure) => unknown

/** A message that is sent later; it fits the 53 bits that a `number` holds exactly. */
export type TimerId = number

/** A call that a pull actor received. */
export interface CallMessage<T = Buffer, R = Message> {
  /** The bytes, a Buffer of the receiver's own; or what the actor's codec made of them. */
  readonly data: T
  /**
   * Answers the call.
   *
   * @param data default: an empty reply.
   * @throws `ERR_IRIS_STALE_REPLY` if nothing waits for it: it was answered already, or its deadline has passed.
   */
  reply(data?: R): void
}

/** What a {@link SystemMessage} is about. */
export type SystemType =
  /** A linked actor has ended, and the receiver traps exits. */
  | 'EXIT'
  /** A monitored actor has ended. */
  | 'DOWN'
  | 'HOT_SWAP'
  | 'PING'
  | 'PONG'

/**
 * What the runtime itself tells an actor, in the order of its messages: pull actors, and push actors that ask for it
 * ({@link SpawnOptions.system}). Bounds and load shedding do not hold for it.
 */
export class SystemMessage {
  private constructor()
  readonly typeName: SystemType
  /** The actor that it is about; `null`: none. */
  readonly fromPid: Pid | null
  /** The actor that got it; `null`: it was for a function. */
  readonly targetPid: Pid | null
  /** How `fromPid` ended, for `EXIT` and `DOWN`; otherwise `null`. */
  readonly reason: ExitReason | null
  /** What else is known: `ref` of the monitor for `DOWN`, `message` and `stack` of a crash. */
  readonly metadata: Readonly<{
    ref?: MonitorRef
    message?: string
    stack?: string
    [name: string]: string | number | undefined
  }>
}

/** Names a monitor. */
export type MonitorRef = number

/** Handles one message at a time, those of the runtime itself too. See {@link Handler}. */
export type SystemHandler = (
  message: Buffer | SystemMessage,
  ctx: Context,
) => HandlerResult | PromiseLike<HandlerResult>

/** What a pull actor receives. */
export type Received<T = Buffer, R = Message> = T | CallMessage<T, R> | SystemMessage

/**
 * The mailbox of a pull actor. Waits end in the order in which they began. With a codec it gives what that decodes; a message
 * that cannot be decoded rejects the `recv` that took it, and the matcher's wait without being taken.
 */
export interface Mailbox<T = Buffer, R = Message> extends AsyncIterable<Received<T, R>> {
  /** The actor itself. */
  readonly pid: Pid
  /** Messages that wait. */
  readonly size: number
  /** Whether no message comes any more: the actor was stopped or has ended. */
  readonly closed: boolean
  /**
   * Waits for the next message. It does not keep the process alive, its timeout neither.
   *
   * @param options or the timeout in seconds. Default: no timeout.
   * @returns `null`: the time is over or the mailbox is closed ({@link closed} tells which). It rejects with
   *   `ERR_IRIS_ABORTED`.
   */
  recv(options?: number | WaitOptions): Promise<Received<T, R> | null>
  /** Has this actor told when another ends: one `DOWN` in this mailbox. See {@link NodeRuntime.monitor}. */
  monitor(target: Pid): MonitorRef
  /** Links this actor with another. See {@link NodeRuntime.link}. */
  link(pid: Pid): void
  /** The next message, or `null` if none waits. */
  tryRecv(): Received<T, R> | null
  /**
   * Waits for the first message that `matcher` takes, as the selective receive of Erlang/OTP. Those that it refuses keep
   * their place and order, and the same function never sees them again; another one begins at the front.
   *
   * @param matcher gets the bytes (of a call too) or the system message, and answers at once; what it throws rejects this
   *   call and the message stays.
   * @returns as {@link recv}.
   */
  selectiveRecv(
    matcher: (data: T | SystemMessage) => boolean,
    options?: number | WaitOptions,
  ): Promise<Received<T, R> | null>
}

/** A pull actor: it owns its mailbox, and ends when it returns (`normal`) or throws (`crash`). */
export type PullHandler<T = Buffer, R = Message> = (mailbox: Mailbox<T, R>) => unknown

/** How a pull actor is set up. */
export interface PullSpawnOptions {
  /** Messages that it may take before other actors of its loop run. Default 100; 1 to 1,000,000. */
  budget?: number | undefined
  /** Messages that may wait: 1 to 2^30. Default: the runtime's. */
  capacity?: number | undefined
  /** As {@link SpawnOptions.codec}. */
  codec?: 'raw' | undefined
}

/** How an observed actor is set up. */
export interface ObservedSpawnOptions extends PullSpawnOptions {
  /** Where it is registered. */
  path: string
}

/** How a child is set up; without a `capacity` its mailbox is the runtime's default. */
export interface ChildSpawnOptions extends Partial<BoundedSpawnOptions> {}

/** How the members of a pool are set up, and chosen. */
export interface PoolOptions extends ChildSpawnOptions {
  /** Who gets the next message: each in turn, or who has the fewest waiting. Default `'roundrobin'`. */
  routing?: 'roundrobin' | 'shortest' | undefined
}

/** Children that share the work; iterating over it gives the pids of those that live. */
export interface Pool<T = Message, R = Buffer> extends Iterable<Pid<T, R>> {
  /** The members that live. */
  readonly pids: Pid<T, R>[]
  /** How many live. */
  readonly size: number
  /** {@link NodeRuntime.send} to the member whose turn it is, or to the next that takes it; `false`: none does. */
  send(data: T): boolean
  /** {@link NodeRuntime.call} to the member whose turn it is. */
  call(data: T, options?: number | CallOptions): Promise<R>
}

/** Who is restarted with a child: nobody else, all its siblings, or those that were started after it. */
export type Strategy = 'restartone' | 'restartall' | 'restforone'

/** Which ends are followed by a restart: all (a stop too), those that are errors (not `normal`, not `shutdown`), or none. */
export type RestartType = 'permanent' | 'transient' | 'temporary'

/** Waits before restarts: each `factor` times as long as the one before, less a part by chance. */
export interface BackoffOptions {
  /** Before the first restart, in milliseconds. Default 100. */
  initialMs?: number | undefined
  /** The longest, in milliseconds. Default 30,000. */
  maxMs?: number | undefined
  /** Default 2; 1 to 100. */
  factor?: number | undefined
  /** The part that may be left off, 0 to 1. Default 0.5. */
  jitter?: number | undefined
}

/** How a supervisor is set up; docs/supervision.md has the tables. */
export interface SupervisorOptions {
  /** Who is restarted with a child. Default `'restartone'`. */
  strategy?: Strategy | undefined
  /** Restarts that are fine within {@link withinMs}; with one more it ends all its children, then itself. Default 3. */
  maxRestarts?: number | undefined
  /** Default 5,000 milliseconds. */
  withinMs?: number | undefined
  /** Which of its own ends the supervisor above restarts. Default `'permanent'`. */
  restart?: RestartType | undefined
  /** Waits before restarts; `true`: with the defaults. Default: none. */
  backoff?: boolean | BackoffOptions | undefined
}

/** How one child is supervised; the bounds are its supervisor's. */
export interface SuperviseOptions extends Omit<SupervisorOptions, 'strategy'> {
  /** Its name among its siblings, for hooks. */
  id?: string | undefined
}

/**
 * Replaces an actor: spawns one and answers its pid, or a promise of it. It is called on this loop. What it spawns handles
 * nothing until the messages that wait for the replacement stand in front of its queue, so it must not wait for a reply of
 * its own actor. If it throws, or answers no live actor, that is a failed restart.
 *
 * @param old who is replaced, if it left messages.
 */
export type Factory = (old: Pid | null) => Pid | PromiseLike<Pid>

/** A child of {@link NodeRuntime.supervise}: it is registered at the path of its supervisor and its `id`. */
export interface ChildSpec {
  id: string
  /** Spawns it, first and for every restart. */
  start: () => Pid | PromiseLike<Pid>
  /** Default `'permanent'`. */
  restart?: RestartType | undefined
  /** So many of them, with the ids `id/0`, `id/1`, ... Default: one, with the `id` itself. */
  workers?: number | undefined
}

/** A supervisor among the children of another. */
export interface SupervisorSpec extends SupervisorOptions {
  id: string
  children: readonly (ChildSpec | SupervisorSpec)[]
}

/** What {@link NodeRuntime.supervise} made. */
export interface Supervisor extends AsyncDisposable {
  readonly path: string
  /** The live children, those of the supervisors below too. */
  readonly children: Pid[]
  /** Who is registered as this child (`'sub/child'` for one below). */
  whereis(id: string): Pid | null
  /** Stops the children in reverse order, then the supervisors. */
  stop(): Promise<void>
}

/** Something that a supervisor did. */
export interface SupervisionEvent {
  /**
   * `restarted`; `start_failed`: a factory threw or answered no live actor; `ended`: a child ended and is not restarted;
   * `gave_up`: there were too many restarts, and the supervisor ended with all its children.
   */
  event: 'restarted' | 'start_failed' | 'ended' | 'gave_up'
  /** The supervisor's. */
  path: string
  /** The child's, if it has one. */
  id: string | null
  /** Who ended. */
  oldPid: Pid | null
  /** The replacement. */
  pid: Pid | null
  reason: ExitReason
  /** What was thrown, as text. */
  message: string | undefined
  stack: string | undefined
  /** How often this child was restarted. */
  restarts: number
}

/** How an actor is stopped. */
export interface StopOptions {
  /** `true`: what is queued is handled first. Default `false`: it becomes dead letters. */
  drain?: boolean | undefined
  /**
   * How long the running handler may go on, in milliseconds; then the actor is abandoned and ends with `timeout`. With
   * `drain` the time counts from the last message handled. Default: {@link RuntimeOptions.stopTimeoutMs}.
   */
  timeoutMs?: number | undefined
}

/** How a runtime is closed. */
export interface CloseOptions {
  /** How long running handlers may go on, in milliseconds; then they are abandoned. Default 5,000. */
  timeoutMs?: number | undefined
}

/** Why an actor ended. */
export type ExitReason =
  /** It finished by itself. */
  | 'normal'
  /** Someone stopped it, or closed the runtime. */
  | 'shutdown'
  /** Someone killed it. */
  | 'killed'
  /** Its handler threw or rejected. */
  | 'crash'
  /** Its Rust code panicked. */
  | 'panic'
  /** Its handler did not finish within the stop timeout; it was abandoned. */
  | 'timeout'
  /** Its parent ended. */
  | 'parent_exit'
  /** There was no such actor, or it ended too long ago to be remembered. */
  | 'noproc'
  /** Its thread ended. */
  | 'disconnected'
  /** Its node was declared down. */
  | 'node_down'
  /** Another node's actor kept its name. */
  | 'name_conflict'

/** How an actor ended. */
export interface ExitInfo {
  pid: Pid
  reason: ExitReason
  /** What the handler threw, as text, if it crashed. */
  message: string | undefined
  /** Where it threw, if that is known. */
  stack: string | undefined
}

/** A failure that nobody else will hear of: an actor ended with `crash`, `panic` or `timeout`. */
export interface CrashReport {
  pid: Pid
  reason: ExitReason
  /** What was thrown, as text. */
  message: string
  /** Where it was thrown, if that is known. */
  stack: string | undefined
  /** What was thrown, itself: anything, also `undefined`; always that if it was thrown on another thread. */
  error: unknown
}

/** A message that was accepted and that nobody will handle, because its actor has ended. */
export interface DeadLetter {
  /** To whom it was sent. */
  pid: Pid
  /** Why that actor ended. */
  reason: ExitReason
  /** The bytes, as they were sent; `null`: the handler had them already, and did not finish. */
  data: Buffer | null
  /** The actor that sent it in its own name, if one did. */
  sender: Pid | null
  /** Whether it was a call; its caller has been told. */
  isCall: boolean
}

/** What is known of an actor. */
export interface ActorInfo {
  pid: Pid
  /**
   * `idle`; `queued`: its turn will come; `running`, also while its promise is awaited; `draining`, `stopping`. Of virtual
   * actors `dormant`, `activating`, `active` or `deactivating` instead of the first three.
   */
  state:
    | 'idle'
    | 'queued'
    | 'running'
    | 'dormant'
    | 'activating'
    | 'active'
    | 'deactivating'
    | 'draining'
    | 'stopping'
  /**
   * `push`: a handler of a host language; `virtual`: one that sleeps when it is idle; `pull`: a function with a mailbox;
   * `native`: a Rust actor.
   */
  kind: 'push' | 'virtual' | 'pull' | 'native' | 'remote'
  /** Messages a turn. */
  budget: number
  /** Bound of the mailbox, in messages; `null`: none. */
  capacity: number | null
  /** Messages that wait. */
  queue: number
  /** The longest that the queue has been, in messages. */
  highWater: number
  /** Messages handled. */
  handled: number
  /** Time since the spawn, in milliseconds. */
  ageMs: number
  /** The names it holds. */
  names: string[]
  /** The paths it holds. */
  paths: string[]
  /** The name of the codec of its messages; `null`: they are bytes. */
  codec: string | null
  /** The version of its handler, from 1 ({@link NodeRuntime.hotSwap}); `null` if this thread does not call it. */
  behaviorVersion: number | null
  /** The lane that runs it ({@link Metrics.lanes}); `null`: the threads of the core. */
  lane: { lane: number; host: LaneMetrics['host'] } | null
  /** Whose end is its end; `null`: nobody's. */
  parent: Pid | null
  /** Whose end its own is, in the order of their spawns. */
  children: Pid[]
  /** How often supervisors replaced its predecessors. */
  restarts: number
  /** Its condition, as somebody said ({@link NodeRuntime.setActorHealth}). */
  health: Health
}

/** The condition of an actor. */
export type Health = 'healthy' | 'degraded' | 'unhealthy'

/** A supervisor as {@link NodeRuntime.supervisionTree} shows it. */
export interface SupervisorInfo {
  /** Where it is; `null`: the global supervisor. */
  path: string | null
  /** Who is restarted with a child. */
  strategy: Strategy
  /** Restarts that are fine within the window. */
  maxRestarts: number
  /** The window, in milliseconds. */
  withinMs: number
  /** Its children, in start order. */
  children: {
    /** Its name under the supervisor. */
    id: string | null
    /** Who it is now; `null`: it is down. */
    pid: Pid | null
    /** Which ends are followed by a restart. */
    restart: RestartType
    /** How often it was restarted. */
    restarts: number
    /** Whether it can be replaced. */
    hasFactory: boolean
  }[]
}

/**
 * The books, counted since the runtime began. Exact whenever the runtime is quiet:
 *
 * - `attempted` = `accepted` + the sum of `refused`;
 * - `accepted` = `handled` + `inFlight` + `queued` + `expired` + `forwarded` + the sums of `dropped` and of `dead`.
 */
export interface Metrics {
  /** Messages that somebody tried to send, calls included. */
  attempted: number
  /** Those that a mailbox took. */
  accepted: number
  /** Those that none took, by reason. */
  refused: {
    /** The pid is unknown, or its actor has ended or is stopping. */
    no_such_actor: number
    /** The pid is of another runtime. */
    foreign: number
    /** The mailbox was full. */
    full: number
    /** The runtime was closed. */
    closed: number
    /** The mailbox was full, and the actor that its policy names has ended. */
    target_gone: number
    /** The runtime sheds load. */
    shed: number
    /** It is larger than the actor's node takes. */
    too_large: number
  }
  /** Messages whose handler finished. */
  handled: number
  /** Messages that wait in mailboxes. */
  queued: number
  /** Messages that a handler has, or is about to get. */
  inFlight: number
  /** Calls that were dropped unhandled because their deadline had passed. */
  expired: number
  /** Messages that a policy (`spill`) moved to another actor; there they are counted anew. */
  forwarded: number
  /** Messages that a policy dropped. */
  dropped: {
    /** A newer message took its place (`dropold`). */
    displaced: number
    /** It was to be moved (`spill`), and the other actor has ended. */
    target_gone: number
    /** It was to be moved (`spill`), and the other actor's mailbox was full too. */
    target_full: number
  }
  /** Messages that died with their actor, by the reason of its end; `handover`: its replacement had no room for them. */
  dead: Record<ExitReason | 'handover', number>
  /** Replies that were dropped because their call was over. */
  lateReplies: number
  /** Calls made. */
  calls: number
  /** Calls whose deadline passed. */
  callTimeouts: number
  /** Actors spawned. */
  spawned: number
  /** Messages that wait for a replacement of their actor. */
  parked: number
  /** Children restarted. */
  restarts: number
  /** Factories that threw or answered no live actor. */
  failedStarts: number
  /** Supervisors that restarted too often. */
  gaveUp: number
  /** Actors ended, by reason. */
  exited: Record<ExitReason, number>
  /** Actors that live. */
  actors: number
  /** Names held. */
  names: number
  /** Paths held. */
  paths: number
  /** Monitors whose `DOWN` is still to come. */
  monitors: number
  /** Calls without an outcome. */
  openCalls: number
  /** Timers that wait: deadlines of calls and stops. */
  timers: number
  /** Delayed messages and intervals that wait. */
  delays: number
  /** Ticks of intervals that were skipped because they came too late. */
  missedTicks: number
  /** Buffers that were allocated and not sent. */
  buffers: number
  /** Age of the runtime, in milliseconds. */
  uptimeMs: number
  /** Other nodes; see docs/distributed.md. */
  mesh: {
    /** Nodes that this one has a session with. */
    peers: number
    /** Local ends of remote actors. */
    proxies: number
    /** Connections that have not said who they are. */
    handshakes: number
    /** Messages that the end of a session left unacknowledged. */
    lost: number
    /** Messages for actors that their sender does not know here. */
    unknown: number
    /** Messages beyond the credit that was given. */
    overCredit: number
    /** What a node was not allowed. */
    forbidden: number
    /** Messages that were too large for the other node. */
    tooLarge: number
    /** Connections that ended before both had said who they are. */
    refused: number
    /** Connections that were cut while they carried a session. */
    cuts: number
  }
  /** The lanes of event loops and interpreters that are open. */
  lanes: LaneMetrics[]
  /** How this event loop was shared. */
  loop: {
    /** The longest that handlers held it in one go, in milliseconds. */
    longestHoldMs: number
    /** How often it was given back because the time slice was over while messages waited. */
    yields: number
  }
}

/** What one lane (an event loop, an interpreter) has done. */
export interface LaneMetrics {
  /** Its number in the runtime, from 1. */
  lane: number
  /** What it belongs to. */
  host: 'node' | 'python' | 'asyncio' | 'release_gil' | 'host'
  /** Turns: an actor's stay, at most its budget of messages. */
  turns: number
  /** How long handlers have held its thread in all, in milliseconds. */
  busyMs: number
  /** How long they held it in one go at the most, in milliseconds. */
  longestHoldMs: number
}

/**
 * Where failures are logged: `console`, or anything with an `error` function. A pino logger (it has `child` and `bindings`) gets
 * the fields `actor`, `reason` and `err` before the text of a crash. If it throws, `console` is told instead.
 */
export interface Logger {
  // biome-ignore lint/suspicious/noExplicitAny: pino's own type takes objects, strings and more.
  error(...args: any[]): void
}

/** How a runtime is set up. */
export interface RuntimeOptions {
  /**
   * How long handlers may hold the event loop while messages wait, in milliseconds; then timers, I/O and `await` get
   * their turn. Default 5. A handler is never interrupted: one that runs longer holds it longer.
   */
  timeSliceMs?: number | undefined
  /** How long `stop` waits for a running handler, in milliseconds. Default 5,000. */
  stopTimeoutMs?: number | undefined
  /** How long a call waits when it does not say, in milliseconds. Default 5,000. */
  callTimeoutMs?: number | undefined
  /** Bound of the mailboxes of actors that do not say, in messages: 1 to 2^30. Default: unbounded. */
  defaultCapacity?: number | undefined
  /** Threads for Rust actors, started with the first of them: 1 to 1,024. Default: one a core, as Tokio. */
  workers?: number | undefined
  /** Where failures are logged; `null`: nowhere. Default `console`. */
  logger?: Logger | null | undefined
  /** Called for every failure of an actor; see {@link NodeRuntime.onCrash}. */
  onCrash?: ((report: CrashReport) => unknown) | null | undefined
  /** Called for every mailbox that comes to another level; see {@link NodeRuntime.onPressure}. */
  onPressure?: PressureHook | null | undefined
  /**
   * `true`: the handlers of push and virtual actors run in the OpenTelemetry context in which their message was sent.
   * Needs the package `@opentelemetry/api`. Default `false`, at no cost.
   */
  tracing?: boolean | undefined
}

/** What other nodes may do here; what is not said is allowed. */
export interface NodePermissions {
  /** `any`: send to every pid they know; `names`: only to actors that they found by a name, or that wrote to them. */
  send?: 'any' | 'names' | undefined
  /** Ask for names. */
  resolve?: boolean | undefined
  /** Stop and kill actors, and link to them. */
  stop?: boolean | undefined
}

/** Certificates: each text is PEM, or the path of a PEM file. Both ends of a connection show theirs. */
export interface TlsOptions {
  /** The certificate of this node, with those between it and the authority. */
  cert: string
  /** Its private key. */
  key: string
  /** The authorities that sign the certificates of all nodes. */
  ca: string
  /** The name that the certificates of other nodes must bear. Default: the host of their address. */
  serverName?: string | undefined
}

/** How this node behaves towards others; see docs/distributed.md. What is not said stays as it is. */
export interface MeshOptions {
  /** What all nodes of the mesh know: it encrypts, and keeps others out. Take 32 random bytes. Default: none. */
  secret?: string | Uint8Array | undefined
  /** Certificates: they encrypt, and keep out who has none of this authority. Default: none. */
  tls?: TlsOptions | undefined
  /** Time between signs of life, in milliseconds. Default 1,000. */
  heartbeatMs?: number | undefined
  /** How long a node may be silent before it is down, in milliseconds. Default 10,000. */
  downAfterMs?: number | undefined
  /** Judge silences by what is usual on the link (phi-accrual); the threshold, 8 for one error in 10^8. Default: off. */
  phi?: number | undefined
  /** How long a session waits for a new connection after a cut, in milliseconds. Default 10,000. */
  resumeWindowMs?: number | undefined
  /** How long a connection may take until both have said who they are, in milliseconds. Default 5,000. */
  handshakeTimeoutMs?: number | undefined
  /** How long a lane may be stuck before others see this node as stalled, in milliseconds. Default 5,000. */
  stallMs?: number | undefined
  /** Longest message, in bytes. Default 16 MiB; 1 KiB to 1 GiB. */
  maxPayload?: number | undefined
  /** Bytes of one session that wait for an acknowledgement; then proxies keep their messages. Default 8 MiB. */
  sendBuffer?: number | undefined
  /** Bound of proxies' mailboxes, in messages. Default: `defaultCapacity`. */
  proxyCapacity?: number | undefined
  /** Messages that a node may have on their way to one actor here. Default 16,384. */
  window?: number | undefined
  /** Nodes that are connected at once. Default 1,024. */
  maxPeers?: number | undefined
  /** Connections that have not said who they are; one more ends the oldest. Default 128. */
  maxHandshakes?: number | undefined
  /** What nodes may do here over connections that this node opens. */
  permissions?: NodePermissions | undefined
}

/** How to listen. */
export interface ListenOptions {
  /** The secret of this listener. Default: the mesh's; if that has none, this becomes its. */
  secret?: string | Uint8Array | undefined
  /** The certificates of this listener. Default: the mesh's; if that has none, these become its. */
  tls?: TlsOptions | undefined
  /** Listen beyond this machine without a secret or certificates. Who reaches the address can do what `permissions` say. */
  insecure?: boolean | undefined
  /** What nodes may do here over connections that they open. */
  permissions?: NodePermissions | undefined
}

/** Where a name is known. */
export interface RegisterOptions {
  /** `'local'` (the default): on this node. `'cluster'`: on every node of the cluster. */
  scope?: 'local' | 'cluster'
}

/** How a node takes part in a cluster. */
export interface ClusterOptions {
  /** Nodes of other clusters do not gossip with this one. Default `'iris'`. */
  name?: string
  /** Between rounds of gossip; news go out at once. Default 1,000; at least 10. */
  gossipMs?: number
  /** How long a join waits for one of the seeds. Default 5,000. */
  timeoutMs?: number
  /** Where other members reach this node, if that is not where it listens (a container, a proxy). */
  advertise?: string
}

/** A node that came. */
export interface NodeUp {
  /** Its id and incarnation. */
  id: string
  /** Where it can be reached, if that is known. */
  address: string | null
}

/** A node that went. */
export interface NodeDown extends NodeUp {
  /** `'disconnected'`: goodbye was said; `'node_down'`: it is silent, a cut lasts, or another node is at its address. */
  reason: ExitReason
}

/** A node that this one has a session with. */
export interface NodeInfo {
  /** Its id and incarnation. */
  id: string
  /** Where this node connected to, or where it listens as a member of the cluster; `null`: not known. */
  address: string | null
  /** Whether a connection carries the session now; after a cut it is being mended. */
  connected: boolean
  /** Whether it says that an event loop or interpreter of its is stuck. */
  stalled: boolean
}

/** What a remote actor's node knows of it. */
export interface RemoteInfo {
  /** Messages that wait there. */
  queue: number
  /** Bound of its mailbox. */
  capacity: number | null
  /** Messages handled. */
  handled: number
}

/**
 * A runtime: actors, mailboxes, names and timers of its own. Several may live in one process (512 at once) and share
 * nothing. Its handlers run on the event loop of the thread that made it: the main thread or a Worker.
 *
 * A process whose actors are idle ends by itself, and so does a Worker: only messages, calls without an outcome, stops and
 * closes under way, and {@link ref} keep it alive. A {@link join} does not.
 *
 * No function blocks: what would have to wait answers a promise. Once the runtime is closed, everything but `close`,
 * `closed`, `id` and `version` throws `ERR_IRIS_RUNTIME_CLOSED`, or rejects with it.
 *
 * @example
 * const rt = new NodeRuntime()
 * const pid = rt.spawn((msg) => console.log('got', msg))
 * rt.send(pid, Buffer.from('hello'))
 */
export class NodeRuntime {
  /**
   * @throws `ERR_IRIS_INVALID_TYPE`, `ERR_IRIS_INVALID_ARGUMENT`, also for an option that does not exist;
   *   `ERR_IRIS_AT_CAPACITY` if 512 runtimes are open in this process.
   */
  constructor(options?: RuntimeOptions)

  /**
   * Joins an open runtime from another thread of this process (a `worker_threads` Worker): the same actors, pids, names and
   * books. Actors that are spawned here run here, and end with `disconnected` when this thread ends. On a thread that has
   * the runtime already this answers that very object.
   *
   * @param id the {@link id} of the runtime.
   * @throws `ERR_IRIS_RUNTIME_CLOSED` if no runtime with this id is open; `ERR_IRIS_INVALID_TYPE`,
   *   `ERR_IRIS_INVALID_ARGUMENT`.
   */
  static attach(id: number, options?: AttachOptions): NodeRuntime

  /** The version of the native core. */
  readonly version: string
  /** Names this runtime in this process, in every thread of it ({@link attach}); never given twice. */
  readonly id: number
  /** Whether this thread has joined the runtime of another, with {@link attach}. */
  readonly attached: boolean
  /** Whether {@link close} was called, here or by the owner. */
  readonly closed: boolean

  /**
   * Spawns an actor. Its handler runs in the `AsyncLocalStorage` context of this call, whoever sends.
   *
   * @param options or the budget alone.
   * With a `codec` its messages and replies are values, of types that the pid carries: `rt.spawn<Order, Receipt>(handler,
   * { codec: 'json' })`.
   *
   * @returns its pid.
   * @throws `ERR_IRIS_INVALID_TYPE`, `ERR_IRIS_INVALID_ARGUMENT`; `ERR_IRIS_AT_CAPACITY` at 8,388,608 live actors;
   *   `ERR_IRIS_NO_SUCH_CODEC`.
   */
  spawn(handler: Handler, options?: number | SpawnOptions): Pid
  spawn(handler: SystemHandler, options: SpawnOptions & { system: true }): Pid
  spawn<T, R = unknown>(
    handler: TypedHandler<T, R>,
    options: Typed<SpawnOptions, T | R> & { system?: false | undefined },
  ): Pid<T, R>
  spawn<T, R = unknown>(
    handler: TypedHandler<T | SystemMessage, R>,
    options: Typed<SpawnOptions, T | R> & { system: true },
  ): Pid<T, R>

  /**
   * Spawns an actor whose mailbox holds at most `capacity` messages; one that finds it full is refused.
   *
   * @returns its pid.
   * @throws as {@link spawn}.
   */
  spawnBounded(handler: Handler, options: BoundedSpawnOptions): Pid
  spawnBounded(handler: Handler, budget: number, capacity: number): Pid
  spawnBounded(handler: SystemHandler, options: BoundedSpawnOptions & { system: true }): Pid
  spawnBounded<T, R = unknown>(
    handler: TypedHandler<T, R>,
    options: Typed<BoundedSpawnOptions, T | R>,
  ): Pid<T, R>

  /**
   * Spawns a virtual actor, as Orleans' grains: its pid is good from now on, and nothing is made for it until the first
   * message. Without a message for `idleTimeoutMs` it sleeps again, and costs what it did at first; the next message wakes it.
   *
   * `stop`, also with `drain`, and `close` end an active one after its `onDeactivate`, a dormant one at once; `kill` and a crash
   * run no hook. Monitors, joins, names and timers see none of its sleep. It does not hold the process: one that ends takes
   * no leave of its actors; close the runtime for that.
   *
   * @param options or the budget alone.
   * @returns its pid.
   * @throws as {@link spawn}.
   */
  spawnVirtual(handler: Handler, options?: VirtualSpawnOptions): Pid
  spawnVirtual(handler: Handler, budget: number, idleTimeoutMs?: number | null): Pid
  spawnVirtual<T, R = unknown>(
    handler: TypedHandler<T, R>,
    options: Typed<VirtualSpawnOptions, T | R>,
  ): Pid<T, R>

  /**
   * Spawns a pull actor: `handler` is called once, not inside of this call but soon after, in the `AsyncLocalStorage`
   * context of this call.
   *
   * A stop closes the mailbox and waits for the function to return, as for a running handler.
   *
   * @param options or the budget alone.
   * @returns its pid.
   * @throws as {@link spawn}.
   */
  spawnWithMailbox(handler: PullHandler, options?: number | PullSpawnOptions): Pid
  spawnWithMailbox<T, R = unknown>(
    handler: PullHandler<T, R>,
    options: Typed<PullSpawnOptions, T | R>,
  ): Pid<T, R>

  /**
   * Spawns an observed actor: it has no handler, and keeps what it gets until somebody asks for it with {@link getMessages}
   * or {@link selectiveRecv}; for tests and monitoring. It is registered under `path`, and ends when it is stopped, with
   * `drain` once its messages were fetched. An unbounded one keeps everything: with a `capacity` and the policy `dropold`
   * ({@link setOverflowPolicy}) it keeps the newest.
   *
   * @returns its pid.
   * @throws as {@link spawnWithMailbox}; `ERR_IRIS_INVALID_PATH`; `ERR_IRIS_NAME_TAKEN` if the path is another live actor's.
   */
  spawnWithPathObserved(budget: number | undefined, path: string): Pid
  spawnWithPathObserved(options: ObservedSpawnOptions): Pid

  /**
   * Takes everything that an observed actor of this thread has kept, oldest first.
   *
   * @throws `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_NOT_LOCAL` if it is no observed actor, or another thread's.
   */
  getMessages(pid: Pid): Received[]

  /**
   * Waits for the first message of an observed actor that `matcher` takes: {@link Mailbox.selectiveRecv} from outside.
   *
   * @returns `null`: the time is over, or the actor has ended. It rejects as that and {@link getMessages} do.
   */
  selectiveRecv(
    pid: Pid,
    matcher: (data: Buffer | SystemMessage) => boolean,
    options?: number | WaitOptions,
  ): Promise<Received | null>

  /**
   * {@link spawn}, {@link spawnBounded} for an actor that ends with its parent (`parent_exit`), whatever ends that, and
   * before anybody hears of the parent's end.
   *
   * @throws as {@link spawn}; `ERR_IRIS_NO_SUCH_ACTOR` if the parent does not live.
   */
  spawnChild(parent: Pid, handler: Handler, options?: number | ChildSpawnOptions): Pid
  spawnChild(
    parent: Pid,
    handler: SystemHandler,
    options: ChildSpawnOptions & { system: true },
  ): Pid
  spawnChild<T, R = unknown>(
    parent: Pid,
    handler: TypedHandler<T, R>,
    options: Typed<ChildSpawnOptions, T | R>,
  ): Pid<T, R>

  /** {@link spawnWithMailbox} for a child, as {@link spawnChild}. */
  spawnChildWithMailbox(parent: Pid, handler: PullHandler, options?: number | PullSpawnOptions): Pid
  spawnChildWithMailbox<T, R = unknown>(
    parent: Pid,
    handler: PullHandler<T, R>,
    options: Typed<PullSpawnOptions, T | R>,
  ): Pid<T, R>

  /**
   * Spawns children with one handler that share the work. A member that fails (`crash`, `panic`, `timeout`) is replaced by one
   * that gets what it had queued, in order; one that is stopped or killed is not.
   *
   * @param workers how many: 1 to 65,536.
   * @param options or the budget alone.
   */
  spawnChildPool(
    parent: Pid,
    handler: Handler,
    workers: number,
    options?: number | PoolOptions,
  ): Pool
  spawnChildPool<T, R = unknown>(
    parent: Pid,
    handler: TypedHandler<T, R>,
    workers: number,
    options: Typed<PoolOptions, T | R>,
  ): Pool<T, R>

  /**
   * Spawns an actor in each of several threads: starts Workers that {@link attach}, loads the module in each, and spawns its
   * default export, a {@link Handler}. They work side by side; messages between threads cost more than on one.
   *
   * A member that fails is replaced, in its place in the answer: in the same thread if its handler threw, in a new one if the
   * thread ended or its handler did not return. What it had queued is dead. After `maxRestarts` replacements
   * `withinMs` the next is not made, and logged. A member that is stopped or killed leaves with its thread.
   *
   * The threads do not hold the process when they have nothing to do, and end with {@link close}.
   *
   * @param url `new URL('./handler.mjs', import.meta.url)`, or an absolute path.
   * @returns the pids; it rejects with what the module or the spawn throws, and then no thread is left.
   */
  spawnThreaded<T = Message, R = Buffer>(
    url: URL | string,
    options?: ThreadedOptions,
  ): Promise<Threads<T, R>>

  /**
   * Sends a message and does not wait. The handler never runs inside `send`. Messages from one sender to one receiver
   * keep their order; there is none between pairs.
   *
   * @returns `true`: the mailbox took it. `false`: it did not, because there is no such actor, it is ending, or its
   *   mailbox is full; {@link getMetrics} counts which. It never throws for those.
   * @throws `ERR_IRIS_INVALID_TYPE` if `pid` is no number, or `data` no {@link Message} or transferred away; what the codec
   *   of the actor throws, or `ERR_IRIS_NO_SUCH_CODEC` if this thread does not know that.
   */
  send<T>(pid: Pid<T>, data: NoInfer<T>): boolean
  send(pid: PlainPid, data: Message): boolean

  /**
   * {@link send} for each of `messages`, in one crossing. A wrong one among them throws before any is sent.
   *
   * @returns how many the mailbox took.
   */
  sendMany<T>(pid: Pid<T>, messages: Iterable<NoInfer<T>>): number
  sendMany(pid: PlainPid, messages: Iterable<Message>): number

  /**
   * Sends once, after `delayMs`; never earlier. It dies with its target. A message that is still to come keeps the process
   * alive, as `setTimeout` does.
   *
   * @param delayMs 0 to 2^53, on the monotonic clock.
   * @param data copied now.
   * @returns what {@link cancelTimer} takes.
   * @throws `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_AT_CAPACITY` if 16,777,216 wait already.
   */
  sendAfter<T>(pid: Pid<T>, delayMs: number, data: NoInfer<T>): TimerId
  sendAfter(pid: PlainPid, delayMs: number, data: Message): TimerId

  /**
   * Sends every `intervalMs`, first after one. Ticks do not drift and do not pile up: missed ones are skipped and counted
   * (`getMetrics().missedTicks`). It ends with {@link cancelTimer} or with its target, and keeps the process alive until
   * then, as `setInterval` does.
   *
   * @param intervalMs more than 0, up to 2^53.
   */
  sendInterval<T>(pid: Pid<T>, intervalMs: number, data: NoInfer<T>): TimerId
  sendInterval(pid: PlainPid, intervalMs: number, data: Message): TimerId

  /** Takes a delayed message or an interval back; answers whether it was still to come. */
  cancelTimer(timer: TimerId): boolean

  /**
   * {@link send} that waits for room where the mailbox is full and its policy is `block`, in the order of the waits.
   *
   * @returns whether the mailbox took it: `false` if the actor ends first, or for what `send` answers `false`. It rejects
   *   with `ERR_IRIS_ABORTED`: then it was not sent.
   */
  sendAsync<T>(
    pid: Pid<T>,
    data: NoInfer<T>,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<boolean>
  sendAsync(
    pid: PlainPid,
    data: Message,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<boolean>

  /** {@link send}, and how full the mailbox is then; `null`: no such actor. */
  sendWithBackpressure<T>(
    pid: Pid<T>,
    data: NoInfer<T>,
  ): [accepted: boolean, level: Pressure | null]
  sendWithBackpressure(pid: PlainPid, data: Message): [accepted: boolean, level: Pressure | null]

  /**
   * Allocates zeroed memory that {@link sendBuffer} moves instead of copying it. What is never sent is freed with its
   * owner: the actor whose handler allocated it (before its first `await`), otherwise this thread's part in the runtime.
   *
   * @param size in bytes: 0 to 2^32.
   * @throws `ERR_IRIS_AT_CAPACITY` if there is no such memory; `ERR_IRIS_INVALID_TYPE`, `ERR_IRIS_INVALID_ARGUMENT`.
   */
  allocateBuffer(size: number): AllocatedBuffer
  /**
   * {@link send} of an allocated buffer: its memory moves to the receiver, and `buffer` is detached (length 0) here. An id
   * works once; if the answer is `false` nothing has changed, and it works still. Up to 4 KiB are copied: that is faster.
   *
   * @throws `ERR_IRIS_NO_SUCH_BUFFER`; `ERR_IRIS_NOT_LOCAL` if another thread allocated it; `ERR_IRIS_INVALID_TYPE` if its
   *   memory was transferred away, and then the id is gone as well.
   */
  sendBuffer(pid: Pid, id: number): boolean
  /** {@link sendBuffer}, and how full the mailbox is then; `null`: no such actor. */
  sendUserWithBackpressure(pid: Pid, id: number): [accepted: boolean, level: Pressure | null]
  /** Gives an allocated buffer up: its id works no more. Answers whether it still did. */
  freeBuffer(id: number): boolean

  /**
   * {@link send} to whoever holds the name. While a replacement of its holder is to come, the message waits for that. Nobody:
   * only bytes are taken, as nobody says what else is right.
   */
  sendNamed<T = Message>(name: string, data: T): boolean
  /** {@link send} to whoever is registered under the path, as {@link sendNamed}. */
  sendPath<T = Message>(path: string, data: T): boolean

  /**
   * Sends a request and waits for the reply: what the handler returns, or gives to {@link Context.reply}. As
   * `gen_server:call` of Erlang/OTP.
   *
   * A handler that throws rejects the call with what it threw, and its actor crashes. A call whose deadline has passed is
   * not handed to the handler any more; a reply that comes later is dropped and counted.
   *
   * @param options or the timeout in seconds. Default: {@link RuntimeOptions.callTimeoutMs}.
   * @returns the reply; it rejects with `ERR_IRIS_TIMEOUT` (name `TimeoutError`), `ERR_IRIS_ACTOR_EXITED` as soon as the
   *   actor ends, `ERR_IRIS_NO_SUCH_ACTOR`, `ERR_IRIS_MAILBOX_FULL`, `ERR_IRIS_ABORTED`; `ERR_IRIS_SELF_CALL` if a handler
   *   calls its own actor before its first `await`.
   */
  call<T, R>(pid: Pid<T, R>, data: NoInfer<T>, options?: number | CallOptions): Promise<R>
  call<T, R>(pid: Pid<T>, data: NoInfer<T>, options?: number | CallOptions): Promise<R>
  call(pid: PlainPid, data: Message, options?: number | CallOptions): Promise<Buffer>

  /** Messages that wait in the mailbox, not counting the one that is being handled; `null`: no such actor. */
  mailboxSize(pid: Pid): number | null

  /** How full the mailbox is; `null`: no such actor. */
  mailboxBackpressure(pid: Pid): Pressure | null

  /**
   * Sets what happens to messages that find the mailbox of a bounded actor full, whichever way they come.
   *
   * @param target the other actor, with `redirect` and `spill` alone. Should it end, what would go to it is dropped and
   *   counted (`target_gone`).
   * @throws `ERR_IRIS_NO_SUCH_ACTOR` for the actor or the target; `ERR_IRIS_INVALID_ARGUMENT` if the messages would come
   *   back to where they began.
   */
  setOverflowPolicy(pid: Pid, policy: 'dropnew' | 'dropold' | 'block'): void
  setOverflowPolicy(pid: Pid, policy: OverflowPolicy, target: Pid | undefined): void

  /** From how many messages on an unbounded mailbox is `HIGH` and `CRITICAL`. Default 1,000 and 10,000. */
  setWatermarks(high: number, critical: number): void
  /** How many actors may live while load is shed; a spawn beyond is `ERR_IRIS_AT_CAPACITY`. `null`: any. */
  setSystemCapacity(actors: number | null): void
  /** How many messages may wait in all mailboxes while load is shed; a `send` beyond is `false`. `null`: any. */
  setMessageCapacity(messages: number | null): void
  /** Turns load shedding on or off: only while it is on do the two capacities count. Default off. */
  setLoadShedding(on: boolean): void
  /** Whether load is being shed right now: it is on, and one of the capacities is reached. */
  isLoadSheddingActive(): boolean

  /**
   * Says which of two branches of a message commits, for messages that are handled from now on, in all threads.
   * `'FirstSafePointWins'`, the default: whichever has returned first. `'PreferPrimary'`: the ghost waits until the primary has
   * failed, or its grace is over.
   *
   * @returns whether there is such a policy; if not, nothing has changed.
   */
  vortexSetAutoGhostPolicy(policy: GhostPolicy | (string & {})): boolean
  /** The policy in force; `null` if iris was built without speculation. */
  vortexGetAutoGhostPolicy(): GhostPolicy | null
  /** Messages that had a ghost, by which branch committed. */
  vortexGetAutoResolutionCounts(): [primaryWins: number, ghostWins: number]
  /** Ghosts that were begun because the primary had failed. */
  vortexGetAutoReplayCount(): number
  /** Sets what is counted to 0. */
  vortexResetAutoTelemetry(): void

  /**
   * Gives an actor a name. It goes with the actor; the same pair again is fine. With `{ scope: 'cluster' }` every node of
   * the cluster finds it: of two that took it at the same time, or on two sides of a partition, the older registration
   * stays, and the other actor ends with `name_conflict`, unless it traps exits.
   *
   * @throws `ERR_IRIS_NAME_TAKEN` if another live actor holds it; `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_INVALID_ARGUMENT`
   *   for an empty name or one of more than 1,024 bytes.
   */
  register(name: string, pid: Pid, options?: RegisterOptions): void
  /** Takes a name away; answers whether a live actor held it. */
  unregister(name: string): boolean
  /** Who holds the name, or `null`. */
  whereis<T = Message, R = unknown>(name: string): Pid<T, R> | null
  /** The same as {@link whereis}. */
  resolve<T = Message, R = unknown>(name: string): Pid<T, R> | null

  /**
   * Registers an actor under a path such as `/svc/payments/one`: absolute, no empty segment, at most 1,024 bytes; a slash at
   * its end is dropped. It goes with the actor; the same pair again is fine.
   *
   * @throws `ERR_IRIS_INVALID_PATH`; `ERR_IRIS_NAME_TAKEN` if another live actor is there; `ERR_IRIS_NO_SUCH_ACTOR`.
   */
  registerPath(path: string, pid: Pid): void
  /** Takes a path away; answers whether a live actor held it. */
  unregisterPath(path: string): boolean
  /** Who is registered under exactly this path, or `null`. */
  whereisPath<T = Message, R = unknown>(path: string): Pid<T, R> | null
  /**
   * All live actors below a path (whole segments: `/a/bc` is not below `/a/b`), in the order of the paths' bytes; `/` is
   * above them all. It costs what it answers, not what there is.
   */
  listChildren(prefix: string): [path: string, pid: Pid][]
  /** The live actors one level below a path, as {@link listChildren}. */
  listChildrenDirect(prefix: string): [path: string, pid: Pid][]

  /**
   * Makes a supervisor at a path, or changes what is given of one. The nearest supervisor above a path has the ones below
   * among its children.
   *
   * @returns whether it is new.
   * @throws `ERR_IRIS_INVALID_PATH`.
   */
  createPathSupervisor(path: string, options?: SupervisorOptions): boolean
  /** Takes a supervisor away: its children live on without one. Answers whether it was there. */
  removePathSupervisor(path: string): boolean
  /** Puts an actor under the supervisor at a path (made if it is not there): its end is reported, never followed by a restart. */
  pathSupervisorWatch(path: string, pid: Pid): void
  /** The live children of the supervisor at a path, in start order; none if there is no supervisor. */
  pathSupervisorChildren(path: string): Pid[]
  /**
   * Puts an actor under the supervisor at a path (made if it is not there). When it ends, and {@link SuperviseOptions.restart}
   * says so, `factory` spawns a replacement, which gets what was queued, the open calls, the names and the paths; what is sent to
   * those meanwhile waits for it. Only the message that crashed is lost.
   *
   * @throws `ERR_IRIS_INVALID_PATH`, `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_INVALID_ARGUMENT` if it has a factory already.
   */
  pathSuperviseWithFactory(
    path: string,
    pid: Pid,
    factory: Factory,
    strategy: Strategy,
    options?: SuperviseOptions,
  ): void
  /** Stops a child of the supervisor at a path for good; answers whether it was one. */
  terminateChild(path: string, pid: Pid): boolean
  /** Puts the live actors one level below a path under the global supervisor, which reports ends; answers how many. */
  watchPath(prefix: string): number
  /** How many live children the global supervisor has. */
  childrenCount(): number
  /** The live children of the global supervisor. */
  childPids(): Pid[]
  /**
   * Makes a supervisor at a path and starts its children in order; a child with `children` is a supervisor itself. If one
   * does not start, those that did are stopped and the error is thrown.
   *
   * @returns a promise if a `start` answers one.
   * @throws `ERR_IRIS_NAME_TAKEN` if there is a supervisor already.
   */
  supervise(
    path: string,
    children: readonly (ChildSpec | SupervisorSpec)[],
    options?: SupervisorOptions,
  ): Supervisor | Promise<Supervisor>
  /** Sets the hook that hears of everything that supervisors do. `null`: no hook any more. */
  onSupervision(hook: ((event: SupervisionEvent) => unknown) | null | undefined): void
  /** Sets the hook that hears of restarts. `null`: no hook any more. */
  onRestart(hook: ((event: SupervisionEvent) => unknown) | null | undefined): void

  /**
   * Puts another handler in the place of an actor's, as Erlang/OTP's code change: a message that is being handled finishes
   * on the old one, each later message is handled by the new. The pid, the queue, the options and the
   * `AsyncLocalStorage` context stay those of the spawn.
   *
   * @returns the version now in force. The first handler is 1, each swap counts up, and no number is given twice.
   * @throws `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_NOT_LOCAL` for an actor whose handler is not on this thread.
   */
  hotSwap<T, R>(pid: Pid<T, R>, handler: TypedHandler<T, R>): number
  hotSwap(pid: PlainPid, handler: Handler): number

  /** The version of an actor's handler, from 1. Throws as {@link hotSwap}. */
  behaviorVersion(pid: Pid): number

  /**
   * Goes back to an older handler. The 16 versions before the one in force are kept; those that are gone back over are
   * forgotten.
   *
   * @param steps how many versions; default 1.
   * @returns the version now in force.
   * @throws as {@link hotSwap}; `ERR_IRIS_INVALID_ARGUMENT` for more steps than versions are kept: nothing was changed.
   */
  rollbackBehavior(pid: Pid, steps?: number): number

  /**
   * Stops an actor: no message is accepted from now on, the running handler finishes, what is queued becomes dead letters
   * and calls among them end with `ERR_IRIS_ACTOR_EXITED`. It ends with `shutdown`, or with `timeout` if the handler does
   * not finish in time.
   *
   * @returns whether it was alive.
   */
  stop(pid: Pid, options?: StopOptions): boolean

  /**
   * Ends an actor at once, with `killed`: nothing is waited for, and what its `async` handler still answers is dropped.
   *
   * @returns whether it was alive.
   */
  kill(pid: Pid): boolean

  /**
   * Waits until an actor has ended. One that ended long ago is answered at once: with its reason while the runtime
   * remembers it, then with `noproc`. A join alone does not keep the process alive.
   *
   * @param options or the timeout in seconds. Default: no timeout.
   * @returns how it ended; it rejects with `ERR_IRIS_TIMEOUT`, `ERR_IRIS_ABORTED`, `ERR_IRIS_NO_SUCH_ACTOR` for a number
   *   that is no pid.
   */
  join(pid: Pid, options?: number | JoinOptions): Promise<ExitInfo>

  /** Whether the pid names an actor that takes messages, or handles the last of them. */
  isAlive(pid: Pid): boolean

  /**
   * Has a watcher told when an actor ends: exactly one `DOWN` for each reference, after what the actor had sent before it
   * ended and when its names and paths are free again; at once, with `noproc`, if it has ended already.
   *
   * @param watcher an actor that takes system messages (a pull actor, or one with {@link SpawnOptions.system}), or a
   *   function, which is called in the `AsyncLocalStorage` context of this call. It does not keep the process alive.
   * @returns the reference: in the message's `metadata.ref`, and for {@link demonitor}.
   * @throws `ERR_IRIS_INVALID_ARGUMENT` if the watcher does not take system messages; `ERR_IRIS_NO_SUCH_ACTOR` if it has
   *   ended, or `target` is no pid at all.
   */
  monitor(target: Pid, watcher: Pid | ((message: SystemMessage) => unknown)): MonitorRef
  /** Takes a monitor back; answers whether its `DOWN` was still to come. A function is not called any more. */
  demonitor(reference: MonitorRef): boolean
  /**
   * Links two actors: when one ends the other does, for the same reason, unless that is `normal` or the other traps exits
   * ({@link setTrapExit}). A link to an actor that has ended is its end with `noproc`.
   *
   * @throws `ERR_IRIS_NO_SUCH_ACTOR` if both have ended, or one is no pid at all.
   */
  link(a: Pid, b: Pid): void
  /** Takes a link away; answers whether there was one. */
  unlink(a: Pid, b: Pid): boolean
  /**
   * Says whether the ends of linked actors come to `pid` as `EXIT` messages instead of ending it. One that does not take
   * system messages only lives on. {@link kill} cannot be trapped.
   *
   * @returns what was set before.
   */
  setTrapExit(pid: Pid, traps: boolean): boolean

  /**
   * Sets the hook that hears of every failure, also of what `async` handlers throw after their actor's end. A failure is
   * logged as well. What the hook throws is logged and does no harm.
   *
   * @param hook `null`: no hook any more.
   */
  onCrash(hook: ((report: CrashReport) => unknown) | null | undefined): void

  /**
   * Sets the hook that hears of dead letters: messages that were accepted and died with their actor, of any thread. Those
   * that a mailbox refused are none: `send` was `false`. It runs on this event loop, later; what it throws is logged. `null`:
   * no hook any more. The diagnostics channel `iris:deadletter` gets the same.
   */
  onDeadLetter(hook: ((letter: DeadLetter) => unknown) | null | undefined): void

  /**
   * Sets who hears that a mailbox comes to another level, up or down, whatever its messages come by; see {@link Pressure}.
   * It is called on this event loop, between messages, once for each change and in their order. Mailboxes that are above
   * `NORMAL` when nobody has listened before are told at once; an actor that ends changes no level. What the hook throws is
   * logged, and ends nothing.
   *
   * @param hook `null`: nobody, which costs nothing.
   */
  onPressure(hook: PressureHook | null | undefined): void

  /**
   * Says in what condition an actor is; {@link actorInfo} tells it. An actor begins `healthy`, and nothing follows from what
   * is said: who watches decides.
   *
   * @throws `ERR_IRIS_NO_SUCH_ACTOR`; `ERR_IRIS_INVALID_ARGUMENT` for another word.
   */
  setActorHealth(pid: Pid, health: Health): void
  /** Every supervisor with its children at this moment, in path order. */
  supervisionTree(): SupervisorInfo[]

  /** The live actors, in the order of their spawns. */
  listActors(): Pid[]
  /** What is known of an actor, or `null` if there is none. */
  actorInfo(pid: Pid): ActorInfo | null

  /**
   * Changes how this node behaves towards others, for connections that begin from now on.
   *
   * @throws `ERR_IRIS_INVALID_ARGUMENT`, `ERR_IRIS_INVALID_TYPE`, `ERR_IRIS_RUNTIME_CLOSED`.
   */
  configureMesh(options: MeshOptions): void
  /**
   * Listens for other nodes. It keeps the process alive until {@link unlisten} or {@link close}.
   *
   * @param address `host:port` (port 0: a free one), `[ipv6]:port` or `unix:/path`. Without a secret only addresses that
   *   other machines cannot reach, unless `insecure` is said.
   * @returns the bound address; it rejects with `ERR_IRIS_IO` (in use, no right), `ERR_IRIS_INVALID_ARGUMENT`.
   */
  listen(address: string, options?: ListenOptions): Promise<string>
  /** Stops listening; connections that are open stay. Answers whether it listened there. */
  unlisten(address: string): boolean
  /** The addresses that this node listens at. */
  listening(): string[]
  /**
   * Asks the node at an address who has a name there; connects if need be.
   *
   * @param options or the timeout in seconds. Default 5 s.
   * @returns a proxy: a pid that works in every call, and takes what the actor's codec encodes; `null`: nobody has the name.
   *   A codec of that name must be known on this thread ({@link registerCodec}). It rejects with
   *   `ERR_IRIS_UNREACHABLE`, `ERR_IRIS_AUTH_FAILED`, `ERR_IRIS_NOT_PERMITTED`, `ERR_IRIS_TIMEOUT`, `ERR_IRIS_ABORTED`.
   */
  resolveRemote<T = Message, R = unknown>(
    address: string,
    name: string,
    options?: number | WaitOptions,
  ): Promise<Pid<T, R> | null>
  /** {@link resolveRemote}, under the name that goes with Python's. */
  resolveRemotePy<T = Message, R = unknown>(
    address: string,
    name: string,
    options?: number | WaitOptions,
  ): Promise<Pid<T, R> | null>
  /** Whether a node answers at an address. Default timeout 2 s. */
  isNodeUp(address: string, options?: number | WaitOptions): Promise<boolean>
  /**
   * The proxy of the actor that has this pid on the node at an address. It takes messages at once; if the node cannot be
   * reached it ends with `node_down`, and if there is no such actor with `noproc`. What the actor speaks is not known here:
   * messages for it are bytes, encoded already.
   */
  remotePid(address: string, pid: Pid): Pid
  /** {@link send} to {@link remotePid}. */
  sendRemote(address: string, pid: Pid, data: Message): boolean
  /**
   * Puts {@link remotePid} under the global supervisor, which reports its end as a child's; with a watcher, that hears of it
   * as of any other ({@link monitor}). Answers the proxy.
   */
  monitorRemote(
    address: string,
    pid: Pid,
    watcher?: Pid | ((message: SystemMessage) => unknown),
  ): Pid
  /** Says goodbye to a node: proxies of its actors end with `disconnected`. Answers whether there was a session. */
  disconnect(address: string): boolean
  /** A pid as bytes, for messages: any node of the mesh can {@link importPid | turn them back}. */
  exportPid(pid: Pid): Buffer
  /**
   * The pid that such bytes mean here: the actor itself where it lives, elsewhere a proxy, which takes what the actor's codec
   * encodes.
   *
   * @throws `ERR_IRIS_INVALID_ARGUMENT` for other bytes; `ERR_IRIS_NO_SUCH_ACTOR` if its node was declared down since;
   *   `ERR_IRIS_UNREACHABLE` if its node is not connected and does not listen.
   */
  importPid<T = Message, R = unknown>(bytes: Uint8Array): Pid<T, R>
  /** Whether an actor lives on another node. */
  isRemote(pid: Pid): boolean
  /** Asks the node of a remote actor about it; `null`: it has ended, or is no remote actor. */
  remoteInfo(pid: Pid, options?: number | WaitOptions): Promise<RemoteInfo | null>
  /** The nodes that this one has a session with. */
  nodes(): NodeInfo[]
  /**
   * Makes this node a member of the cluster that the nodes at `seeds` are in; `[]`: it is the first. Members connect to each
   * other by themselves and know the names that are registered with `{ scope: 'cluster' }`. docs/distributed.md says what it
   * is good for.
   *
   * @throws (rejects) `ERR_IRIS_UNREACHABLE`, `ERR_IRIS_AUTH_FAILED` or `ERR_IRIS_TIMEOUT` if no seed took it in;
   *   `ERR_IRIS_INVALID_ARGUMENT`.
   */
  joinCluster(seeds: string[], options?: ClusterOptions): Promise<void>
  /**
   * Sets the hook that hears that there is a session with a node. It runs on this event loop, later; what it throws is
   * logged. `null`: no hook any more. The diagnostics channel `iris:nodeup` gets the same.
   */
  onNodeUp(hook: ((node: NodeUp) => unknown) | null | undefined): void
  /** As {@link onNodeUp}, for sessions that have ended, and why; the channel is `iris:nodedown`. */
  onNodeDown(hook: ((node: NodeDown) => unknown) | null | undefined): void

  /** The books. */
  getMetrics(): Metrics
  /**
   * The metrics as text that Prometheus reads: exposition format 0.0.4, to be served as `text/plain; version=0.0.4`.
   * docs/observability.md explains each.
   */
  prometheus(): string

  /** Keeps the process alive until {@link unref} or {@link close}, whether or not anything is pending. */
  ref(): this
  /** Takes {@link ref} back. Messages, calls and stops keep the process alive all the same. */
  unref(): this

  /**
   * Stops all actors, the last spawned first, and lets go of everything. Every call and join gets its outcome. A second
   * close waits for the first.
   *
   * On a thread that has {@link attach | joined} the runtime it stops that thread's actors alone, and leaves: the runtime
   * goes on, and what was still asked here is `ERR_IRIS_RUNTIME_CLOSED`.
   */
  close(options?: CloseOptions): Promise<void>
  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** How actors with threads of their own are set up; `codec` goes by its name, which the module registers if it is its own. */
export interface ThreadedOptions extends Omit<PoolOptions, 'codec'> {
  /** How many: 1 to 1,024. Default: one for each core. */
  threads?: number | undefined
  /** As {@link CodecOption}. */
  codec?: CodecOption<unknown> | undefined
  /** Called with the pid of a replacement and the pid that it replaces. */
  onReplace?: ((pid: Pid, old: Pid) => unknown) | undefined
  /** Replacements that are made `withinMs`. Default 3. */
  maxRestarts?: number | undefined
  /** In milliseconds. Default 5,000. */
  withinMs?: number | undefined
  /** How the Workers are set up: `workerData`, `env`, `resourceLimits`, … */
  worker?: import('node:worker_threads').WorkerOptions | undefined
}

/** The pids of actors with threads of their own; one that is replaced has its new pid in the same place. */
export interface Threads<T = Message, R = Buffer> extends ReadonlyArray<Pid<T, R>> {
  /** {@link NodeRuntime.send} to the member whose turn it is, or to the next that takes it; `false`: none does. */
  send(data: T): boolean
  /** {@link NodeRuntime.call} to the member whose turn it is. */
  call(data: T, options?: number | CallOptions): Promise<R>
  /** Stops the members; answers when their threads have ended. */
  stop(options?: StopOptions): Promise<void>
}

/** What {@link NodeRuntime.allocateBuffer} answers. */
export interface AllocatedBuffer {
  /** What {@link NodeRuntime.sendBuffer} takes, once. */
  id: number
  /** The memory, zeroed, to be written in place. */
  buffer: Buffer
}

/** How a thread joins a runtime; see {@link RuntimeOptions}. */
export interface AttachOptions {
  /** As in {@link RuntimeOptions.timeSliceMs}, for this thread's event loop. */
  timeSliceMs?: number | undefined
  /** As in {@link RuntimeOptions.callTimeoutMs}, for calls made here. */
  callTimeoutMs?: number | undefined
  /** Where failures of this thread's own actors are logged. Default `null`: the owner logs the failures of all. */
  logger?: Logger | null | undefined
  /** Called for each failure of this thread's own actors, with what was thrown itself; the owner's hook hears of it too. */
  onCrash?: ((report: CrashReport) => unknown) | null | undefined
  /** Called for every mailbox that comes to another level; see {@link NodeRuntime.onPressure}. */
  onPressure?: PressureHook | null | undefined
  /**
   * `true`: the handlers of push and virtual actors spawned here run in the OpenTelemetry context in which their message was sent.
   * Needs the package `@opentelemetry/api`. Default `false`, at no cost.
   */
  tracing?: boolean | undefined
}

/** What went wrong, in one word; docs/errors.md has a line for each. */
export type IrisErrorCode =
  | 'ERR_IRIS_INVALID_ARGUMENT'
  | 'ERR_IRIS_INVALID_TYPE'
  | 'ERR_IRIS_NO_SUCH_ACTOR'
  | 'ERR_IRIS_ACTOR_EXITED'
  | 'ERR_IRIS_HANDLER_FAILED'
  | 'ERR_IRIS_TIMEOUT'
  | 'ERR_IRIS_MAILBOX_FULL'
  | 'ERR_IRIS_NAME_TAKEN'
  | 'ERR_IRIS_INVALID_PATH'
  | 'ERR_IRIS_RUNTIME_CLOSED'
  | 'ERR_IRIS_WOULD_DEADLOCK'
  | 'ERR_IRIS_AT_CAPACITY'
  | 'ERR_IRIS_SELF_CALL'
  | 'ERR_IRIS_STALE_REPLY'
  | 'ERR_IRIS_ABORTED'
  | 'ERR_IRIS_NOT_LOCAL'
  | 'ERR_IRIS_NO_SUCH_BUFFER'
  | 'ERR_IRIS_NO_SUCH_CODEC'
  | 'ERR_IRIS_DISCONNECTED'
  | 'ERR_IRIS_UNREACHABLE'
  | 'ERR_IRIS_AUTH_FAILED'
  | 'ERR_IRIS_NOT_PERMITTED'
  | 'ERR_IRIS_TOO_LARGE'
  | 'ERR_IRIS_IO'
  | 'ERR_IRIS_NOT_COMPILABLE'
  | 'ERR_IRIS_NOT_STAGED'
  | 'ERR_IRIS_INTERNAL'

/**
 * Every error of iris: `error instanceof IrisError` holds for them all. A wrong type is a `TypeError` as well, a value out
 * of range a `RangeError`.
 */
export class IrisError extends Error {
  constructor(code: IrisErrorCode, message: string, options?: ErrorOptions)
  readonly code: IrisErrorCode
}

/**
 * Makes a codec known by its name on this thread: each thread that speaks to its actors registers it.
 *
 * @param codec the same one again is fine.
 * @throws `ERR_IRIS_INVALID_TYPE`; `ERR_IRIS_INVALID_ARGUMENT` if another codec has the name.
 */
export function registerCodec(codec: Codec): void

/** The codec of a name on this thread; `ERR_IRIS_NO_SUCH_CODEC` if there is none. */
export function getCodec(name: string): Codec

/** The names of the codecs that this thread knows. */
export function codecNames(): string[]

/** The version of the native core. */
export const version: string

/** The typed arrays of numbers, which kernels take. */
export type NumberArray =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray

export interface MapOptions<Out extends NumberArray = NumberArray> {
  /** The class of the result. Default: the class of the first array. */
  output?: new (
    length: number,
  ) => Out
  /** Takes the arrays' memory instead of copying it, and hands it back as `inputs`. */
  transfer?: boolean
  /** Ends the run; the promise rejects with `ERR_IRIS_ABORTED`. */
  signal?: AbortSignal
}

export interface ReduceOptions {
  /** As for `map`. */
  transfer?: boolean
  /** As for `map`. */
  signal?: AbortSignal
  /** You promise that any grouping gives the same: several threads take part. Default: as far as iris can prove it. */
  associative?: boolean
}

/** What a run with `transfer` answers: the result, and the inputs' memory under new arrays. */
export interface Transferred<T> {
  result: T
  inputs: NumberArray[]
}

/** A function that was compiled; see docs/jit.md. */
export interface Kernel<Fn extends (...args: never[]) => unknown> {
  /** Calls it in place. */
  (...args: Parameters<Fn>): ReturnType<Fn>
  /** Applies it to each element of the arrays, off the event loop; numbers are the same for every element. */
  map<Out extends NumberArray = NumberArray>(
    ...args: [...(NumberArray | number | boolean)[], MapOptions<Out> & { transfer: true }]
  ): Promise<Transferred<Out>>
  map<First extends NumberArray>(
    first: First,
    ...more: (NumberArray | number | boolean)[]
  ): Promise<First>
  map<Out extends NumberArray = NumberArray>(
    ...args: [...(NumberArray | number | boolean)[], MapOptions<Out>]
  ): Promise<Out>
  map(...args: (NumberArray | number | boolean)[]): Promise<NumberArray>
  /** Reduces an array, as its method does, off the event loop. */
  reduce(
    array: NumberArray,
    initial: number | undefined,
    options: ReduceOptions & { transfer: true },
  ): Promise<Transferred<number>>
  reduce(array: NumberArray, initial?: number, options?: ReduceOptions): Promise<number>
  /** What became of it: one line for each kind of arguments. */
  explain(): string
}

/** A function that runs on a pool of Workers. */
export interface ActorFunction<Fn extends (...args: never[]) => unknown> {
  /** Runs it on one of them; arguments and result are cloned. */
  (...args: Parameters<Fn>): Promise<Awaited<ReturnType<Fn>>>
  /** The state of the pool, as text. */
  explain(): string
  /** Ends the pool: calls that wait or run reject. */
  close(): Promise<void>
}

/** What a function returns, for readers and for `explain()`; it converts nothing. Python's names are taken as well. */
export type OffloadReturnType =
  | 'number'
  | 'boolean'
  | 'float'
  | 'int'
  | 'bool'
  | 'tuple'
  | 'list'
  | 'array'
  | 'None'

export interface JitOptions {
  strategy?: 'jit'
  /** What the function returns, for `explain()`. */
  returnType?: OffloadReturnType
  /** Allows functions of `Math` whose last bit engines choose (`sin`, `exp`, `**`). Default false. */
  approxMath?: boolean
  /** Runs the interpreter of the compiler instead of machine code: for tests. Default false. */
  interpret?: boolean
}

export interface ActorOptions {
  strategy: 'actor'
  /** What the function returns, for readers. */
  returnType?: OffloadReturnType
  /** Workers, 1 to 256. Default: one a core. */
  pool?: number
  /** Calls that may wait; more reject with `ERR_IRIS_MAILBOX_FULL`. Default 1,024. */
  queue?: number
  /** Milliseconds from the call to its answer; then it rejects, and a Worker that runs it is replaced. Default: no end. */
  timeoutMs?: number
}

/**
 * A function at native speed (`jit`), or on a pool of Workers (`actor`).
 *
 * @throws `ERR_IRIS_NOT_COMPILABLE` with `line` and `column` where the function is outside of what compiles.
 */
export function offload<Fn extends (...args: never[]) => unknown>(
  fn: Fn,
  options: ActorOptions,
): ActorFunction<Fn>
export function offload(
  module: string | URL,
  options: ActorOptions,
): ActorFunction<(...args: never[]) => unknown>
export function offload<Fn extends (...args: never[]) => unknown>(
  fn: Fn,
  options?: JitOptions,
): Kernel<Fn>

/** Logs each compilation to standard error, like `IRIS_JIT_LOG=1`. */
export function setJitLogging(on: boolean): void
/** Whether compilations are logged. */
export function getJitLogging(): boolean
/** Lets kernels measure machine code against V8 on real calls and run the faster, like `IRIS_JIT_QUANTUM=1`. */
export function setQuantumSpeculation(on: boolean): void
/** Whether kernels do that. */
export function getQuantumSpeculation(): boolean
