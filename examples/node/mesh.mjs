// Two processes, two languages: a Node actor and a Python actor call each other by name.
//
//   node examples/node/mesh.mjs [path to python]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { NodeRuntime } from '../../index.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const venv = `${here}../../.venv/bin/python`
const python = process.argv[2] ?? (existsSync(venv) ? venv : 'python3')

const rt = new NodeRuntime()
const shout = rt.spawn((text) => text.toString().toUpperCase())
rt.register('shout', shout)
const mine = await rt.listen('127.0.0.1:0')

const child = spawn(python, [`${here}../python/mesh.py`, mine], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
const theirs = (await lines.next()).value
console.log(`node listens on ${mine}, python on ${theirs}`)

const words = await rt.resolveRemote(theirs, 'words')
const ended = new Promise((resolve) => rt.monitor(words, resolve))
const answer = await rt.call(words, 'the cat and the dog and the bird')
console.log(`node got: ${answer}`)
console.log((await lines.next()).value)

child.stdin.end()
await once(child, 'exit')
const down = await ended
console.log(`python said goodbye: ${down.typeName} ${down.reason}`)
await rt.close()
