import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'
import { backTo, openNow } from '../support/traces-of-threads.js'

const REPLACEMENTS = 30

it('over 30 replacements no event is lost, doubled or out of order, no call fails, and nothing is left', async () => {
  const { kernel, replaced, faults } = await startedWith(
    {
      source: pluginCode({
        start: `
          let n = 0, going = true
          ctx.bus.subscribe('halt', () => { going = false })
          ctx.bus.subscribe('go', async () => {
            while (going) {
              await ctx.bus.publish('guest.event', n++)
              if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
            }
            await ctx.bus.publish('published', n)
          })`,
      }),
      worker: pluginCode({
        start: `
          ctx.bus.subscribe('guest.event', async ({ data }) => { if (data % 7 === 0) await null; await ctx.bus.publish('handled.guest', data) })
          ctx.bus.subscribe('host.event', ({ data }) => ctx.bus.publish('handled.host', data))
          await ctx.services.provide('work', { work: async (n) => { if (n % 3 === 0) await null; return n } })`,
      }),
    },
    { standby: 1 },
  )
  const guest = collect(kernel, 'handled.guest')
  const host = collect(kernel, 'handled.host')
  const published = collect(kernel, 'published')
  const { work } = await kernel.services.use('work')
  await kernel.reload('worker')
  await kernel.bus.publish('go')
  let going = true
  let sent = 0
  const publishing = (async () => {
    while (going) {
      await kernel.bus.publish('host.event', sent++)
      if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  let calls = 0
  const calling = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (going) {
        const n = calls++
        expect(await work?.(n)).toBe(n)
      }
    }),
  )
  for (let n = 0; n < REPLACEMENTS; n++) await kernel.reload('worker')
  going = false
  await Promise.all([publishing, calling])
  await kernel.bus.publish('halt')
  await eventually(() => expect(published).toHaveLength(1))
  const total = published[0]?.data as number
  await eventually(() => expect([guest.length, host.length]).toEqual([total, sent]))
  expect(guest.map(({ data }) => data)).toEqual(Array.from({ length: total }, (_, n) => n))
  expect(host.map(({ data }) => data)).toEqual(Array.from({ length: sent }, (_, n) => n))
  expect(calls).toBeGreaterThan(REPLACEMENTS)
  expect(replaced).toHaveLength(REPLACEMENTS + 1)
  expect(replaced.flatMap(({ left }) => left)).toEqual([])
  expect(faults).toEqual([])
  expect(infoOf(kernel, 'worker').subscriptions).toHaveLength(2)
  await kernel.bus.drain()
}, 60_000)

it('replaced, loaded and unloaded over and over, a plugin leaves no thread, descriptor, subscription or listener', async () => {
  const { kernel, folder } = await startedWith({
    p: {
      code: pluginCode({
        start: `
          ctx.bus.subscribe('in', () => {})
          for (let n = 0; n < 20; n++) ctx.bus.subscribe('in', () => {}, { once: true })
          await ctx.services.provide('p', { echo: (x) => x, stream: async function* () { yield 1 } })
          await (await ctx.services.use('host')).ping()
          await ctx.services.watch('host', () => {})`,
      }),
      manifest: { enabled: false },
    },
  })
  kernel.services.provide('host', { ping: () => 1 })
  const round = async (): Promise<void> => {
    await kernel.reload('p')
    await kernel.bus.publish('in')
    const p = await kernel.services.use('p')
    await p.echo?.((): void => {})
    await expect(kernel.unload('p')).resolves.toEqual({ name: 'p', left: [] })
    await kernel.load(`${folder}/p`)
    await kernel.enable('p')
  }
  await kernel.enable('p')
  for (let n = 0; n < 3; n++) await round()
  const before = openNow()
  const listeners = process.listenerCount('exit') + process.listenerCount('worker')
  for (let n = 0; n < 12; n++) await round()
  await backTo(before)
  expect(process.listenerCount('exit') + process.listenerCount('worker')).toBe(listeners)
  expect(kernel.bus.subscriptionsOf('p').length).toBeLessThanOrEqual(21)
  await kernel.stop()
  expect(kernel.bus.stats()).toMatchObject({ subscriptions: 0, queued: 0, inFlight: 0 })
  expect(kernel.services.list()).toEqual([])
}, 60_000)
