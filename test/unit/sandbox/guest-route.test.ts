import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Body } from '#src/sandbox/conversation/frames.js'
import { type GuestEvent, GuestRoute } from '#src/sandbox/guest/guest-route.js'
import type { Conversation } from '#src/sandbox/rpc.js'

const BODY = { open: () => ({ n: 1 }), copy: () => ({ n: 1 }) } as unknown as Body

class Model {
  ahead = 0
  /** Events that it has got, and handled. */
  got = 0
  done = 0
  data: unknown[] = []

  receive({ data }: GuestEvent): void {
    this.got++
    this.data.push(data)
  }
}

const aRoute = () => {
  const told = { handled: 0, times: 0, ended: 0 }
  const conversation = {
    notify: (_: string, [, handled]: [number, number]) => {
      told.handled += handled
      told.times++
    },
  } as unknown as Conversation
  return { route: new GuestRoute(conversation, 7, () => told.ended++), told }
}

const act = fc.record({
  kind: fc.constantFrom('add', 'event', 'event', 'handle', 'handle', 'leave'),
  who: fc.nat(9),
  count: fc.integer({ min: 1, max: 3 }),
})

it('an event counts as handled when all that follow have handled it, whoever comes, goes, and is slow', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      const { route, told } = aRoute()
      const followers: Model[] = []
      let events = 0
      for (const { kind, who, count } of acts) {
        const one = followers[who % Math.max(1, followers.length)]
        if (kind === 'add' && followers.length < 6) {
          const added = new Model()
          route.add(added)
          followers.push(added)
        } else if (kind === 'event' && one !== undefined) {
          events++
          route.receive('id', 'x', 'test', '', BODY)
        } else if (kind === 'handle' && one !== undefined && one.done < one.got) {
          const some = Math.min(count, one.got - one.done)
          one.done += some
          route.handled(one, some)
        } else if (kind === 'leave' && one !== undefined) {
          route.remove(one)
          followers.splice(followers.indexOf(one), 1)
        }
        await Promise.resolve()
        await Promise.resolve()
        expect(told.handled).toBe(events - Math.max(0, ...followers.map(({ got, done }) => got - done)))
      }
      for (const one of followers) {
        if (one.done < one.got) route.handled(one, one.got - one.done)
      }
      await Promise.resolve()
      await Promise.resolve()
      expect(told.handled).toBe(events)
    }),
  )
})

it('all that is handled in one turn is told at once', async () => {
  const { route, told } = aRoute()
  const [a, b] = [new Model(), new Model()]
  route.add(a)
  route.add(b)
  for (let i = 0; i < 5; i++) route.receive('id', 'x', 'test', '', BODY)
  route.handled(a, 2)
  route.handled(b, 5)
  route.handled(a, 3)
  await Promise.resolve()
  expect(told).toEqual({ handled: 5, times: 1, ended: 0 })
})

it('each of several gets data of its own, and the end of the last ends the route', () => {
  const { route, told } = aRoute()
  const [a, b] = [new Model(), new Model()]
  route.add(a)
  route.add(b)
  route.receive('id', 'x', 'test', '', BODY)
  expect(a.data).toEqual([{ n: 1 }])
  expect(a.data[0]).not.toBe(b.data[0])
  route.remove(a)
  expect(told.ended).toBe(0)
  route.remove(b)
  expect(told.ended).toBe(1)
})
