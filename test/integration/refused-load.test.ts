/** A load that is refused: nothing of the plugin is there afterwards, whatever others ask for meanwhile. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

const ok = pluginCode({ start: 'await ctx.services.provide(ctx.name, { name: () => ctx.name })' })
const gated = {
  code: pluginCode({ start: `await (await ctx.services.use('gate')).opened(ctx.name)` }),
  manifest: { enabled: false, limits: { startTimeout: 60_000 } },
}
const user = { code: ok, manifest: { dependencies: { base: '*' } } }

it('one that was refused and is forgotten is not started by what others asked for before it was', async () => {
  const { kernel, states } = await startedWith({ slow: gated, base: gated, x: ok, y: ok })
  const open = new Map<string, () => void>()
  await kernel.services.provide('gate', { opened: (name: string) => new Promise<void>((resolve) => void open.set(name, resolve)) })
  const starts = async (name: string): Promise<void> => eventually(() => expect([...open.keys()]).toContain(name))

  // What is to be stopped lets the next begin, while those before it wait for their starts.
  const slow = kernel.enable('slow')
  await starts('slow')
  await kernel.disable('x')
  const load = thrown(() => kernel.load(writePlugin(emptyFolder(), 'user', user)))
  await eventually(() => expect(stateOf(kernel, 'user')).toBe('failed'))
  const base = kernel.enable('base')
  await kernel.disable('y')
  await starts('base')

  open.get('slow')?.()
  await slow
  expect(await load).toMatchObject({ code: 'DEPENDENCY_MISSING' })
  open.get('base')?.()
  await base
  expect(kernel.plugins().map(({ name }) => name)).toEqual(['base', 'slow', 'x', 'y'])
  expect(kernel.services.list().map(({ name }) => name)).toEqual(['gate'])
  expect(states.filter(({ name, to }) => name === 'user' && to === 'initializing')).toEqual([])
})

it('one that was refused in a plugin folder comes in with its next save', async () => {
  const { kernel, folder } = await startedWith({}, { watch: true, plugins: 'plugins' })
  const broken = pluginCode({ start: 'throw new Error("no luck")' })
  const path = writePlugin(emptyFolder(), 'p', { code: broken })
  expect(await thrown(() => kernel.load(path))).toMatchObject({ code: 'PLUGIN_START' })
  expect(kernel.plugins()).toEqual([])
  writePlugin(join(folder, 'plugins'), 'p', { code: ok })
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
})
