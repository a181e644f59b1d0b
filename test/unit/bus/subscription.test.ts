import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MAX_WAITING } from '#src/bus/bounded-queue.js'
import { type Event, OpenEvent } from '#src/bus/event.js'
import { PENDING, Subscription } from '#src/bus/subscription.js'
import type { SubscriptionOptions } from '#src/bus/subscription-options.js'

let count = 0
const anEvent = (data: unknown = null, type = 'a.b'): OpenEvent =>
  new OpenEvent(`id-${count++}`, type, 'test', '2026-01-01T00:00:00.000Z', data)
const subscribe = (options: Partial<SubscriptionOptions> = {}): Subscription =>
  new Subscription({ id: 's', pattern: 'a.*', owner: 'tester', ...options })
/** Lets everything happen that waits only for promises. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A handler whose every call is finished by hand. */
const byHand = () => {
  const calls: { data: unknown; resolve: () => void; reject: (error: Error) => void }[] = []
  const handler = (event: Event) =>
    new Promise<void>((resolve, reject) => {
      calls.push({ data: event.data, resolve, reject })
    })
  return { calls, handler, data: () => calls.map(({ data }) => data) }
}

/** Whether a delivery has let its publisher go. */
const watched = (wait: Promise<void> | undefined) => {
  const state = { released: wait === undefined }
  void wait?.then(() => {
    state.released = true
  })
  return state
}

describe('a subscription that is idle', () => {
  it('consumes on the stack of the publisher', () => {
    const seen: unknown[] = []
    const subscription = subscribe({ handler: (event) => void seen.push(event.data) })
    expect(subscription.deliver(anEvent(1))).toBeUndefined()
    expect(seen).toEqual([1])
    expect(subscription.stats).toEqual({ delivered: 1, failed: 0, filtered: 0, dropped: 0, lost: 0, queued: 0, inFlight: 0 })
  })

  it('gives a consumer the envelope unopened, and a handler the event', () => {
    const event = anEvent(1)
    const envelope = { type: 'a.b', id: '1', source: 's', time: 't', weight: 0, open: vi.fn(() => event) }
    const consume = vi.fn()
    void subscribe({ consume }).deliver(envelope)
    expect(consume).toHaveBeenCalledWith(envelope)
    expect(envelope.open).not.toHaveBeenCalled()
    const handler = vi.fn()
    void subscribe({ handler }).deliver(envelope)
    expect(handler).toHaveBeenCalledWith(event)
  })

  it('keeps itself to itself: a handler is called without a this', () => {
    const seen: unknown[] = []
    const look = function (this: unknown): boolean {
      seen.push(this)
      return true
    }
    const subscription = subscribe({ handler: look, filter: look })
    void subscription.deliver(anEvent())
    void subscribe({ handler: look }).deliver(anEvent())
    expect(seen).toEqual([undefined, undefined, undefined])
  })

  it('does not take a plain return value for a promise', () => {
    const values = [0, 1, 'x', null, {}, [], () => 1, false]
    const subscription = subscribe({ handler: ({ data }) => data })
    for (const value of values) void subscription.deliver(anEvent(value))
    expect(subscription.stats).toMatchObject({ delivered: values.length, inFlight: 0 })
  })
})

describe('a busy subscription', () => {
  it('has one event in flight by default, and takes the others in order', async () => {
    const { handler, calls, data } = byHand()
    const subscription = subscribe({ handler })
    for (const n of [1, 2, 3]) expect(subscription.deliver(anEvent(n))).toBeUndefined()
    expect(data()).toEqual([1])
    expect(subscription.stats).toMatchObject({ delivered: 1, inFlight: 1, queued: 2 })
    calls[0]?.resolve()
    await settled()
    expect(data()).toEqual([1, 2])
    calls[1]?.reject(new Error('no'))
    await settled()
    expect(data()).toEqual([1, 2, 3])
    expect(subscription.stats).toMatchObject({ delivered: 3, failed: 1, inFlight: 1, queued: 0 })
  })

  it('has as many in flight as its concurrency', async () => {
    const { handler, calls, data } = byHand()
    const subscription = subscribe({ handler, concurrency: 3 })
    for (const n of [1, 2, 3, 4, 5]) void subscription.deliver(anEvent(n))
    expect(data()).toEqual([1, 2, 3])
    calls[1]?.resolve()
    await settled()
    expect(data()).toEqual([1, 2, 3, 4])
  })

  it('waits for credit where the consumer answers PENDING, and takes no more credit than is out', () => {
    const seen: unknown[] = []
    const subscription = subscribe({
      concurrency: 2,
      consume: (envelope) => {
        seen.push(envelope.open().data)
        return PENDING
      },
    })
    for (const n of [1, 2, 3, 4, 5, 6]) void subscription.deliver(anEvent(n))
    expect(seen).toEqual([1, 2])
    subscription.settle(1)
    expect(seen).toEqual([1, 2, 3])
    subscription.settle(100)
    expect(seen).toEqual([1, 2, 3, 4, 5])
    expect(subscription.stats.inFlight).toBe(2)
    subscription.settle(2)
    subscription.settle(2)
    expect(subscription.stats).toMatchObject({ delivered: 6, inFlight: 0, queued: 0 })
  })

  it('takes credit that comes before consume has returned', () => {
    const subscription: Subscription = subscribe({
      consume: () => {
        subscription.settle()
        return PENDING
      },
    })
    for (const n of [1, 2, 3]) void subscription.deliver(anEvent(n))
    expect(subscription.stats).toMatchObject({ delivered: 3, inFlight: 0, queued: 0 })
  })

  it('queues what its own handler publishes, and drains it without recursion', () => {
    const seen: number[] = []
    let depth = 0
    let deepest = 0
    const subscription: Subscription = subscribe({
      handler: ({ data }) => {
        deepest = Math.max(deepest, ++depth)
        seen.push(data)
        if (data < 50_000) void subscription.deliver(anEvent(data + 1))
        depth--
      },
    })
    void subscription.deliver(anEvent(0))
    expect(seen).toHaveLength(50_001)
    expect(deepest).toBe(1)
    expect(seen.every((n, i) => n === i)).toBe(true)
    expect(subscription.stats).toMatchObject({ queued: 0, inFlight: 0 })
  })
})

describe('a full subscription', () => {
  it('holds its publishers back until their event is inside the capacity, in order', async () => {
    const { handler, calls } = byHand()
    const subscription = subscribe({ handler, capacity: 2 })
    const waits = [0, 1, 2, 3, 4].map((n) => watched(subscription.deliver(anEvent(n))))
    await settled()
    expect(waits.map(({ released }) => released)).toEqual([true, true, true, false, false])
    calls[0]?.resolve()
    await settled()
    expect(waits.map(({ released }) => released)).toEqual([true, true, true, true, false])
    calls[1]?.resolve()
    await settled()
    expect(waits.map(({ released }) => released)).toEqual([true, true, true, true, true])
  })

  it('says when so much waits that nothing more can be taken, and when it can again', () => {
    const subscription = subscribe({ consume: () => {}, capacity: 1 })
    subscription.pause()
    for (let i = 0; i < MAX_WAITING; i++) void subscription.deliver(anEvent())
    expect(subscription.overrun).toBe(false)
    void subscription.deliver(anEvent())
    expect(subscription.overrun).toBe(true)
    expect(subscription.stats.queued).toBe(MAX_WAITING + 1)
    subscription.resume()
    expect(subscription.overrun).toBe(false)
    expect(subscription.stats.delivered).toBe(MAX_WAITING + 1)
  })
})

describe('a consumer that fails', () => {
  const hostile = new Proxy(
    {},
    {
      has: () => {
        throw new Error('boom')
      },
    },
  )

  it.each([
    [
      'throws',
      () => {
        throw new Error('boom')
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
    ['returns what cannot even be looked at', () => hostile],
  ])('is counted and reported when it %s, and gets the next event', async (_, handler) => {
    const onFailure = vi.fn()
    const subscription = subscribe({ handler, onFailure })
    const events = [anEvent(1), anEvent(2)]
    for (const event of events) void subscription.deliver(event)
    await settled()
    expect(subscription.stats).toMatchObject({ delivered: 2, failed: 2, queued: 0, inFlight: 0 })
    expect(onFailure.mock.calls).toEqual(events.map((event) => [subscription, event, expect.objectContaining({ message: 'boom' })]))
  })

  it('may have a failure listener that fails too', () => {
    const subscription = subscribe({
      handler: () => {
        throw new Error('boom')
      },
      onFailure: () => {
        throw new Error('again')
      },
    })
    expect(() => subscription.deliver(anEvent())).not.toThrow()
    expect(subscription.stats.failed).toBe(1)
  })
})

describe('a filter', () => {
  it('lets through what it says yes to, before anything is queued', () => {
    const seen: number[] = []
    const subscription = subscribe({ handler: ({ data }) => void seen.push(data), filter: ({ data }) => data % 2, capacity: 1 })
    subscription.pause()
    expect([1, 2, 4, 6].map((n) => subscription.deliver(anEvent(n)))).toEqual([undefined, undefined, undefined, undefined])
    subscription.resume()
    expect(seen).toEqual([1])
    expect(subscription.stats).toMatchObject({ delivered: 1, filtered: 3, failed: 0 })
  })

  it('that throws is a failure, and a no', () => {
    const onFailure = vi.fn()
    const handler = vi.fn()
    const subscription = subscribe({
      handler,
      onFailure,
      filter: () => {
        throw new Error('bad filter')
      },
    })
    void subscription.deliver(anEvent())
    expect(handler).not.toHaveBeenCalled()
    expect(subscription.stats).toMatchObject({ delivered: 0, failed: 1, filtered: 0 })
    expect(onFailure).toHaveBeenCalledOnce()
  })

  it('may unsubscribe: then nothing is delivered', () => {
    const handler = vi.fn()
    const subscription: Subscription = subscribe({
      handler,
      filter: () => {
        subscription.unsubscribe()
        return true
      },
    })
    void subscription.deliver(anEvent())
    expect(handler).not.toHaveBeenCalled()
  })
})

describe('once', () => {
  it('takes exactly one event, also when its handler publishes another', () => {
    const seen: number[] = []
    const subscription: Subscription = subscribe({
      once: true,
      handler: ({ data }) => {
        seen.push(data)
        void subscription.deliver(anEvent(data + 1))
      },
    })
    void subscription.deliver(anEvent(1))
    void subscription.deliver(anEvent(9))
    expect(seen).toEqual([1])
    expect(subscription.closed).toBe(true)
    expect(subscription.stats).toMatchObject({ delivered: 1, dropped: 0 })
  })

  it('takes exactly one when its filter publishes another', () => {
    const seen: number[] = []
    const subscription: Subscription = subscribe({
      once: true,
      handler: ({ data }) => void seen.push(data),
      filter: ({ data }) => {
        if (data === 1) void subscription.deliver(anEvent(2))
        return true
      },
    })
    void subscription.deliver(anEvent(1))
    expect(seen).toEqual([2])
  })

  it('waits for the first event that passes the filter', () => {
    const handler = vi.fn()
    const subscription = subscribe({ once: true, handler, filter: ({ data }) => data > 2 })
    for (const n of [1, 2, 3, 4]) void subscription.deliver(anEvent(n))
    expect(handler.mock.calls.map(([{ data }]) => data)).toEqual([3])
  })

  it('keeps its one event while it is paused', () => {
    const handler = vi.fn()
    const subscription = subscribe({ once: true, handler })
    subscription.pause()
    for (const n of [1, 2]) void subscription.deliver(anEvent(n))
    expect(handler).not.toHaveBeenCalled()
    subscription.resume()
    expect(handler.mock.calls.map(([{ data }]) => data)).toEqual([1])
  })
})

describe('pause, resume and drain', () => {
  it('queues while paused, and goes on in order', () => {
    const seen: number[] = []
    const subscription = subscribe({ handler: ({ data }) => void seen.push(data) })
    void subscription.deliver(anEvent(1))
    subscription.pause()
    subscription.pause()
    expect(subscription.paused).toBe(true)
    for (const n of [2, 3]) void subscription.deliver(anEvent(n))
    expect(seen).toEqual([1])
    subscription.resume()
    expect(seen).toEqual([1, 2, 3])
  })

  it('can be paused by its own handler, in the middle of the queue', () => {
    const seen: number[] = []
    const subscription: Subscription = subscribe({
      handler: ({ data }) => {
        seen.push(data)
        if (data === 2) subscription.pause()
      },
    })
    subscription.pause()
    for (const n of [1, 2, 3]) void subscription.deliver(anEvent(n))
    subscription.resume()
    expect(seen).toEqual([1, 2])
    subscription.resume()
    expect(seen).toEqual([1, 2, 3])
  })

  it('is drained when nothing is queued and nothing in flight', async () => {
    const { handler, calls } = byHand()
    const subscription = subscribe({ handler })
    await subscription.drain()
    for (const n of [1, 2]) void subscription.deliver(anEvent(n))
    const done = vi.fn()
    void subscription.drain().then(done)
    calls[0]?.resolve()
    await settled()
    expect(done).not.toHaveBeenCalled()
    calls[1]?.resolve()
    await settled()
    expect(done).toHaveBeenCalledOnce()
    void subscription.deliver(anEvent(3))
    expect(calls).toHaveLength(3)
  })

  it('is drained when a handler that asked for it has returned', async () => {
    let drained: Promise<void> | undefined
    const subscription: Subscription = subscribe({
      handler: () => {
        drained = subscription.drain()
      },
    })
    void subscription.deliver(anEvent())
    await drained
    expect(subscription.stats.delivered).toBe(1)
  })
})

describe('unsubscribing', () => {
  it('drops the queue, lets publishers go, and is done once', async () => {
    const { handler, calls } = byHand()
    const subscription = subscribe({ handler, capacity: 1 })
    const waits = [0, 1, 2, 3].map((n) => watched(subscription.deliver(anEvent(n))))
    const drained = vi.fn()
    void subscription.drain().then(drained)
    subscription.unsubscribe()
    subscription.close()
    await settled()
    expect(waits.every(({ released }) => released)).toBe(true)
    expect(subscription.stats).toMatchObject({ dropped: 3, queued: 0, inFlight: 1 })
    expect(drained).not.toHaveBeenCalled()
    expect(subscription.deliver(anEvent(9))).toBeUndefined()
    calls[0]?.resolve()
    await settled()
    expect(drained).toHaveBeenCalledOnce()
    expect(calls).toHaveLength(1)
    expect(subscription.stats).toMatchObject({ delivered: 1, dropped: 3, queued: 0, inFlight: 0 })
  })

  it('by its own handler stops at that event', () => {
    const seen: number[] = []
    const subscription: Subscription = subscribe({
      handler: ({ data }) => {
        seen.push(data)
        subscription.unsubscribe()
      },
    })
    subscription.pause()
    for (const n of [1, 2]) void subscription.deliver(anEvent(n))
    subscription.resume()
    expect(seen).toEqual([1])
  })

  it('happens when the signal is aborted, and takes its listener off the signal', () => {
    const controller = new AbortController()
    const on = vi.spyOn(controller.signal, 'addEventListener')
    const off = vi.spyOn(controller.signal, 'removeEventListener')
    const handler = vi.fn()
    const subscription = subscribe({ handler, signal: controller.signal })
    const early = subscribe({ handler, signal: controller.signal })
    early.unsubscribe()
    expect(off).toHaveBeenCalledWith('abort', on.mock.calls[1]?.[1])
    controller.abort()
    void subscription.deliver(anEvent())
    expect(subscription.closed).toBe(true)
    expect(handler).not.toHaveBeenCalled()
    expect(subscribe({ handler, signal: controller.signal }).closed).toBe(true)
  })

  it('is what `using` does at the end of a block', () => {
    const subscription = subscribe({ handler: () => {} })
    subscription[Symbol.dispose]()
    expect(subscription.closed).toBe(true)
  })
})

describe('handing over to a successor', () => {
  it('puts what is queued, and who waits, before what the successor has', async () => {
    const old = subscribe({ handler: () => {}, capacity: 2 })
    old.pause()
    const waits = [1, 2, 3, 4].map((n) => watched(old.deliver(anEvent(n))))
    const seen: number[] = []
    const heir = subscribe({ handler: ({ data }) => void seen.push(data), capacity: 3 })
    heir.pause()
    for (const n of [5, 6]) void heir.deliver(anEvent(n))
    old.handOver(heir)
    await settled()
    expect(waits.map(({ released }) => released)).toEqual([true, true, true, false])
    expect(old.closed).toBe(true)
    expect(old.stats).toMatchObject({ queued: 0, dropped: 0 })
    heir.resume()
    await settled()
    expect(seen).toEqual([1, 2, 3, 4, 5, 6])
    expect(waits[3]?.released).toBe(true)
  })

  it('makes the successor wait until what is in flight has settled', async () => {
    const { handler, calls } = byHand()
    const old = subscribe({ handler, concurrency: 2 })
    for (const n of [1, 2, 3]) void old.deliver(anEvent(n))
    const seen: number[] = []
    const heir = subscribe({ handler: ({ data }) => void seen.push(data) })
    old.handOver(heir)
    void heir.deliver(anEvent(4))
    calls[0]?.resolve()
    await settled()
    expect(seen).toEqual([])
    calls[1]?.reject(new Error('late'))
    await settled()
    expect(seen).toEqual([3, 4])
    expect(old.stats).toMatchObject({ failed: 1, inFlight: 0 })
  })

  it('waits along a chain of successors', async () => {
    const { handler, calls } = byHand()
    const first = subscribe({ handler })
    void first.deliver(anEvent(1))
    const second = subscribe({ handler: () => {} })
    first.handOver(second)
    void second.deliver(anEvent(2))
    const seen: number[] = []
    const third = subscribe({ handler: ({ data }) => void seen.push(data) })
    second.handOver(third)
    void third.deliver(anEvent(3))
    expect(seen).toEqual([])
    calls[0]?.resolve()
    await settled()
    expect(seen).toEqual([2, 3])
    expect(second.stats.delivered).toBe(0)
  })

  it('does not wait for a consumer that died: what it held is counted as lost', async () => {
    const { handler, calls } = byHand()
    const onFailure = vi.fn()
    const old = subscribe({ handler, onFailure })
    for (const n of [1, 2]) void old.deliver(anEvent(n))
    old.abandon()
    void old.deliver(anEvent(3))
    expect(old.stats).toMatchObject({ lost: 1, inFlight: 0, queued: 2 })
    const seen: number[] = []
    const heir = subscribe({ handler: ({ data }) => void seen.push(data) })
    old.handOver(heir)
    expect(seen).toEqual([2, 3])
    calls[0]?.reject(new Error('late'))
    await settled()
    expect(old.stats).toMatchObject({ lost: 1, failed: 0, inFlight: 0 })
    expect(onFailure).not.toHaveBeenCalled()
  })

  it('ungates the successor when the predecessor dies after the hand-over', () => {
    const old = subscribe({ consume: () => PENDING })
    for (const n of [1, 2]) void old.deliver(anEvent(n))
    const seen: number[] = []
    const heir = subscribe({ handler: ({ data }) => void seen.push(data) })
    old.handOver(heir)
    expect(seen).toEqual([])
    old.abandon()
    expect(seen).toEqual([2])
    old.settle(1)
    expect(old.stats).toMatchObject({ lost: 1, inFlight: 0 })
  })

  it('from within the handler waits for the handler', () => {
    const seen: string[] = []
    const heir = subscribe({ handler: ({ data }) => void seen.push(`new ${data}`) })
    const old: Subscription = subscribe({
      handler: ({ data }) => {
        void old.deliver(anEvent(2))
        old.handOver(heir)
        seen.push(`old ${data}`)
      },
    })
    void old.deliver(anEvent(1))
    expect(seen).toEqual(['old 1', 'new 2'])
  })

  it('to a successor whose handler is on the stack leaves it to that', () => {
    const old = subscribe({ handler: () => {} })
    old.pause()
    for (const n of [1, 2]) void old.deliver(anEvent(n))
    const seen: unknown[] = []
    const heir: Subscription = subscribe({
      handler: ({ data }) => {
        seen.push(data)
        if (data === 'first') old.handOver(heir)
        seen.push('returned')
      },
    })
    void heir.deliver(anEvent('first'))
    expect(seen).toEqual(['first', 'returned', 1, 'returned', 2, 'returned'])
  })

  it('gives a successor for one event the first, and lets the other publishers go', async () => {
    const old = subscribe({ handler: () => {}, capacity: 1 })
    old.pause()
    const waits = [1, 2, 3].map((n) => watched(old.deliver(anEvent(n))))
    const seen: number[] = []
    const heir = subscribe({ once: true, handler: ({ data }) => void seen.push(data) })
    old.handOver(heir)
    void heir.deliver(anEvent(4))
    await settled()
    expect(seen).toEqual([1])
    expect(heir.stats.dropped).toBe(2)
    expect(waits.every(({ released }) => released)).toBe(true)
  })

  it('to a closed successor discards the queue', async () => {
    const old = subscribe({ handler: () => {}, capacity: 1 })
    old.pause()
    const waits = [1, 2, 3].map((n) => watched(old.deliver(anEvent(n))))
    const heir = subscribe({ handler: () => {} })
    heir.unsubscribe()
    old.handOver(heir)
    await settled()
    expect(old.stats).toMatchObject({ dropped: 3, queued: 0 })
    expect(waits.every(({ released }) => released)).toBe(true)
  })
})

describe('a queue, whatever is done to it', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ act: fc.constant('deliver' as const), n: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 6, arbitrary: fc.record({ act: fc.constant('settle' as const), n: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant('settleOld' as const), n: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('pause' as const), n: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('resume' as const), n: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('handOver' as const), n: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('abandonAndHandOver' as const), n: fc.integer({ min: 1, max: 6 }) }) },
  )

  it('keeps order, loses nothing, doubles nothing, and holds back exactly those beyond the capacity', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 80 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, capacity, concurrency) => {
          const consumed: number[] = []
          let tooEarly = 0
          const generations: Subscription[] = []
          const waits: { released: boolean }[] = []
          const everInside: boolean[] = []
          const wasParked: boolean[] = []
          const generation = (size: number, sync: boolean): Subscription => {
            const take = (event: Event): void => {
              for (const other of generations) if (other !== own && other.stats.inFlight > 0) tooEarly++
              consumed.push(event.data)
            }
            const own: Subscription = subscribe({
              capacity: size,
              concurrency,
              ...(sync
                ? { handler: take }
                : {
                    consume: (envelope) => {
                      take(envelope.open())
                      return PENDING
                    },
                  }),
            })
            generations.push(own)
            return own
          }
          let current = generation(capacity, false)
          let delivered = 0

          for (const { act, n } of steps) {
            if (act === 'deliver') {
              for (let i = 0; i < n; i++) {
                const wait = current.deliver(anEvent(delivered))
                wasParked[delivered] = wait !== undefined
                waits[delivered++] = watched(wait)
                const position = delivered - 1 - consumed.length
                expect(wait === undefined).toBe(position < current.capacity)
              }
            } else if (act === 'settle') current.settle(n)
            else if (act === 'settleOld') generations[n % generations.length]?.settle(1)
            else if (act === 'pause') current.pause()
            else if (act === 'resume') current.resume()
            else {
              const old = current
              if (act === 'abandonAndHandOver') old.abandon()
              current = generation(n, n === 6)
              old.handOver(current)
            }
            for (let i = 0; i < delivered; i++) everInside[i] ||= i - consumed.length < current.capacity
            await Promise.resolve()
            await Promise.resolve()

            // In order, without a gap, none twice.
            expect(consumed).toEqual(Array.from({ length: consumed.length }, (_, i) => i))
            // Nobody begins while a predecessor is not done.
            expect(tooEarly).toBe(0)
            // What is not consumed is in the one queue.
            expect(current.stats.queued).toBe(delivered - consumed.length)
            for (const old of generations) if (old !== current) expect(old.stats.queued).toBe(0)
            // Nothing lingers that could go on.
            const gated = generations.some((old) => old !== current && old.stats.inFlight > 0)
            if (!gated && !current.paused && current.stats.inFlight < concurrency) expect(current.stats.queued).toBe(0)
            for (const { stats } of generations) expect(stats.inFlight).toBeLessThanOrEqual(concurrency)
            // A publisher is let go as soon as its event was once inside the capacity, and not before.
            expect(waits.map(({ released }) => released)).toEqual(everInside.map((inside, i) => inside || !wasParked[i]))
          }
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('a subscription without a handler', () => {
  it('is iterated, one event at a time, with the queue behind it', async () => {
    const subscription = subscribe({ capacity: 2 })
    const waits = [1, 2, 3, 4].map((n) => watched(subscription.deliver(anEvent(n))))
    await settled()
    expect(waits.map(({ released }) => released)).toEqual([true, true, false, false])
    const seen: number[] = []
    for await (const event of subscription) {
      seen.push(event.data)
      expect(subscription.stats.inFlight).toBe(1)
      expect(subscription.stats.queued).toBe(4 - seen.length)
      if (seen.length === 4) break
    }
    expect(seen).toEqual([1, 2, 3, 4])
    expect(waits.every(({ released }) => released)).toBe(true)
    expect(subscription.closed).toBe(true)
    expect(subscription.stats).toMatchObject({ delivered: 4, inFlight: 0 })
  })

  it('takes nothing more when it refuses, lets its publishers go, and leaves its place when it is unsubscribed', async () => {
    const { handler, data } = byHand()
    const left = vi.fn()
    const subscription = subscribe({ handler, capacity: 1 })
    subscription.join({ leave: left, ended: () => {}, overran: () => {}, failed: () => {} })
    void subscription.deliver(anEvent(1))
    void subscription.deliver(anEvent(2))
    const waiting = watched(subscription.deliver(anEvent(3)))
    subscription.refuse()
    await settled()
    expect(subscription.deliver(anEvent(4))).toBeUndefined()
    expect([data(), waiting.released, subscription.closed, left.mock.calls]).toEqual([[1], true, true, []])
    expect(subscription.stats).toMatchObject({ dropped: 2, queued: 0, inFlight: 1 })
    subscription.unsubscribe()
    expect(left).toHaveBeenCalledWith(subscription)
  })

  it('ends the loop when it is unsubscribed, also while the loop waits', async () => {
    const subscription = subscribe()
    const seen: number[] = []
    const loop = (async () => {
      for await (const event of subscription) seen.push(event.data)
      return 'ended'
    })()
    void subscription.deliver(anEvent(1))
    await settled()
    void subscription.deliver(anEvent(2))
    await settled()
    subscription.unsubscribe()
    expect(await loop).toBe('ended')
    expect(seen).toEqual([1, 2])
  })

  it('unsubscribes when the loop throws, or is left before it began', async () => {
    const thrown = subscribe()
    void thrown.deliver(anEvent(1))
    const loop = async () => {
      for await (const _ of thrown) throw new Error('out')
    }
    await expect(loop()).rejects.toThrow('out')
    expect(thrown.closed).toBe(true)
    const left = subscribe()
    await left[Symbol.asyncIterator]().return?.()
    expect(left.closed).toBe(true)
  })

  it('ends after one event with once', async () => {
    const subscription = subscribe({ once: true })
    for (const n of [1, 2]) void subscription.deliver(anEvent(n))
    const seen: number[] = []
    for await (const event of subscription) seen.push(event.data)
    expect(seen).toEqual([1])
  })

  it('is drained once the one event is taken, though nobody asks for a next one', async () => {
    const subscription = subscribe({ once: true })
    const first = subscription[Symbol.asyncIterator]().next()
    void subscription.deliver(anEvent(1))
    expect((await first).value?.data).toBe(1)
    await subscription.drain()
    expect(subscription.closed).toBe(true)
  })

  it('gives each event to one of several readers', async () => {
    const subscription = subscribe()
    const readers = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()]
    const both = Promise.all(readers.map((reader) => reader.next()))
    for (const n of [1, 2, 3]) void subscription.deliver(anEvent(n))
    expect((await both).map(({ value }) => value?.data)).toEqual([1, 2])
    expect(subscription.stats).toMatchObject({ inFlight: 2, queued: 1 })
  })

  it('is paused like any other', async () => {
    const subscription = subscribe()
    subscription.pause()
    void subscription.deliver(anEvent(1))
    const next = subscription[Symbol.asyncIterator]().next()
    const got = vi.fn()
    void next.then(got)
    await settled()
    expect(got).not.toHaveBeenCalled()
    subscription.resume()
    expect((await next).value?.data).toBe(1)
  })

  it('with a handler cannot be iterated', () => {
    expect(() => subscribe({ handler: () => {} })[Symbol.asyncIterator]()).toThrow(
      expect.objectContaining({ code: 'SUBSCRIPTION_OPTIONS' }),
    )
  })
})

describe('options', () => {
  it.each([
    [{ capacity: 0 }, 'has capacity = 0. Give a whole number'],
    [{ capacity: 1.5 }, 'has capacity = 1.5.'],
    [{ capacity: '9' }, "has capacity = '9'."],
    [{ capacity: Number.POSITIVE_INFINITY }, 'has capacity = Infinity.'],
    [{ concurrency: 0 }, 'has concurrency = 0.'],
    [{ concurrency: Number.NaN }, 'has concurrency = NaN.'],
    [{ policy: 'drop' }, "has policy = 'drop'. The only policy is 'block'."],
    [{ filter: /x/ }, 'has filter = an object. Give a function'],
    [{ once: 1 }, 'once = 1'],
    [{ signal: {} }, 'has signal = an object. Give the signal of an AbortController.'],
  ])('%o is refused, with the reason', (options, reason) => {
    expect(() => subscribe(options as never)).toThrow(
      expect.objectContaining({ code: 'SUBSCRIPTION_OPTIONS', message: expect.stringContaining(reason) }),
    )
  })

  it('refuses a bad pattern', () => {
    expect(() => subscribe({ pattern: 'a..b' })).toThrow(expect.objectContaining({ code: 'PATTERN_INVALID' }))
  })
})
