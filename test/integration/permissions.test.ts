/** Permissions at work: what is not allowed is refused where it is tried, told, and disturbs nobody else. */
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

type Permission = { resource: string; actions: string[] }

/** Answers `try(what)` with what came of it: its result, or the error's code and message. */
const trier = (...permissions: Permission[]) => ({
  manifest: permissions.length > 0 ? { permissions } : {},
  code: pluginCode({
    start: `
      const acts = {
        publish: (topic) => ctx.bus.publish(topic, { by: ctx.name }),
        subscribe: (pattern) => void ctx.bus.subscribe(pattern, ({ type }) => ctx.bus.publish('heard.' + ctx.name, { type })),
        provide: async (name) => void await ctx.services.provide(name, { hi: () => 'hi' }),
        call: async (name, method) => (await ctx.services.use(name, { wait: 0 }))[method](),
        methods: async (name) => Object.keys(await ctx.services.use(name, { wait: 0 })),
        watch: async (name) => void await ctx.services.watch(name, () => {}),
        has: (resource, action) => ctx.permissions.has(resource, action),
      }
      const attempt = async (act, ...args) => {
        try {
          return { value: await acts[act](...args) }
        } catch ({ code, message, details }) {
          return { code, message, details }
        }
      }
      await ctx.services.provide('try-' + ctx.name, { attempt })`,
  }),
})

const stock = pluginCode({ start: "await ctx.services.provide('stock', { count: () => 3, list: () => ['pear'], clear: () => 'gone' })" })
const own: Permission = { resource: 'service:try-guest', actions: ['provide'] }

/** Lets a plugin try something. */
const attempt = async ({ kernel }: Running, act: string, ...args: string[]) =>
  (await (await kernel.services.use('try-guest')).attempt(act, ...args)) as {
    value?: unknown
    code?: string
    message: string
    details?: unknown
  }

const denials = ({ faults }: Running) =>
  faults.filter(({ error }) => (error as { code?: unknown }).code === 'PERMISSION_DENIED').map(({ name, error }) => ({ name, error }))

describe.each(['thread', 'inline'] as const)('a plugin with permissions, in isolation %s', (isolation) => {
  const started = (permissions: Permission[], more = {}) =>
    startedWith({ guest: trier(...permissions), stock, observer: trier(), ...more }, { defaults: { isolation } })

  test('publishes what it may; what it may not is refused to it, reaches nobody, and is told', async () => {
    const running = await started([{ resource: 'bus:user.*', actions: ['publish'] }])
    const events = collect(running.kernel, '**')
    expect(await attempt(running, 'publish', 'user.login')).toEqual({ value: undefined })
    const refused = await attempt(running, 'publish', 'order.paid')
    expect(refused).toMatchObject({ code: 'PERMISSION_DENIED', details: { resource: 'bus:order.paid', action: 'publish' } })
    expect(refused.message).toBe(
      `Plugin 'guest' may not publish 'order.paid': it has no permission for that. To allow it, add { "resource": "bus:order.paid", "actions": ["publish"] } ` +
        "to the permissions in its plugin.json, or to its grants where the kernel's options have some.",
    )
    await eventually(() =>
      expect(denials(running)).toEqual([
        { name: 'guest', error: expect.objectContaining({ plugin: 'guest', details: { resource: 'bus:order.paid', action: 'publish' } }) },
      ]),
    )
    expect(events.filter(({ source }) => source === 'guest').map(({ type }) => type)).toEqual(['user.login'])
    expect(events.map(({ type }) => type)).toContain('kernel.plugin.fault')
    expect(stateOf(running.kernel, 'guest')).toBe('running')
  })

  test('subscribes to what it may, and to no more by a wider pattern', async () => {
    const running = await started([
      { resource: 'bus:user.*', actions: ['subscribe'] },
      { resource: 'bus:heard.guest', actions: ['publish'] },
    ])
    const heard = collect(running.kernel, 'heard.guest')
    for (const pattern of ['**', '*', 'user.**', 'order.paid', 'kernel.**']) {
      expect(await attempt(running, 'subscribe', pattern)).toMatchObject({ code: 'PERMISSION_DENIED' })
    }
    expect(await attempt(running, 'subscribe', 'user.login')).toEqual({ value: undefined })
    await running.kernel.bus.publish('order.paid')
    await running.kernel.bus.publish('user.login')
    await eventually(() => expect(heard.map(({ data }) => data)).toEqual([{ type: 'user.login' }]))
    expect(infoOf(running.kernel, 'guest').subscriptions.map(({ pattern }) => pattern)).toEqual(['user.login'])
    await eventually(() => expect(denials(running)).toHaveLength(5))
  })

  test('provides and uses the services it may, and calls the methods it may', async () => {
    const running = await started([own, { resource: 'service:stock', actions: ['call:count', 'call:li*'] }])
    expect(await attempt(running, 'call', 'stock', 'count')).toEqual({ value: 3 })
    expect(await attempt(running, 'call', 'stock', 'list')).toEqual({ value: ['pear'] })
    expect(await attempt(running, 'methods', 'stock')).toEqual({ value: ['count', 'list'] })
    expect(await attempt(running, 'call', 'stock', 'clear')).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining("may not call 'clear' of the service 'stock'"),
    })
    expect(await attempt(running, 'call', 'try-observer', 'attempt')).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(await attempt(running, 'watch', 'nobody')).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(await attempt(running, 'provide', 'stock-taking')).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining("may not provide the service 'stock-taking'"),
    })
    expect(running.kernel.services.list().map(({ name }) => name)).not.toContain('stock-taking')
    await eventually(() =>
      expect(denials(running).map(({ error }) => error.details?.['action'])).toEqual(['call:clear', 'call', 'call', 'provide']),
    )
    // Nobody else is the poorer for it.
    expect(await (await running.kernel.services.use('stock')).clear()).toBe('gone')
  })

  test('keeps to its methods when the provider is replaced', async () => {
    const running = await started([own, { resource: 'service:stock', actions: ['call:count'] }])
    expect(await attempt(running, 'call', 'stock', 'count')).toEqual({ value: 3 })
    writePlugin(running.folder, 'stock', { code: stock.replace('=> 3', '=> 4') })
    await running.kernel.reload('stock')
    expect(await attempt(running, 'call', 'stock', 'count')).toEqual({ value: 4 })
    expect(await attempt(running, 'call', 'stock', 'clear')).toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  test('knows what it may do', async () => {
    const running = await started([own, { resource: 'bus:user.*', actions: ['publish'] }, { resource: 'fs:data', actions: ['write'] }])
    const has = async (resource: string, action: string) => (await attempt(running, 'has', resource, action)).value
    expect(await has('bus:user.login', 'publish')).toBe(true)
    expect(await has('bus:user.login', 'subscribe')).toBe(false)
    expect(await has('fs:data', 'write')).toBe(true)
    expect(await has('child', 'use')).toBe(false)
    expect(infoOf(running.kernel, 'guest').permissions).toContainEqual({ resource: 'bus:user.*', actions: ['publish'] })
    expect(infoOf(running.kernel, 'observer').permissions).toEqual([
      { resource: 'bus:**', actions: ['publish', 'subscribe'] },
      { resource: 'service:*', actions: ['provide', 'call'] },
    ])
  })
})

describe('denials', () => {
  test('in a loop are counted, not told one by one, and disturb no other publisher', async () => {
    const running = await startedWith({
      guest: {
        manifest: { permissions: [{ resource: 'bus:fine', actions: ['publish'] }] },
        code: pluginCode({
          start: `
            for (let i = 0; i < 10_000; i++) ctx.bus.publish('secret.' + (i % 100)).catch(() => {})
            await ctx.bus.publish('fine')`,
        }),
      },
      observer: pluginCode({ start: "ctx.bus.subscribe('ping', () => ctx.bus.publish('pong'))" }),
    })
    const pongs = collect(running.kernel, 'pong')
    for (let i = 0; i < 100; i++) await running.kernel.bus.publish('ping')
    await eventually(() => expect(pongs).toHaveLength(100))
    expect(infoOf(running.kernel, 'guest')).toMatchObject({ state: 'running', lastError: undefined })
    expect(denials(running).length).toBeGreaterThan(0)
    // 10,000 in a few seconds at most, 16 kinds a second.
    expect(denials(running).length).toBeLessThan(500)
  })

  test('while starting fail the start, with the permission that is missing', async () => {
    const running = await startedWith({
      guest: {
        manifest: { permissions: [{ resource: 'service:other', actions: ['provide'] }] },
        code: pluginCode({ start: "await ctx.services.provide('users', { find() {} })" }),
      },
      observer: trier(),
    })
    const { state, lastError } = infoOf(running.kernel, 'guest')
    expect(state).toBe('failed')
    expect(lastError?.message).toContain("may not provide the service 'users'")
    expect(stateOf(running.kernel, 'observer')).toBe('running')
  })
})

describe('roles and grants', () => {
  test('a role that is not defined keeps the plugin from starting, and says which there are', async () => {
    const running = await startedWith(
      { guest: { manifest: { roles: ['raeder'] }, code: pluginCode({ start: '' }) }, observer: trier() },
      { roles: { reader: [{ resource: 'fs:data', actions: ['read'] }] } },
    )
    expect(infoOf(running.kernel, 'guest').lastError).toMatchObject({
      code: 'MANIFEST_INVALID',
      message: expect.stringContaining("there is no role 'raeder'. Did you mean 'reader'?"),
    })
    expect(stateOf(running.kernel, 'observer')).toBe('running')
  })

  test('the operator gives less than the manifest asks for, or more', async () => {
    const running = await startedWith(
      { guest: trier(own, { resource: 'bus:user.*', actions: ['publish'] }) },
      {
        roles: { tries: [own] },
        grants: { guest: { roles: ['tries'], permissions: [{ resource: 'bus:order.*', actions: ['publish'] }] } },
      },
    )
    expect(await attempt(running, 'publish', 'user.login')).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(await attempt(running, 'publish', 'order.paid')).toEqual({ value: undefined })
  })

  test('a plugin that is replaced by one with fewer permissions has fewer from then on', async () => {
    const running = await startedWith({ guest: trier() })
    expect(await attempt(running, 'publish', 'order.paid')).toEqual({ value: undefined })
    writePlugin(running.folder, 'guest', trier({ resource: 'bus:user.*', actions: ['publish'] }))
    await running.kernel.reload('guest')
    expect(await attempt(running, 'publish', 'order.paid')).toMatchObject({ code: 'PERMISSION_DENIED' })
  })
})

test('an import that is refused is told with the module that was tried, and what opens it', async () => {
  const modules = ['fs', 'net', 'worker_threads', 'os']
  const start = `for (const name of ${JSON.stringify(modules)}) await import('node:' + name).catch(() => {})`
  const running = await startedWith({ guest: pluginCode({ start }) })
  const opens = ['"fs:<path>", "actions": ["read"]', '"net:<host>", "actions": ["connect"]', '"worker"', '"builtin:os"']
  await eventually(() =>
    expect(running.faults.map(({ error }) => error)).toMatchObject(
      modules.map((name, index) => ({
        message: expect.stringContaining(
          `may not import 'node:${name}': it has no permission for that. To allow it, add { "resource": ${opens[index]}`,
        ) as string,
        details: { resource: `builtin:${name}`, action: 'import' },
      })),
    ),
  )
})
