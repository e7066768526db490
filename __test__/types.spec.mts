// The ES module's types: the same names, and a default export.

import iris, {
  type Context,
  type Handler,
  IrisError,
  type NodeRuntime,
  type Pid,
  type RuntimeOptions,
  version,
} from 'iris'

const options: RuntimeOptions = {}
const rt: NodeRuntime = new iris.NodeRuntime(options)
const handler: Handler = (message, ctx: Context) => (ctx.isCall ? message : undefined)
export const pid: Pid = rt.spawn(handler)
export const reply: Buffer = await rt.call(pid, version)
export const known: boolean = new Error() instanceof IrisError
export const same: typeof NodeRuntime = iris.NodeRuntime
await rt.close()
