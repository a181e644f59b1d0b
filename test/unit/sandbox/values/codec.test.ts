import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encode, pack } from '#src/sandbox/values/codec.js'
import { CLONEABLE, expectClone, UNCLONEABLE } from '../../../support/cloned.js'

const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  stringUnit: 'binary',
  maxDepth: 4,
})

/** Opened often enough for the shape's builder to be compiled; the first and the last are looked at. */
const OPENINGS = 12

describe('a value that is packed and opened', () => {
  for (const [name, make] of Object.entries(CLONEABLE)) {
    it(`is what structuredClone makes of ${name}`, () => {
      const packed = pack(make())
      const opened = Array.from({ length: OPENINGS }, () => packed.open())
      expectClone(opened[0], structuredClone(make()))
      expectClone(opened.at(-1), structuredClone(make()))
    })
  }

  it('is what structuredClone makes of anything', () => {
    fc.assert(
      fc.property(anything, (value) => {
        const expected = structuredClone(value)
        const packed = pack(value)
        for (let i = 0; i < OPENINGS; i++) expectClone(packed.open(), expected)
      }),
      { numRuns: 400 },
    )
  })

  it('keeps its own copy: what is changed after packing does not show', () => {
    for (const value of [
      { list: [1, 2], inner: { a: 1 } },
      { list: [1, 2], inner: { a: 1 }, at: new Map([['k', { v: 1 }]]) },
    ]) {
      const expected = structuredClone(value)
      const packed = pack(value)
      value.list.push(3)
      value.inner.a = 2
      if (value.at) value.at.set('k', { v: 2 })
      expectClone(packed.open(), expected)
    }
  })

  it('opens into a fresh value each time, as long as it is plain', () => {
    const packed = pack({ inner: { a: 1 } })
    const first = packed.open() as { inner: { a: number } }
    first.inner.a = 2
    expect(packed.open()).toEqual({ inner: { a: 1 } })
  })

  it('keeps which objects are one and the same', () => {
    const one = { id: 1 }
    const opened = pack({ a: one, b: one, list: [one] }).open() as { a: object; b: object; list: object[] }
    expect(opened.a).toBe(opened.b)
    expect(opened.list[0]).toBe(opened.a)
    expect(opened.a).not.toBe(one)
  })

  it('does not reach the prototype of all objects through a __proto__ key', () => {
    for (let i = 0; i < OPENINGS; i++) pack(JSON.parse('{"__proto__": {"polluted": true}}')).open()
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('a value that cannot be cloned', () => {
  for (const [name, make] of Object.entries(UNCLONEABLE)) {
    it(`is refused: ${name}`, () => {
      expect(() => pack(make())).toThrow(expect.objectContaining({ name: 'DataCloneError' }))
    })
  }

  it('leaves no leaf of itself to the next', () => {
    for (const make of Object.values(UNCLONEABLE)) {
      expect(encode(make())).toBeUndefined()
      expect(pack({ a: 1 }).leaves).toEqual([1])
    }
  })

  it('leaves no leaf behind when one of its getters throws, and the next value is encoded as ever', () => {
    const hostile = {
      a: 1,
      get b(): never {
        throw new RangeError('not today')
      },
    }
    expect(() => encode(hostile)).toThrow('not today')
    expect(pack({ a: 2 }).leaves).toEqual([2])
    expect(pack({ a: 1 }).open()).toEqual({ a: 1 })
  })
})
