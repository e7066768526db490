'use strict'

const { VERSION } = require('./binding.js')
const { codecNames, getCodec, registerCodec } = require('./lib/codecs.js')
const { IrisError } = require('./lib/errors.js')
const { NodeRuntime } = require('./lib/runtime.js')
const { SystemMessage } = require('./lib/system.js')

module.exports = {
  NodeRuntime,
  SystemMessage,
  IrisError,
  registerCodec,
  getCodec,
  codecNames,
  version: VERSION,
}
