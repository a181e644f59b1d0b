import { join } from 'node:path'
import { expect, it } from 'vitest'
import { KernelLifecycle } from '#src/kernel/lifecycle/kernel-lifecycle.js'
import { PluginOperations, type PluginOperationsOptions } from '#src/kernel/plugins/plugin-operations.js'
import { Roster } from '#src/kernel/plugins/roster.js'
import { Whereabouts } from '#src/kernel/plugins/whereabouts.js'
import { tree } from '../../../support/tree.js'

it('what was dropped in and is gone before it is read is no plugin and no fault; what cannot be read is told', async () => {
  const lifecycle = new KernelLifecycle(() => {})
  lifecycle.move('running')
  const roster = new Roster(
    { name: 'plugbay', defaults: {} } as ConstructorParameters<typeof Roster>[0],
    () => {},
    () => {},
  )
  const operations = new PluginOperations({ lifecycle, roster, whereabouts: new Whereabouts(roster) } as PluginOperationsOptions)
  const root = tree({ 'odd/plugin.json': '{' })
  await operations.dropIn(join(root, 'gone.mjs'))
  expect(roster.unread.find('gone')).toBeUndefined()
  await expect(operations.dropIn(join(root, 'odd'))).rejects.toMatchObject({ code: 'MANIFEST_INVALID' })
})
