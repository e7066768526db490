'use strict'

const { VERSION } = require('./binding.js')
const { IrisError } = require('./lib/errors.js')
const { NodeRuntime } = require('./lib/runtime.js')

module.exports = { NodeRuntime, IrisError, version: VERSION }
