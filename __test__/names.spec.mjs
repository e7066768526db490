import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deferred, quiet, runtime, throws } from './support.mjs'

describe('a name', () => {
  test('finds its actor until it is taken away', async (t) => {
    const rt = runtime(t)
    const got = deferred()
    const pid = rt.spawn((message) => {
      got.resolve(String(message))
    })
    assert.equal(rt.whereis('name'), null)
    rt.register('name', pid)
    rt.register('name', pid)
    assert.equal(rt.whereis('name'), pid)
    assert.equal(rt.resolve('name'), pid)
    assert.deepEqual(rt.actorInfo(pid).names, ['name'])
    assert.equal(rt.sendNamed('name', 'hello'), true)
    assert.equal(await got.promise, 'hello')
    assert.equal(rt.unregister('name'), true)
    assert.equal(rt.unregister('name'), false)
    assert.equal(rt.whereis('name'), null)
    assert.equal(rt.sendNamed('name', 'hello'), false)
    assert.equal(rt.getMetrics().refused.no_such_actor, 1)
  })

  test('of another live actor is refused, and stays', (t) => {
    const rt = runtime(t)
    const [a, b] = [rt.spawn(() => {}), rt.spawn(() => {})]
    rt.register('name', a)
    throws(() => rt.register('name', b), 'ERR_IRIS_NAME_TAKEN')
    assert.equal(rt.whereis('name'), a)
  })

  for (const end of ['stop', 'kill']) {
    test(`goes with its actor (${end}) and can be given again`, (t) => {
      const rt = runtime(t)
      const [a, b] = [rt.spawn(() => {}), rt.spawn(() => {})]
      rt.register('one', a)
      rt.register('two', a)
      rt[end](a)
      assert.equal(rt.whereis('one'), null)
      assert.equal(rt.getMetrics().names, 0)
      rt.register('one', b)
      assert.equal(rt.whereis('one'), b)
      assert.equal(rt.sendNamed('two', 'x'), false)
    })
  }

  test('goes with its actor when that crashes, before anybody hears of it', async (t) => {
    const seen = []
    const rt = runtime(t, { onCrash: () => seen.push(rt.whereis('name')) })
    const pid = rt.spawn(() => {
      throw new Error('boom')
    })
    rt.register('name', pid)
    rt.sendNamed('name', '')
    await rt.join(pid)
    await quiet(rt)
    assert.deepEqual(seen, [null])
  })

  test('may be any text up to 1,024 bytes', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    const names = ['a', ' ', '\0', '/a/b', '__proto__', 'grüße 👋', 'x'.repeat(1024)]
    for (const name of names) rt.register(name, pid)
    for (const name of names) assert.equal(rt.whereis(name), pid)
    assert.deepEqual(rt.actorInfo(pid).names.sort(), [...names].sort())
    for (const name of ['', 'x'.repeat(1025), 'ü'.repeat(513)]) {
      throws(() => rt.register(name, pid), 'ERR_IRIS_INVALID_ARGUMENT')
      assert.equal(rt.whereis(name), null)
      assert.equal(rt.sendNamed(name, 'x'), false)
    }
  })

  test('is not given to a pid that is dead, of another runtime, or none', (t) => {
    const rt = runtime(t)
    const dead = rt.spawn(() => {})
    rt.kill(dead)
    const foreign = runtime(t).spawn(() => {})
    for (const pid of [dead, foreign, 0, -1, 0.5, Number.NaN, 2 ** 53]) {
      throws(() => rt.register('name', pid), 'ERR_IRIS_NO_SUCH_ACTOR')
    }
    assert.equal(rt.whereis('name'), null)
    assert.equal(rt.getMetrics().names, 0)
  })
})

test('sendNamed with wrong data throws whether or not the name is there', (t) => {
  const rt = runtime(t)
  rt.register(
    'name',
    rt.spawn(() => {}),
  )
  for (const name of ['name', 'nobody']) {
    throws(() => rt.sendNamed(name, 42), 'ERR_IRIS_INVALID_TYPE')
  }
  assert.equal(rt.getMetrics().attempted, 0)
})
