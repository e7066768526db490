// The iris of this checkout. The folder has a package.json of its own (the peers), so that the
// package cannot refer to itself as `iris` from here.
import { createRequire } from 'node:module'

export const { NodeRuntime, offload } = createRequire(import.meta.url)('../..')
