// Faults 6, 13, 14 and 15 from Node; the others stand in the files of what they are about.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { eventually, index, quiet, rejects, run, runtime, throws } from './support.mjs'

test('fault row 6: a child spawned while its parent dies never survives it', async (t) => {
  const rt = runtime(t)
  for (const end of ['stop', 'kill', 'crash']) {
    for (let round = 0; round < 50; round++) {
      let orphan
      const parent = rt.spawn((_m, ctx) => {
        orphan = rt.spawnChild(ctx.pid, () => {})
        if (end === 'crash') throw new Error('on purpose')
        rt[end](ctx.pid)
        // Dying already: refused, or dead with it.
        try {
          rt.spawnChild(ctx.pid, () => {})
        } catch (error) {
          assert.equal(error.code, 'ERR_IRIS_NO_SUCH_ACTOR')
        }
      })
      rt.send(parent, 'x')
      await eventually(() => orphan !== undefined && !rt.isAlive(orphan))
    }
  }
  await quiet(rt)
  assert.deepEqual(rt.listActors(), [])
})

test('fault row 6: also when another thread spawns it', async (t) => {
  const rt = runtime(t).ref()
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads')
     import(workerData.index).then(({ NodeRuntime }) => {
       const rt = NodeRuntime.attach(workerData.id)
       parentPort.on('message', (parent) => {
         if (parent === 0) process.exit()
         let spawned = 0
         try {
           for (; spawned < 10_000; spawned++) rt.spawnChild(parent, () => {})
         } catch {}
         parentPort.postMessage(spawned)
       })
       parentPort.postMessage(-1)
     })`,
    { eval: true, workerData: { index, id: rt.id } },
  )
  const answer = () => new Promise((resolve) => worker.once('message', resolve))
  await answer()
  for (let round = 0; round < 20; round++) {
    const parent = rt.spawn(() => {})
    const spawned = answer()
    worker.postMessage(parent)
    await eventually(() => rt.getMetrics().actors > 1 || !rt.isAlive(parent))
    rt.kill(parent)
    await spawned
    assert.deepEqual(rt.listActors(), [])
  }
  worker.postMessage(0)
})

test('fault row 13: each message sees exactly one version, under senders of two threads', async (t) => {
  const rt = runtime(t).ref()
  const senders = 2
  const each = 20_000
  const seen = []
  const versions = []
  const handler = (version) => (m) => void seen.push([`${m}`, version, rt.behaviorVersion(pid)])
  const pid = rt.spawn((m) => void seen.push([`${m}`, 1, rt.behaviorVersion(pid)]))
  const workers = Array.from(
    { length: senders },
    (_, i) =>
      new Worker(
        `const { workerData } = require('node:worker_threads')
         import(workerData.index).then(({ NodeRuntime }) => {
           const rt = NodeRuntime.attach(workerData.id)
           for (let n = 0; n < workerData.each; n++) rt.send(workerData.pid, workerData.i + ':' + n)
         })`,
        { eval: true, workerData: { index, id: rt.id, pid, i, each } },
      ),
  )
  const ended = Promise.all(workers.map((w) => new Promise((resolve) => w.once('exit', resolve))))
  let swaps = 1
  while (seen.length < senders * each) {
    // Numbers are never given twice, so the next swap's is known only when it is made.
    const made = rt.hotSwap(pid, handler(++swaps))
    assert.equal(made, swaps)
    versions.push(made)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await ended
  assert.equal(new Set(seen.map(([m]) => m)).size, senders * each, 'each once')
  for (const [m, version, inForce] of seen) assert.equal(version, inForce, m)
  let last = 0
  for (const [, version] of seen) {
    assert.ok(version >= last, 'no message goes back to an older version')
    last = version
  }
  assert.ok(versions.length > 1)
  await quiet(rt)
})

test('fault row 13: a swap that throws changes nothing, rollback neither', async (t) => {
  const rt = runtime(t)
  const pid = rt.spawn(() => 'first')
  for (const wrong of [undefined, null, 'f', {}]) {
    throws(() => rt.hotSwap(pid, wrong), 'ERR_IRIS_INVALID_TYPE')
  }
  throws(() => rt.rollbackBehavior(pid), 'ERR_IRIS_INVALID_ARGUMENT')
  assert.equal(rt.behaviorVersion(pid), 1)
  assert.equal(String(await rt.call(pid, '')), 'first')
  rt.hotSwap(pid, () => {
    throw new Error('second')
  })
  assert.equal(rt.rollbackBehavior(pid), 1)
  assert.equal(String(await rt.call(pid, '')), 'first')
  rt.hotSwap(pid, () => {
    throw new Error('third')
  })
  await assert.rejects(rt.call(pid, ''), /third/)
  throws(() => rt.hotSwap(pid, () => {}), 'ERR_IRIS_NO_SUCH_ACTOR')
  await quiet(rt)
})

test('fault row 14: no timer is delivered after its actor was stopped, killed or has crashed', async (t) => {
  const property = async (ends, delays) => {
    const rt = runtime({ after() {} })
    let late = 0
    const pids = ends.map((end) => {
      let over = false
      const pid = rt.spawn((m) => {
        if (over) late++
        if (String(m) === 'crash') throw new Error('on purpose')
      })
      for (const ms of delays) rt.sendAfter(pid, ms, 'tick')
      rt.sendInterval(pid, 1, 'tick')
      const end_ = () => {
        over = true
      }
      return [end, pid, end_]
    })
    await new Promise((resolve) => setTimeout(resolve, 2))
    for (const [end, pid, over] of pids) {
      if (end === 'crash') {
        await rejects(rt.call(pid, 'crash'), 'ERR_IRIS_HANDLER_FAILED').catch(() => {})
      } else {
        rt[end](pid)
      }
      await rt.join(pid, 10)
      over()
    }
    const { handled, delays: waiting } = rt.getMetrics()
    assert.equal(waiting, 0, 'they end with their actor')
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(rt.getMetrics().handled, handled)
    assert.equal(late, 0)
    await rt.close()
  }
  const ends = fc.array(fc.constantFrom('stop', 'kill', 'crash'), { minLength: 1, maxLength: 4 })
  const delays = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 })
  await fc.assert(fc.asyncProperty(ends, delays, property), { numRuns: 15 })
  t.diagnostic('held')
})

/** A wall clock that jumps an hour forth or back whenever it is read; the monotonic one is the system's. */
const JUMPS = `
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static int reads;
static long jump(void) { return __sync_fetch_and_add(&reads, 1) % 2 ? 3600 : -3600; }
int clock_gettime(clockid_t id, struct timespec *t) {
  long answer = syscall(SYS_clock_gettime, id, t);
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += jump();
  return (int)answer;
}
int gettimeofday(struct timeval *t, void *zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
`

test('fault row 15: a wall clock that jumps an hour leaves timers and deadlines alone', async (t) => {
  if (process.platform !== 'linux') {
    t.skip('needs LD_PRELOAD')
    return
  }
  const dir = mkdtempSync(join(tmpdir(), 'iris-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const [source, library] = [join(dir, 'jumps.c'), join(dir, 'jumps.so')]
  writeFileSync(source, JUMPS)
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source])
  const { exit, stdout, stderr } = await run(
    `
    const jumped = new Set(Array.from({ length: 50 }, () => Math.round(Date.now() / 3.6e6)))
    const rt = new NodeRuntime()
    const seen = []
    let ticks = 0
    const ticker = rt.spawn(() => void ticks++)
    const sent = {}
    const now = () => Number(process.hrtime.bigint()) / 1e6
    const pid = rt.spawn((m) => void seen.push(now() - sent[m] >= Number(m)))
    const begun = process.hrtime.bigint()
    for (const ms of [40, 10, 30, 20]) {
      sent[ms] = now()
      rt.sendAfter(pid, ms, String(ms))
    }
    const interval = rt.sendInterval(ticker, 5, 'tick')
    const mute = rt.spawn(() => new Promise(() => {}))
    const code = await rt.call(mute, '', { timeoutMs: 60 }).catch((e) => e.code)
    while (seen.length < 4 || ticks < 5) await new Promise((r) => setTimeout(r, 1))
    rt.cancelTimer(interval)
    const ms = Number(process.hrtime.bigint() - begun) / 1e6
    console.log(JSON.stringify({ jumped: jumped.size > 1, seen, code, early: ms < 60, late: ms > 60_000 }))
    await rt.close({ timeoutMs: 0 })
    `,
    { env: { LD_PRELOAD: library } },
  )
  assert.equal(exit, 0, stderr)
  assert.deepEqual(JSON.parse(stdout), {
    jumped: true,
    seen: [true, true, true, true],
    code: 'ERR_IRIS_TIMEOUT',
    early: false,
    late: false,
  })
})
