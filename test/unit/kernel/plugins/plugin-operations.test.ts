import { join } from 'node:path'
import { expect, it } from 'vitest'
import { KernelLifecycle } from '#src/kernel/lifecycle/kernel-lifecycle.js'
import { readPlugin } from '#src/kernel/manifest/plugin-source.js'
import { PluginOperations, type PluginOperationsOptions } from '#src/kernel/plugins/plugin-operations.js'
import { Roster } from '#src/kernel/plugins/roster.js'
import { Whereabouts } from '#src/kernel/plugins/whereabouts.js'
import { tree } from '../../../support/tree.js'

/** Operations of a kernel in which nothing starts. `inTurn` does one thing after the other. */
const operating = () => {
  const lifecycle = new KernelLifecycle(() => {})
  lifecycle.move('running')
  const roster = new Roster(
    { name: 'plugbay', defaults: { restart: {} } } as ConstructorParameters<typeof Roster>[0],
    () => {},
    () => {},
  )
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(act: (round: () => Promise<void>) => Promise<T>): Promise<T> => {
    const done = last.then(() => act(async () => {}))
    last = done.catch(() => {})
    return done
  }
  const parts = { lifecycle, roster, whereabouts: new Whereabouts(roster, []), reconciler: { inTurn }, track: async () => {} }
  return { roster, inTurn, operations: new PluginOperations(parts as unknown as PluginOperationsOptions) }
}

it('what was dropped in and is gone before it is read is no plugin and no fault; what cannot be read is told', async () => {
  const { roster, operations } = operating()
  const root = tree({ 'odd/plugin.json': '{' })
  await operations.dropIn(join(root, 'gone.mjs'))
  expect(roster.unread.find('gone')).toBeUndefined()
  await expect(operations.dropIn(join(root, 'odd'))).rejects.toMatchObject({ code: 'MANIFEST_INVALID' })
})

it('what is dropped in twice while another of its name is on its way out comes in once, and that is no fault', async () => {
  const { roster, inTurn, operations } = operating()
  const root = tree({ 'old/p.mjs': '', 'new/p.mjs': '' })
  const old = roster.add(readPlugin(join(root, 'old', 'p.mjs')))
  const left = inTurn(async () => roster.forget(old))
  const path = join(root, 'new', 'p.mjs')
  await Promise.all([left, operations.dropIn(path), operations.dropIn(path)])
  expect(roster.all.map(({ source }) => source.path)).toEqual([path])
})
