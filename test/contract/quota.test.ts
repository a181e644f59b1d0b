/** What the kernel's end counts, whatever the guest's end says: told over a real line by a guest that refuses nothing by itself. */
import { describe, expect, test } from 'vitest'
import { AT_ONCE } from '#src/sandbox/conversation/at-once.js'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'

const ALL = [
  { resource: 'bus:**', actions: ['publish', 'subscribe'] },
  { resource: 'service:*', actions: ['provide', 'call'] },
]

const lineOf = (limits: { requests?: number; services?: number; window?: number } = {}) => {
  const line = gatewayLine(ALL, { subscriptions: 4, services: 4, requests: 100, ...limits })
  /** Everything said so far has been heard. */
  const heard = (): Promise<unknown> => line.guest.request('unwatch', { watch: 0 }).catch(() => {})
  return { ...line, heard }
}

describe('what a guest tells and asks beside events and calls', () => {
  test('is free up to its rate and the reserve, then warned of, then contained', async () => {
    const { guest, breaches, warnings, heard } = lineOf({ requests: 1_000 })
    const deny = (times: number): void => {
      for (let i = 0; i < times; i++) guest.notify('denied', ['bus:x', 'publish', 1])
    }
    deny(1_000)
    await heard()
    expect([breaches, warnings]).toEqual([[], []])
    // In one turn: on a machine that is busy a slower one would get time to be within its rate again.
    deny(10_000)
    await eventually(() => expect(breaches[0]).toMatchObject({ limit: 'requests', allowed: 1_000 }))
    expect(breaches[0]?.observed).toBeGreaterThan(2_000)
    expect(warnings).toEqual([expect.stringMatching(/more than 1000 things a second.*limits\.requests/)])
  })

  test('does not count what answers an event: handled, and failed', async () => {
    const { bus, guest, gateway, breaches, told } = lineOf()
    guest.notify('subscribe', [1, 'x', null])
    await eventually(() => expect(gateway.subscriptions).toHaveLength(1))
    for (let i = 0; i < 1_000; i++) {
      await bus.publish('x', i)
      guest.notify('failure', [1, 'x', String(i)], { name: 'Error', message: 'no' })
      guest.notify('handled', [1, 1])
    }
    await eventually(() => expect(gateway.subscriptions[0]?.stats).toMatchObject({ delivered: 1_000, failed: 1_000, inFlight: 0 }))
    expect(told.filter(({ verb }) => verb === 'event')).toHaveLength(1_000)
    expect(breaches).toEqual([])
  })

  test.each([
    ['handled', [1, 1]],
    ['failure', [1, 'x', 'none']],
    ['nonsense', []],
  ])('counts a %s that answers none', async (verb, metas) => {
    const { guest, gateway, breaches } = lineOf()
    guest.notify('subscribe', [1, 'x', null])
    for (let i = 0; i < 1_000; i++) guest.notify(verb, metas, { name: 'Error', message: 'no' })
    await eventually(() => expect(breaches[0]).toMatchObject({ limit: 'requests' }))
    expect(gateway.subscriptions[0]?.stats.failed).toBe(0)
  })
})

test.each([
  ['no level that there is', ['constructor', 'text']],
  ['no level at all', [null, 'text']],
  ['no message', ['info', 5]],
  ['nothing', []],
])('a line for the log with %s ends the conversation, and does not reach the logger', async (_, metas) => {
  const { guest } = lineOf()
  guest.notify('log', metas)
  await eventually(() => expect(guest.over).toBe(true))
})

describe('what a guest publishes', () => {
  test('is at most its window before it is told that there was room, however soon there was', async () => {
    const { guest, ended } = lineOf()
    for (let i = 0; i < 8; i++) guest.notify('publish', ['x'], i)
    await eventually(() => expect(ended).toEqual([]))
    for (let i = 0; i < 9; i++) guest.notify('publish', ['x'], i)
    await eventually(() =>
      expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('more than the 8 events of its window') }]),
    )
  })

  test('is at most so many bytes before it is told, however few events they are', async () => {
    const { bus, guest, told, ended } = lineOf({ window: 100 })
    bus.subscribe('x', () => new Promise(() => {}))
    const text = 'x'.repeat(1_000_000)
    // One is in the hands of the handler, 67 in its queue.
    for (let taken = 1; taken <= 68; taken++) {
      guest.notify('publish', ['x'], text)
      await eventually(() => expect(told.reduce((sum, { metas }) => sum + (metas[0] as number), 0)).toBe(taken))
    }
    for (let i = 0; i < 33; i++) guest.notify('publish', ['x'], text)
    await guest.request('unwatch', { watch: 0 }).catch(() => {})
    expect(ended).toEqual([])
    for (let i = 0; i < 2; i++) guest.notify('publish', ['x'], text)
    await eventually(() =>
      expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('more than the 33554432 bytes of its window') }]),
    )
  })

  test('goes on without an end as it is told', async () => {
    const { guest, told, ended } = lineOf()
    const accepted = (): number => told.reduce((sum, { metas }) => sum + (metas[0] as number), 0)
    for (let round = 1; round <= 20; round++) {
      for (let i = 0; i < 8; i++) guest.notify('publish', ['x'], i)
      await eventually(() => expect(accepted()).toBe(8 * round))
    }
    expect(ended).toEqual([])
  })

  test.each([
    ['a topic that is none', 'x.*'],
    ["the kernel's own", 'kernel.x'],
    ['no text', 5],
  ])('on %s ends its line', async (_, topic) => {
    const { guest, ended, logged } = lineOf()
    guest.notify('publish', [topic], 1)
    await eventually(() => expect(ended).toMatchObject([{ code: 'PROTOCOL' }]))
    expect(logged).toEqual([])
  })

  test.each([
    ['is too large', 'x', 'x'.repeat(2_000)],
    ['it may not', 'else', 1],
  ])('counts where it %s', async (_, topic, data) => {
    const line = gatewayLine([{ resource: 'bus:x', actions: ['publish'] }], { message: 1_000, requests: 5, window: 1_000 })
    for (let i = 0; i < 100; i++) line.guest.notify('publish', [topic], data)
    await eventually(() => expect(line.breaches[0]).toMatchObject({ limit: 'requests' }))
  })
})

test.each(['file', 'fetch', 'task'])('a %s that fails at once counts, though never many are under way', async (verb) => {
  const { guest, breaches } = lineOf()
  for (let i = 0; i < 100 && breaches.length === 0; i++) await guest.request(verb, null).catch(() => {})
  await eventually(() => expect(breaches[0]).toMatchObject({ limit: 'requests' }))
})

describe('what a guest logs', () => {
  test('is not even built when its fields are far beyond those of a line', async () => {
    const { guest, logged, heard } = lineOf()
    for (const text of ['x'.repeat(100_000), 'x'.repeat(1_000_000)]) guest.notify('log', ['info', 'm'], { text })
    await heard()
    expect(logged).toEqual([{ text: 'x'.repeat(100_000) }, { omitted: 'more than 131072 bytes of fields' }])
  })
})

describe('what a guest has in the kernel', () => {
  test('is contained at twice the subscriptions that its own end would refuse', async () => {
    const { guest, gateway, breaches, heard } = lineOf()
    for (let i = 1; i <= 8; i++) guest.notify('subscribe', [i, 'x', null])
    await heard()
    expect([gateway.traffic.length, breaches]).toEqual([8, []])
    guest.notify('subscribe', [9, 'x', null])
    await eventually(() => expect(breaches).toEqual([{ limit: 'subscriptions', allowed: 4, observed: 9 }]))
    expect(gateway.traffic).toHaveLength(8)
  })

  test('is refused beyond the services it may provide, use and watch, and free again when some are given back', async () => {
    const { guest, breaches } = lineOf({ requests: 10_000 })
    const provide = (service: number) => guest.request('provide', { service, name: `s${service}`, version: '1.0.0', methods: ['x'] })
    for (let service = 1; service <= 4; service++) await provide(service)
    await expect(provide(5)).rejects.toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(/'hostile' may not provide the service 's5'.*4 is its limit \(limits\.services\)/) as string,
      details: { limit: 'limits.services', allowed: 4 },
    })
    await guest.request('withdraw', { service: 1 })
    await provide(6)
    const watch = (number: number) => guest.request('watch', { watch: number, name: 's2' })
    for (let number = 1; number <= 4; number++) await watch(number)
    await expect(watch(5)).rejects.toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringContaining("watch the service 's2'") as string,
    })
    const use = (name: string, range = '*') => guest.request('use', { name, range, wait: 0 })
    for (let i = 0; i < 8; i++) await expect(use('nobody')).rejects.toMatchObject({ code: 'SERVICE_UNKNOWN' })
    // The same service again is the same line.
    for (let i = 0; i < 8; i++) await use('s2')
    for (const range of ['^1.0.0', '1', '1.0']) await use('s2', range)
    await expect(use('s2', '>0')).rejects.toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringContaining('Use fewer of them, or fewer ranges of one') as string,
    })
    expect(breaches).toEqual([])
  })

  test.each([
    ['provide', { service: 1, name: 'a'.repeat(257), version: '1.0.0', methods: ['x'] }, 'SERVICE_NAME_INVALID'],
    ['provide', { service: 1, name: 5, version: '1.0.0', methods: ['x'] }, 'SERVICE_NAME_INVALID'],
    ['provide', { service: 1, name: 'a', version: `1.0.0-${'a'.repeat(257)}`, methods: ['x'] }, 'SERVICE_VERSION_INVALID'],
    ['provide', { service: 1, name: 'a', version: '1.0.0', methods: [] }, 'SERVICE_SHAPE'],
    ['provide', { service: 1, name: 'a', version: '1.0.0', methods: Array.from({ length: 1_001 }, (_, i) => `m${i}`) }, 'SERVICE_SHAPE'],
    ['provide', { service: 1, name: 'a', version: '1.0.0', methods: ['m'.repeat(257)] }, 'SERVICE_SHAPE'],
    ['use', { name: 'a'.repeat(257), range: '*', wait: 0 }, 'SERVICE_NAME_INVALID'],
    ['use', { name: 'a', range: '>=1.0.0 || '.repeat(1_000), wait: 0 }, 'SERVICE_VERSION_INVALID'],
    ['use', { name: 'a', range: {}, wait: 0 }, 'SERVICE_VERSION_INVALID'],
    ['watch', { watch: 1, name: 'a'.repeat(257) }, 'SERVICE_NAME_INVALID'],
  ])('is refused for a %s that its own end would refuse', async (verb, asked, code) => {
    const { guest, gateway } = lineOf()
    await expect(guest.request(verb, asked)).rejects.toMatchObject({ code })
    expect(gateway.provides).toEqual([])
  })

  test('is refused beyond 32 ranges of one service and 32 watches on it, those that wait for it included', async () => {
    const { guest } = lineOf({ requests: 100_000, services: 1_000 })
    const use = (i: number, wait = 0) => guest.request('use', { name: 's', range: `>=0.0.${i}`, wait })
    const waiting = Array.from({ length: 32 }, (_, i) => use(i, 60_000))
    const refused = {
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(/'hostile' may not use the service 's'.*32 is its limit/) as string,
    }
    await expect(use(32)).rejects.toMatchObject(refused)
    await guest.request('provide', { service: 1, name: 's', version: '1.0.0', methods: ['x'] })
    await Promise.all(waiting)
    await expect(use(32)).rejects.toMatchObject(refused)
    await use(0)
    for (let watch = 0; watch < 32; watch++) await guest.request('watch', { watch, name: 's' })
    await expect(guest.request('watch', { watch: 32, name: 's' })).rejects.toMatchObject({ code: 'PLUGIN_LIMIT' })
    await guest.request('unwatch', { watch: 0 })
    await guest.request('watch', { watch: 33, name: 's' })
  })

  test('is answered in order and a share of it in a turn, so that others have theirs in between', async () => {
    const { guest, gateway, registry } = lineOf({ requests: 100_000, services: 1_000 })
    let turns = 0
    const stop = registry.watch('s400', () => void (turns = counted))
    let counted = 0
    const count = (): void => {
      counted++
      if (turns === 0) setImmediate(count)
    }
    count()
    const order: number[] = []
    const provide = async (service: number): Promise<void> => {
      await guest.request('provide', { service, name: `s${service}`, version: '1.0.0', methods: ['x'] })
      order.push(service)
    }
    await Promise.all(Array.from({ length: 400 }, (_, i) => provide(i + 1)))
    stop()
    expect(order).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
    expect(gateway.provides).toHaveLength(400)
    expect(turns).toBeGreaterThan(10)
  })

  test('may ask for a task instead of one that it cancelled: that waits until it has ended, and is none any more once it is cancelled itself', async () => {
    const { guest, tasks, heard } = lineOf({ requests: 10_000 })
    const run = (signal?: AbortSignal): Promise<unknown> => guest.request('task', { name: 't', input: null }, { signal })
    const cancelled = [new AbortController(), new AbortController()]
    const ended = cancelled.map(({ signal }) => expect(run(signal)).rejects.toMatchObject({ code: 'CALL_CANCELLED' }))
    const all = Array.from({ length: AT_ONCE.task - 2 }, () => run())
    await eventually(() => expect(tasks).toHaveLength(AT_ONCE.task))
    for (const controller of cancelled) controller.abort()
    const given = new AbortController()
    const instead = [run(given.signal), run()]
    const refused = expect(run()).rejects.toMatchObject({ code: 'PLUGIN_LIMIT' })
    const givenUp = expect(instead[0]).rejects.toMatchObject({ code: 'CALL_CANCELLED' })
    given.abort()
    await Promise.all([refused, givenUp, ...ended])
    await heard()
    expect(tasks).toHaveLength(AT_ONCE.task)
    tasks[0]?.()
    await eventually(() => expect(tasks).toHaveLength(AT_ONCE.task + 1))
    for (const done of tasks) done()
    await Promise.all([...all, instead[1]])
  })

  test('is refused beyond the tasks that may be under way, and free again when some are done', async () => {
    const { guest, tasks } = lineOf({ requests: 10_000 })
    const run = (): Promise<unknown> => guest.request('task', { name: 't', input: null })
    const all = Array.from({ length: AT_ONCE.task }, run)
    await eventually(() => expect(tasks).toHaveLength(AT_ONCE.task))
    await expect(run()).rejects.toMatchObject({ code: 'PLUGIN_LIMIT', message: expect.stringContaining("'hostile' may not") as string })
    for (const done of tasks) done()
    await Promise.all(all)
    const again = run()
    await eventually(() => expect(tasks).toHaveLength(AT_ONCE.task + 1))
    tasks.at(-1)?.()
    await again
  })
})
