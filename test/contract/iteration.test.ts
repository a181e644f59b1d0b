import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OpenEvent } from '#src/bus/event.js'
import { Subscription } from '#src/bus/subscription.js'
import type { Body } from '#src/sandbox/conversation/frames.js'
import { GuestSubscription } from '#src/sandbox/guest/guest-bus.js'
import { GuestRoute } from '#src/sandbox/guest/guest-route.js'
import type { Conversation } from '#src/sandbox/rpc.js'

interface Iterated {
  subscription: AsyncIterable<{ data: unknown }> & { unsubscribe(): void }
  deliver(data: number): void
  /** Events that have come and are not handled. */
  open(): number
}
interface Options {
  handler?: () => void
  once?: boolean
  filter?: (event: { data: unknown }) => unknown
}

const ofApplication = (options: Options = {}): Iterated => {
  const subscription = new Subscription({ id: 's', pattern: 'a', owner: 'tester', ...options })
  return {
    subscription,
    deliver: (data) => void subscription.deliver(new OpenEvent('id', 'a', 'test', '', data)),
    open: () => subscription.stats.queued + subscription.stats.inFlight,
  }
}

const ofPlugin = ({ handler, ...options }: Options = {}): Iterated => {
  let open = 0
  let ended = false
  const notify = (verb: string, [, handled]: [number, number]): void => {
    if (verb === 'handled') open -= handled
  }
  const conversation = { notify } as unknown as Conversation
  const route = new GuestRoute(conversation, 1, () => {
    ended = true
  })
  const subscription = new GuestSubscription(conversation, route, 'a', handler, options, () => {})
  route.add(subscription)
  return {
    subscription,
    deliver: (data) => {
      if (ended) return
      open++
      route.receive('id', 'a', 'test', '', { open: () => data } as unknown as Body)
    },
    open: () => open,
  }
}

/** Lets everything happen that waits only for promises. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe.each([
  ['the application', ofApplication],
  ['a plugin', ofPlugin],
])('the iterators of a subscription of %s', (_, make) => {
  const act = fc.record({
    kind: fc.constantFrom('deliver', 'deliver', 'deliver', 'next', 'next', 'next', 'next', 'leave', 'unsubscribe'),
    who: fc.nat(2),
  })

  it('give each event to one, have in hand what is not asked beyond, and nothing when it has ended', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
        const { subscription, deliver, open } = make()
        const readers = [0, 1, 2].map(() => ({ iterator: subscription[Symbol.asyncIterator](), held: 0 }))
        const seen: unknown[] = []
        let [delivered, handled, waiting, over] = [0, 0, 0, false]
        for (const { kind, who } of acts) {
          const reader = readers.at(who) ?? expect.fail()
          if (kind === 'deliver') {
            deliver(delivered)
            if (!over) delivered++
          } else if (kind === 'next') {
            if (reader.held > 0) {
              reader.held--
              handled++
            }
            waiting++
            void reader.iterator.next().then(({ value, done }) => {
              waiting--
              if (done) return
              reader.held++
              seen.push(value.data)
            })
          } else {
            if (kind === 'leave') await reader.iterator.return?.()
            else subscription.unsubscribe()
            over = true
          }
          await settled()
          expect(seen).toEqual(seen.map((_, i) => i))
          expect(open()).toBe(over ? 0 : delivered - handled)
          if (over) expect(waiting).toBe(0)
          else expect(Math.min(waiting, delivered - seen.length)).toBe(0)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('with once have done with the one event as they get it, whether they ask for a next one or not', async () => {
    const { subscription, deliver, open } = make({ once: true })
    for (const n of [1, 2]) deliver(n)
    const iterator = subscription[Symbol.asyncIterator]()
    expect((await iterator.next()).value.data).toBe(1)
    await settled()
    expect(open()).toBe(0)
    expect(await iterator.next()).toEqual({ value: undefined, done: true })
    expect(open()).toBe(0)
  })

  it('are refused where it has a handler', () => {
    const { subscription } = make({ handler: () => {} })
    expect(() => subscription[Symbol.asyncIterator]()).toThrow(
      expect.objectContaining({ code: 'SUBSCRIPTION_OPTIONS', message: expect.stringContaining("'a' has a handler") as string }),
    )
  })

  it('get nothing more when its filter unsubscribes', async () => {
    const made: Iterated = make({
      filter: () => {
        made.subscription.unsubscribe()
        return true
      },
    })
    const next = made.subscription[Symbol.asyncIterator]().next()
    for (const n of [1, 2]) made.deliver(n)
    expect(await next).toEqual({ value: undefined, done: true })
    await settled()
    expect(made.open()).toBe(0)
  })
})
