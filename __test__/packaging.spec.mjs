// What a user's machine sees of the packages: the loader's choice and its errors, what is packed, and an installation
// under a published name that is not `iris`.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const readJson = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'))
const manifest = readJson(root, 'package.json')
const builds = readdirSync(join(root, 'npm')).sort()

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'iris-packaging-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A folder with the loader as a user has it: no addon beside it, no checkout around it. */
function installed(t, { name = 'iris' } = {}) {
  const path = folder(t)
  copyFileSync(join(root, 'binding.js'), join(path, 'binding.js'))
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name, version: manifest.version }))
  return path
}

/** Loads binding.js in a process that believes to be on `host`; answers what it loaded or how it failed. */
function load(path, host = {}) {
  const pretend = `
    const { platform, arch, execPath, report } = ${JSON.stringify(host)}
    for (const [key, value] of Object.entries({ platform, arch, execPath })) {
      if (value !== undefined) Object.defineProperty(process, key, { value })
    }
    if (report) process.report.getReport = () => report
    try {
      console.log(JSON.stringify({ loaded: require(${JSON.stringify(join(path, 'binding.js'))}) }))
    } catch ({ code, message, cause }) {
      console.log(JSON.stringify({ code, message, cause: cause?.message }))
    }`
  return JSON.parse(execFileSync(process.execPath, ['-e', pretend], { encoding: 'utf8' }))
}

/** The head of an executable whose program interpreter is `interpreter`. */
function executable(path, interpreter) {
  const file = join(path, 'node')
  writeFileSync(file, `\x7fELF\x02\x01\x01\0${'\0'.repeat(600)}${interpreter}\0`)
  return file
}

const MUSL = '/lib/ld-musl-x86_64.so.1'
const GNU = '/lib64/ld-linux-x86-64.so.2'

describe('the loader picks the platform package', () => {
  const cases = [
    [{ platform: 'darwin', arch: 'arm64' }, 'iris-darwin-arm64'],
    [{ platform: 'darwin', arch: 'x64' }, 'iris-darwin-x64'],
    [{ platform: 'win32', arch: 'x64' }, 'iris-win32-x64-msvc'],
    [{ platform: 'linux', arch: 'x64', interpreter: GNU }, 'iris-linux-x64-gnu'],
    [{ platform: 'linux', arch: 'x64', interpreter: MUSL }, 'iris-linux-x64-musl'],
    [
      { platform: 'linux', arch: 'arm64', interpreter: '/lib/ld-linux-aarch64.so.1' },
      'iris-linux-arm64-gnu',
    ],
    [
      { platform: 'linux', arch: 'arm64', interpreter: '/lib/ld-musl-aarch64.so.1' },
      'iris-linux-arm64-musl',
    ],
    // A patched executable says nothing: the report decides.
    [
      {
        platform: 'linux',
        arch: 'x64',
        interpreter: '/nix/store/loader',
        report: { header: {}, sharedObjects: [MUSL] },
      },
      'iris-linux-x64-musl',
    ],
    [
      {
        platform: 'linux',
        arch: 'x64',
        execPath: '/nowhere/node',
        report: { header: { glibcVersionRuntime: '2.36' }, sharedObjects: [MUSL] },
      },
      'iris-linux-x64-gnu',
    ],
  ]
  for (const [{ interpreter, ...host }, expected] of cases) {
    test(`${JSON.stringify({ interpreter, ...host })}`, (t) => {
      const path = installed(t)
      const execPath = interpreter ? executable(path, interpreter) : host.execPath
      const { code, message } = load(path, { ...host, execPath })
      assert.equal(code, 'ERR_IRIS_NATIVE_LOAD')
      assert.match(message, new RegExp(`platform package ${expected} is not installed`))
      assert.ok(
        message.includes(
          `npm install --no-save --include=optional ${expected}@${manifest.version}\``,
        ),
        message,
      )
    })
  }
})

describe('the loader', () => {
  const host = { platform: 'darwin', arch: 'arm64' }
  const addPlatformPackage = (path, name, version, main) => {
    const target = join(path, 'node_modules', name)
    mkdirSync(target, { recursive: true })
    writeFileSync(join(target, 'package.json'), JSON.stringify({ name, version, main: 'main.js' }))
    writeFileSync(join(target, 'main.js'), main)
  }

  test('takes the package of its own version', (t) => {
    const path = installed(t)
    addPlatformPackage(path, 'iris-darwin-arm64', manifest.version, 'exports.answer = 42')
    assert.deepEqual(load(path, host), { loaded: { answer: 42 } })
  })

  test('follows a published name', (t) => {
    const path = installed(t, { name: '@scope/iris' })
    addPlatformPackage(path, '@scope/iris-darwin-arm64', manifest.version, 'exports.answer = 42')
    assert.deepEqual(load(path, host), { loaded: { answer: 42 } })
  })

  test('refuses the package of another version', (t) => {
    const path = installed(t)
    addPlatformPackage(path, 'iris-darwin-arm64', '0.0.1', 'exports.answer = 42')
    assert.match(load(path, host).message, /iris-darwin-arm64 is version 0\.0\.1, but iris is /)
  })

  test('keeps the cause when the addon itself fails', (t) => {
    const path = installed(t)
    const main = 'throw new Error("GLIBC_2.99 not found")'
    addPlatformPackage(path, 'iris-darwin-arm64', manifest.version, main)
    const { code, message, cause } = load(path, host)
    assert.equal(code, 'ERR_IRIS_NATIVE_LOAD')
    assert.match(message, /is installed but cannot be loaded: GLIBC_2\.99 not found/)
    assert.equal(cause, 'GLIBC_2.99 not found')
  })

  test('says so when a local addon is broken', (t) => {
    const path = installed(t)
    writeFileSync(join(path, 'iris.darwin-arm64.node'), 'not a library')
    assert.match(load(path, host).message, /iris\.darwin-arm64\.node cannot be loaded: /)
  })

  test('sends a developer to make', (t) => {
    const path = installed(t)
    writeFileSync(join(path, 'Cargo.toml'), '')
    assert.match(load(path, host).message, /is not built yet; run `make build-node`/)
  })

  test('lists the builds that exist where there is none', (t) => {
    const { code, message } = load(installed(t), { platform: 'sunos', arch: 'sparc' })
    assert.equal(code, 'ERR_IRIS_NATIVE_LOAD')
    assert.match(message, /^iris has no build for sunos-sparc/)
    const listed = /there are ([^)]*)\)/.exec(message)[1].split(', ')
    assert.deepEqual(listed.sort(), builds)
  })
})

test('all manifests agree on version and platforms', () => {
  const cargo = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1]
  assert.equal(manifest.version, cargo)
  assert.equal(builds.length, manifest.napi.targets.length)
  for (const build of builds) {
    const platform = readJson(root, 'npm', build, 'package.json')
    const [os, cpu, abi] = build.split('-')
    const { name, version, private: kept, main, files, engines } = platform
    assert.deepEqual(
      { name, version, kept, main, files, engines },
      {
        name: `iris-${build}`,
        version: manifest.version,
        kept: true,
        main: `iris.${build}.node`,
        files: [`iris.${build}.node`],
        engines: manifest.engines,
      },
    )
    const libc = { gnu: ['glibc'], musl: ['musl'] }[abi]
    assert.deepEqual([platform.os, platform.cpu, platform.libc], [[os], [cpu], libc])
  }
})

// npm without the network, the user's settings left aside.
function npm(cwd, ...args) {
  const settings = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const done = spawnSync('npm', [...args, ...settings], { cwd, encoding: 'utf8' })
  assert.equal(done.status, 0, `npm ${args.join(' ')}: ${done.stderr}`)
  return done.stdout
}

const pack = (cwd, into) =>
  JSON.parse(npm(cwd, 'pack', '--json', '--pack-destination', into))[0].filename

/** The parts of the checkout that a release starts from. */
function checkout(t) {
  const path = folder(t)
  const parts = [...manifest.files.map((name) => name.split('/')[0]), 'npm', 'README.md']
  for (const name of [...parts, 'package.json', 'package-lock.json', 'pyproject.toml']) {
    cpSync(join(root, name), join(path, name), { recursive: true })
  }
  return path
}

const setName = (path, ...args) =>
  spawnSync(
    process.execPath,
    [join(root, 'scripts', 'set-published-name.mjs'), '--root', path, ...args],
    {
      encoding: 'utf8',
      env: { ...process.env, IRIS_NPM_NAME: '', IRIS_PYPI_NAME: '' },
    },
  )

describe('the published name', () => {
  test('is set everywhere at once and leaves the import names alone', (t) => {
    const path = checkout(t)
    const done = setName(path, '--npm', '@scope/iris', '--pypi', 'iris-actors')
    assert.equal(done.status, 0, done.stderr)
    const renamed = readJson(path, 'package.json')
    assert.equal(renamed.name, '@scope/iris')
    assert.equal('private' in renamed, false)
    assert.equal(renamed.publishConfig.access, 'public')
    assert.deepEqual(renamed.exports, manifest.exports)
    assert.equal(readJson(path, 'package-lock.json').packages[''].name, '@scope/iris')
    for (const build of builds) {
      const platform = readJson(path, 'npm', build, 'package.json')
      assert.equal(platform.name, `@scope/iris-${build}`)
      assert.equal('private' in platform, false)
      assert.equal(platform.main, `iris.${build}.node`)
    }
    const pyproject = readFileSync(join(path, 'pyproject.toml'), 'utf8')
    assert.match(pyproject, /^name = "iris-actors"$/m)
    assert.match(pyproject, /^module-name = "iris\._iris"$/m)
    assert.doesNotMatch(pyproject, /Do Not Upload/)
  })

  test('covers only the registry that was named', (t) => {
    const path = checkout(t)
    assert.equal(setName(path, '--pypi', 'iris-actors').status, 0)
    assert.deepEqual(readJson(path, 'package.json'), manifest)
  })

  for (const [args, why] of [
    [[], /say --npm NAME/],
    [['--npm', 'Iris Actors'], /not a legal npm package name/],
    [['--npm', '@scope/'], /not a legal npm package name/],
    [['--npm', 'a'.repeat(200)], /not a legal npm package name/],
    [['--npm', '@scope/iris', '--pypi=-iris'], /not a legal PyPI project name/],
    [['--npm', 'iris'], /belongs to others/],
    [['--pypi', 'Iris'], /belongs to others/],
    [['--nmp', '@scope/iris'], /--nmp/],
  ]) {
    test(`${JSON.stringify(args).slice(0, 60)} is refused and changes nothing`, (t) => {
      const path = checkout(t)
      const done = setName(path, ...args)
      assert.equal(done.status, 2)
      assert.match(done.stderr, why)
      assert.deepEqual(readJson(path, 'package.json'), manifest)
    })
  }
})

test('a renamed package installs under an alias and is required as iris', (t) => {
  const path = checkout(t)
  assert.equal(setName(path, '--npm', '@scope/iris').status, 0)
  const addon = readdirSync(root).find((name) => /^iris\..*\.node$/.test(name))
  const build = addon.slice('iris.'.length, -'.node'.length)
  copyFileSync(join(root, addon), join(path, 'npm', build, addon))

  const user = folder(t)
  const main = pack(path, user)
  const platform = pack(join(path, 'npm', build), user)
  writeFileSync(
    join(user, 'package.json'),
    JSON.stringify({
      private: true,
      dependencies: {
        iris: `file:${main}`,
        [`@scope/iris-${build}`]: `file:${platform}`,
      },
    }),
  )
  npm(user, 'install')

  assert.equal(readJson(user, 'node_modules', 'iris', 'package.json').name, '@scope/iris')
  const script = `
    const { NodeRuntime } = require('iris')
    import('iris').then((esm) => {
      if (esm.NodeRuntime !== NodeRuntime) throw new Error('import and require differ')
      const rt = new NodeRuntime()
      const pid = rt.spawn((msg) => msg)
      return rt.call(pid, 'ping').then((reply) => console.log(String(reply))).then(() => rt.close())
    })`
  const done = spawnSync(process.execPath, ['-e', script], {
    cwd: user,
    encoding: 'utf8',
  })
  assert.equal(done.stdout.trim(), 'ping', done.stderr)
})

test('the packed package holds what it exports and no build products', () => {
  const [{ files }] = JSON.parse(npm(root, 'pack', '--dry-run', '--json'))
  const packed = files.map(({ path }) => path)
  const exported = [manifest.main, manifest.types]
    .concat(Object.values(manifest.exports['.']).flatMap(Object.values))
    .map((path) => path.replace('./', ''))
  for (const path of [...exported, 'binding.js', 'LICENSE-MIT', 'LICENSE-APACHE', 'README.md']) {
    assert.ok(packed.includes(path), `${path} is not packed`)
  }
  const strangers = packed.filter((path) => /\.(node|rs|py|so|toml)$|spec\.|^bench/.test(path))
  assert.deepEqual(strangers, [])
})
