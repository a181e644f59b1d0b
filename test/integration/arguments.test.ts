import { join } from 'node:path'
import { byReference, createKernel, transfer } from 'plugbay'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, kernelWith, pluginCode, startedWith } from '../support/plugin-folder.js'
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

/** What these lines of a plugin's start throw or reject with, each in its place. */
const refusalsOf = async (calls: readonly string[]): Promise<unknown> => {
  const { kernel } = await startedWith({
    p: {
      code: pluginCode(
        {
          start: `
            const calls = [${calls.map((call) => `async () => ${call}`).join(', ')}]
            const got = await Promise.all(calls.map((call) => call().then(() => 'done', ({ code, message }) => ({ code, message }))))
            ctx.bus.subscribe('tell', () => ctx.bus.publish('out', got))`,
        },
        "import { byReference, transfer } from 'plugbay/plugin'",
      ),
    },
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('tell')
  await eventually(() => expect(out).toHaveLength(1))
  return out[0]?.data
}

it('a plugin that gives an option which there is not is told the nearest that there is, as the embedder is', async () => {
  const { kernel } = await startedWith({})
  const embedder = await Promise.all([
    thrown(() => untyped(kernel.bus)['subscribe']?.('in', () => {}, { concurency: 1 })),
    thrown(() => untyped(kernel.services)['use']?.('s', { rnage: '*' })),
    thrown(() => untyped(kernel.services)['provide']?.('s', {}, { verson: '1.0.0' })),
  ])
  const said = embedder.map(({ code, message }) => ({ code, message }))
  expect(said.map(({ message }) => /Did you mean '(\w+)'/.exec(message)?.[1])).toEqual(['concurrency', 'range', 'version'])
  const refusals = await refusalsOf([
    "ctx.bus.subscribe('in', () => {}, { concurency: 1 })",
    "ctx.services.use('s', { rnage: '*' })",
    "ctx.services.provide('s', {}, { verson: '1.0.0' })",
    "ctx.tasks.run('t', 1, { timout: 5 })",
  ])
  expect(refusals).toEqual([
    ...said,
    { code: 'OPTIONS_INVALID', message: "tasks.run('t') has no option 'timout'. Did you mean 'timeout'? It takes timeout, signal." },
  ])
})

it('an argument that nobody would heed is refused', async () => {
  const refusals = await refusalsOf([
    "ctx.bus.publish('out.1', 1, { source: 'me' })",
    "ctx.bus.subscribe('in', () => {}, {}, 'more')",
    "ctx.services.watch('s', () => {}, { signal: ctx.signal })",
    "ctx.fs.writeFile('a', 'b', { flag: 'a' })",
    "ctx.fs.readFile('a', 'latin1')",
    "ctx.bus.publish('out.2', 1, undefined)",
  ])
  const refusal = (message: string) => ({ code: 'OPTIONS_INVALID', message })
  expect(refusals).toEqual([
    refusal("publish('out.1') of a plugin was given an object more than it takes: a topic and data. Leave it out."),
    refusal("subscribe('in') was given 'more' more than it takes: a pattern, a handler and options. Leave it out."),
    refusal("watch('s') was given an object more than it takes: a name and a listener. Leave it out."),
    refusal('fs.writeFile() was given an object more than it takes: a path and data. Leave it out.'),
    refusal("fs.readFile() was given 'latin1' for the encoding. Give 'utf8', or leave it out for the bytes."),
    'done',
  ])
  const kernel = await createKernel()
  const given: [object, string, unknown[]][] = [
    [kernel, 'on', ['plugin:state', () => {}, { once: true }]],
    [kernel.services, 'watch', ['s', () => {}, {}]],
    [kernel.bus, 'subscribe', ['in', () => {}, {}, {}]],
    [kernel, 'inspect', ['p', { prot: 9229 }]],
  ]
  for (const [owner, verb, args] of given)
    expect(await thrown(() => untyped(owner)[verb]?.(...args))).toMatchObject({ code: 'OPTIONS_INVALID' })
})

it('what is marked where nothing is moved is refused, with where it lies', async () => {
  const refusals = (await refusalsOf([
    "ctx.bus.publish('out.1', transfer(new Uint8Array(8), []))",
    "ctx.bus.publish('out.2', { photos: [{ bytes: transfer(new Uint8Array(8), []) }] })",
    "ctx.bus.publish('out.3', { user: byReference({ name: () => 'ada' }) })",
    "ctx.tasks.run('t', transfer(new Uint8Array(8), []))",
  ])) as { code: string; message: string }[]
  expect(refusals.map(({ code }) => code)).toEqual(Array(4).fill('PAYLOAD_NOT_CLONEABLE'))
  expect(refusals.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      /^The data that plugin 'p' published on 'out\.1' cannot cross a thread: transfer\(\) marks .*, at data \(transfer/,
    ),
    expect.stringContaining('at data.photos[0].bytes (transfer())'),
    expect.stringMatching(
      /byReference\(\) marks an argument or a result of a method of a service, .* at data\.user \(byReference\(\)\)\. Everything else is copied/,
    ),
    expect.stringContaining('(transfer())'),
  ])
})

it('what the application marks, its own handlers get without the mark, and nothing is moved; with a plugin among them it is refused', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: "ctx.bus.subscribe('both.*', () => {})" }) })
  const seen: unknown[] = []
  for (const pattern of ['own.*', 'both.*']) kernel.bus.subscribe(pattern, ({ data }: { data: unknown }) => void seen.push(data))
  const bytes = new Uint8Array([1, 2, 3])
  const user = { name: () => 'ada' }
  await kernel.bus.publish('own.1', transfer(bytes, [bytes.buffer]))
  await kernel.bus.publish('own.2', byReference(user))
  expect(seen).toEqual([bytes, user])
  expect(seen[0]).toBe(bytes)
  expect(seen[1]).toBe(user)
  expect(bytes.byteLength).toBe(3)
  for (const marked of [transfer(bytes, [bytes.buffer]), byReference(user)])
    await expect(kernel.bus.publish('both.1', marked)).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
  expect(seen).toHaveLength(2)
})

it.each(['unload', 'reload', 'enable', 'disable', 'health', 'explain'])(
  'kernel.%s before the start says that the kernel was not started, and not that a plugin is unknown',
  async (verb) => {
    const { kernel } = await kernelWith({ p: pluginCode({ start: '' }) })
    const error = await thrown(() => untyped(kernel)[verb]?.('p'))
    expect(error).toMatchObject({ code: 'KERNEL_STATE', message: expect.stringMatching(/start/i) })
    await kernel.start()
    expect(await thrown(() => untyped(kernel)[verb]?.('q'))).toMatchObject({ code: 'PLUGIN_UNKNOWN' })
  },
)
