import { join } from 'node:path'
import { createKernel } from 'plugbay'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, pluginCode, startedWith } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

/** As plain JavaScript calls it. */
const untyped = (value: object): Record<string, (...given: unknown[]) => unknown> => value as never

it.each<[string, unknown[], RegExp]>([
  ['a listener that is no function', ['plugin:state', 5], /kernel\.on\('plugin:state'\) was given a listener that is 5\./],
  ['a misspelt event', ['plugin:stat', () => {}], /knows no event 'plugin:stat'\. Did you mean 'plugin:state'\? There are: plugin:state, /],
  ['an event of every object', ['constructor', () => {}], /knows no event 'constructor'/],
])('kernel.on refuses %s', async (_, given, says) => {
  const kernel = await createKernel()
  expect(await thrown(() => untyped(kernel)['on']?.(...given))).toMatchObject({
    code: 'OPTIONS_INVALID',
    message: expect.stringMatching(says),
  })
})

it('kernel.services.watch refuses a listener that is no function', async () => {
  const kernel = await createKernel()
  expect(await thrown(() => untyped(kernel.services)['watch']?.('s1', 5))).toMatchObject({
    code: 'SERVICE_OPTIONS',
    message: "The watch of service 's1' has 5 for its listener. Give a function of the change.",
  })
})

it("a plugin's services.watch refuses a listener that is no function, and the plugin stops as well as ever", async () => {
  const { kernel, lines } = await startedWith({
    p: pluginCode({
      start: `
        await ctx.services.watch('s1', 5).catch(({ code, message }) => { this.got = { code, message } })
        ctx.bus.subscribe('tell', () => ctx.bus.publish('out', this.got))`,
    }),
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  expect(out[0]?.data).toEqual({
    code: 'SERVICE_OPTIONS',
    message: "The watch of service 's1' has 5 for its listener. Give a function of the change.",
  })
  await kernel.services.provide('s1', { a: () => 1 })
  await kernel.stop()
  expect(lines.filter(({ message }) => message.includes('Left behind'))).toEqual([])
})

it.each([
  ["'bus:in', 'publsh'", "asks for 'publsh', which is no action on 'bus'. There are: publish, subscribe, *."],
  ["'buss:in', 'publish'", "asks for 'buss', which is no kind of resource. There are: bus, service, "],
  ["'constructor', 'publish'", "asks for 'constructor', which is no kind of resource"],
  ["'bus:in'", 'was given undefined for the action'],
  ["5, 'publish'", 'was given 5 for the resource'],
])('permissions.has(%s) is no question that could be answered by yes or no', async (asked, says) => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start: `
        let got = 'an answer'
        try { ctx.permissions.has(${asked}) } catch ({ code, message }) { got = { code, message } }
        const fine = [['bus:in', 'publish'], ['bus:in', '*'], ['service:s', 'call:a'], ['service:s', 'provide'], ['fs:data', 'write'], ['child', 'use']]
        const answers = fine.map(([resource, action]) => ctx.permissions.has(resource, action))
        ctx.bus.subscribe('tell', () => ctx.bus.publish('out', { got, answers }))`,
    }),
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  expect(out[0]?.data).toEqual({
    got: { code: 'OPTIONS_INVALID', message: expect.stringContaining(says) },
    answers: Array(6).fill(expect.any(Boolean)),
  })
})

it.each(['load', 'unload', 'reload', 'enable', 'disable', 'updateConfig', 'health'])('kernel.%s refuses what is no text', async (verb) => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  for (const given of [5, undefined, null, ''])
    expect(await thrown(() => untyped(kernel)[verb]?.(given))).toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining(verb === 'load' ? 'the path of a plugin' : 'the name of a plugin'),
    })
})

it('a plugin that is loaded twice from one path is said to be there already, and how to read it again', async () => {
  const { kernel, folder } = await startedWith({ p: pluginCode({ start: '' }) })
  await expect(kernel.load(join(folder, 'p'))).rejects.toMatchObject({
    code: 'PLUGIN_DUPLICATE',
    message: `Plugin 'p' at ${join(folder, 'p')} is loaded already. To read it again, reload it with kernel.reload('p').`,
  })
})

it('what is wrong in options is told of one object', async () => {
  await expect(createKernel({ plugin: './plugins' } as never)).rejects.toMatchObject({
    message: expect.stringMatching(/^The options object is not valid: plugin: is not a known field\./),
  })
})

it('only what the options say of a configuration is blamed on them', async () => {
  const schema = { type: 'object', properties: { port: { type: 'integer' } } }
  const { kernel } = await startedWith(
    { p: { code: pluginCode({ start: '' }), manifest: { config: { schema } } } },
    { config: { p: { port: 1 } } },
  )
  const error = await thrown(() => kernel.updateConfig('p', { port: 'x' }))
  expect(error.code).toBe('CONFIG_INVALID')
  expect(error.message).toContain("The configuration of plugin 'p' (what updateConfig was given) is not valid: port:")
})
