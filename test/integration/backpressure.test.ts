import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'

/** Events that are under way to one subscription of a plugin at most. */
const IN_FLIGHT = 1_024

/** Handles events one by one as it is let: `more` lets one through, `all` the rest. What it has seen is told with `tell`. */
const slow = (options = '{ capacity: 16 }'): string =>
  pluginCode({
    start: `
      const seen = []
      let open = false
      let next = () => {}
      ctx.bus.subscribe('in', async ({ data }) => {
        if (!open) await new Promise((resolve) => { next = resolve })
        seen.push(data)
      }, ${options})
      ctx.bus.subscribe('more', () => next())
      ctx.bus.subscribe('all', () => { open = true; next() })
      ctx.bus.subscribe('tell', () => ctx.bus.publish('seen', seen))`,
  })

const TOTAL = 3_000

it('a plugin that is slow holds back the embedder who publishes to it: memory stays bounded, nothing is lost', async () => {
  const { kernel } = await startedWith({ slow: slow() })
  const seen = collect(kernel, 'seen')
  let published = 0
  const publishing = (async () => {
    for (; published < TOTAL; published++) await kernel.bus.publish('in', published)
  })()
  await eventually(() => {
    const { queued, inFlight } = infoOf(kernel, 'slow').subscriptions[0] as { queued: number; inFlight: number }
    expect(queued).toBe(17)
    expect(inFlight).toBe(IN_FLIGHT)
  })
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  expect(published).toBe(IN_FLIGHT + 16)
  await kernel.bus.publish('all')
  await publishing
  await kernel.bus.drain()
  await kernel.bus.publish('tell')
  await eventually(() => expect(seen).toHaveLength(1))
  expect(seen[0]?.data).toEqual(Array.from({ length: TOTAL }, (_, n) => n))
})

it('a plugin that is slow holds back a plugin that publishes to it: both are bounded, nothing is lost', async () => {
  const { kernel } = await startedWith({
    slow: slow(),
    fast: {
      manifest: { limits: { window: 64 } },
      code: pluginCode({
        start: `
          let published = 0
          ctx.bus.subscribe('go', async () => { for (; published < ${TOTAL}; published++) await ctx.bus.publish('in', published) })
          await ctx.services.provide('counter', { published: () => published })`,
      }),
    },
  })
  const seen = collect(kernel, 'seen')
  const counter = await kernel.services.use('counter')
  await kernel.bus.publish('go')
  const bound = IN_FLIGHT + 16 + 64
  await eventually(async () => {
    expect(infoOf(kernel, 'slow').subscriptions[0]).toMatchObject({ inFlight: IN_FLIGHT })
    expect(await counter.published?.()).toBe(bound)
  })
  expect(infoOf(kernel, 'slow').subscriptions[0]?.queued).toBeLessThanOrEqual(16 + 64)
  await kernel.bus.publish('all')
  await eventually(() => expect(infoOf(kernel, 'slow').subscriptions[0]).toMatchObject({ delivered: TOTAL, inFlight: 0 }))
  await kernel.bus.publish('tell')
  await eventually(() => expect(seen).toHaveLength(1))
  expect(seen[0]?.data).toEqual(Array.from({ length: TOTAL }, (_, n) => n))
})

it('an embedder that is slow holds back a plugin that publishes to it', async () => {
  const { kernel } = await startedWith({
    fast: {
      manifest: { limits: { window: 32 } },
      code: pluginCode({
        start: `
          let published = 0
          ctx.bus.subscribe('go', async () => { for (; published < ${TOTAL}; published++) await ctx.bus.publish('in', published) })
          await ctx.services.provide('counter', { published: () => published })`,
      }),
    },
  })
  const seen: number[] = []
  let open: () => void = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  kernel.bus.subscribe(
    'in',
    async ({ data }: { data: number }) => {
      await opened
      seen.push(data)
    },
    { capacity: 8 },
  )
  const counter = await kernel.services.use('counter')
  await kernel.bus.publish('go')
  await eventually(async () => {
    expect(await counter.published?.()).toBe(1 + 8 + 32)
  })
  open()
  await eventually(() => expect(seen).toHaveLength(TOTAL))
  expect(seen).toEqual(Array.from({ length: TOTAL }, (_, n) => n))
})

it('a plugin whose handler awaits publishes to its own full queue is told of, and one that waits for another is not', async () => {
  const multiplying = (from: string, to: string): string =>
    pluginCode({
      start: `ctx.bus.subscribe('${from}', async ({ data }) => {
        for (let n = 0; n < 2; n++) await ctx.bus.publish('${to}', data)
      }, { capacity: 4 })`,
    })
  const { kernel, lines } = await startedWith({
    self: { code: multiplying('own.*', 'own.more'), manifest: { limits: { window: 8, stopTimeout: 50 } } },
    other: { code: multiplying('begin', 'far'), manifest: { limits: { window: 1, stopTimeout: 50 } } },
  })
  kernel.bus.subscribe('far', () => new Promise(() => {}), { capacity: 1 })
  for (let n = 0; n < 4; n++) await kernel.bus.publish('begin')
  await kernel.bus.publish('own.first')
  const warnings = () => lines.filter(({ level }) => level === 'warn')
  await eventually(() => expect(warnings()).not.toEqual([]))
  expect(warnings()).toHaveLength(1)
  expect(warnings()[0]).toMatchObject({ fields: { plugin: 'self', topic: 'own.more', pattern: 'own.*', capacity: 4, inFlight: IN_FLIGHT } })
  expect(warnings()[0]?.message).toMatch(/^Plugin 'self' seems to wait for itself: .* 'own\.more' .* 'own\.\*'.*Do not await it there/)
  await kernel.stop()
  expect(warnings().map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/self#1\/drain: .*Look for something in its handlers of events that never ends/),
  )
})

it('a plugin that does not wait for its publishes is told when it is far too many, and loses none that were taken', async () => {
  const { kernel } = await startedWith({
    slow: slow('{ capacity: 1 }'),
    flood: {
      manifest: { limits: { window: 64, hang: 60_000 } },
      code: pluginCode({
        start: `
          ctx.bus.subscribe('go', async () => {
            const all = []
            for (let n = 0; n < 70000; n++) all.push(ctx.bus.publish('in', n).then(() => undefined, ({ code, message }) => ({ code, message })))
            this.refused = 70000 - all.length
            const refused = (await Promise.all(all)).filter(Boolean)
            await ctx.bus.publish('refused', { count: refused.length, first: refused[0] })
          })`,
      }),
    },
  })
  const refused = collect(kernel, 'refused')
  await kernel.bus.publish('go')
  await eventually(() => expect(infoOf(kernel, 'slow').subscriptions[0]).toMatchObject({ inFlight: IN_FLIGHT }))
  await kernel.bus.publish('all')
  await eventually(() => expect(refused).toHaveLength(1))
  const told = refused[0]?.data as { count: number; first: { code: string; message: string } }
  expect(told.count).toBeGreaterThan(0)
  expect(told.first.code).toBe('PUBLISH_OVERRUN')
  expect(told.first.message).toMatch(/'flood'.*'in'.*[Aa]wait/)
  await eventually(() => expect(infoOf(kernel, 'slow').subscriptions[0]).toMatchObject({ delivered: 70_000 - told.count, inFlight: 0 }))
})

it('a queue is as long as the plugin limits say, where the subscription does not', async () => {
  const { kernel } = await startedWith({ slow: { code: slow('{}'), manifest: { limits: { queue: 5 } } } })
  let published = 0
  const publishing = (async () => {
    for (; published < IN_FLIGHT + 200; published++) await kernel.bus.publish('in', published)
  })()
  await eventually(() => expect(published).toBe(IN_FLIGHT + 5))
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  expect(published).toBe(IN_FLIGHT + 5)
  await kernel.bus.publish('all')
  await publishing
})

it('a publisher that waits for a plugin which dies or is unloaded waits no longer', async () => {
  for (const end of ['unload', 'crash'] as const) {
    const { kernel } = await startedWith({
      slow: {
        code: pluginCode({
          start: 'ctx.bus.subscribe("in", () => new Promise(() => {}), { capacity: 1 }); ctx.bus.subscribe("die", () => process.exit(1))',
        }),
        manifest: { restart: { policy: 'temporary' }, limits: { stopTimeout: 50 } },
      },
    })
    const publishing = Promise.all(Array.from({ length: IN_FLIGHT + 88 }, (_, n) => kernel.bus.publish('in', n)))
    await eventually(() => expect(infoOf(kernel, 'slow').subscriptions[0]).toMatchObject({ inFlight: IN_FLIGHT }))
    if (end === 'unload') await kernel.unload('slow')
    else await kernel.bus.publish('die')
    await publishing
  }
})

it('publishers wait for a plugin from its capacity and the 1024 events under way to it on', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({ start: 'ctx.bus.subscribe("in", () => new Promise(() => {}), { capacity: 2 })' }),
  })
  let taken = 0
  for (let n = 0; n < 1_100; n++) void kernel.bus.publish('in', n).then(() => taken++)
  await eventually(() => expect(taken).toBe(1_026))
  expect(infoOf(kernel, 'p').subscriptions[0]).toMatchObject({ inFlight: 1_024, queued: 76, delivered: 1_024 })
  expect(taken).toBe(1_026)
})
