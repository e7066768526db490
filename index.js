'use strict'

const { VERSION } = require('./binding.js')
const { codecNames, getCodec, registerCodec } = require('./lib/codecs.js')
const { IrisError } = require('./lib/errors.js')
const {
  getJitLogging,
  getQuantumSpeculation,
  offload,
  setJitLogging,
  setQuantumSpeculation,
} = require('./lib/offload.js')
const { NodeRuntime } = require('./lib/runtime.js')
const { SystemMessage } = require('./lib/system.js')

module.exports = {
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
  version: VERSION,
}
