/** The suggestion behind an unknown name. */

import { describe, expect, test } from 'vitest'
import { didYouMean, nearest } from '#src/nearest.js'

describe('the nearest name', () => {
  test.each([
    ['datbase', ['users', 'database', 'hello'], 'database'],
    ['Users', ['users'], 'users'],
    ['findByld', ['findById', 'findByName'], 'findById'],
    ['lo', ['log'], 'log'],
    ['dependancies', ['optionalDependencies', 'dependencies'], 'dependencies'],
  ])('to %s is found', (name, candidates, wanted) => {
    expect(nearest(name, candidates)).toBe(wanted)
  })

  test.each([
    ['billing', ['users', 'database']],
    ['db', ['ui', 'fs']],
    ['x', ['y']],
    ['anything', []],
    ['', ['a']],
  ])('to %j is none when nothing is close', (name, candidates) => {
    expect(nearest(name, candidates)).toBeUndefined()
  })

  test('is the closest of several that are close', () => {
    expect(nearest('prices', ['princess', 'price', 'pricey'])).toBe('price')
  })

  test('is not sought for a long name, nor among more candidates than are quickly measured', () => {
    const long = 'a'.repeat(65)
    expect(nearest(long, [`${long}b`])).toBeUndefined()
    const alike = Array.from({ length: 150 }, (_, i) => `other${i}`)
    expect(nearest('catalog', ['catalogs', ...alike])).toBe('catalogs')
    expect(nearest('catalog', [...alike.map((name) => name.slice(0, 7)), 'catalogs'])).toBeUndefined()
    // What cannot be near by its length alone is not measured.
    expect(nearest('catalog', [...alike.map((name) => name.repeat(3)), 'catalogs'])).toBe('catalogs')
  })

  test('reads as the tail of a sentence', () => {
    expect(didYouMean('datbase', ['database'])).toBe(" Did you mean 'database'?")
    expect(didYouMean('billing', ['database'])).toBe('')
  })
})
