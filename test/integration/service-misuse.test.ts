/** What is done to services by mistake: it is told where it is made, and harms nobody else. */
import { inspect } from 'node:util'
import { runInThisContext } from 'node:vm'
import { byReference } from 'plugbay'
import { describe, expect, it, onTestFinished } from 'vitest'

import { pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

/** Rejections that nobody handled until the end of a turn after the call. */
const strayRejections = async (act: () => unknown): Promise<unknown[]> => {
  const stray: unknown[] = []
  const keep = (reason: unknown): void => void stray.push(reason)
  process.on('unhandledRejection', keep)
  onTestFinished(() => void process.off('unhandledRejection', keep))
  await act()
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  return stray
}

describe('a service as text', () => {
  it('says what it is, calls nothing and leaves no rejection behind', async () => {
    const { kernel } = await startedWith({ users: pluginCode({ start: "await ctx.services.provide('users', { find: (id) => id })" }) })
    const users = (await kernel.services.use('users')) as object
    const stray = await strayRejections(() => {
      expect(`${users as unknown as string}`).toBe('[service users]')
      expect(String(users)).toBe('[service users]')
      expect([users].join()).toBe('[service users]')
      expect(inspect(users)).toBe('[service users]')
      expect(Number(users)).toBeNaN()
      expect(JSON.stringify({ users })).toBe('{"users":{}}')
    })
    expect(stray).toEqual([])
  })

  it('does not end the plugin that logs it', async () => {
    const { kernel, faults } = await startedWith({
      users: pluginCode({
        start: `
        await ctx.services.provide('users', { find: (id) => id })
        const users = await ctx.services.use('users')
        console.log('%s', users, users)
        const text = \`\${users} \${JSON.stringify(users)} \${users.toString()}\`
        await ctx.services.provide('told', { text: async () => { for (let i = 0; i < 3; i++) await new Promise(setImmediate); return text } })`,
      }),
    })
    const told = await kernel.services.use('told')
    await expect(told['text']?.()).resolves.toBe('[service users] {} [service users]')
    expect(faults).toEqual([])
    expect(stateOf(kernel, 'users')).toBe('running')
  })

  it('does not hide methods of such a name that it has', async () => {
    const { kernel } = await startedWith({})
    const { withdraw } = kernel.services.provide('odd', {
      toString: () => 'far',
      inspect: () => 'seen',
      toJSON: () => 'json',
      valueOf: () => 1,
    })
    const odd = (await kernel.services.use('odd')) as unknown as Record<string, () => Promise<unknown>>
    await expect(Promise.all([odd['toString']?.(), odd['inspect']?.(), odd['toJSON']?.(), odd['valueOf']?.()])).resolves.toEqual([
      'far',
      'seen',
      'json',
      1,
    ])
    expect(`${odd as unknown as string}`).toBe('[service odd]')
    withdraw()
    const stray = await strayRejections(() => expect(JSON.stringify({ odd })).toBe('{"odd":{}}'))
    expect(stray).toEqual([])
    await expect(odd['toJSON']?.()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })

  it('is that of an object by reference too', async () => {
    const { kernel } = await startedWith({})
    kernel.services.provide('shop', { basket: () => byReference({ size: () => 3 }) })
    const shop = await kernel.services.use('shop')
    const basket = (await shop['basket']?.()) as { size(): Promise<number> }
    const stray = await strayRejections(async () => {
      expect(`${basket as unknown as string}`).toBe("[object of service 'shop' of 'plugbay']")
      expect(inspect(basket)).toBe("[object of service 'shop' of 'plugbay']")
      expect(JSON.stringify(basket)).toBe('{}')
      await expect(basket.size()).resolves.toBe(3)
    })
    expect(stray).toEqual([])
  })
})

describe('what cannot be a service is refused where it is provided', () => {
  it.each([
    [
      'a method then',
      Object.fromEntries(['then', 'x'].map((name) => [name, () => 1])),
      /Service 't' of plugin 'plugbay' has a method 'then': whoever awaited/,
    ],
    ['a promise', Promise.resolve({}), /await the promise first/],
    ['null', null as never, /is null, no object with methods\. Give an object that has a function for each method\.$/],
    ['a number', 5 as never, /is 5, no object with methods\./],
    ['a method $with', { $with() {} }, /has a method '\$with'/],
    [
      'an object with nothing',
      {},
      /has no methods: nobody could call it\. Give its object a function for each; a value or a getter is no method\.$/,
    ],
    ['values alone', { rate: 3, items: [], basket: byReference({ add: () => 1 }) }, /has no methods/],
    [
      'a class with a getter alone',
      new (class Odd {
        get find() {
          return () => 1
        }
      })(),
      /has no methods/,
    ],
  ])('%s', async (_, service, message) => {
    const { kernel } = await startedWith({})
    const error = await thrown(() => kernel.services.provide('t', service))
    expect(error.code).toBe('SERVICE_SHAPE')
    expect(error.message).toMatch(message)
    expect(kernel.services.list()).toEqual([])
  })

  it.each(['thread', 'inline', 'process'] as const)('in a plugin in a place of kind %s too', async (isolation) => {
    const code = pluginCode({
      start: `
      const refused = []
      for (const service of [{ then() {} }, {}, { rate: 3 }]) await ctx.services.provide('t', service).catch(({ code, plugin }) => refused.push(code + ' ' + plugin))
      await ctx.services.provide('refused', { all: () => refused })`,
    })
    const { kernel } = await startedWith({ odd: { code, manifest: { isolation } } })
    await expect((await kernel.services.use('refused'))['all']?.()).resolves.toEqual(Array.from({ length: 3 }, () => 'SERVICE_SHAPE odd'))
    expect(kernel.services.list().map(({ name }) => name)).toEqual(['refused'])
  })
})

/**
 * Code of an expression of `services` and `used` (a used service), what it is refused with, and the beginning of the message in the kernel.
 */
const MISTAKES: readonly [expression: string, code: string, message: string, hint?: string][] = [
  [
    'provide("s", {}, { versoin: "2.0.0" })',
    'SERVICE_OPTIONS',
    "The provision of service 's' has no option 'versoin'.",
    "Did you mean 'version'?",
  ],
  ['provide("s", {}, { version: 2 })', 'SERVICE_OPTIONS', "The provision of service 's' has version = 2."],
  ['provide("s", { x() {} }, { version: "two" })', 'SERVICE_VERSION_INVALID', "version 'two'"],
  ['provide(5, {})', 'SERVICE_NAME_INVALID', 'The name of a service is a text, and not 5.'],
  ['use(5)', 'SERVICE_NAME_INVALID', 'The name of a service is a text, and not 5.'],
  ['use("used", { rnage: "^9" })', 'SERVICE_OPTIONS', "The use of service 'used' has no option 'rnage'.", "Did you mean 'range'?"],
  ['use("used", { range: 9 })', 'SERVICE_OPTIONS', 'has range = 9. Give one such as'],
  ['use("used", { range: "x.y.z.w" })', 'SERVICE_VERSION_INVALID', "'x.y.z.w' is no range"],
  ['use("used", { timeout: -1 })', 'SERVICE_OPTIONS', 'has timeout = -1. Give milliseconds, from 0 on.'],
  ['use("used", { wait: "x" })', 'SERVICE_OPTIONS', "has wait = 'x'. Give milliseconds, from 0 on."],
  ['use("used", { signal: {} })', 'SERVICE_OPTIONS', 'has signal = an object. Give the signal of an AbortController.'],
  ['use("used", "^1.0.0")', 'SERVICE_OPTIONS', "has '^1.0.0' for its options. Give an object with any of range"],
  [
    'use("used").then((s) => s.$with({ tiemout: 3 }))',
    'SERVICE_OPTIONS',
    "$with of service 'used' has no option 'tiemout'. Did you mean 'timeout'? It takes timeout, signal.",
  ],
  ['use("used").then((s) => s.$with({ timeout: Number.NaN }))', 'SERVICE_OPTIONS', 'has timeout = NaN.'],
  ['watch("s", 5)', 'SERVICE_OPTIONS', "The watch of service 's' has 5 for its listener."],
  ['watch(null, () => {})', 'SERVICE_NAME_INVALID', 'The name of a service is a text, and not null.'],
]

describe('what is asked of services in a wrong way is refused', () => {
  it('by the kernel', async () => {
    const { kernel } = await startedWith({})
    kernel.services.provide('used', { x() {} })
    for (const [expression, code, message, hint = ''] of MISTAKES) {
      const error = await thrown(() =>
        (runInThisContext(`(services) => services.${expression}`) as (services: object) => unknown)(kernel.services),
      )
      expect([expression, error.code]).toEqual([expression, code])
      expect(error.message).toContain(message)
      expect(error.message).toContain(hint)
    }
    expect(kernel.services.list().map(({ name }) => name)).toEqual(['used'])
  })

  it('by a plugin, whose stop they do not harm', async () => {
    const { kernel, lines } = await startedWith({
      x: pluginCode({
        start: `
        await ctx.services.provide('used', { attempt: (expression) => {
          const act = new Function('services', 'return services.' + expression)
          return Promise.resolve().then(() => act(ctx.services)).then(() => ({}), ({ code, message }) => ({ code, message }))
        } })`,
      }),
    })
    const used = await kernel.services.use('used')
    for (const [expression, code, message, hint = ''] of MISTAKES) {
      const refused = (await used['attempt']?.(expression)) as { code: string; message: string }
      expect([expression, refused.code]).toEqual([expression, code])
      expect(refused.message).toContain(message)
      expect(refused.message).toContain(hint)
    }
    await expect(kernel.disable('x')).resolves.not.toThrow()
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('what goes wrong with a call is told with plugin, service, method and place', () => {
  const shop = pluginCode({
    start: `
    await ctx.services.provide('shop', {
      echo: (value) => value,
      bad: () => ({ user: { list: [1, { cb() {} }] } }),
      never: () => new Promise(() => {}),
      throwObject() { throw { reason: 'sold out', left: [0] } },
      throwText() { throw 'plainly' },
    })`,
  })

  it.each(['thread', 'inline', 'process'] as const)('in a provider in a place of kind %s', async (isolation) => {
    const { kernel } = await startedWith({ prov: { code: shop, manifest: { isolation } } })
    const used = await kernel.services.use('shop')
    const call = (method: string, ...args: unknown[]): Promise<unknown> =>
      (used[method] as (...all: unknown[]) => Promise<unknown>)(...args)

    await expect(call('bad')).rejects.toMatchObject({
      code: 'PAYLOAD_NOT_CLONEABLE',
      plugin: 'prov',
      message: expect.stringMatching(
        /^The result of 'bad' of 'prov' for consumer 'plugbay' of service 'shop' cannot cross a thread: .* could not be cloned, at result\.user\.list\[1\]\.cb\./,
      ) as string,
    })
    await expect(call('echo', 1, { on: { cb() {} } })).rejects.toMatchObject({
      message: expect.stringMatching(
        /^A value for 'echo' of service 'shop' of 'prov' cannot cross a thread: .*, at arguments\[1\]\.on\.cb\./,
      ) as string,
    })
    await expect((used.$with({ timeout: 20 })['never'] as () => Promise<unknown>)()).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
      message: expect.stringMatching(/^Service 'shop' of 'prov' did not answer 'never' within 20 ms\./) as string,
    })
    await expect(call('throwObject')).rejects.toMatchObject({
      message: '{"reason":"sold out","left":[0]}',
      plugin: 'prov',
      details: { reason: 'sold out', left: [0] },
    })
    await expect(call('throwText')).rejects.toMatchObject({ message: 'plainly', plugin: 'prov' })
  })

  it('names the provider that answers now', async () => {
    const { kernel } = await startedWith({ prov: shop })
    const used = await kernel.services.use('shop')
    await kernel.disable('prov')
    kernel.services.provide('shop', { never: () => new Promise(() => {}) })
    await expect((used.$with({ timeout: 20 })['never'] as () => Promise<unknown>)()).rejects.toThrow(
      /^Service 'shop' of 'plugbay' did not answer/,
    )
  })

  it('and so is an event that cannot cross', async () => {
    const { kernel } = await startedWith({
      pub: pluginCode({ start: "await ctx.services.provide('pub', { publish: () => ctx.bus.publish('a.b', { deep: [{ cb() {} }] }) })" }),
    })
    const pub = await kernel.services.use('pub')
    await expect((pub['publish'] as () => Promise<unknown>)()).rejects.toMatchObject({
      code: 'PAYLOAD_NOT_CLONEABLE',
      message: expect.stringContaining('could not be cloned, at data.deep[0].cb.') as string,
    })
  })
})

describe('what is too long or too much to be told to others', () => {
  it('is refused where it is given, with the limit', async () => {
    const { kernel, faults } = await startedWith({
      long: pluginCode({
        start: `
        const long = 'a'.repeat(257)
        const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => ['m' + i, () => {}]))
        const acts = [
          () => ctx.services.provide(long, {}),
          () => ctx.services.use(long),
          () => ctx.services.watch(long, () => {}),
          () => ctx.services.provide('a', {}, { version: long }),
          () => ctx.services.use('a', { range: long }),
          () => ctx.services.provide('a', many),
          () => ctx.services.provide('a', { [long]() {} }),
        ]
        const said = []
        for (const act of acts) said.push(await act().then(() => 'done', (error) => error.code + ' ' + error.message))
        await ctx.services.provide('said', { said: () => said })`,
      }),
    })
    const said = (await (await kernel.services.use('said'))['said']?.()) as string[]
    expect(said.map((each) => each.split(' ')[0])).toEqual([
      'SERVICE_NAME_INVALID',
      'SERVICE_NAME_INVALID',
      'SERVICE_NAME_INVALID',
      'SERVICE_OPTIONS',
      'SERVICE_OPTIONS',
      'SERVICE_SHAPE',
      'SERVICE_SHAPE',
    ])
    for (const each of said) {
      expect(each).toMatch(/257 characters, more than 256|at most 256 characters|1001 methods, more than 1000/)
      expect(each.length).toBeLessThan(300)
    }
    expect(faults).toEqual([])
    expect(() => kernel.services.provide('a'.repeat(257), {})).toThrow('has 257 characters')
    const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`m${i}`, () => {}]))
    expect(() => kernel.services.provide('a', many)).toThrow('has 1001 methods')
  })
})
