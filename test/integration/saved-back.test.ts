/** Saves that are taken back before the watcher reports them, when the kernel has read them by then. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

// What is read by hand in between is settled by nobody.
const watch = { settle: 300 }
const version = (n: number): string => pluginCode({ start: `await ctx.services.provide('it', { version: () => ${n} })` })

it('a module that is saved back to what it was runs as that, though another was loaded in between', async () => {
  const { kernel, folder, faults } = await startedWith({ p: version(1) }, { watch })
  const it = await kernel.services.use('it')
  const file = join(folder, 'p', 'index.js')
  writeFileSync(file, version(2))
  await kernel.reload('p')
  expect(await it.version?.()).toBe(2)
  writeFileSync(file, version(1))
  await eventually(async () => expect(await it.version?.()).toBe(1))
  expect(faults).toEqual([])
})

it('a plugin that is disabled and enabled by saves runs, though the first was read by a reload', async () => {
  const { kernel, folder } = await startedWith({ p: version(1) }, { watch })
  const save = (enabled: boolean): void => writeFileSync(join(folder, 'p', 'plugin.json'), JSON.stringify({ name: 'p', enabled }))
  save(true)
  await eventually(() => expect(kernel.plugins()).toMatchObject([{ version: '0.0.0', state: 'running' }]))
  kernel.on('plugin:state', ({ to }) => {
    if (to === 'disabled') save(true)
  })
  save(false)
  await kernel.reload('p')
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
})

it('a manifest is what its file says when it was read and taken back at once', async () => {
  const { kernel, folder, states, faults } = await startedWith({ b: 'export default { start() {} }' }, { watch })
  const save = (enabled: boolean): void =>
    writeFileSync(join(folder, 'b', 'plugin.json'), JSON.stringify({ name: 'b', version: '1.1.0', enabled }))
  save(true)
  await eventually(() => expect(infoOf(kernel, 'b')).toMatchObject({ state: 'running', version: '1.1.0' }))
  save(false)
  const reloaded = kernel.reload('b')
  save(true)
  await reloaded
  expect(states.map(({ to }) => to)).toContain('disabled')
  await eventually(() => expect(stateOf(kernel, 'b')).toBe('running'))
  expect(faults).toEqual([])
})
