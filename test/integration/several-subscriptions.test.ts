/** Several subscriptions of one plugin to one pattern: each is on its own, though an event crosses to the plugin once. */
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'

/** Events that are under way to a plugin on one way. */
const IN_FLIGHT = 1_024

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe.each(['inline', 'thread', 'process'] as const)('subscriptions of one plugin (%s) to one pattern', (isolation) => {
  it('get all events, each in order, fast or slow, and with data of their own', async () => {
    const { kernel } = await startedWith({
      p: {
        manifest: { isolation },
        code: pluginCode({
          start: `
            const seen = [[], [], []]
            const take = (at) => ({ data }) => { seen[at].push([data.n, data.at?.getTime()]); data.n = -1; data.at?.setTime(0) }
            ctx.bus.subscribe('in', take(0))
            ctx.bus.subscribe('in', async (event) => { if (event.data.n % 7 === 0) await new Promise(setImmediate); take(1)(event) })
            ctx.bus.subscribe('in', async (event) => { await null; take(2)(event) }, { concurrency: 3 })
            ctx.bus.subscribe('tell', () => ctx.bus.publish('seen', seen))`,
        }),
      },
    })
    const seen = collect(kernel, 'seen')
    // Plain data, and some that structured clone carries.
    const data = (n: number): object => (n % 50 === 0 ? { n, at: new Date(n + 1) } : { n })
    for (const n of numbers(500)) await kernel.bus.publish('in', data(n))
    await kernel.bus.drain()
    await kernel.bus.publish('tell')
    await eventually(() => expect(seen).toHaveLength(1))
    const all = numbers(500).map((n) => (n % 50 === 0 ? [n, n + 1] : [n, undefined]))
    expect(seen[0]?.data).toEqual([all, all, all])
    expect(infoOf(kernel, 'p').subscriptions.slice(0, 3)).toEqual(
      [0, 1, 2].map(() => ({ pattern: 'in', queued: 0, inFlight: 0, delivered: 500, failed: 0 })),
    )
  })
})

describe('subscriptions of one plugin to one pattern', () => {
  it('end each by itself: once, by a signal, out of a loop, and the others go on', async () => {
    const { kernel } = await startedWith({
      p: pluginCode({
        start: `
          const seen = { once: [], aborted: [], loop: [], loopOnce: [], left: [] }
          const stop = new AbortController()
          ctx.bus.subscribe('in', ({ data }) => seen.once.push(data), { once: true })
          ctx.bus.subscribe('in', ({ data }) => { seen.aborted.push(data); if (data === 2) stop.abort() }, { signal: stop.signal })
          const read = async (name, options, last) => {
            for await (const { data } of ctx.bus.subscribe('in', options)) { seen[name].push(data); if (data === last) break }
          }
          void read('loop', {}, 3)
          void read('loopOnce', { once: true })
          ctx.bus.subscribe('in', ({ data }) => seen.left.push(data))
          ctx.bus.subscribe('tell', () => ctx.bus.publish('seen', seen))`,
      }),
    })
    const seen = collect(kernel, 'seen')
    await Promise.all(numbers(6).map((n) => kernel.bus.publish('in', n)))
    await eventually(() => expect(infoOf(kernel, 'p').subscriptions.map(({ pattern }) => pattern)).toEqual(['in', 'tell']))
    await kernel.bus.publish('in', 6)
    await kernel.bus.drain()
    await kernel.bus.publish('tell')
    await eventually(() => expect(seen).toHaveLength(1))
    expect(seen[0]?.data).toEqual({ once: [0], aborted: [0, 1, 2], loop: [0, 1, 2, 3], loopOnce: [0], left: [0, 1, 2, 3, 4, 5, 6] })
    await eventually(() => expect(infoOf(kernel, 'p').subscriptions[0]).toMatchObject({ delivered: 7, queued: 0, inFlight: 0 }))
  })

  it('hold back the publisher together when one of them never finishes, and only on that pattern', async () => {
    const { kernel } = await startedWith({
      p: pluginCode({
        start: `
          let fast = 0
          let open = () => {}
          const opened = new Promise((resolve) => { open = resolve })
          ctx.bus.subscribe('in', () => opened, { capacity: 16 })
          ctx.bus.subscribe('in', () => { fast++ }, { capacity: 16 })
          ctx.bus.subscribe('open', () => open())
          ctx.bus.subscribe('tell', () => ctx.bus.publish('fast', fast))`,
      }),
    })
    const fast = collect(kernel, 'fast')
    let taken = 0
    for (let n = 0; n < 1_100; n++) void kernel.bus.publish('in', n).then(() => taken++)
    await eventually(() => expect(taken).toBe(IN_FLIGHT + 16))
    await kernel.bus.publish('tell')
    await eventually(() => expect(fast.map(({ data }) => data)).toEqual([IN_FLIGHT]))
    await kernel.bus.publish('open')
    await eventually(() => expect(taken).toBe(1_100))
    await kernel.bus.drain()
    await kernel.bus.publish('tell')
    await eventually(() => expect(fast.map(({ data }) => data)).toEqual([IN_FLIGHT, 1_100]))
  })

  it('are held back no more by one that never finishes once that is unsubscribed', async () => {
    const { kernel } = await startedWith({
      p: {
        manifest: { limits: { stopTimeout: 50 } },
        code: pluginCode({
          start: `
            const stuck = ctx.bus.subscribe('in', () => new Promise(() => {}))
            ctx.bus.subscribe('in', ({ data }) => { if (data === 9) stuck.unsubscribe(); if (data === 2999) ctx.bus.publish('last') })`,
        }),
      },
    })
    const last = collect(kernel, 'last')
    for (const n of numbers(3_000)) await kernel.bus.publish('in', n)
    await eventually(() => expect(last).toHaveLength(1))
    await eventually(() => expect(infoOf(kernel, 'p').subscriptions).toMatchObject([{ delivered: 3_000, queued: 0, inFlight: 1 }]))
  })

  it('have their failures counted and told one by one', async () => {
    const { kernel } = await startedWith({
      p: pluginCode({
        start: `
          ctx.bus.subscribe('in', () => {})
          ctx.bus.subscribe('in', () => { throw new Error('at once') })
          ctx.bus.subscribe('in', async ({ data }) => { await null; if (data === 2) throw new Error('late') })`,
      }),
    })
    const failed = collect(kernel, 'kernel.handler.failed')
    for (const n of numbers(4)) await kernel.bus.publish('in', n)
    await eventually(() =>
      expect(infoOf(kernel, 'p').subscriptions.map((row) => [row.failed, row.inFlight])).toEqual([
        [0, 0],
        [4, 0],
        [1, 0],
      ]),
    )
    await eventually(() => expect(failed).toHaveLength(5))
  })

  it('lose nothing and get nothing twice when their plugin is replaced, whatever their number is then', async () => {
    const { kernel } = await startedWith({
      p: pluginCode({
        start: `
          const count = ctx.generation % 3 + 1
          for (let i = 0; i < count; i++)
            ctx.bus.subscribe('in', async ({ data }) => { await null; if (i === 0) await ctx.bus.publish('out', data) })`,
      }),
    })
    const out = collect(kernel, 'out')
    let going = true
    let published = 0
    const publishing = (async () => {
      for (; going; published++) {
        await kernel.bus.publish('in', published)
        if (published % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    for (let i = 0; i < 4; i++) await kernel.reload('p')
    going = false
    await publishing
    await eventually(() => expect(out).toHaveLength(published))
    expect(out.map(({ data }) => data as number).sort((a, b) => a - b)).toEqual(numbers(published))
  })
})

describe.each(['thread', 'process'] as const)('a plugin (%s) with thousands of subscriptions', (isolation) => {
  const beside = { neighbour: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data))' }) }

  it('to one pattern is served, and its neighbours with it', async () => {
    const { kernel, faults } = await startedWith({
      ...beside,
      bomb: {
        manifest: { isolation, limits: { hang: 60_000 } },
        code: pluginCode({
          start: `
            let handled = 0
            for (let i = 0; i < 9000; i++) ctx.bus.subscribe('**', ({ type }) => { if (type === 'in' && ++handled === 9000 * 30) ctx.bus.publish('all') })`,
        }),
      },
    })
    const out = collect(kernel, 'out')
    const all = collect(kernel, 'all')
    for (const n of numbers(30)) await kernel.bus.publish('in', n)
    await eventually(() => expect(out.map(({ data }) => data)).toEqual(numbers(30)))
    await eventually(() => expect(all).toHaveLength(1))
    expect(infoOf(kernel, 'bomb').subscriptions).toHaveLength(9_000)
    expect(faults).toEqual([])
  })

  it('to as many patterns that match one event is out of the system before that event is delivered, and its neighbours get theirs', async () => {
    const { kernel, faults } = await startedWith({
      ...beside,
      bomb: {
        manifest: { isolation, restart: { policy: 'temporary' } },
        code: pluginCode({
          start: `
            ctx.bus.subscribe('go', () => {
              for (let i = 1; i < 500; i++) ctx.bus.subscribe('**.'.repeat(i & 15) + '*' + '.**'.repeat(i >> 5), () => {}, { capacity: i })
            })`,
        }),
      },
    })
    const out = collect(kernel, 'out')
    await kernel.bus.publish('go')
    let published = 0
    await eventually(async () => {
      await kernel.bus.publish('in', published++)
      expect(faults).toHaveLength(1)
    })
    await eventually(() => expect(out.map(({ data }) => data)).toEqual(numbers(published)))
    expect(faults[0]?.error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(
        /^Plugin 'bomb' has patterns that match an event on '.*', or its beginning, in \d+ ways; its limit is 100 \(limits\.overlap\)/,
      ) as string,
      details: { limit: 'overlap', allowed: 100, observed: expect.any(Number) as number },
    })
    expect(kernel.bus.subscriptionsOf('bomb')).toEqual([])
    expect(infoOf(kernel, 'bomb').subscriptions).toEqual([])
  })
})
