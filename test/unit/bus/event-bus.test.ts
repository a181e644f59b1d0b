import { describe, expect, it, vi } from 'vitest'
import { MAX_WAITING } from '#src/bus/bounded-queue.js'
import { type Event, OpenEvent } from '#src/bus/event.js'
import { EventBus } from '#src/bus/event-bus.js'
import { PENDING, Subscription } from '#src/bus/subscription.js'
import { PlugbayError } from '#src/errors.js'

const aBus = (options: Partial<ConstructorParameters<typeof EventBus>[0]> = {}): EventBus => new EventBus({ source: 'kernel', ...options })
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('publish', () => {
  it('brings a stamped event to every matching subscription, in the order they subscribed', async () => {
    const bus = aBus()
    const seen: unknown[] = []
    for (const pattern of ['**', 'user.login', 'user.*', 'order.*', '*.login'])
      bus.subscribe(pattern, (event) => void seen.push([pattern, event]))
    await bus.publish('user.login', { userId: '7' })
    const event = {
      id: expect.stringMatching(/^[0-9a-z]{11}-00$/),
      type: 'user.login',
      source: 'kernel',
      time: expect.any(String),
      data: { userId: '7' },
    }
    expect(seen).toEqual(['**', 'user.login', 'user.*', '*.login'].map((pattern) => [pattern, event]))
  })

  it('rejects, and does not throw, over data that throws when it is looked at', async () => {
    const bus = aBus()
    bus.subscribe('a', () => {})
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    await expect(bus.publish('a', proxy)).rejects.toBeInstanceOf(TypeError)
  })

  it('takes the source from whoever publishes for another', () => {
    const bus = aBus()
    const seen: string[] = []
    bus.subscribe('a', (event) => void seen.push(event.source))
    void bus.publish('a', 1, { source: 'hello' })
    void bus.publish('a')
    expect(seen).toEqual(['hello', 'kernel'])
  })

  it('rejects a bad topic and never throws', async () => {
    const bus = aBus()
    await expect(bus.publish('a..b', 1)).rejects.toMatchObject({ code: 'TOPIC_INVALID' })
    await expect(bus.publish(7 as unknown as string)).rejects.toMatchObject({ code: 'TOPIC_INVALID' })
    await expect(bus.dispatch(new OpenEvent('1', 'a.*', 's', 't', 0))).rejects.toMatchObject({ code: 'TOPIC_INVALID' })
    expect(bus.stats().published).toBe(0)
  })

  it('costs no promise of its own when nobody has to wait', () => {
    const bus = aBus()
    bus.subscribe('a', () => {})
    expect(bus.publish('a')).toBe(bus.publish('a'))
    expect(bus.publish('nobody')).toBe(bus.publish('a'))
    expect(bus.dispatch(bus.event('a', 1))).toBeUndefined()
  })

  it('resolves when the slowest full subscriber has room', async () => {
    const bus = aBus()
    const slow = [1, 2].map(() => bus.subscribe('a', () => {}, { capacity: 1 }))
    bus.subscribe('a', () => {})
    for (const subscription of slow) subscription.pause()
    void bus.publish('a', 1)
    const done = vi.fn()
    void bus.publish('a', 2).then(done)
    slow[0]?.resume()
    await settled()
    expect(done).not.toHaveBeenCalled()
    slow[1]?.resume()
    await settled()
    expect(done).toHaveBeenCalledOnce()
  })

  it('keeps a publisher that waits within the queue, however slow the subscriber', async () => {
    const bus = aBus()
    let most = 0
    const subscription = bus.subscribe('a', () => new Promise((resolve) => setImmediate(resolve)), { capacity: 8 })
    for (let i = 0; i < 200; i++) {
      await bus.publish('a', i)
      most = Math.max(most, subscription.stats.queued)
    }
    await bus.drain()
    expect(most).toBeLessThanOrEqual(8)
    expect(subscription.stats).toMatchObject({ delivered: 200, dropped: 0 })
  })

  it('is refused as a whole when one subscriber is overrun, before anybody got the event', async () => {
    const bus = aBus()
    const seen: unknown[] = []
    bus.subscribe('a', (event) => void seen.push(event.data))
    const stuck = new Subscription({ id: 'x', pattern: '*', owner: 'sloth', capacity: 2, handler: () => {} })
    bus.attach(stuck)
    stuck.pause()
    for (let i = 0; i < MAX_WAITING + 2; i++) void bus.publish('a', i)
    expect(seen).toHaveLength(MAX_WAITING + 2)
    const refusal = bus.publish('a', 'too much', { source: 'hasty' })
    await expect(refusal).rejects.toMatchObject({
      code: 'PUBLISH_OVERRUN',
      plugin: 'hasty',
      message: expect.stringContaining("subscription of 'sloth' to '*'"),
    })
    expect(seen).toHaveLength(MAX_WAITING + 2)
    expect(stuck.stats.queued).toBe(MAX_WAITING + 2)
    // Others are not concerned, and it is over when there is room.
    bus.subscribe('b.c', (event) => void seen.push(event.data))
    await bus.publish('b.c', 'fine')
    stuck.resume()
    await bus.publish('a', 'again')
    expect(seen.slice(-2)).toEqual(['fine', 'again'])
    expect(bus.stats()).toMatchObject({ refused: 1, queued: 0 })
  })

  it('is no longer refused when the overrun subscription is unsubscribed or detached', async () => {
    for (const end of ['unsubscribe', 'detach'] as const) {
      const bus = aBus()
      const stuck = bus.subscribe('a', () => {}, { capacity: 1 })
      stuck.pause()
      for (let i = 0; i < MAX_WAITING + 1; i++) void bus.publish('a', i)
      await expect(bus.publish('a')).rejects.toMatchObject({ code: 'PUBLISH_OVERRUN' })
      if (end === 'detach') bus.detach(stuck)
      else stuck.unsubscribe()
      await bus.publish('a')
    }
  })
})

describe('publish options', () => {
  it.each<[unknown, string]>([
    [{ soruce: 'x' }, "has no option 'soruce'. Did you mean 'source'? It takes source."],
    [{ source: 5 }, 'has source = 5. Give a name'],
    [{ source: '' }, "has source = ''. Give a name"],
    [null, 'has null for its options'],
    ['shop', "has 'shop' for its options"],
  ])('%o are refused, whether anybody listens or not, and nobody gets the event', async (options, says) => {
    const bus = aBus()
    const seen: unknown[] = []
    bus.subscribe('a.b', ({ data }) => void seen.push(data))
    for (const topic of ['a.b', 'z'])
      await expect(bus.publish(topic, 1, options as never)).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        message: expect.stringContaining(says),
      })
    expect(seen).toEqual([])
    expect(bus.stats().published).toBe(0)
  })

  it('name another source, or leave it at the own one', async () => {
    const bus = aBus()
    const sources: string[] = []
    bus.subscribe('a', ({ source }) => void sources.push(source))
    await bus.publish('a', 1, { source: 'shop' })
    await bus.publish('a', 1, {})
    await bus.publish('a', 1, { source: undefined })
    expect(sources).toEqual(['shop', bus.source, bus.source])
  })
})

describe('dispatch', () => {
  it('routes by the head, and opens an envelope only for who needs the event', () => {
    const bus = aBus()
    const open = vi.fn(() => new OpenEvent('1', 'a.b', 's', 't', 42))
    const envelope = { id: '1', type: 'a.b', source: 's', time: 't', weight: 0, open }
    const taken: unknown[] = []
    bus.attach(new Subscription({ id: 'x', pattern: 'a.*', owner: 'remote', consume: (closed) => void taken.push(closed) }))
    bus.subscribe('other.*', () => {})
    void bus.dispatch(envelope)
    expect(open).not.toHaveBeenCalled()
    expect(taken).toEqual([envelope])
    bus.subscribe('a.b', (event) => void taken.push(event.data))
    void bus.dispatch(envelope)
    expect(taken).toEqual([envelope, envelope, 42])
  })
})

describe('a handler that fails', () => {
  it('stops no other, and is reported with topic, pattern and owner', async () => {
    const onFailure = vi.fn()
    const bus = aBus({ onFailure })
    const reports: unknown[] = []
    const seen: string[] = []
    bus.subscribe('kernel.**', ({ type, source, data }) => void reports.push({ type, source, data }))
    bus.subscribe('a.b', () => void seen.push('before'))
    const bad = new Subscription({
      id: 'x',
      pattern: 'a.*',
      owner: 'hello',
      handler: () => {
        throw new PlugbayError('CALL_TIMEOUT', 'too late')
      },
    })
    bus.attach(bad)
    bus.attach(new Subscription({ id: 'y', pattern: 'a.b', owner: 'slow', handler: () => Promise.reject(new Error('later')) }))
    bus.subscribe('a.b', () => void seen.push('after'))
    await bus.publish('a.b', 1)
    await settled()
    expect(seen).toEqual(['before', 'after'])
    expect(reports).toEqual([
      {
        type: 'kernel.handler.failed',
        source: 'kernel',
        data: { topic: 'a.b', pattern: 'a.*', plugin: 'hello', error: { code: 'CALL_TIMEOUT', message: 'too late' } },
      },
      {
        type: 'kernel.handler.failed',
        source: 'kernel',
        data: { topic: 'a.b', pattern: 'a.b', plugin: 'slow', error: { message: 'later' } },
      },
    ])
    expect(onFailure).toHaveBeenCalledTimes(2)
    expect(onFailure).toHaveBeenNthCalledWith(
      1,
      bad,
      expect.objectContaining({ type: 'a.b', data: 1 }),
      expect.objectContaining({ code: 'CALL_TIMEOUT' }),
    )
  })

  it('does not report failures of the reports', async () => {
    const onFailure = vi.fn()
    const bus = aBus({ onFailure })
    bus.subscribe('**', () => {
      throw new Error('always')
    })
    await bus.publish('a', 1)
    expect(onFailure.mock.calls.map(([, { type }]) => type)).toEqual(['a', 'kernel.handler.failed'])
  })

  it('may throw anything, and the listener may throw too', async () => {
    const bus = aBus({
      onFailure: () => {
        throw new Error('listener')
      },
    })
    const reports: unknown[] = []
    bus.subscribe('kernel.handler.failed', (event) => void reports.push(event.data.error.message))
    const textless = {
      toString: () => {
        throw new Error('no')
      },
    }
    for (const thrown of [undefined, null, 'text', 7, textless]) {
      bus.subscribe(
        'a',
        () => {
          throw thrown
        },
        { once: true },
      )
    }
    await bus.publish('a')
    const says = 'which says neither what went wrong nor where: throw an Error'
    expect(reports).toEqual([`undefined was thrown, ${says}`, `null was thrown, ${says}`, 'text', '7', 'a thrown object that has no text'])
  })
})

describe('order', () => {
  it('is the order of publishing for each subscription, also when handlers publish', async () => {
    const bus = aBus()
    const seen: Record<string, string[]> = { first: [], last: [] }
    bus.subscribe('**', (event: Event) => void seen['first']?.push(event.data))
    bus.subscribe('a', () => bus.publish('b', 'answer'))
    bus.subscribe('**', (event: Event) => void seen['last']?.push(event.data))
    await bus.publish('a', 'question')
    await bus.publish('c', 'next')
    expect(seen['first']).toEqual(['question', 'answer', 'next'])
    expect(new Set(seen['last'])).toEqual(new Set(['question', 'answer', 'next']))
  })

  it('holds for one publisher across a replacement, with nothing lost and nothing doubled', async () => {
    const bus = aBus()
    const seen: string[] = []
    const aGeneration = (n: number): Subscription =>
      new Subscription({
        id: `g${n}`,
        pattern: 'tick',
        owner: 'p',
        handler: async (event) => {
          await Promise.resolve()
          seen.push(event.data)
        },
      })
    let current = aGeneration(0)
    bus.attach(current)
    for (let i = 0; i < 500; i++) {
      await bus.publish('tick', i)
      if (i % 7 !== 0) continue
      const next = aGeneration(i)
      bus.attach(next)
      bus.detach(current)
      current.handOver(next)
      current = next
    }
    await bus.drain()
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i))
  })
})

describe('subscriptions', () => {
  it('come and go: attach and detach move the very next event', () => {
    const bus = aBus()
    const seen: unknown[] = []
    const subscription = new Subscription({ id: 'x', pattern: 'a', owner: 'p', handler: (event) => void seen.push(event.data) })
    void bus.publish('a', 1)
    bus.attach(subscription)
    bus.attach(subscription)
    void bus.publish('a', 2)
    bus.detach(subscription)
    void bus.publish('a', 3)
    bus.attach(subscription)
    void bus.publish('a', 4)
    subscription.unsubscribe()
    bus.attach(subscription)
    void bus.publish('a', 5)
    expect(seen).toEqual([2, 4])
    expect(bus.stats().subscriptions).toBe(0)
  })

  it('that stand aside are attached and get nothing, count for nothing and hold nothing up, until they step in', () => {
    const bus = aBus()
    const seen: unknown[] = []
    const subscription = new Subscription({ id: 'x', pattern: 'a', owner: 'p', handler: (event) => void seen.push(event.data) })
    subscription.stepAside()
    bus.attach(subscription)
    void bus.publish('a', 1)
    expect(bus.stats()).toMatchObject({ subscriptions: 0, queued: 0 })
    expect(bus.subscriptionsOf('p')).toEqual([])
    subscription.stepIn()
    void bus.publish('a', 2)
    expect(bus.subscriptionsOf('p')).toEqual([subscription])
    subscription.stepAside()
    void bus.publish('a', 3)
    expect(seen).toEqual([2])
    bus.detach(subscription)
    expect(bus.stats().subscriptions).toBe(0)
  })

  it('that stand aside still handle what they have', async () => {
    const bus = aBus()
    const seen: unknown[] = []
    const subscription = new Subscription({ id: 'x', pattern: 'a', owner: 'p', handler: (event) => void seen.push(event.data) })
    bus.attach(subscription)
    subscription.pause()
    void bus.publish('a', 1)
    subscription.stepAside()
    void bus.publish('a', 2)
    subscription.resume()
    await subscription.drain()
    expect(seen).toEqual([1])
  })

  it('that subscribe or unsubscribe while an event is delivered do not disturb the delivery', () => {
    const bus = aBus()
    const seen: string[] = []
    bus.subscribe('a', () => {
      seen.push('first')
      second.unsubscribe()
      bus.subscribe('a', () => void seen.push('late'), { once: true })
    })
    const second = bus.subscribe('a', () => void seen.push('second'))
    bus.subscribe('a', () => void seen.push('third'))
    void bus.publish('a')
    expect(seen).toEqual(['first', 'third'])
    void bus.publish('a')
    expect(seen).toEqual(['first', 'third', 'first', 'third', 'late'])
  })

  it('leave nothing behind when they end', async () => {
    const bus = aBus()
    const controller = new AbortController()
    bus.subscribe('a', () => {}, { once: true })
    bus.subscribe('a', () => {}, { signal: controller.signal })
    bus.subscribe('a', () => {}).unsubscribe()
    const loop = (async () => {
      for await (const _ of bus.subscribe('a')) break
    })()
    await bus.publish('a')
    controller.abort()
    await loop
    expect(bus.stats()).toMatchObject({ subscriptions: 0, queued: 0, inFlight: 0 })
    expect(bus.subscribe('a', () => {}, { signal: controller.signal }).closed).toBe(true)
    expect(bus.stats().subscriptions).toBe(0)
  })

  it('without a handler are iterated', async () => {
    const bus = aBus()
    const subscription = bus.subscribe('n.*', { filter: (event) => event.data > 1 })
    for (const n of [1, 2, 3]) void bus.publish('n.x', n)
    const seen: number[] = []
    for await (const event of subscription) {
      seen.push(event.data)
      if (seen.length === 2) break
    }
    expect(seen).toEqual([2, 3])
    expect(bus.stats().subscriptions).toBe(0)
  })

  it('refuse bad patterns and options, and are not attached then', () => {
    const bus = aBus()
    expect(() => bus.subscribe('a.*b', () => {})).toThrow(expect.objectContaining({ code: 'PATTERN_INVALID' }))
    expect(() => bus.subscribe('a', () => {}, { capacity: -1 })).toThrow(expect.objectContaining({ code: 'SUBSCRIPTION_OPTIONS' }))
    expect(bus.stats().subscriptions).toBe(0)
  })

  it.each<[string, unknown[], string]>([
    ['a handler that is a number', [5], 'has 5 for its handler'],
    ['a handler that is not there', [undefined], 'has undefined for its handler'],
    ['no handler but options', [undefined, { once: true }], 'has undefined for its handler'],
    ['null for a handler', [null], 'has null for its handler'],
    ['a list of handlers', [[() => {}]], 'has a list for its handler'],
    ['options before the handler', [{ once: true }, () => {}], 'has an object for its handler'],
    ['options that are a number', [() => {}, 5], 'has 5 for its options'],
    ['null for options', [() => {}, null], 'has null for its options'],
    ['a misspelt option', [() => {}, { capcity: 5 }], "Did you mean 'capacity'?"],
  ])('refuse %s where it is given, as nobody would read their events', async (_, given, says) => {
    const bus = aBus()
    const subscribe = bus.subscribe.bind(bus) as (pattern: string, ...rest: unknown[]) => Subscription
    expect(() => subscribe('m.*', ...given)).toThrow(
      expect.objectContaining({ code: 'SUBSCRIPTION_OPTIONS', message: expect.stringContaining(says) }),
    )
    expect(bus.stats().subscriptions).toBe(0)
    await bus.drain()
  })

  it.each(['owner', 'keep', 'consume', 'id', 'pattern', 'handler', 'onFailure'])("take no '%s': that is the gateway's", (name) => {
    const bus = aBus()
    const options = { [name]: name === 'owner' ? 'victim' : () => {} }
    expect(() => bus.subscribe('a', () => {}, options)).toThrow(
      expect.objectContaining({
        code: 'SUBSCRIPTION_OPTIONS',
        message: expect.stringMatching(
          new RegExp(`no option '${name}'.* It takes capacity, concurrency, policy, filter, once, signal\\.$`),
        ),
      }),
    )
    expect(bus.subscribe('a', () => {}).owner).toBe(bus.source)
  })
})

describe('drain', () => {
  it('waits for everything, also for what handlers publish, and for what was unsubscribed in flight', async () => {
    const bus = aBus()
    const seen: string[] = []
    const later = (act: () => unknown) => () => new Promise<void>((resolve) => setImmediate(() => resolve(void act())))
    bus.subscribe(
      'a',
      later(() => bus.publish('b')),
    )
    bus.subscribe(
      'b',
      later(() => bus.publish('c')),
    )
    bus.subscribe(
      'c',
      later(() => seen.push('c')),
    )
    const leaving = bus.subscribe(
      'a',
      later(() => seen.push('left')),
    )
    await bus.publish('a')
    leaving.unsubscribe()
    await bus.drain()
    expect(seen.sort()).toEqual(['c', 'left'])
  })

  it('waits for credit', async () => {
    const bus = aBus()
    const remote = new Subscription({ id: 'x', pattern: 'a', owner: 'p', consume: () => PENDING })
    bus.attach(remote)
    await bus.publish('a')
    const done = vi.fn()
    const drained = bus.drain().then(done)
    await settled()
    expect(done).not.toHaveBeenCalled()
    expect(bus.stats().inFlight).toBe(1)
    remote.settle()
    await drained
  })
})

it('two buses share nothing', async () => {
  const [one, two] = [aBus(), aBus()]
  const handler = vi.fn()
  one.subscribe('**', handler)
  await two.publish('a')
  expect(handler).not.toHaveBeenCalled()
})
