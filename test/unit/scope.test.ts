/** Ownership: what is acquired through a scope is undone with it. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Leftover, Scope } from '#src/scope.js'

/** A promise and the function that settles it. */
const gate = () => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

describe('a scope', () => {
  test('undoes in reverse order, waiting for each', async () => {
    const order: string[] = []
    const scope = new Scope('plugin')
    for (const name of ['first', 'second', 'third']) {
      scope.own(name, async () => {
        order.push(`${name} begins`)
        await Promise.resolve()
        order.push(`${name} ends`)
      })
    }
    expect(await scope.close()).toEqual([])
    expect(order).toEqual(['third begins', 'third ends', 'second begins', 'second ends', 'first begins', 'first ends'])
  })

  test('lets others have their turn between thousands of things', async () => {
    const scope = new Scope('plugin')
    let undone = 0
    for (let i = 0; i < 200; i++)
      scope.own('x', () => {
        undone++
        for (const end = performance.now() + 1; performance.now() < end; );
      })
    const inOneTurn: number[] = []
    let before = 0
    const count = (): void => {
      inOneTurn.push(undone - before)
      before = undone
      if (undone < 200) setImmediate(count)
    }
    setImmediate(count)
    await scope.close()
    await new Promise(setImmediate)
    expect(Math.max(...inOneTurn)).toBeLessThan(50)
  })

  test('aborts its signal before anything is undone, with a reason that names it', async () => {
    const scope = new Scope('users#2')
    let abortedAtUndo = false
    scope.own('x', () => {
      abortedAtUndo = scope.signal.aborted
    })
    const closing = scope.close()
    expect(scope.signal.aborted).toBe(true)
    await closing
    expect(abortedAtUndo).toBe(true)
    expect(scope.signal.reason).toMatchObject({ name: 'AbortError', message: 'users#2 is closed' })
  })

  test('hands a given reason to its signal', async () => {
    const scope = new Scope('x')
    await scope.close('replaced')
    expect(scope.signal.reason).toBe('replaced')
  })

  test('says what could not be undone, and undoes the rest', async () => {
    const scope = new Scope('plugin')
    const undone: string[] = []
    const sync = new Error('sync')
    const late = new Error('async')
    scope.own('one', () => undone.push('one'))
    scope.own('two', () => {
      throw sync
    })
    scope.own('three', () => Promise.reject(late))
    scope.own('four', () => undone.push('four'))
    expect(await scope.close()).toEqual([
      { label: 'plugin/three', error: late },
      { label: 'plugin/two', error: sync },
    ])
    expect(undone).toEqual(['four', 'one'])
  })

  test('does not read what an undo happens to return as a report', async () => {
    const scope = new Scope('plugin')
    const list = ['handler']
    scope.own('handler', () => list.splice(0, 1))
    expect(await scope.close()).toEqual([])
    expect(list).toEqual([])
  })

  test('gives every caller of close the same report, and undoes once', async () => {
    const scope = new Scope('x')
    let times = 0
    scope.own('once', () => {
      times += 1
      throw new Error('no')
    })
    const [first, second] = await Promise.all([scope.close(), scope.close()])
    expect(first).toBe(second)
    expect(await scope.close()).toBe(first)
    expect(first).toHaveLength(1)
    expect(times).toBe(1)
  })

  test('closed again by a listener of its own signal, still gives one report', async () => {
    const scope = new Scope('x')
    const { open, opened } = gate()
    let again: Promise<Leftover[]> | undefined
    scope.signal.addEventListener('abort', () => {
      again = scope.close()
    })
    scope.own('slow', async () => {
      await opened
      throw new Error('no')
    })
    const closing = scope.close()
    open()
    expect(await closing).toHaveLength(1)
    expect(await again).toBe(await closing)
  })

  test('undoes one thing early, once, and forgets it', async () => {
    const scope = new Scope('x')
    let times = 0
    const undo = scope.own('subscription', () => {
      times += 1
      return 'undone'
    })
    expect(scope.held).toEqual(['subscription'])
    expect(undo()).toBe('undone')
    expect(undo()).toBeUndefined()
    expect(scope.held).toEqual([])
    await scope.close()
    expect(times).toBe(1)
  })

  test('undoes at once what comes while it closes or after', async () => {
    const scope = new Scope('x')
    const undone: string[] = []
    scope.own('first', () => {
      scope.own('during', () => undone.push('during'))
    })
    await scope.close()
    scope.own('after', () => undone.push('after'))
    scope.own('after and failing', () => Promise.reject(new Error('nobody to tell')))
    await Promise.resolve()
    expect(undone).toEqual(['during', 'after'])
    expect(scope.held).toEqual([])
  })

  test('is closed by `await using`', async () => {
    const scope = new Scope('x')
    let undone = false
    scope.own('x', () => {
      undone = true
    })
    await scope[Symbol.asyncDispose]()
    expect(undone).toBe(true)
    expect(scope.closed).toBe(true)
  })
})

describe('a child scope', () => {
  test('closes with its parent, in its turn, and its leftovers are in the report', async () => {
    const parent = new Scope('kernel')
    const order: string[] = []
    const error = new Error('stuck')
    parent.own('before', () => order.push('before'))
    const child = parent.child('users')
    child.own('socket', () => {
      order.push('socket')
      throw error
    })
    parent.own('after', () => order.push('after'))
    expect(await parent.close()).toEqual([{ label: 'users/socket', error }])
    expect(order).toEqual(['after', 'socket', 'before'])
    expect(child.signal.aborted).toBe(true)
  })

  test('closed by itself leaves its parent open and is forgotten by it', async () => {
    const parent = new Scope('kernel')
    const child = parent.child('users')
    expect(parent.held).toEqual(['users'])
    await child.close()
    expect(parent.held).toEqual([])
    expect(parent.closed).toBe(false)
  })

  test('of a closed scope is closed', async () => {
    const parent = new Scope('kernel')
    await parent.close()
    const child = parent.child('late')
    expect(child.closed).toBe(true)
    await child.close()
    expect(parent.held).toEqual([])
  })
})

type Act = { kind: 'own'; throws: boolean } | { kind: 'child' } | { kind: 'undo'; at: number } | { kind: 'close child'; at: number }

test('whatever happens before, closing undoes each thing exactly once and leaves nothing held', async () => {
  const act: fc.Arbitrary<Act> = fc.oneof(
    fc.record({ kind: fc.constant('own' as const), throws: fc.boolean() }),
    fc.record({ kind: fc.constant('child' as const) }),
    fc.record({ kind: fc.constant('undo' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('close child' as const), at: fc.nat() }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 30 }), fc.infiniteStream(fc.nat()), async (acts, pick) => {
      const root = new Scope('root')
      const scopes = [root]
      const undone: number[] = []
      const undos: (() => unknown)[] = []
      for (const each of acts) {
        const at = pick.next().value ?? 0
        const scope = scopes[at % scopes.length] ?? root
        if (each.kind === 'own') {
          const id = undone.push(0) - 1
          undos.push(
            scope.own(String(id), () => {
              undone[id] = (undone[id] ?? 0) + 1
              if (each.throws) throw new Error(String(id))
            }),
          )
        } else if (each.kind === 'child') {
          scopes.push(scope.child(`${scopes.length}`))
        } else if (each.kind === 'undo') {
          try {
            undos[each.at % undos.length]?.()
          } catch {
            // the undo was told to throw
          }
        } else if (scopes.length > 1) {
          await scopes[1 + (each.at % (scopes.length - 1))]?.close()
        }
      }
      await root.close()
      await Promise.resolve()
      expect(undone.filter((times) => times !== 1)).toEqual([])
      expect(scopes.flatMap((scope) => scope.held)).toEqual([])
    }),
  )
})
