import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const schema = {
  type: 'object',
  properties: { message: { type: 'string' }, times: { type: 'integer', minimum: 1, default: 1 } },
  required: ['message'],
  additionalProperties: false,
}
const serve = 'await ctx.services.provide("config", { get: () => [ctx.generation, ctx.config, this.updates ?? 0] })'
const live = pluginCode({
  start: serve,
  updateConfig: 'if (argument.message === "refuse") throw new Error("not that"); this.updates = (this.updates ?? 0) + 1',
})
const fixed = pluginCode({ start: serve })
const manifest = { config: { schema, defaults: { message: 'default' } } }

const got = async (kernel: Parameters<typeof infoOf>[0]): Promise<unknown> => (await kernel.services.use('config')).get?.()

it('a configuration is validated and completed before any code runs, and is frozen', async () => {
  const { kernel } = await startedWith({ p: { code: fixed, manifest } }, { config: { p: { message: 'hi' } } })
  await expect(got(kernel)).resolves.toEqual([1, { message: 'hi', times: 1 }, 0])
})

it('one that is not valid keeps the plugin from running, says where and what, and runs none of its code; the mend starts it', async () => {
  const { kernel } = await kernelWith(
    { p: { code: 'throw new Error("it ran")', manifest }, q: { code: fixed, manifest } },
    { config: { p: { mesage: 'hi' }, q: { message: 1 } } },
  )
  await kernel.start()
  expect(kernel.explain('p')).toMatchObject({ code: 'CONFIG_INVALID', because: expect.stringMatching(/'p'.*mesage.*message/s) })
  expect(infoOf(kernel, 'q')).toMatchObject({ state: 'failed', generation: 0 })
  await kernel.updateConfig('q', { message: 'mended' })
  expect(stateOf(kernel, 'q')).toBe('running')
  await expect(got(kernel)).resolves.toEqual([1, { message: 'mended', times: 1 }, 0])
})

it('a plugin with the hook gets a new one live', async () => {
  const { kernel } = await startedWith({ p: { code: live, manifest } })
  await kernel.updateConfig('p', { message: 'new', times: 3 })
  await expect(got(kernel)).resolves.toEqual([1, { message: 'new', times: 3 }, 1])
  await kernel.reload('p')
  await expect(got(kernel)).resolves.toEqual([2, { message: 'new', times: 3 }, 0])
})

it('a plugin without the hook is replaced', async () => {
  const { kernel, replaced } = await startedWith({ p: { code: fixed, manifest } })
  await kernel.updateConfig('p', { message: 'new' })
  expect(replaced).toMatchObject([{ from: 1, to: 2, reason: 'configuration' }])
  await expect(got(kernel)).resolves.toEqual([2, { message: 'new', times: 1 }, 0])
})

it.each([
  ['live', live],
  ['fixed', fixed],
])('one that is not valid changes nothing (%s)', async (_, code) => {
  const { kernel, replaced } = await startedWith({ p: { code, manifest } })
  await expect(kernel.updateConfig('p', { message: 'x', times: 0 })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    plugin: 'p',
    message: expect.stringMatching(/times.*1/),
  })
  await kernel.reload('p')
  expect(replaced).toHaveLength(1)
  await expect(got(kernel)).resolves.toEqual([2, { message: 'default', times: 1 }, 0])
})

it.each([
  ['live', live],
  ['fixed', fixed],
])('one that cannot cross to the plugin is not valid, and changes nothing (%s)', async (_, code) => {
  const { kernel, replaced, faults, states } = await startedWith({ p: { code, manifest: { config: {} } } })
  const moves = states.length
  await expect(kernel.updateConfig('p', { hooks: { done() {} } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/'p' \(what updateConfig was given\) is not valid: hooks\.done: is a function/),
  })
  await expect(got(kernel)).resolves.toEqual([1, {}, 0])
  expect([replaced, faults, states.length]).toEqual([[], [], moves])
})

it('one that cannot cross to the plugin keeps it from running, before there is a generation', async () => {
  const { kernel } = await startedWith({ p: fixed }, { config: { p: { done() {} } } })
  expect(kernel.explain('p')).toMatchObject({
    code: 'CONFIG_INVALID',
    because: expect.stringContaining("(options.config['p']) is not valid: done: is a function"),
  })
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'failed', generation: 0 })
})

it('a variable that a plugin names in its own manifest is for the operator to grant, or to name for it', async () => {
  const permissions = [{ resource: 'env:SECRET', actions: ['read'] }]
  const asking = (asked: object) => ({ code: fixed, manifest: { config: { defaults: { message: '${SECRET:-}' } }, ...asked } })
  const env = { SECRET: 'hunter2' }
  const { kernel } = await kernelWith(
    { p: asking({ permissions }) },
    { env, grants: { p: { permissions: [{ resource: 'service:*', actions: ['*'] }] } } },
  )
  await kernel.start()
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'failed', generation: 0 })
  expect(kernel.explain('p')).toMatchObject({
    code: 'PERMISSION_DENIED',
    because: expect.stringMatching(/p\/plugin\.json: config\.defaults\.message names the environment variable SECRET/) as string,
  })
  await kernel.updateConfig('p', { message: 'not ${SECRET}' })
  await expect(got(kernel)).resolves.toEqual([1, { message: 'not hunter2' }, 0])

  const granted = await startedWith({ p: asking({ permissions }) }, { env })
  await expect(got(granted.kernel)).resolves.toEqual([1, { message: 'hunter2' }, 0])
})

it('one that the hook refuses changes nothing', async () => {
  const { kernel } = await startedWith({ p: { code: live, manifest } })
  await expect(kernel.updateConfig('p', { message: 'refuse' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('not that'),
  })
  await expect(got(kernel)).resolves.toEqual([1, { message: 'default', times: 1 }, 0])
})

it('one with which the plugin does not start leaves the old generation as it was', async () => {
  const { kernel, faults } = await startedWith({
    p: { code: pluginCode({ initialize: 'if (argument.message === "bad") throw new Error("cannot")', start: serve }), manifest },
  })
  await expect(kernel.updateConfig('p', { message: 'bad' })).rejects.toMatchObject({ code: 'PLUGIN_INITIALIZE' })
  expect(faults).toHaveLength(1)
  await expect(got(kernel)).resolves.toEqual([1, { message: 'default', times: 1 }, 0])
  await kernel.reload('p')
  await expect(got(kernel)).resolves.toEqual([3, { message: 'default', times: 1 }, 0])
})

it('one with which a plugin that did not run does not start either is told with why; the next may be better', async () => {
  const code = pluginCode({ start: `if (ctx.config.message !== "good") throw new Error("cannot"); ${serve}` })
  const { kernel } = await startedWith({ p: { code, manifest } })
  expect(kernel.explain('p')).toMatchObject({ code: 'PLUGIN_START' })
  await expect(kernel.updateConfig('p', { message: 'bad' })).rejects.toMatchObject({ code: 'PLUGIN_START' })
  await kernel.updateConfig('p', { message: 'good' })
  await expect(got(kernel)).resolves.toEqual([3, { message: 'good', times: 1 }, 0])
})

it('one for a plugin that waits for another, or is disabled, is kept for its next start', async () => {
  const { kernel, folder } = await startedWith({ p: { code: fixed, manifest: { ...manifest, dependencies: { later: '*' } } } })
  await kernel.updateConfig('p', { message: 'kept' })
  expect(stateOf(kernel, 'p')).toBe('failed')
  await kernel.load(writePlugin(folder, 'later', { code: pluginCode({ start: '' }) }))
  await expect(got(kernel)).resolves.toEqual([1, { message: 'kept', times: 1 }, 0])
  await kernel.disable('p')
  await kernel.updateConfig('p', { message: 'kept, too' })
  expect(stateOf(kernel, 'p')).toBe('disabled')
  await kernel.enable('p')
  await expect(got(kernel)).resolves.toEqual([2, { message: 'kept, too', times: 1 }, 0])
})

it('a new configuration is an object: nothing is not, and changes nothing', async () => {
  const { kernel } = await startedWith({ p: { code: fixed, manifest } }, { config: { p: { message: 'hi' } } })
  for (const given of [undefined, null, 5])
    await expect(kernel.updateConfig('p', given as never)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      plugin: 'p',
      message: expect.stringMatching(/must be an object, not (?:undefined|null|5)/),
    })
  await expect(got(kernel)).resolves.toEqual([1, { message: 'hi', times: 1 }, 0])
})

it('before the start and after the stop no plugin is configured, enabled or disabled', async () => {
  const { kernel } = await kernelWith({ p: fixed })
  const acts = [() => kernel.updateConfig('p', {}), () => kernel.enable('p'), () => kernel.disable('p')]
  for (const act of acts) await expect(act()).rejects.toMatchObject({ code: 'KERNEL_STATE' })
  await kernel.start()
  await kernel.stop()
  for (const act of acts) await expect(act()).rejects.toMatchObject({ code: 'KERNEL_STATE' })
})

it('files in configDir that nobody reads are warned of', async () => {
  const { kernel, folder, lines } = await kernelWith({ web: fixed }, { configDir: 'config' })
  mkdirSync(join(folder, 'config'))
  for (const file of ['web.yaml', 'wbe.yaml', 'web.toml', 'notes.md', '.hidden.json']) writeFileSync(join(folder, 'config', file), '')
  await kernel.start()
  expect(lines.map(({ level, message }) => [level, message])).toEqual([
    ['warn', "configDir has 'wbe.yaml', but there is no plugin of that name. Did you mean 'web'?"],
    ['warn', "configDir has 'web.toml', which is not read: a configuration ends in .yaml, .yml, .json."],
  ])
})

it('an unknown plugin is told of with the nearest name', async () => {
  const { kernel } = await startedWith({ greeter: fixed })
  for (const act of [
    () => kernel.updateConfig('greter', {}),
    () => kernel.health('greter'),
    () => kernel.unload('greter'),
    () => kernel.reload('greter'),
    () => kernel.enable('greter'),
  ]) {
    await expect(act()).rejects.toMatchObject({ code: 'PLUGIN_UNKNOWN', message: expect.stringContaining("Did you mean 'greeter'") })
  }
  expect(() => kernel.explain('greter')).toThrow(expect.objectContaining({ code: 'PLUGIN_UNKNOWN' }))
})

it('options are taken as they are: what becomes of the objects that were given later is not seen', async () => {
  const options = { config: { p: { message: 'given' } }, isolation: { p: 'inline' as 'inline' | 'thread' } }
  const { kernel } = await startedWith({ p: { code: fixed, manifest } }, options)
  options.config.p.message = 'changed'
  options.isolation.p = 'thread'
  await kernel.reload('p')
  await expect(got(kernel)).resolves.toEqual([2, { message: 'given', times: 1 }, 0])
  expect(infoOf(kernel, 'p').isolation).toBe('inline')
  const updated = { message: 'updated', times: 2 }
  const update = kernel.updateConfig('p', updated)
  updated.times = 0
  await update
  updated.message = 'changed'
  await kernel.reload('p')
  await expect(got(kernel)).resolves.toEqual([4, { message: 'updated', times: 2 }, 0])
})

it('a configuration is taken as it was given, also where it is changed while the plugin takes it', async () => {
  const code = pluginCode({ start: serve, updateConfig: 'await (await ctx.services.use("meanwhile")).come()' })
  const { kernel } = await startedWith({ p: { code, manifest } })
  const updated = { message: 'updated', times: 2 }
  await kernel.services.provide('meanwhile', { come: () => void (updated.times = 0) })
  await kernel.updateConfig('p', updated)
  await kernel.reload('p')
  await expect(got(kernel)).resolves.toEqual([2, { message: 'updated', times: 2 }, 0])
})

it("a saved configuration that is refused, or is nobody's, is told with what stays", async () => {
  const { kernel, folder, lines } = await kernelWith({ web: fixed }, { configDir: 'config', watch: true })
  const warnings = (): string[] => lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
  mkdirSync(join(folder, 'config'), { recursive: true })
  await kernel.start()
  writeFileSync(join(folder, 'config', 'web.yaml'), 'port: [1,\n  a: {')
  await eventually(() => expect(warnings()).toEqual(['The configuration was not taken over: generation 1 goes on with the one it has.']))
  const refused = lines.find(({ message }) => message.includes('it is not valid YAML'))
  expect(refused?.fields['err']).toMatchObject({ code: 'CONFIG_INVALID', cause: undefined })
  writeFileSync(join(folder, 'config', 'wbe.yaml'), 'port: 1')
  await eventually(() =>
    expect(warnings()[1]).toBe("configDir has a file of 'wbe' that was saved, but there is no plugin of that name. Did you mean 'web'?"),
  )
  expect(infoOf(kernel, 'web')).toMatchObject({ state: 'running', generation: 1 })
})
