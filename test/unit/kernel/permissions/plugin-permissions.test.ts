/** What each plugin may do is decided once for each as it was read. */
import { describe, expect, it } from 'vitest'
import { readPlugin } from '#src/kernel/manifest/plugin-source.js'
import { resolveOptions } from '#src/kernel/options/options.js'
import { PluginPermissions } from '#src/kernel/permissions/plugin-permissions.js'
import { emptyFolder, infoOf, pluginCode, startedWith, writePlugin } from '../../../support/plugin-folder.js'

const plugin = (topic: string) => ({
  manifest: { permissions: [{ resource: `bus:${topic}`, actions: ['publish'] }] },
  code: pluginCode({ start: '' }),
})

describe('the permissions of a plugin', () => {
  it('are decided once for each time it was read', async () => {
    const folder = emptyFolder()
    const permissions = new PluginPermissions(resolveOptions({ base: folder }), undefined)
    const path = writePlugin(folder, 'p', plugin('a'))
    const before = await readPlugin(path)
    const set = permissions.of(before)
    expect(set.mayPublish('a')).toBe(true)
    expect(permissions.of(before)).toBe(set)
    writePlugin(folder, 'p', plugin('b'))
    const after = permissions.of(await readPlugin(path))
    expect(after.mayPublish('a')).toBe(false)
    expect(after.mayPublish('b')).toBe(true)
  })

  it('do not change by what is done to those that the inventory tells', async () => {
    const { kernel } = await startedWith({ p: plugin('a') })
    const told = infoOf(kernel, 'p').permissions as { resource: string; actions: string[] }[]
    const publish = told.find(({ resource }) => resource === 'bus:a')
    publish?.actions.push('subscribe')
    told.push({ resource: 'child', actions: ['use'] })
    const again = infoOf(kernel, 'p').permissions
    expect(again.find(({ resource }) => resource === 'bus:a')?.actions).toEqual(['publish'])
    expect(again.map(({ resource }) => resource)).not.toContain('child')
  })
})
