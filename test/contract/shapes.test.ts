/** What the shape of a body says is held against its leaves where it arrives, before anything is built of it or it is passed on. */
import { expect, test } from 'vitest'
import { Packed } from '#src/sandbox/values/codec.js'
import { assertShaped, buildValue, ShapeError } from '#src/sandbox/values/shape.js'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'

test('an event that nobody could build is not passed on: its publisher alone breaks the protocol', async () => {
  const { bus, guest } = gatewayLine([{ resource: 'bus:**', actions: ['publish'] }])
  const events: unknown[] = []
  bus.subscribe('**', ({ data }) => void events.push(data))
  guest.notify('publish', ['fine'], { list: [{ a: 1 }, { a: 2 }] })
  // 100 leaves that would become 100 to the third objects.
  guest.forward('publish', ['bomb'], new Packed('[[[{}]]]', new Array<number>(100).fill(99), 800))
  guest.notify('publish', ['never'], {})
  await eventually(() => expect(guest.over).toBe(true))
  await eventually(() => expect(events).not.toEqual([]))
  expect(events).toEqual([{ list: [{ a: 1 }, { a: 2 }] }])
})

const FORGED: Record<string, [shape: string, leaves: unknown[]]> = {
  'elements without a leaf': ['[{}]', [1_000]],
  'elements without a leaf, within others': ['{"k":[[{"a":{}}]]}', [2, 1_000, 1_000]],
  'more elements than leaves': ['[[0]]', [3, 1, 7, 1]],
  'elements with more leaves than there are': ['[{"a":0,"b":0}]', [3, 1, 2, 3]],
  'leaves beyond its end': ['{"a":[0]}', [1, 7, 8]],
  'a length that is none': ['[[0]]', [1, Number.NaN]],
}

for (const [name, [shape, leaves]] of Object.entries(FORGED)) {
  test(`a value is refused, passed on or built: ${name}`, () => {
    // Often enough for a builder to be compiled.
    for (let i = 0; i < 12; i++) {
      expect(() => assertShaped(shape, leaves, 0, leaves.length)).toThrow(ShapeError)
      expect(() => buildValue(shape, leaves, 0, leaves.length)).toThrow(ShapeError)
    }
  })
}
