import iris from './index.js'

export const {
  NodeRuntime,
  SystemMessage,
  IrisError,
  registerCodec,
  getCodec,
  codecNames,
  offload,
  setJitLogging,
  getJitLogging,
  setQuantumSpeculation,
  getQuantumSpeculation,
  version,
} = iris
export default iris
