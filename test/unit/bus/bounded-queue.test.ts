/** The queues of one subscriber: what is inside them, and whose publishers wait. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { BoundedQueue } from '#src/bus/bounded-queue.js'
import { type Envelope, OpenEvent } from '#src/bus/event.js'
import { QueueMemory } from '#src/bus/queue-memory.js'

class Weighed extends OpenEvent {
  readonly #weight: number
  constructor(number: number, weight: number) {
    super(String(number), 'a', 's', 't', null)
    this.#weight = weight
  }
  override get weight(): number {
    return this.#weight
  }
}

interface Entry {
  envelope: Envelope
  inside: () => boolean
}

/** Whether a publisher need not wait any more, as it finds out in the same turn. */
const followed = (room: Promise<void> | undefined): (() => boolean) => {
  let inside = room === undefined
  void room?.then(() => (inside = true))
  return () => inside
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve()
}

const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ act: fc.constant('push' as const), queue: fc.nat(2), weight: fc.nat(60) }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('shift' as const), queue: fc.nat(2), weight: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('cut' as const), queue: fc.nat(2), weight: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('takeOver' as const), queue: fc.nat(2), weight: fc.constant(0) }) },
)

it('queues that share a memory hold what is inside them, keep their order, and let everybody in for whom there is room', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), async (acts, capacity) => {
      const most = 100
      const memory = new QueueMemory(most)
      const one = () => new BoundedQueue(capacity, memory)
      const queues = [one(), one(), one()] as const
      const model: readonly [Entry[], Entry[], Entry[]] = [[], [], []]
      let number = 0
      for (const { act, queue: at, weight } of acts) {
        const queue = queues[at as 0]
        const list = model[at as 0]
        if (act === 'push') {
          const envelope = new Weighed(number++, weight)
          list.push({ envelope, inside: followed(queue.push(envelope)) })
        } else if (act === 'shift' && list.length > 0) {
          const front = list.shift() as Entry
          expect(queue.shift()).toBe(front.envelope)
          await settled()
          expect(front.inside()).toBe(true)
        } else if (act === 'cut') {
          expect(queue.cut(weight)).toBe(Math.max(0, list.length - weight))
          const gone = list.splice(weight)
          await settled()
          expect(gone.every(({ inside }) => inside())).toBe(true)
        } else if (act === 'takeOver') {
          const next = ((at + 1) % 3) as 0
          queue.takeOver(queues[next])
          queue.admit()
          list.unshift(...model[next].splice(0))
        }
        await settled()
        const held = model.flat().filter(({ inside }) => inside())
        expect(memory.held).toBe(held.reduce((sum, { envelope }) => sum + envelope.weight, 0))
        for (const [i, entries] of model.entries()) {
          expect(queues[i as 0].size).toBe(entries.length)
          // Who comes next in a queue waits for one of two reasons.
          const next = entries.findIndex(({ inside }) => !inside())
          if (next < 0 || next >= capacity) continue
          const wanted = entries[next]?.envelope.weight ?? 0
          const waiting = model.flatMap((each) => each.slice(0, capacity).find(({ inside }) => !inside()) ?? [])
          expect(Math.max(wanted, ...waiting.map(({ envelope }) => envelope.weight)) + memory.held).toBeGreaterThan(most)
        }
      }
    }),
    { numRuns: 300 },
  )
})

it('one event has room in any case', () => {
  const memory = new QueueMemory(10)
  const queue = new BoundedQueue(5, memory)
  expect(queue.push(new Weighed(1, 1_000))).toBeUndefined()
  expect(queue.push(new Weighed(2, 1))).toBeInstanceOf(Promise)
})

it('who came first is let in first, into whichever queue', async () => {
  const memory = new QueueMemory(10)
  const [one, two, three] = [new BoundedQueue(5, memory), new BoundedQueue(5, memory), new BoundedQueue(5, memory)] as const
  void one.push(new Weighed(1, 10))
  const order: string[] = []
  void two.push(new Weighed(2, 8))?.then(() => order.push('two'))
  void three.push(new Weighed(3, 1))?.then(() => order.push('three'))
  one.shift()
  await settled()
  expect(order).toEqual(['two', 'three'])
  two.shift()
  three.shift()
  expect(memory.held).toBe(0)
})

it('when all are let in, nobody waits, and what they gave back is theirs no more', async () => {
  const memory = new QueueMemory(10)
  const queue = new BoundedQueue(2, memory)
  const rooms = [4, 4, 4, 4].map((weight, i) => followed(queue.push(new Weighed(i, weight))))
  await settled()
  expect(rooms.map((inside) => inside())).toEqual([true, true, false, false])
  queue.admitAll()
  await settled()
  expect(rooms.map((inside) => inside())).toEqual([true, true, true, true])
  expect(memory.held).toBe(16)
  for (let i = 0; i < 4; i++) queue.shift()
  expect(memory.held).toBe(0)
})
