import iris = require('./index.js')

export * from './index.js'
export default iris
