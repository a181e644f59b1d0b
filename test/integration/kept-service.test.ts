/** The services of a plugin that crashed are kept for it as long as it is to come back. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const bank = pluginCode({
  start: `await ctx.services.provide('bank', { pay: () => ctx.name }); ctx.bus.subscribe('crash', () => process.exit(1))`,
})
/** Provides the same whenever it is told to, and says what came of it. */
const thief = pluginCode({
  start: `
    const take = () => ctx.services.provide('bank', { pay: () => ctx.name }).then(() => 'taken', ({ code, message }) => code + ' ' + message)
    await ctx.services.provide('thief', { take })`,
})
const user = pluginCode({
  start: `
    const bank = await ctx.services.use('bank', { wait: 10_000 })
    await ctx.services.provide('user', { pay: () => bank.pay().catch(({ code }) => code) })`,
})

it('a service of a plugin that waits for its restart is provided by nobody else', async () => {
  const waits = { restart: { backoff: { initial: 2_000, max: 2_000 } } }
  const { kernel } = await startedWith({ bank: { code: bank, manifest: waits }, thief, user })
  const { take } = await kernel.services.use('thief')
  const { pay } = await kernel.services.use('user')
  await kernel.bus.publish('crash')
  await eventually(() => expect(stateOf(kernel, 'bank')).toBe('failed'))
  expect(await take?.()).toMatch(/^SERVICE_DUPLICATE .*kept for 'bank', which crashed and is restarted/)
  expect(() => kernel.services.provide('bank', { pay: () => 'app' })).toThrow(expect.objectContaining({ code: 'SERVICE_DUPLICATE' }))
  await eventually(async () => expect(await pay?.()).toBe('bank'))
  expect(infoOf(kernel, 'bank')).toMatchObject({ state: 'running', generation: 2 })
})

it.each([
  ['temporary', (): void => {}],
  ['permanent', (kernel: { unload(name: string): Promise<unknown> }) => kernel.unload('bank')],
] as const)('and is free when it does not come back (%s)', async (policy, leave) => {
  const manifest = { restart: { policy, backoff: { initial: 600_000, max: 600_000 } } }
  const { kernel, faults } = await startedWith({ bank: { code: bank, manifest }, thief })
  const { take } = await kernel.services.use('thief')
  await kernel.bus.publish('crash')
  await eventually(() => expect(faults).toHaveLength(1))
  await leave(kernel)
  await eventually(async () => expect(await take?.()).toBe('taken'))
})
