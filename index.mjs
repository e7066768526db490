import iris from './index.js'

export const { NodeRuntime, SystemMessage, IrisError, version } = iris
export default iris
