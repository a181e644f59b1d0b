/** Saves that are taken back before the watcher reports them, when the kernel has read them by then. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, startedWith, stateOf } from '../support/plugin-folder.js'

/** No save is reported while a test makes the next one. */
const watch = { settle: 300 }

it('a module is what its file says when it was reloaded in between', async () => {
  const answering = (version: number): string =>
    `export default { async start(ctx) { await ctx.services.provide('s', { version: () => ${version} }) } }`
  const { kernel, folder, faults } = await startedWith({ b: answering(1) }, { watch })
  const service = await kernel.services.use('s')
  const file = join(folder, 'b', 'index.js')
  writeFileSync(file, answering(2))
  await kernel.reload('b')
  expect(await service.version?.()).toBe(2)
  writeFileSync(file, answering(1))
  await eventually(async () => expect(await service.version?.()).toBe(1))
  expect(faults).toEqual([])
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
