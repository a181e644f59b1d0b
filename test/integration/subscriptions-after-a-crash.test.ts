import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const code = pluginCode({
  start: `
    for (const pattern of ['in', 'in.*', '**']) ctx.bus.subscribe(pattern, ({ type, data }) => { if (type === 'in') return ctx.bus.publish('out', { pattern, data, generation: ctx.generation }) })
    ctx.bus.subscribe('die', () => process.exit(1))
    ctx.bus.subscribe('throw', () => { setImmediate(() => { throw new Error('uncaught') }) })
    await ctx.services.provide('greeter', { greet: () => ctx.generation })
    const watch = await ctx.services.watch('other', () => {})`,
})
const PATTERNS = ['**', 'die', 'in', 'in.*', 'throw']

const patternsOf = (kernel: Parameters<typeof infoOf>[0]): string[] =>
  kernel.bus
    .subscriptionsOf('p')
    .map(({ pattern }) => pattern)
    .sort()

it('a plugin that crashed and came back has each subscription and each service once, however often', async () => {
  const { kernel, replaced, faults } = await startedWith({ p: { code, manifest: { restart: { max: 100 } } } })
  const out = collect(kernel, 'out')
  expect(patternsOf(kernel)).toEqual(PATTERNS)
  for (let generation = 2; generation <= 8; generation++) {
    await kernel.bus.publish(generation % 2 ? 'die' : 'throw')
    await eventually(() => expect(replaced).toHaveLength(generation - 1))
    expect(infoOf(kernel, 'p').generation).toBe(generation)
    expect(patternsOf(kernel)).toEqual(PATTERNS)
    expect(infoOf(kernel, 'p').subscriptions).toHaveLength(PATTERNS.length)
    expect(kernel.services.list().map(({ name }) => name)).toEqual(['greeter'])
    out.length = 0
    await kernel.bus.publish('in', generation)
    await eventually(() => expect(out).toHaveLength(2))
    expect(out.map(({ data }) => data)).toEqual(['in', '**'].map((pattern) => ({ pattern, data: generation, generation })))
  }
  expect(infoOf(kernel, 'p')).toMatchObject({ restarts: 7, state: 'running' })
  expect(faults.map(({ error }) => (error as { code?: string }).code)).toEqual(Array.from({ length: 7 }, () => 'PLUGIN_CRASHED'))
})

it('a plugin that crashed and is not restarted leaves nothing', async () => {
  const { kernel } = await startedWith({ p: { code, manifest: { restart: { policy: 'temporary' } } } })
  await kernel.bus.publish('die')
  await eventually(() => expect(patternsOf(kernel)).toEqual([]))
  expect(kernel.services.list()).toEqual([])
  expect(stateOf(kernel, 'p')).toBe('failed')
  await kernel.bus.drain()
  expect(kernel.bus.stats()).toMatchObject({ queued: 0, inFlight: 0 })
})

it('events that come while it is down wait for it', async () => {
  const { kernel, replaced } = await startedWith({ p: code })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('die')
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('failed'))
  await kernel.bus.publish('in', 'while it was down')
  await eventually(() => expect(replaced).toHaveLength(1))
  await eventually(() => expect(out).toHaveLength(2))
  expect(out.map(({ data }) => (data as { generation: number }).generation)).toEqual([2, 2])
})
