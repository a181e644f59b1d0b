/** How the end of a plugin's process is told: by what really ended it. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, type Running, startedWith, stateOf } from '../support/plugin-folder.js'

/** A plugin that does this as soon as it is told to. */
const doing = async (isolation: string, act: string, before = ''): Promise<Running> => {
  const code = pluginCode({ start: `ctx.bus.subscribe('go', () => void setImmediate(() => { ${act} }))` }, before)
  const running = await startedWith({ p: { code, manifest: { isolation, restart: { policy: 'transient' } } } })
  await running.kernel.bus.publish('go')
  return running
}

it.each(['thread', 'process'])(
  'a plugin in a %s that listens for errors and exits with 0 after one is stopped without a fault',
  async (isolation) => {
    const { kernel, faults } = await doing(
      isolation,
      "process.on('uncaughtException', () => setImmediate(() => process.exit(0))); throw new Error('heard')",
    )
    await eventually(() => expect(stateOf(kernel, 'p')).toBe('stopped'))
    expect(faults).toEqual([])
  },
)
