// What piscina runs in its threads for the rows of offload.
export { loop as default } from '../offload.mjs'
