/** Who breaks the protocol on a line to a service is told of by name; its provider, and who else calls that, go on. */
import type { MessagePort } from 'node:worker_threads'
import { PlugbayError } from 'plugbay'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'
import { kernelWith, type Plugins, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const ROOM = { limits: { memory: 512, hang: 10_000 } }

const KEEPER = pluginCode({ start: "await ctx.services.provide('store', { sizeOf: ({ text }) => text.length })" })

/**
 * Calls with what is small as often as it is looked at, and larger than any call may be when it is sent at last: one of the calls has it
 * so.
 */
const LIAR = pluginCode({
  start: `
    const huge = 'x'.repeat(40 * 2 ** 20)
    const changing = (times) => ({ by: new Map(), get text() { return times-- > 0 ? '' : huge } })
    ctx.bus.subscribe('lie', async ({ data: name }) => {
      const store = await ctx.services.use(name)
      for (let times = 0; times < 10; times++) await store.sizeOf(changing(times)).catch(() => {})
    })`,
})

const CALLER = pluginCode({
  start:
    "ctx.bus.subscribe('call', async () => { const store = await ctx.services.use('store'); await ctx.bus.publish('answer', await store.sizeOf({ text: 'four' })) })",
})

const plugins = (isolation: string): Plugins => ({
  keeper: { code: KEEPER, manifest: { isolation, ...ROOM } },
  liar: { code: LIAR, manifest: ROOM },
  caller: CALLER,
})

const offence = (service: string, provider: string) => ({
  name: 'liar',
  error: {
    code: 'PROTOCOL',
    plugin: 'liar',
    message: expect.stringMatching(
      new RegExp(
        `^Plugin 'liar' sent a message to service '${service}' that breaks the protocol, as its provider '${provider}' says, .*: it weighs more than`,
      ),
    ) as string,
    details: { service, provider },
  },
})

describe.each(['thread', 'inline', 'process'])('a provider in isolation %s', (isolation) => {
  it('tells who broke the protocol, once, and goes on with the others', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith(plugins(isolation))
    const answers: unknown[] = []
    kernel.bus.subscribe('answer', ({ data }) => void answers.push(data))
    await kernel.bus.publish('lie', 'store')
    await eventually(() => expect(faults).toMatchObject([offence('store', 'keeper')]))
    await kernel.bus.publish('call')
    await eventually(() => expect(answers).toEqual([4]))
    expect(['keeper', 'liar', 'caller'].map((name) => stateOf(kernel, name))).toEqual(['running', 'running', 'running'])
    expect(faults).toHaveLength(1)
  })
})

it.each(['thread', 'process'])(
  'its calls say why they fail, and that the provider runs; when it uses the service again it has another line (%s)',
  { timeout: 60_000 },
  async (isolation) => {
    const liar = pluginCode({
      start: `
        const huge = 'x'.repeat(40 * 2 ** 20)
        const changing = (times) => ({ by: new Map(), get text() { return times-- > 0 ? '' : huge } })
        const told = (error) => ({ code: error.code, message: error.message })
        const store = await ctx.services.use('store')
        ctx.bus.subscribe('lie', async () => {
          for (let times = 0; times < 10; times++) await store.sizeOf(changing(times)).catch(() => {})
        })
        ctx.bus.subscribe('call', async () => ctx.bus.publish('told', await store.sizeOf({ text: 'four' }).catch(told)))
        ctx.bus.subscribe('use', async () => { await ctx.services.use('store'); await ctx.bus.publish('told', await store.sizeOf({ text: 'four' }).catch(told)) })`,
    })
    const { kernel, faults } = await startedWith({ ...plugins(isolation), liar: { code: liar, manifest: ROOM } })
    const told: unknown[] = []
    kernel.bus.subscribe('told', ({ data }) => void told.push(data))
    const next = async (asked: string): Promise<unknown> => {
      const seen = told.length
      await kernel.bus.publish(asked)
      await eventually(() => expect(told.length).toBeGreaterThan(seen))
      return told.at(-1)
    }
    for (let round = 0; round < 2; round++) {
      await kernel.bus.publish('lie')
      await eventually(async () =>
        expect(await next('call')).toEqual({
          code: 'SERVICE_GONE',
          message: expect.stringMatching(
            /^The line of 'liar' to service 'store' is closed, and its provider 'keeper' runs: it says that a message broke the protocol: it weighs more than .*\. Use the service again for another line\.$/,
          ),
        }),
      )
      expect(await next('use')).toBe(4)
      expect(await next('call')).toBe(4)
    }
    // Once, however often it does it.
    expect(faults).toMatchObject([offence('store', 'keeper')])
  },
)

it('a service of the application tells it as well', { timeout: 60_000 }, async () => {
  const { kernel, faults } = await startedWith(plugins('thread'))
  kernel.services.provide('shop', { sizeOf: ({ text }: { text: string }) => text.length })
  await kernel.bus.publish('lie', 'shop')
  await eventually(() => expect(faults).toMatchObject([offence('shop', 'plugbay')]))
})

it('a provider that says it of everybody, again and again, is heard once for each line that there is', async () => {
  const { guest, broker } = gatewayLine([{ resource: 'service:store', actions: ['provide'] }])
  await guest.request('provide', { service: 1, name: 'store', version: '1.0.0', methods: ['get'] })
  const told: string[] = []
  const consumer = {
    name: 'innocent',
    mayCall: () => true,
    rebind() {},
    gone() {},
    offended: ({ message }: Error) => void told.push(message),
    answers: () => Promise.resolve(true),
  }
  const { port } = await broker.open(consumer, { name: 'store', range: '*', wait: 0 }, new AbortController().signal)
  onTestFinished(() => port?.close())
  const says = [
    [1, 'innocent', 'x'.repeat(1_000)],
    [1, 'innocent', 'again'],
    [1, 'nobody', 'it lies'],
    [2, 'innocent', 'it lies'],
  ] as const
  for (const metas of says) guest.notify('offended', metas)
  await guest.request('withdraw', { service: 1 })
  expect(told).toEqual([expect.stringMatching(/as its provider 'hostile' says, which has closed the line: x{200}\. /)])
})

/** Answers as {@link LIAR} calls: one of the times it lies. */
const LYING_KEEPER = pluginCode({
  start: `
    const huge = 'x'.repeat(40 * 2 ** 20)
    const changing = (times) => ({ by: new Map(), get text() { return times-- > 0 ? '' : huge } })
    await ctx.services.provide('store', { get: () => 'four', lie: (times) => changing(times) })`,
})

const USER = pluginCode({
  start: `
    const told = ({ code, message }) => ({ code, message })
    const store = await ctx.services.use('store', { timeout: 0 })
    const answers = {
      call: () => store.get(),
      lie: async () => (await Promise.allSettled([...Array(10).keys()].map((times) => store.lie(times)))).map(({ reason }) => reason?.code ?? 'none'),
      use: async () => { await ctx.services.use('store'); return store.get() },
    }
    ctx.bus.subscribe('asked', async ({ data }) => ctx.bus.publish('told', await answers[data]().catch(told)))`,
})

describe('a provider that breaks the protocol', () => {
  const lineClosed = {
    code: 'SERVICE_GONE',
    message: expect.stringMatching(
      /^The line to service 'store' is closed: its provider 'keeper' sent a message that breaks the protocol: it weighs more than .*\. Use the service again for another line\.$/,
    ) as string,
  }
  const itsOffence = (consumer: string) => ({
    name: 'keeper',
    error: {
      code: 'PROTOCOL',
      plugin: 'keeper',
      message: expect.stringMatching(
        new RegExp(
          `^Plugin 'keeper' sent a message over a line to its service 'store' that breaks the protocol, as its consumer '${consumer}' says, .*: it weighs more than`,
        ),
      ) as string,
      details: { service: 'store', consumer },
    },
  })

  it.each([
    ['thread', 'thread'],
    ['inline', 'thread'],
    ['process', 'thread'],
    ['thread', 'process'],
  ])(
    'is told of, once, and its consumer has another line when it uses the service again (%s, used in a %s)',
    { timeout: 60_000 },
    async (isolation, user) => {
      const { kernel, faults } = await startedWith({
        keeper: { code: LYING_KEEPER, manifest: { isolation, ...ROOM } },
        user: { code: USER, manifest: { isolation: user, ...ROOM } },
      })
      const told: unknown[] = []
      kernel.bus.subscribe('told', ({ data }) => void told.push(data))
      const next = async (asked: string): Promise<unknown> => {
        const seen = told.length
        await kernel.bus.publish('asked', asked)
        await eventually(() => expect(told.length).toBeGreaterThan(seen))
        return told.at(-1)
      }
      for (let round = 0; round < 2; round++) {
        expect(await next('lie')).toContain('PROTOCOL')
        expect(await next('call')).toEqual(lineClosed)
        expect(await next('use')).toBe('four')
        expect(await next('call')).toBe('four')
      }
      // Once, however often it does it.
      expect(faults).toMatchObject([itsOffence('user')])
      expect(['keeper', 'user'].map((name) => stateOf(kernel, name))).toEqual(['running', 'running'])
    },
  )

  it('is told of as well when it was replaced meanwhile, of the generation that did it', { timeout: 60_000 }, async () => {
    const late = pluginCode({
      start: `
        const huge = 'x'.repeat(40 * 2 ** 20)
        const changing = (times) => ({ by: new Map(), get text() { return times-- > 0 ? '' : huge } })
        const gate = await ctx.services.use('gate', { timeout: 0 })
        await ctx.services.provide('store', { get: () => 'four', lie: async (times) => { await gate.opens(); return changing(times) } })`,
    })
    const { kernel, faults } = await kernelWith({ keeper: { code: late, manifest: ROOM }, user: { code: USER, manifest: ROOM } })
    const waiting: (() => void)[] = []
    kernel.services.provide('gate', { opens: () => new Promise<void>((resolve) => waiting.push(resolve)) })
    await kernel.start()
    const told: unknown[] = []
    kernel.bus.subscribe('told', ({ data }) => void told.push(data))
    await kernel.bus.publish('asked', 'lie')
    await eventually(() => expect(waiting).toHaveLength(10))
    const reloaded = kernel.reload('keeper')
    await eventually(() =>
      expect(kernel.plugins().find(({ name }) => name === 'keeper')).toMatchObject({ generation: 2, state: 'running' }),
    )
    for (const open of waiting) open()
    await reloaded
    await eventually(() => expect(told).toEqual([expect.arrayContaining(['PROTOCOL'])]))
    await kernel.bus.publish('asked', 'call')
    await eventually(() => expect(told.at(-1)).toBe('four'))
    expect(faults).toMatchObject([{ generation: 1, ...itsOffence('user') }])
  })

  it('is told of as well when the application used it', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith({ keeper: { code: LYING_KEEPER, manifest: ROOM } })
    const store = await kernel.services.use('store', { timeout: 0 })
    const lies = await Promise.allSettled(Array.from({ length: 10 }, (_, times) => store['lie']?.(times)))
    expect(lies).toContainEqual({
      status: 'rejected',
      reason: expect.objectContaining({ code: 'PROTOCOL', message: expect.stringMatching(/^Service 'store' of 'keeper' sent/) as string }),
    })
    await expect(store['get']?.()).rejects.toMatchObject(lineClosed)
    await kernel.services.use('store')
    expect(await store['get']?.()).toBe('four')
    expect(faults).toMatchObject([itsOffence('plugbay')])
  })
})

describe('a provider that closes its line', () => {
  const CLOSE = {
    // A frame without a value ends its line; the kernel's have even numbers.
    process: 'for (let line = 2; line < 20; line += 2) writeSync(3, Buffer.from([4, 0, 0, 0, line, 0, 0, 0]))',
    inline: 'for (const port of stolen.splice(0)) port.close()',
  }
  const STEAL = `
    const was = MessagePort.prototype.on
    MessagePort.prototype.on = function (name, ...more) {
      if (name === 'message') stolen.push(this)
      return was.call(this, name, ...more)
    }
    ctx.signal.addEventListener('abort', () => { MessagePort.prototype.on = was })`

  it.each(['process', 'inline'] as const)(
    'is told of, once, and its consumer has another line when it uses the service again (%s)',
    async (isolation) => {
      const keeper = pluginCode(
        {
          start: `${isolation === 'inline' ? STEAL : ''}
          await ctx.services.provide('store', { get: () => 'four', close: () => { ${CLOSE[isolation]}; return new Promise(() => {}) } })`,
        },
        "import { writeSync } from 'node:fs'\nconst stolen = []",
      )
      const { kernel, faults } = await startedWith({
        keeper: {
          code: keeper,
          manifest: { isolation, permissions: [{ resource: 'fs:/nowhere', actions: ['read'] }], limits: { stopTimeout: 100 } },
        },
      })
      const store = await kernel.services.use('store', { timeout: 0 })
      const lineClosed = {
        code: 'SERVICE_GONE',
        message: "The line to service 'store' is closed: its provider 'keeper' closed it. Use the service again for another line.",
      }
      for (let round = 0; round < 2; round++) {
        await expect(store['close']?.()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
        await expect(store['get']?.()).rejects.toMatchObject(lineClosed)
        await kernel.services.use('store')
        expect(await store['get']?.()).toBe('four')
      }
      // Once, however often it does it.
      expect(faults).toMatchObject([
        {
          name: 'keeper',
          error: {
            code: 'PROTOCOL',
            plugin: 'keeper',
            message: expect.stringMatching(
              /^Plugin 'keeper' closed a line to its service 'store', which it still provides, as its consumer 'plugbay' says\. /,
            ) as string,
            details: { service: 'store', consumer: 'plugbay' },
          },
        },
      ])
      expect(stateOf(kernel, 'keeper')).toBe('running')
    },
  )
})

/** A consumer's end, and a provider that it uses: what that was told of, and whether it says that it is there. */
const usedOf = async (answers: () => Promise<boolean> = () => Promise.resolve(true)) => {
  const line = gatewayLine([{ resource: 'service:store', actions: ['call'] }])
  const { guest, registry, told: heard } = line
  const providing = (told: string[]) => ({
    name: 'store',
    version: '1.0.0',
    methods: ['get'],
    provider: 'keeper',
    handle: {
      seat: { name: 'keeper', offended: ({ message }: Error) => void told.push(message), answers },
      connect: (_consumer: string, port: MessagePort) => port.close(),
    },
  })
  const told: string[] = []
  const record = registry.provide(providing(told))
  const use = (): Promise<unknown> => guest.request('use', { name: 'store', range: '*', wait: 0 })
  await use()
  return { ...line, told, record, providing, use, rebound: () => heard.filter(({ verb }) => verb === 'rebind').length }
}

it('a consumer that says it of every line, again and again, is heard once for each provider, and once of each line', async () => {
  const { guest, told, use, rebound } = await usedOf()
  guest.notify('broken', [2, 1, 'no use of its'])
  guest.notify('broken', [1, 1, 'x'.repeat(1_000)])
  guest.notify('broken', [1, 1, 'again, of a line that is gone'])
  await use()
  expect(rebound()).toBe(1)
  guest.notify('broken', [1, 1, 'late: it has another by now'])
  await use()
  expect(rebound()).toBe(1)
  guest.notify('broken', [1, 2, 'again'])
  await use()
  expect(rebound()).toBe(2)
  expect(told).toEqual([expect.stringMatching(/as its consumer 'hostile' says, which has closed the line: x{200}\. /)])
})

it('what is said of a line to a generation that was replaced is told of that one, and changes nothing for its successor', async () => {
  const { guest, registry, broker, told: old, record, providing, use, rebound } = await usedOf()
  const told: string[] = []
  broker.replaced(record, registry.replace(record, providing(told)))
  guest.notify('broken', [1, 1, 'late'])
  guest.notify('broken', [1, 1, 'again'])
  await use()
  expect([rebound(), told]).toEqual([1, []])
  expect(old).toEqual([expect.stringMatching(/as its consumer 'hostile' says, which has closed the line: late\. /)])
})

it('that a generation closed a line is no fault when it was replaced, does not answer, or has let go of the service', async () => {
  const replaced = await usedOf()
  replaced.broker.replaced(replaced.record, replaced.registry.replace(replaced.record, replaced.providing([])))
  replaced.guest.notify('broken', [1, 1, null])
  await replaced.use()
  expect([replaced.rebound(), replaced.told]).toEqual([1, []])

  const dead = await usedOf(() => Promise.resolve(false))
  dead.guest.notify('broken', [1, 1, null])
  await dead.use()
  expect([dead.rebound(), dead.told]).toEqual([1, []])

  const withdrawn = await usedOf(() => {
    const { record, broker, registry, providing } = withdrawn
    record.withdraw()
    broker.withdrawn(record, false, new PlugbayError('SERVICE_GONE', 'withdrawn'))
    registry.provide(providing([]))
    return Promise.resolve(true)
  })
  withdrawn.guest.notify('broken', [1, 1, null])
  await withdrawn.use()
  expect([withdrawn.rebound(), withdrawn.told]).toEqual([1, []])
})
