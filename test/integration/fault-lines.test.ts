/** What the log says of a fault: one line, and the one that says it all. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { kernelWith, pluginCode, type Running, startedWith, stateOf } from '../support/plugin-folder.js'

const errorLines = ({ lines }: Running, plugin: string) =>
  lines.filter(({ level, fields }) => level === 'error' && fields['plugin'] === plugin).map(({ message }) => message)

const codes = ({ faults }: Running, plugin: string) => faults.filter(({ name }) => name === plugin).map(({ error }) => error.code)

/** How starts fail over a denial: the code of the failure, and what its line says. */
const DENIED: Record<string, [code: string, plugin: string, line: RegExp]> = {
  'an import': [
    'PLUGIN_LOAD',
    `import 'node:fs'\n${pluginCode({ start: '' })}`,
    /^Plugin 'p' could not be loaded: Plugin 'p' may not import 'node:fs'\. To allow it, /,
  ],
  'an import in its initialize': [
    'PLUGIN_INITIALIZE',
    pluginCode({ initialize: "await import('node:child_process')" }),
    /^Plugin 'p' failed in initialize: Plugin 'p' may not import 'node:child_process'\. To allow it, /,
  ],
  'a file in its start': [
    'PLUGIN_START',
    pluginCode({ start: "await ctx.fs.readFile('/etc/hosts')" }),
    /^Plugin 'p' failed in start: Plugin 'p' may not read '\/etc\/hosts': .* To allow it, /,
  ],
}

it.each(Object.entries(DENIED))('a start that fails over %s is one line, and two faults', async (_, [code, plugin, line]) => {
  const running = await startedWith({ p: plugin })
  expect(codes(running, 'p')).toEqual(['PERMISSION_DENIED', code])
  expect(errorLines(running, 'p')).toEqual([expect.stringMatching(line)])
})

it('what a plugin was denied and did without is told when it has started', async () => {
  const running = await startedWith({ p: pluginCode({ start: "await ctx.fs.readFile('/etc/hosts').catch(() => {})" }) })
  expect(stateOf(running.kernel, 'p')).toBe('running')
  expect(codes(running, 'p')).toEqual(['PERMISSION_DENIED'])
  expect(errorLines(running, 'p')).toEqual([expect.stringMatching(/^Plugin 'p' may not read '\/etc\/hosts'/)])
})

it('a denial that the failure of a start does not name in full has a line of its own, before it', async () => {
  const running = await startedWith({
    wraps: pluginCode({ start: "await ctx.fs.readFile('/etc/hosts').catch((cause) => { throw new Error('no hosts', { cause }) })" }),
    other: pluginCode({ start: "await ctx.fs.readFile('/etc/hosts').catch(() => {}); throw new Error('no port')" }),
  })
  const denial = expect.stringMatching(/may not read '\/etc\/hosts'/) as string
  expect(errorLines(running, 'wraps')).toEqual([denial, "Plugin 'wraps' failed in start: no hosts"])
  expect(errorLines(running, 'other')).toEqual([denial, "Plugin 'other' failed in start: no port"])
})

it('the next generation is told of on its own', async () => {
  const running = await startedWith({ p: pluginCode({ start: "await ctx.fs.readFile('/etc/hosts').catch(() => {})" }) })
  await running.kernel.reload('p')
  expect(errorLines(running, 'p')).toHaveLength(2)
})

it('a plugin that breaks the protocol is one line, with the error', async () => {
  const code = pluginCode(
    { start: "ctx.bus.subscribe('forge', () => void writeSync(3, Buffer.from([1, 0, 0, 0, 9, 9, 9, 9])))" },
    "import { writeSync } from 'node:fs'",
  )
  const permissions = [{ resource: 'fs:/nowhere', actions: ['read'] }]
  const running = await kernelWith({ p: { code, manifest: { isolation: 'process', permissions, restart: { policy: 'temporary' } } } })
  await running.kernel.start()
  await running.kernel.bus.publish('forge')
  await eventually(() => expect(codes(running, 'p')).toEqual(['PROTOCOL']))
  const told = running.faults[0]?.error.message
  expect(running.lines.filter(({ message }) => message === told)).toMatchObject([
    { level: 'error', fields: { plugin: 'p', generation: 1, err: { code: 'PROTOCOL' } } },
  ])
})
