/**
 * A service's name that was free when the next generation of a plugin asked for it, and that somebody else takes before that takes over.
 */
import type { Kernel, PlugbayError } from 'plugbay'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, type PluginFiles, pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

/** Provides these services in its own version, then asks the application's `gate` whether it may go on. */
const provider = (version: string, ...services: string[]): PluginFiles => ({
  manifest: { version, limits: { startTimeout: 30_000 } },
  code: pluginCode({
    start: `
      ctx.bus.subscribe('work', ({ data }) => ctx.bus.publish('done', data + ' by ' + ctx.version))
      for (const name of ${JSON.stringify(services)}) await ctx.services.provide(name, { version: () => ctx.version }, { version: ctx.version })
      await (await ctx.services.use('gate', { timeout: 30_000 })).pass(ctx.version)`,
  }),
})

const taker: PluginFiles = {
  manifest: { isolation: 'inline' },
  code: pluginCode({
    start: `
    let taken
    await ctx.services.provide('taker', {
      take: async (name) => { taken = await ctx.services.provide(name, { version: () => 'taken' }, { version: '2.0.0' }) },
      giveBack: () => taken.withdraw(),
    })`,
  }),
}

interface Outsider {
  take(kernel: Kernel): unknown
  giveBack(kernel: Kernel): unknown
}

const theApplication = (): Outsider => {
  let taken: { withdraw(): void } | undefined
  return {
    take: (kernel) => void (taken = kernel.services.provide('s', { version: () => 'taken' }, { version: '2.0.0' })),
    giveBack: () => taken?.withdraw(),
  }
}

const anotherPlugin = (): Outsider => ({
  take: async (kernel) => (await kernel.services.use('taker')).take?.('s'),
  giveBack: async (kernel) => (await kernel.services.use('taker')).giveBack?.(),
})

const provided = (kernel: Kernel): string[] =>
  kernel.services
    .list()
    .filter(({ name }) => name === 's' || name === 't')
    .map(({ name, version, provider }) => `${name}@${version} of ${provider}`)

it.each([
  ['the application', theApplication],
  ['another plugin', anotherPlugin],
])(
  'where %s takes it, nothing of the change is made: the one that was there goes on, and has all its events',
  { timeout: 60_000 },
  async (_, outsiderOf) => {
    const outsider = outsiderOf()
    const { kernel, folder, faults } = await startedWith({ taker })
    let atGate = async (_version: string): Promise<void> => {}
    kernel.services.provide('gate', { pass: (version: string) => atGate(version) })
    const done = collect(kernel, 'done')
    await kernel.load(writePlugin(folder, 'p', provider('1.0.0', 't', 's')))
    const [s, t] = await Promise.all([kernel.services.use('s', { range: '1' }), kernel.services.use('t')])

    atGate = async () => {
      await kernel.bus.publish('work', 'first')
      await outsider.take(kernel)
      await kernel.bus.publish('work', 'second')
    }
    writePlugin(folder, 'p', provider('2.0.0', 't', 's'))
    await expect(kernel.reload('p')).rejects.toMatchObject({
      code: 'SERVICE_DUPLICATE',
      plugin: 'p',
      message: expect.stringContaining('already provides that version'),
    })
    expect(faults).toMatchObject([{ name: 'p', generation: 2, error: { code: 'SERVICE_DUPLICATE' } }])
    await kernel.bus.publish('work', 'third')
    await eventually(() => expect(done.map(({ data }) => data)).toEqual(['first', 'second', 'third'].map((data) => `${data} by 1.0.0`)))
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', generation: 1, version: '1.0.0' })
    expect(provided(kernel)).toEqual([expect.stringMatching(/^s@2\.0\.0 of (?:taker|plugbay)$/), 's@1.0.0 of p', 't@1.0.0 of p'])
    await expect(Promise.all([s.version?.(), t.version?.()])).resolves.toEqual(['1.0.0', '1.0.0'])

    atGate = async () => {}
    await outsider.giveBack(kernel)
    await kernel.reload('p')
    await kernel.bus.publish('work', 'fourth')
    await eventually(() => expect(done.at(-1)?.data).toBe('fourth by 2.0.0'))
    expect(provided(kernel)).toEqual(['s@2.0.0 of p', 't@2.0.0 of p'])
    await expect(t.version?.()).resolves.toBe('2.0.0')
  },
)

it('who hears of the first service that changed hands finds that all of them have', async () => {
  const { kernel, folder } = await startedWith({})
  kernel.services.provide('gate', { pass: () => {} })
  await kernel.load(writePlugin(folder, 'p', provider('1.0.0', 's', 't')))
  const heard: unknown[] = []
  kernel.services.watch('s', ({ change }) => {
    try {
      kernel.services.provide('t', { version: () => 'taken' }, { version: '2.0.0' })
    } catch (error) {
      heard.push(change, (error as PlugbayError).code)
    }
  })
  writePlugin(folder, 'p', provider('2.0.0', 's', 't'))
  await kernel.reload('p')
  expect(heard).toEqual(['replaced', 'SERVICE_DUPLICATE'])
  expect(provided(kernel)).toEqual(['s@2.0.0 of p', 't@2.0.0 of p'])
  await expect((await kernel.services.use('t')).version?.()).resolves.toBe('2.0.0')
})
