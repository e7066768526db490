'use strict'

// What the runtime itself tells an actor.

class SystemMessage {
  constructor(typeName, fromPid, targetPid, reason, metadata) {
    this.typeName = typeName
    this.fromPid = fromPid
    this.targetPid = targetPid
    this.reason = reason
    this.metadata = metadata
    Object.freeze(this)
  }

  get [Symbol.toStringTag]() {
    return 'SystemMessage'
  }
}

/** `[type, from, target, reason, name, value, ...]` of the native half as an object. */
function systemMessage([typeName, fromPid, targetPid, reason, ...pairs]) {
  const metadata = {}
  for (let i = 0; i < pairs.length; i += 2) metadata[pairs[i]] = pairs[i + 1]
  return new SystemMessage(
    typeName,
    fromPid ?? null,
    targetPid,
    reason ?? null,
    Object.freeze(metadata),
  )
}

/** `[path, pid, path, pid, ...]` as an array of pairs. */
function pairs(flat) {
  const found = []
  for (let i = 0; i < flat.length; i += 2) found.push([flat[i], flat[i + 1]])
  return found
}

module.exports = { SystemMessage, systemMessage, pairs }
