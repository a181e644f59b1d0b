/** Whatever fails, in whatever order, is told of: a real guest's bus over a real line to a real gateway. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GuestBus, type GuestSubscription } from '#src/sandbox/guest/guest-bus.js'
import { GuestPermissions } from '#src/sandbox/guest/guest-permissions.js'
import { gatewayLine } from '../support/gateway-line.js'

const ALL = [{ resource: 'bus:**', actions: ['publish', 'subscribe'] }]

const lineOf = () => {
  const line = gatewayLine(
    ALL,
    { requests: 10_000, subscriptions: 100 },
    {
      notice: (verb, metas, body, number) => {
        if (verb === 'event') bus.received(metas[0] as number, String(number), 'x', 'test', '', body)
        else bus.joined(metas[0] as number, metas[1] as number)
      },
    },
  )
  const permissions = new GuestPermissions(line.guest, 'p', { root: '/', dataDir: '/', permissions: ALL })
  const bus: GuestBus = new GuestBus(line.guest, 'p', { window: 8, message: 1_024, subscriptions: 100 }, permissions)
  return { ...line, guestBus: bus, heard: (): Promise<unknown> => line.guest.request('sync') }
}

/** `fails`: at once, or the handler that is under way. */
const act = fc.record({
  kind: fc.constantFrom('subscribe', 'unsubscribe', 'publish', 'publish', 'publish', 'publish', 'end', 'end', 'end', 'end'),
  who: fc.nat(99),
  concurrency: fc.integer({ min: 1, max: 8 }),
  fails: fc.boolean(),
  heard: fc.boolean(),
})

test('each failure is told, however handlers of one pattern come, go, fail and are slow, and nothing beyond that is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 40, maxLength: 120 }), async (acts) => {
      const { bus, guest, guestBus, heard, gateway, logged, breaches } = lineOf()
      const subscriptions: GuestSubscription[] = []
      const running: ((fails: boolean) => void)[] = []
      let failures = 0
      const fail = (): Error => {
        failures++
        return new Error('no')
      }
      const subscribe = (concurrency: number, atOnce: boolean): void => {
        const handler = (): Promise<void> => {
          if (atOnce) throw fail()
          return new Promise((resolve, reject) => running.push((fails) => (fails ? reject(fail()) : resolve())))
        }
        subscriptions.push(guestBus.subscribe('x', handler, { concurrency }))
      }
      subscribe(1, true)
      subscribe(1, false)
      for (const { kind, who, concurrency, fails, heard: now } of acts) {
        if (kind === 'subscribe') subscribe(concurrency, fails)
        else if (kind === 'unsubscribe') subscriptions.splice(who % subscriptions.length, 1 % subscriptions.length)[0]?.unsubscribe()
        else if (kind === 'publish') void bus.publish('x')
        else running.splice(who % Math.max(1, running.length), 1)[0]?.(fails)
        if (now) await heard()
      }
      // Then all that is under way ends well, or not.
      for (let still = true; still; ) {
        await heard()
        still = running.length > 0
        for (const [at, end] of running.splice(0).entries()) end(at % 2 === 0)
        await heard()
        still ||= gateway.subscriptions.some(({ stats }) => stats.inFlight > 0)
      }
      expect(logged).toHaveLength(failures)
      expect(breaches).toEqual([])
      for (const { id } of gateway.subscriptions)
        guest.notify('failure', [Number(id.split('/')[1]), 'x', 'id', 1], { name: 'Error', message: 'no' })
      await heard()
      expect(logged).toHaveLength(failures)
    }),
    { numRuns: 50 },
  )
})
