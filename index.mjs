import iris from './index.js'

export const { NodeRuntime, IrisError, version } = iris
export default iris
