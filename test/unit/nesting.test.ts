import { describe, expect, it } from 'vitest'
import { isTooDeep, MOST_NESTED } from '#src/nesting.js'

type Wrap = (inner: unknown) => unknown
const nested = (levels: number, wrap: Wrap = (inner) => [inner]): unknown => {
  let value: unknown = 0
  for (let i = 0; i < levels; i++) value = wrap(value)
  return value
}

const kinds: Record<string, Wrap> = {
  arrays: (inner) => [1, inner],
  objects: (inner) => ({ a: 1, inner }),
  'values of maps': (inner) => new Map([['a', inner]]),
  'keys of maps': (inner) => new Map([[inner, 'a']]),
  sets: (inner) => new Set([inner]),
  'causes of errors': (inner) => new Error('e', { cause: inner }),
  'arrays with holes': (inner) => Object.assign([], { 4000000000: inner }),
}

describe('isTooDeep', () => {
  it.each(Object.entries(kinds))('counts %s', (_, wrap) => {
    expect(isTooDeep(nested(MOST_NESTED - 1, wrap))).toBe(false)
    expect(isTooDeep(nested(MOST_NESTED + 1, wrap))).toBe(true)
  })

  it('finds what is deep behind much that is not', () => {
    const wide = Array.from({ length: 10_000 }, (_, i) => ({ i }))
    expect(isTooDeep(wide)).toBe(false)
    expect(isTooDeep([wide, nested(MOST_NESTED)])).toBe(true)
  })

  it('takes what holds itself, and what is met a thousand times, for what the platform makes of it', () => {
    const circle: unknown[] = []
    circle.push(circle)
    expect(isTooDeep(circle)).toBe(false)
    // As a tree it would have 2 ** 100 parts.
    expect(isTooDeep(nested(100, (inner) => [inner, inner]))).toBe(false)
  })

  it('looks at the properties of an array where its sender is not believed', () => {
    const array = Object.assign(new Array<number>(2_000).fill(0), { hidden: nested(MOST_NESTED) })
    expect(isTooDeep(array)).toBe(false)
    expect(isTooDeep(array, true)).toBe(true)
  })

  it('leaves a getter that throws to whoever copies the value', () => {
    const value = {
      get a(): never {
        throw new Error('no')
      },
    }
    expect(isTooDeep(value)).toBe(false)
  })
})
