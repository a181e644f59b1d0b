import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ring } from '#src/bus/ring.js'

describe('a ring', () => {
  it('behaves as an array does, at both ends', () => {
    const step = fc.oneof(
      fc.record({ act: fc.constantFrom('push' as const, 'unshift' as const), count: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ act: fc.constantFrom('shift' as const, 'pop' as const), count: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ act: fc.constantFrom('set' as const, 'clear' as const), count: fc.nat(100) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ring = new Ring<number>()
        const model: number[] = []
        let next = 0
        for (const { act, count } of steps) {
          if (act === 'clear') {
            if (count < 95) continue
            ring.clear()
            model.length = 0
          } else if (act === 'set') {
            if (count < model.length) model[count] = -count
            ring.set(count, -count)
          } else {
            for (let i = 0; i < count; i++) {
              if (act === 'push') model.push(ring.push(next) ?? next++)
              else if (act === 'unshift') model.unshift(ring.unshift(next) ?? next++)
              else expect(ring[act]()).toBe(model[act]())
            }
          }
          expect(ring.size).toBe(model.length)
          expect(Array.from(model, (_, i) => ring.at(i))).toEqual(model)
          expect(ring.at(model.length)).toBeUndefined()
        }
      }),
      { numRuns: 500 },
    )
  })

  it('holds very many', () => {
    const ring = new Ring<number>()
    for (let i = 0; i < 200_000; i++) ring.push(i)
    for (let i = 0; i < 200_000; i++) if (ring.shift() !== i) throw new Error(`out of order at ${i}`)
    expect(ring.shift()).toBeUndefined()
    ring.push(7)
    expect(ring.at(0)).toBe(7)
  })
})
