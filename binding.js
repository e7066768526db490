'use strict'

// Loads the native half of the package: the addon beside this file (a checkout, after `make build-node`),
// else the platform package that npm chose from `optionalDependencies`.
//
// Written by hand where napi-rs would generate 600 lines: the name of the platform package follows the
// `name` in package.json, so the published name is one setting (docs/releasing.md), and the error says
// which package is missing and which command brings it.

const { closeSync, existsSync, openSync, readSync } = require('node:fs')
const { join } = require('node:path')
const { name, version } = require('./package.json')

const BUILDS = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
]

/** The C library that this Node runs on. Not the one installed: an Alpine box can run a glibc Node. */
function libc() {
  // The loader's path stands right behind the program headers of a dynamic ELF file.
  const head = Buffer.alloc(4096)
  try {
    const fd = openSync(process.execPath, 'r')
    try {
      readSync(fd, head, 0, head.length, 0)
    } finally {
      closeSync(fd)
    }
  } catch {
    // Unreadable executable: the report below still knows.
  }
  const text = head.toString('latin1')
  if (text.includes('/ld-musl-')) return 'musl'
  if (text.includes('/ld-linux')) return 'gnu'
  // A patched or static executable. The report is slower (it would even resolve sockets' host names).
  const { excludeNetwork } = process.report
  process.report.excludeNetwork = true
  const { header, sharedObjects } = process.report.getReport()
  process.report.excludeNetwork = excludeNetwork
  if (header.glibcVersionRuntime) return 'gnu'
  return sharedObjects.some((path) => path.includes('ld-musl-')) ? 'musl' : 'gnu'
}

function triple() {
  const host = `${process.platform}-${process.arch}`
  if (process.platform === 'linux') return `${host}-${libc()}`
  return process.platform === 'win32' ? `${host}-msvc` : host
}

function failure(message, cause) {
  return Object.assign(new Error(message, { cause }), { code: 'ERR_IRIS_NATIVE_LOAD' })
}

function load() {
  const build = triple()
  const local = join(__dirname, `iris.${build}.node`)
  const inCheckout = existsSync(join(__dirname, 'Cargo.toml'))
  const fromSource = 'build it from source: `make build-node` in a checkout'
  if (existsSync(local)) {
    try {
      return require(local)
    } catch (cause) {
      throw failure(
        `${local} cannot be loaded: ${cause.message}. Build it again: \`make build-node\``,
        cause,
      )
    }
  }
  if (!BUILDS.includes(build)) {
    throw failure(
      `${name} has no build for ${build} (there are ${BUILDS.join(', ')}); ${fromSource}`,
    )
  }

  const platformPackage = `${name}-${build}`
  const install = `npm install --no-save --include=optional ${platformPackage}@${version}`
  let found
  try {
    found = require(`${platformPackage}/package.json`).version
  } catch (cause) {
    if (cause.code !== 'MODULE_NOT_FOUND') throw cause
    throw failure(
      inCheckout
        ? `${local} is not built yet; run \`make build-node\``
        : `the platform package ${platformPackage} is not installed: optional dependencies were left out, or ` +
            `the lock file was made on another platform. Install it: \`${install}\``,
      cause,
    )
  }
  if (found !== version) {
    throw failure(
      `${platformPackage} is version ${found}, but ${name} is ${version}. Install the matching one: \`${install}\``,
    )
  }
  try {
    return require(platformPackage)
  } catch (cause) {
    throw failure(
      `${platformPackage}@${found} is installed but cannot be loaded: ${cause.message}. ` +
        `Install it again: \`${install}\`, or ${fromSource}`,
      cause,
    )
  }
}

module.exports = load()
