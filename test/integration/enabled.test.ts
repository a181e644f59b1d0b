/** Whether a plugin is to run at all: its manifest says so, and the operator may say otherwise. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { codeOf } from '#src/wire-error.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const sound = pluginCode({ start: '' })
const plugins = { w: sound, x: { code: sound, manifest: { dependencies: { w: '*' } } } }

/** Saves the manifest whole, so that each save is one change. */
const saveManifest = (folder: string, manifest: Record<string, unknown>): void => {
  const aside = join(emptyFolder(), 'plugin.json')
  writeFileSync(aside, JSON.stringify({ name: 'w', version: '1.0.0', ...manifest }))
  renameSync(aside, join(folder, 'w', 'plugin.json'))
}

it('a running plugin whose manifest is saved with enabled: false is left out, with those that need it, until it says true', async () => {
  const { kernel, folder, replaced, faults } = await startedWith(plugins, { watch: true })
  saveManifest(folder, { enabled: false })
  await eventually(() => expect([stateOf(kernel, 'w'), stateOf(kernel, 'x')]).toEqual(['disabled', 'failed']))
  expect(kernel.explain('x').because).toContain("'w' (*) is disabled; enable it")
  saveManifest(folder, { enabled: true })
  await eventually(() => expect([stateOf(kernel, 'w'), stateOf(kernel, 'x')]).toEqual(['running', 'running']))
  expect([replaced, faults]).toEqual([[], []])
})

it('reload() takes what the manifest says now: left out, and in again', async () => {
  const { kernel, folder } = await startedWith(plugins)
  writePlugin(folder, 'w', { code: sound, manifest: { enabled: false } })
  expect(await kernel.reload('w')).toBeUndefined()
  expect([stateOf(kernel, 'w'), stateOf(kernel, 'x')]).toEqual(['disabled', 'failed'])
  await expect(kernel.reload('w')).rejects.toMatchObject({ code: 'PLUGIN_STATE' })
  writePlugin(folder, 'w', { code: sound })
  await kernel.reload('w')
  expect([stateOf(kernel, 'w'), stateOf(kernel, 'x')]).toEqual(['running', 'running'])
})

it('what the operator said stands: disabled whatever is saved, enabled until the manifest says so too', async () => {
  const { kernel, folder } = await startedWith(plugins)
  const reload = async (enabled: boolean): Promise<unknown> => {
    writePlugin(folder, 'w', { code: sound, manifest: { enabled } })
    return kernel.reload('w').then(() => undefined, codeOf)
  }
  await kernel.disable('w')
  expect([await reload(false), await reload(true), stateOf(kernel, 'w')]).toEqual(['PLUGIN_STATE', 'PLUGIN_STATE', 'disabled'])
  await kernel.enable('w')
  await reload(false)
  expect(stateOf(kernel, 'w')).toBe('disabled')
  await kernel.enable('w')
  await reload(false)
  expect(stateOf(kernel, 'w')).toBe('running')
  await reload(true)
  await reload(false)
  expect(stateOf(kernel, 'w')).toBe('disabled')
})
