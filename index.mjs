import iris from './index.js'

export const {
  NodeRuntime,
  SystemMessage,
  IrisError,
  registerCodec,
  getCodec,
  codecNames,
  version,
} = iris
export default iris
