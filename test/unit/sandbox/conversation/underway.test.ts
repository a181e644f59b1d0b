import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Underway } from '#src/sandbox/conversation/underway.js'

describe('what is under way', () => {
  it('is found by its number once, however many there are and in whatever order they end', () => {
    const act = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: fc.nat() })
    fc.assert(
      fc.property(fc.array(act, { maxLength: 400 }), (acts) => {
        const underway = new Underway<{ n: number }>()
        const model = new Map<number, { n: number }>()
        for (const [n, which] of acts.entries()) {
          if (which === undefined) {
            const number = underway.add({ n })
            expect(model.has(number)).toBe(false)
            model.set(number, { n })
          } else if (model.size > 0) {
            const number = [...model.keys()][which % model.size] ?? 0
            expect(underway.take(number)).toEqual(model.get(number))
            expect(underway.take(number)).toBeUndefined()
            model.delete(number)
          }
          expect(underway.size).toBe(model.size)
        }
        expect(underway.entries()).toEqual([...model])
      }),
    )
  })

  it('is not found by anything but its number', () => {
    const underway = new Underway<{ n: number }>()
    const number = underway.add({ n: 1 })
    for (const other of [number + 16, number - 16, number + 0.5, -number, Number.NaN, 2 ** 53, undefined, String(number), null])
      expect(underway.take(other as number)).toBeUndefined()
    expect(underway.size).toBe(1)
    expect(underway.take(number)).toEqual({ n: 1 })
  })

  it('keeps one that takes long beside thousands that come and go', () => {
    const underway = new Underway<{ n: number }>()
    const slow = underway.add({ n: -1 })
    for (let n = 0; n < 10_000; n++) expect(underway.take(underway.add({ n }))).toEqual({ n })
    expect(underway.entries()).toEqual([[slow, { n: -1 }]])
  })
})
