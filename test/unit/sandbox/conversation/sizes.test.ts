import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Sizes } from '#src/sandbox/conversation/sizes.js'

it('the sum is that of what has left and not arrived, first in, first out', () => {
  const act = fc.record({ add: fc.array(fc.nat(5_000), { maxLength: 90 }), take: fc.nat(120) })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
      const sizes = new Sizes()
      const model: number[] = []
      for (const { add, take } of acts) {
        for (const size of add) {
          sizes.add(size)
          model.push(size)
        }
        sizes.take(take)
        model.splice(0, take)
        expect(sizes.sum).toBe(model.reduce((sum, size) => sum + size, 0))
      }
    }),
  )
})
