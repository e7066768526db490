'use strict'

const { VERSION } = require('./binding.js')
const { IrisError } = require('./lib/errors.js')
const { NodeRuntime } = require('./lib/runtime.js')
const { SystemMessage } = require('./lib/system.js')

module.exports = { NodeRuntime, SystemMessage, IrisError, version: VERSION }
