import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { quiet, runtime, throws } from './support.mjs'

const PATH = 'ERR_IRIS_INVALID_PATH'

describe('paths', () => {
  test('list in the order of their bytes, by whole segments', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    for (const path of ['/a/bc', '/a/b/c/d', '/a/b', '/a/b-c', '/a/b/c/', '/b', '/a/b/a']) {
      rt.registerPath(path, pid)
    }
    const names = (found) => found.map(([path]) => path)
    assert.deepEqual(rt.listChildren('/a/b'), [
      ['/a/b/a', pid],
      ['/a/b/c', pid],
      ['/a/b/c/d', pid],
    ])
    assert.deepEqual(names(rt.listChildrenDirect('/a/b/')), ['/a/b/a', '/a/b/c'])
    assert.deepEqual(names(rt.listChildrenDirect('/a')), ['/a/b', '/a/b-c', '/a/bc'])
    assert.deepEqual(names(rt.listChildrenDirect('/')), ['/b'])
    assert.equal(rt.listChildren('/').length, 7)
    assert.deepEqual(rt.listChildren('/nowhere'), [])
    assert.equal(rt.whereisPath('/a/b/'), pid)
    assert.equal(rt.actorInfo(pid).paths.length, 7)
  })

  test('have one living holder and end with it', async (t) => {
    const rt = runtime(t)
    const [a, b] = [rt.spawn(() => {}), rt.spawn(() => {})]
    rt.registerPath('/svc/one', a)
    rt.registerPath('/svc/one/', a)
    throws(() => rt.registerPath('/svc/one', b), 'ERR_IRIS_NAME_TAKEN')
    rt.stop(a)
    assert.equal(rt.whereisPath('/svc/one'), null)
    assert.deepEqual(rt.listChildren('/svc'), [])
    throws(() => rt.registerPath('/svc/one', a), 'ERR_IRIS_NO_SUCH_ACTOR')
    rt.registerPath('/svc/one', b)
    assert.equal(rt.unregisterPath('/svc/one'), true)
    assert.equal(rt.unregisterPath('/svc/one'), false)
    assert.equal((await quiet(rt)).paths, 0)
  })

  test('have one form; what has none is refused', (t) => {
    const rt = runtime(t)
    const pid = rt.spawn(() => {})
    const long = `/${'x'.repeat(1023)}`
    rt.registerPath(long, pid)
    for (const wrong of ['', 'a', 'a/b', '//', '/a//b', '/a//', '//a', '/\0', `${long}x`]) {
      throws(() => rt.registerPath(wrong, pid), PATH)
      throws(() => rt.unregisterPath(wrong), PATH)
      throws(() => rt.whereisPath(wrong), PATH)
      throws(() => rt.listChildren(wrong), PATH)
      throws(() => rt.listChildrenDirect(wrong), PATH)
    }
    throws(() => rt.registerPath('/', pid), PATH)
    assert.equal(rt.getMetrics().paths, 1)
  })
})
