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

  test('reads as the tail of a sentence', () => {
    expect(didYouMean('datbase', ['database'])).toBe(" Did you mean 'database'?")
    expect(didYouMean('billing', ['database'])).toBe('')
  })
})
