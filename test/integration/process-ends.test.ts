/** How the end of a plugin's process is told: by what really ended it. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { type PluginFiles, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

/** A plugin that does this when it is told to. */
const doing = (isolation: string, act: string, before = ''): PluginFiles => ({
  code: pluginCode({ start: `ctx.bus.subscribe('go', () => void setImmediate(() => { ${act} }))` }, before),
  manifest: { isolation, limits: { hang: 60_000 }, restart: { policy: 'temporary' } },
})

it.each(['thread', 'process'])(
  'a plugin in a %s that listens for errors and exits with 0 after one is stopped without a fault',
  async (isolation) => {
    const act = "process.on('uncaughtException', () => setImmediate(() => process.exit(0))); throw new Error('heard')"
    const { kernel, faults } = await startedWith({ p: doing(isolation, act) })
    await kernel.bus.publish('go')
    await eventually(() => expect(stateOf(kernel, 'p')).toBe('stopped'))
    expect(faults).toEqual([])
  },
)

it('a plugin whose listener for errors throws is told with the error of the listener, or of a process with what that was told of', async () => {
  const act = "process.on('uncaughtException', () => { throw new Error('a second') }); throw new Error('the first')"
  const { kernel, faults, lines } = await startedWith({ thread: doing('thread', act), process: doing('process', act) })
  await kernel.bus.publish('go')
  await eventually(() => expect(faults).toHaveLength(2))
  const errorOf = (plugin: string): unknown => faults.find(({ name }) => name === plugin)?.error
  expect(errorOf('thread')).toMatchObject({
    message: expect.stringContaining("'thread' crashed while it was running: an uncaught error ended it: a second. "),
    cause: expect.objectContaining({ message: 'a second' }),
  })
  expect(errorOf('process')).toMatchObject({
    message: expect.stringMatching(
      /^Plugin 'process' crashed while it was running: its own listener for uncaught errors threw one, as it was told of this: the first\. .* is in the log/,
    ),
    cause: expect.objectContaining({ message: 'the first' }),
  })
  expect(lines).toContainEqual(expect.objectContaining({ level: 'error', message: expect.stringContaining('a second') }))
})

it('each end of a process is told as what it was', async () => {
  const ends: [act: string, told: string][] = [
    ['process.reallyExit(9)', 'its place exited with code 9.'],
    ["process.kill(process.pid, 'SIGTERM')", 'its process was ended by SIGTERM.'],
    ['process.abort()', 'its process was ended by SIGABRT.'],
    ['closeSync(3); for (;;);', 'the kernel ended its process: its channel closed.'],
  ]
  const plugins = ends.map(([act], n) => [`p${n}`, doing('process', act, "import { closeSync } from 'node:fs'")])
  const { kernel, faults } = await startedWith(Object.fromEntries(plugins))
  await kernel.bus.publish('go')
  await eventually(() => expect(faults).toHaveLength(ends.length))
  for (const [n, [, told]] of ends.entries()) {
    const error = faults.find(({ name }) => name === `p${n}`)?.error
    expect(error).toMatchObject({ code: 'PLUGIN_CRASHED', message: expect.stringContaining(told) })
  }
})
