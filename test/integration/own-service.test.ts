/** A plugin that uses in its start what it provides itself: as at the first start, so at all later ones. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

const own = (version: string, range: string): string =>
  pluginCode({
    start: `
    await ctx.services.provide('own', {
      generation: () => ctx.generation,
      fromStart: () => seen,
      later: () => self.generation(),
      die: () => process.exit(1),
    }, { version: '${version}' })
    const self = await ctx.services.use('own', { range: '${range}', wait: 0 })
    const seen = await self.generation()`,
  })

it('comes back after a crash and after a replacement, and reaches its own generation', async () => {
  const { kernel, folder, faults } = await startedWith({ x: own('1.0.0', '^1.0.0') })
  const service = await kernel.services.use('own')
  const asked = async (): Promise<unknown[]> => [await service['fromStart']?.(), await service['later']?.()]
  await expect(asked()).resolves.toEqual([1, 1])

  await service['die']?.().catch(() => {})
  await eventually(() => expect(infoOf(kernel, 'x')).toMatchObject({ state: 'running', generation: 2 }))
  await expect(asked()).resolves.toEqual([2, 2])

  await kernel.reload('x')
  await expect(asked()).resolves.toEqual([3, 3])

  // Its predecessor's version is none that it takes.
  writePlugin(folder, 'x', { code: own('2.0.0', '^2.0.0') })
  await kernel.reload('x')
  await expect(asked()).resolves.toEqual([4, 4])
  expect(faults.map(({ error }) => (error as { code?: string }).code)).toEqual(['PLUGIN_CRASHED'])
})

it('that withdraws it again before its start is done loses its line to it', async () => {
  const { kernel } = await startedWith({
    x: pluginCode({
      start: `
      const offer = await ctx.services.provide('own', { a: () => 1 })
      const self = await ctx.services.use('own', { wait: 0 })
      await offer.withdraw()
      await ctx.services.provide('told', { a: () => self.a().catch(({ code }) => code) })`,
    }),
  })
  await kernel.reload('x')
  const told = await kernel.services.use('told')
  await expect(told['a']?.()).resolves.toBe('SERVICE_GONE')
})

it('that uses it before it is provided is told so, and of each failed restart whether another follows', async () => {
  const { kernel, faults } = await startedWith(
    {
      x: pluginCode({
        start: `
        if (ctx.generation > 1) await ctx.services.use('own', { wait: 0 })
        await ctx.services.provide('own', { die: () => process.exit(1) })`,
      }),
    },
    { defaults: { restart: { max: 2, within: 60_000, backoff: { initial: 1, max: 10, factor: 1 } } } },
  )
  const service = await kernel.services.use('own')
  await service['die']?.().catch(() => {})
  await eventually(() => expect(faults.at(-1)?.error).toMatchObject({ code: 'PLUGIN_CRASH_LOOP' }))
  expect(faults.map(({ error, restartIn }) => [(error as { code?: string }).code, typeof restartIn])).toEqual([
    ['PLUGIN_CRASHED', 'number'],
    ['PLUGIN_START', 'number'],
    ['PLUGIN_START', 'undefined'],
    ['PLUGIN_CRASH_LOOP', 'undefined'],
  ])
  expect(faults[1]?.error.message).toContain("'own' is one that 'x' provides itself")
  expect(faults[1]?.error.message).not.toContain("Start 'x'")
})
