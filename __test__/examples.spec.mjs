// The examples that other specs do not run.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { root } from './support.mjs'

function example(file, ...args) {
  const child = spawn(process.execPath, [path.join(root, 'examples/node', file), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      out[name] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exit) => resolve({ exit, ...out }))
  })
}

test('the resilient service fails exactly the requests that crash its worker', async () => {
  const { exit, stdout, stderr } = await example(
    'resilient-service/main.mjs',
    '--requests',
    '1000',
    '--connections',
    '16',
  )
  assert.equal(stderr, '')
  assert.equal(exit, 0, stdout)
  const [, answered, failed] = /^(\d+) requests answered, (\d+) failed: exactly/m.exec(stdout)
  assert.equal(Number(answered) + Number(failed), 1000)
  assert.ok(Number(failed) > 0, 'somebody crashed')
  assert.match(stdout, new RegExp(`^ {2}iris_restarts_total ${failed}$`, 'm'))
})

test('the resilient service says in one line what it was given wrong', async () => {
  for (const args of [['--requests', 'x'], ['--nonsense'], ['/no/such/path']]) {
    const { exit, stdout, stderr } = await example('resilient-service/main.mjs', ...args)
    assert.equal(exit, 2)
    assert.equal(stdout, '')
    assert.doesNotMatch(stderr, /\n {4}at /)
  }
})
