import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const numbers = (events: { data: unknown }[]): unknown[] => events.map(({ data }) => data)
const publishTo = async (kernel: Awaited<ReturnType<typeof startedWith>>['kernel'], from: number, to: number): Promise<void> => {
  for (let n = from; n <= to; n++) await kernel.bus.publish('in', n)
}

it('a filter of a plugin lets through what it accepts', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data), { filter: ({ data }) => data % 3 === 0 })',
    }),
  })
  const out = collect(kernel, 'out')
  await publishTo(kernel, 1, 10)
  await eventually(() => expect(numbers(out)).toEqual([3, 6, 9]))
  await eventually(() => expect(infoOf(kernel, 'p').subscriptions[0]).toMatchObject({ delivered: 10, failed: 0, inFlight: 0 }))
})

it('a filter that throws says no, and is counted', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start:
        'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data), { filter: ({ data }) => { if (data === 2) throw new Error("odd"); return true } })',
    }),
  })
  const out = collect(kernel, 'out')
  await publishTo(kernel, 1, 3)
  await eventually(() => expect(numbers(out)).toEqual([1, 3]))
  await eventually(() => expect(infoOf(kernel, 'p').subscriptions[0]?.failed).toBe(1))
})

it('once ends after one event, and leaves nothing of the subscription', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data), { once: true })' }),
  })
  const out = collect(kernel, 'out')
  await Promise.all([1, 2, 3].map((n) => kernel.bus.publish('in', n)))
  await eventually(() => expect([kernel.bus.subscriptionsOf('p'), numbers(out)]).toEqual([[], [1]]))
  expect(infoOf(kernel, 'p').subscriptions).toEqual([])
})

it('once with a filter waits for the first event that passes', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data), { once: true, filter: ({ data }) => data > 2 })',
    }),
  })
  const out = collect(kernel, 'out')
  await publishTo(kernel, 1, 5)
  await eventually(() => expect([kernel.bus.subscriptionsOf('p'), numbers(out)]).toEqual([[], [3]]))
})

it('a subscription is iterated, one event after the other, and leaving the loop unsubscribes', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        void (async () => {
          for await (const { data } of ctx.bus.subscribe('in')) {
            await ctx.bus.publish('out', data)
            if (data === 4) break
          }
          await ctx.bus.publish('out', 'left')
        })()`,
    }),
  })
  const out = collect(kernel, 'out')
  await Promise.all([1, 2, 3, 4, 5, 6].map((n) => kernel.bus.publish('in', n)))
  await eventually(() => expect(numbers(out)).toEqual([1, 2, 3, 4, 'left']))
  await eventually(() => expect(kernel.bus.subscriptionsOf('p')).toEqual([]))
})

it('a loop over a subscription ends with the plugin, and does not keep it from stopping', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        this.loop = (async () => {
          for await (const { data } of ctx.bus.subscribe('in', { signal: ctx.signal })) await ctx.bus.publish('out', data)
          ctx.log.info('the loop ended')
        })()`,
      stop: 'await this.loop',
    }),
  })
  const out = collect(kernel, 'out')
  await publishTo(kernel, 1, 3)
  await eventually(() => expect(numbers(out)).toEqual([1, 2, 3]))
  await expect(kernel.unload('p')).resolves.toEqual({ name: 'p', left: [] })
})

it('a subscription ends with its signal, also one that is aborted already', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        const abort = new AbortController()
        ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', data), { signal: abort.signal })
        ctx.bus.subscribe('in', () => ctx.bus.publish('out', 'never'), { signal: AbortSignal.abort() })
        ctx.bus.subscribe('end', () => { abort.abort(); return ctx.bus.publish('ended') })`,
    }),
  })
  const out = collect(kernel, 'out')
  const ended = collect(kernel, 'ended')
  await publishTo(kernel, 1, 2)
  await eventually(() => expect(numbers(out)).toEqual([1, 2]))
  await kernel.bus.publish('end')
  await eventually(() => expect(ended).toHaveLength(1))
  await publishTo(kernel, 3, 4)
  expect(kernel.bus.subscriptionsOf('p').map(({ pattern }) => pattern)).toEqual(['end'])
  expect(numbers(out)).toEqual([1, 2])
})

it('unsubscribing with events in hand leaves nothing that anybody waits for', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        for (let n = 0; n < 20; n++) {
          const subscription = ctx.bus.subscribe('in', async () => { await null; subscription.unsubscribe() })
        }`,
    }),
  })
  await Promise.all(Array.from({ length: 50 }, (_, n) => kernel.bus.publish('in', n)))
  await eventually(() => expect(kernel.bus.subscriptionsOf('p')).toEqual([]))
  await kernel.bus.drain()
  expect(kernel.bus.stats()).toMatchObject({ queued: 0, inFlight: 0 })
  expect(infoOf(kernel, 'p').subscriptions).toEqual([])
  await expect(kernel.unload('p')).resolves.toEqual({ name: 'p', left: [] })
})

it('a handler that unsubscribed itself and fails later is still told of', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({ start: 'ctx.bus.subscribe("in", async () => { await null; throw new Error("after all") }, { once: true })' }),
  })
  const failed = collect(kernel, 'kernel.handler.failed')
  await kernel.bus.publish('in')
  await eventually(() => expect(failed).toHaveLength(1))
  expect(failed[0]?.data).toMatchObject({ plugin: 'p', topic: 'in', error: { message: 'after all' } })
})

it('with concurrency, so many events are in the hands of a handler at a time, no more', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        let now = 0, most = 0, handled = 0
        ctx.bus.subscribe('in', async () => {
          most = Math.max(most, ++now)
          for (let i = 0; i < 5; i++) await null
          now--
          if (++handled === 30) await ctx.bus.publish('out', most)
        }, { concurrency: 3 })`,
    }),
  })
  const out = collect(kernel, 'out')
  await Promise.all(Array.from({ length: 30 }, (_, n) => kernel.bus.publish('in', n)))
  await eventually(() => expect(numbers(out)).toEqual([3]))
})

it.each([
  ['{ capacity: 0 }', 'capacity'],
  ['{ capacity: "many" }', 'capacity'],
  ['{ concurrency: 0 }', 'concurrency'],
  ['{ concurrency: 1.5 }', 'concurrency'],
  ['{ filter: 1 }', 'filter'],
  ['{ once: "yes" }', 'once'],
  ['{ signal: {} }', 'signal'],
  ['{ filtre: () => true }', 'It takes capacity'],
  ['5', 'has 5 for its options'],
])('options that are not valid are refused where they are given, and the plugin goes on: %s', async (options, text) => {
  const { kernel, faults } = await startedWith({
    p: pluginCode({
      start: `
        try {
          ctx.bus.subscribe('in', () => {}, ${options})
          this.got = { message: 'nothing was thrown' }
        } catch ({ code, message }) {
          this.got = { code, message }
        }
        ctx.bus.subscribe('tell', () => ctx.bus.publish('out', this.got))`,
    }),
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  expect(out[0]?.data).toMatchObject({ code: 'SUBSCRIPTION_OPTIONS', message: expect.stringContaining(text) })
  expect(stateOf(kernel, 'p')).toBe('running')
  expect(faults).toEqual([])
})

it.each(['5', 'undefined', 'null', '{ once: true }, () => {}'])(
  'a handler of a plugin that is no function is refused where it is given, and holds no publisher back: %s',
  async (given) => {
    const { kernel } = await startedWith({
      p: pluginCode({
        start: `
          try { ctx.bus.subscribe('in', ${given}) } catch ({ code, message }) { this.got = { code, message } }
          ctx.bus.subscribe('tell', () => ctx.bus.publish('out', this.got))`,
      }),
    })
    const out = collect(kernel, 'out')
    await kernel.bus.publish('tell')
    await eventually(() => expect(out).toHaveLength(1))
    expect(out[0]?.data).toMatchObject({ code: 'SUBSCRIPTION_OPTIONS', message: expect.stringContaining('Give a function of the event') })
    expect(kernel.bus.subscriptionsOf('p').map(({ pattern }) => pattern)).toEqual(['tell'])
  },
)

it.each([
  ['a pattern that is not valid', 'ctx.bus.subscribe("user..login", () => {})', 'PATTERN_INVALID'],
  ['a topic that is not valid', 'await ctx.bus.publish("user.*", 1)', 'TOPIC_INVALID'],
  ['data with a function in it', 'await ctx.bus.publish("user.login", { callback() {} })', 'PAYLOAD_NOT_CLONEABLE'],
])('%s is refused where it is given, and the plugin goes on', async (_, act, code) => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        try { ${act} } catch ({ code, message, plugin }) { this.got = { code, message, plugin } }
        ctx.bus.subscribe('tell', () => ctx.bus.publish('out', this.got))`,
    }),
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  const data = out[0]?.data as { code: string; message: string }
  expect(data.code).toBe(code)
  expect(data.message).toContain('user.')
})

it.each(['kernel', 'kernel.plugin.state'])('a plugin cannot speak for the kernel, and learns it at once: %s', async (topic) => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        await ctx.bus.publish('${topic}', { name: 'p' }).catch(({ code, message, plugin }) => { this.got = { code, message, plugin } })
        ctx.bus.subscribe('tell', () => ctx.bus.publish('out', this.got))`,
    }),
  })
  const heard = collect(kernel, 'kernel')
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  expect(out[0]?.data).toEqual({
    code: 'TOPIC_INVALID',
    plugin: 'p',
    message: `Plugin 'p' may not publish '${topic}': topics under 'kernel.' are the kernel's own. Choose another first segment.`,
  })
  expect(heard).toEqual([])
  expect(stateOf(kernel, 'p')).toBe('running')
})

it('a subscription of a plugin is drained when all that was published is handled, wherever it waited', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `ctx.bus.subscribe('go', async () => {
        let handled = 0
        const slow = ctx.bus.subscribe('in', async () => { await new Promise(setImmediate); handled++ }, { capacity: 2 })
        // The window of events under way is smaller, and so is the queue.
        for (let n = 0; n < 1_200; n++) ctx.bus.publish('in', n)
        await slow.drain()
        const first = handled
        await slow.drain()
        slow.unsubscribe()
        await slow.drain()
        const read = ctx.bus.subscribe('in')
        for (let n = 0; n < 3; n++) await ctx.bus.publish('in', n)
        const seen = []
        const drained = read.drain().then(() => seen.push('drained'))
        for await (const { data } of read) { seen.push(data); if (data === 2) break }
        await drained
        await ctx.bus.publish('ended', [first, handled, seen])
      })`,
    }),
  })
  const ended = collect(kernel, 'ended')
  await kernel.bus.publish('go')
  await eventually(() => expect(ended[0]?.data).toEqual([1_200, 1_200, [0, 1, 2, 'drained']]))
})

it('an iterator that is not read to its end holds nothing up once its subscription has ended', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        const one = ctx.bus.subscribe('in')
        one[Symbol.asyncIterator]().next().then(() => one.unsubscribe())
        const abort = new AbortController()
        ctx.bus.subscribe('in', { signal: abort.signal })[Symbol.asyncIterator]().next().then(() => abort.abort())
        const left = ctx.bus.subscribe('in')[Symbol.asyncIterator]()
        const reads = [left.next(), left.next(), left.next()]
        reads[1].then(() => left.return()).then(async () => ctx.bus.publish('out', (await reads[2]).done))`,
    }),
  })
  const out = collect(kernel, 'out')
  await publishTo(kernel, 1, 2)
  await eventually(() => expect(numbers(out)).toEqual([true]))
  await kernel.bus.drain()
  expect(kernel.metrics().bus.inFlight).toBe(0)
  expect(kernel.bus.subscriptionsOf('p')).toEqual([])
  expect(await kernel.reload('p')).toMatchObject({ left: [] })
})
