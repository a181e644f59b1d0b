/** How the events of a plugin's subscriptions reach it: told over a real line by a guest that says what it likes. */
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'

const ALL = [{ resource: 'bus:**', actions: ['publish', 'subscribe'] }]

/** Up to eight events are under way on each of its routes, and eight wait. */
const lineOf = (limits: { subscriptions?: number; overlap?: number } = {}) => {
  const line = gatewayLine(ALL, { requests: 10_000, subscriptions: 1_000, ...limits })
  return {
    ...line,
    /** Everything said so far has been heard. */
    heard: (): Promise<unknown> => line.guest.request('sync'),
    subscribe: (...numbers: number[]): void => {
      for (const number of numbers) line.guest.notify('subscribe', [number, 'x', null])
    },
    /** The routes of the events that were told, in order. */
    crossed: (): unknown[] => line.told.filter(({ verb }) => verb === 'event').map(({ metas }) => metas[0]),
    joined: (): unknown[] => line.told.filter(({ verb }) => verb === 'joined').map(({ metas }) => metas),
  }
}

describe("several subscriptions of a plugin's to one pattern", () => {
  test('get an event that crosses once, and each has its own row of what was delivered', async () => {
    const { bus, subscribe, heard, crossed, joined, gateway } = lineOf()
    subscribe(1, 2)
    await heard()
    await bus.publish('x')
    subscribe(3)
    await heard()
    await bus.publish('x')
    await heard()
    expect(joined()).toEqual([
      [2, 1],
      [3, 1],
    ])
    expect(crossed()).toEqual([1, 1])
    expect(gateway.traffic.map(({ delivered, inFlight }) => [delivered, inFlight])).toEqual([
      [2, 2],
      [2, 2],
      [1, 2],
    ])
  })

  test('share no way where their capacities differ', async () => {
    const { bus, guest, heard, crossed } = lineOf()
    guest.notify('subscribe', [1, 'x', 4])
    guest.notify('subscribe', [2, 'x', 5])
    guest.notify('subscribe', [3, 'x', 4])
    await heard()
    await bus.publish('x')
    await heard()
    expect(crossed()).toEqual([1, 2])
  })

  test('do not get what waits in the queue of one that came before them', async () => {
    const { bus, guest, subscribe, heard, crossed } = lineOf()
    subscribe(1)
    await heard()
    for (let i = 0; i < 9; i++) void bus.publish('x', i)
    subscribe(2, 3)
    await heard()
    await bus.publish('x', 9)
    guest.notify('handled', [1, 8])
    await heard()
    expect(crossed()).toEqual([...Array.from({ length: 8 }, () => 1), 2, 1, 1])
  })

  test('hold back who publishes when one of them is full, until all have handled what is under way', async () => {
    const { bus, guest, subscribe, heard, gateway } = lineOf()
    subscribe(1, 2)
    await heard()
    let taken = 0
    for (let i = 0; i < 20; i++) void bus.publish('x', i).then(() => taken++)
    await heard()
    expect(taken).toBe(16)
    expect(gateway.traffic).toMatchObject([
      { inFlight: 8, queued: 12 },
      { inFlight: 8, queued: 12 },
    ])
    guest.notify('handled', [1, 4])
    await eventually(() => expect(taken).toBe(20))
  })

  test('end one by one: the others go on, also without the first, and nothing is left of the last', async () => {
    const { bus, guest, subscribe, heard, crossed, gateway } = lineOf()
    subscribe(1, 2)
    await heard()
    guest.notify('unsubscribe', [1])
    await heard()
    await bus.publish('x')
    await heard()
    expect(crossed()).toEqual([1])
    expect(gateway.traffic).toMatchObject([{ delivered: 1, inFlight: 1 }])
    guest.notify('unsubscribe', [2])
    await heard()
    expect(gateway.traffic).toHaveLength(1)
    guest.notify('handled', [1, 1])
    await heard()
    expect(gateway.traffic).toEqual([])
    expect(bus.stats().subscriptions).toBe(0)
    subscribe(3)
    await heard()
    await bus.publish('x')
    await heard()
    expect(crossed()).toEqual([1, 3])
  })

  test('may fail once each for an event that is under way, and no more is told', async () => {
    const { bus, guest, subscribe, heard, gateway } = lineOf()
    subscribe(1, 2)
    await heard()
    await bus.publish('x')
    for (let i = 0; i < 5; i++) guest.notify('failure', [1, 'x', 'id', 2], { name: 'Error', message: 'no' })
    await heard()
    expect(gateway.traffic.map(({ failed }) => failed)).toEqual([0, 2])
    expect(gateway.subscriptions[0]?.stats.failed).toBe(2)
  })

  test('may not fail later for events that they handled without a failure', async () => {
    const { bus, guest, subscribe, heard, gateway } = lineOf()
    subscribe(1, 2)
    await heard()
    const failures = async (): Promise<number | undefined> => {
      for (let i = 0; i < 50; i++) guest.notify('failure', [1, 'x', 'id', 2], { name: 'Error', message: 'no' })
      await heard()
      return gateway.subscriptions[0]?.stats.failed
    }
    for (let i = 0; i < 8; i++) await bus.publish('x')
    guest.notify('handled', [1, 7])
    expect(await failures()).toBe(2)
    guest.notify('handled', [1, 1])
    expect(await failures()).toBe(2)
    await bus.publish('x')
    expect(await failures()).toBe(4)
  })

  test('count what was lost when their plugin dies as often as they are', async () => {
    const { bus, subscribe, heard, gateway } = lineOf()
    subscribe(1, 2, 3)
    await heard()
    await bus.publish('x')
    expect(gateway.bury(new Error('dead') as never)).toBe(3)
  })

  test.each([
    ['has', [1, 1]],
    ['goes by, though the first that did has ended', [1, 2, 1]],
  ])('cannot have a number that another %s', async (_, numbers) => {
    const { guest, subscribe } = lineOf()
    const again = numbers.pop() as number
    subscribe(...numbers)
    if (numbers.length > 1) guest.notify('unsubscribe', [again])
    subscribe(again)
    await eventually(() => expect(guest.over).toBe(true))
  })
})

describe('patterns of one plugin that match one event', () => {
  const chain = (length: number): string => Array.from({ length }, () => '**').join('.')

  test('are within its limit as many as that, whoever else subscribed, and contained beyond, with nothing left', async () => {
    const { bus, guest, heard, crossed, gateway, breaches } = lineOf({ overlap: 20 })
    for (let i = 0; i < 100; i++) bus.subscribe('x', () => {})
    for (let i = 1; i <= 20; i++) guest.notify('subscribe', [i, chain(i), null])
    await heard()
    await bus.publish('x')
    await heard()
    expect([crossed().length, breaches]).toEqual([20, []])
    guest.notify('subscribe', [21, 'x', null])
    guest.notify('subscribe', [22, 'y', null])
    await heard()
    await bus.publish('y')
    expect(breaches).toEqual([{ limit: 'overlap', allowed: 20, observed: 21, topic: 'y' }])
    gateway.bury(new Error('contained') as never)
    await bus.publish('x')
    expect(bus.stats()).toMatchObject({ queued: 0 })
    await eventually(() => expect(gateway.traffic).toEqual([]))
    expect(bus.stats()).toMatchObject({ subscriptions: 100, queued: 0 })
  })

  test('are looked for no further than it takes to know that they are too many', async () => {
    const { bus, guest, heard, breaches } = lineOf({ subscriptions: 5_000, overlap: 100 })
    const topic = 'a.b.c.d.e.f.g.h.i.j.k.l.m'
    for (let i = 0; i < 4_096; i++) {
      const pattern = topic.split('.').map((segment, at) => ((i >> at) & 1 ? '*' : segment))
      guest.notify('subscribe', [i + 1, [...pattern, 'never'].join('.'), null])
    }
    await heard()
    await bus.publish(`${topic}.now`)
    expect(breaches[0]).toMatchObject({ limit: 'overlap', allowed: 100, topic: `${topic}.now` })
    expect(breaches[0]?.observed).toBeGreaterThan(100)
    expect(breaches[0]?.observed).toBeLessThan(4_096)
  })
})
