/** The kernel for tests, as a plugin's author uses it, and the clock that stands still. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { createTestKernel, type FakeClock, fakeClock, type TestKernelOptions } from '#src/testing.js'
import { folderWith, pluginsWith } from '../support/command.js'

const echo = `export default {
  start(ctx) {
    ctx.bus.subscribe('ask.*', (event) => ctx.bus.publish('answer', { to: event.type }))
    ctx.bus.subscribe('break', () => { throw new Error('broken') })
    ctx.log.info('ready', { dataDir: ctx.dataDir })
  }
}`
const ECHO = { ...pluginsWith({ echo: {} }), 'plugins/echo/index.js': echo }

const started = async (files: Record<string, string | object> = ECHO, options: TestKernelOptions = {}) => {
  const kernel = await createTestKernel({ plugins: join(folderWith(files), 'plugins'), ...options })
  onTestFinished(() => kernel.stop())
  return kernel
}

describe('createTestKernel', () => {
  test('runs plugins inline and keeps what is published and logged', async () => {
    const kernel = await started()
    await kernel.bus.publish('ask.this')
    await kernel.expectEvent('answer')
    expect(kernel.kernel.plugins()).toMatchObject([{ name: 'echo', state: 'running', isolation: 'inline' }])
    expect(kernel.published.map(({ type, source }) => [type, source])).toEqual([
      ['ask.this', 'plugbay'],
      ['answer', 'echo'],
    ])
    expect(kernel.logged).toContainEqual({ level: 'info', message: 'ready', fields: expect.objectContaining({ plugin: 'echo' }) })
  })

  test('runs plugins in threads when asked to', async () => {
    const kernel = await started(ECHO, { isolation: 'thread' })
    await kernel.bus.publish('ask.this')
    expect((await kernel.expectEvent('answer')).source).toBe('echo')
    expect(kernel.kernel.plugins()).toMatchObject([{ isolation: 'thread' }])
  })

  test('holds plugins to their permissions, with the roles and grants of the test', async () => {
    const files = {
      ...pluginsWith({ asker: { roles: ['asks'] }, guest: {} }),
      'plugins/asker/index.js': "export default { start: (ctx) => ctx.bus.publish('ask.' + ctx.permissions.has('bus:ask.*', 'publish')) }",
      'plugins/guest/index.js': "export default { start: (ctx) => void ctx.bus.publish('ask.me').catch(() => {}) }",
    }
    const roles = { asks: [{ resource: 'bus:ask.*', actions: ['publish'] }] }
    const kernel = await started(files, { roles, grants: { guest: {} } })
    await kernel.expectEvent('ask.true')
    await kernel.expectEvent('kernel.plugin.fault')
    expect(() => kernel.expectNoFaults()).toThrow("PERMISSION_DENIED: Plugin 'guest' may not publish 'ask.me'")
  })

  test('takes a plugin by URL', async () => {
    const folder = folderWith(ECHO)
    const kernel = await createTestKernel({ plugins: [pathToFileURL(join(folder, 'plugins', 'echo'))] })
    onTestFinished(() => kernel.stop())
    expect(kernel.kernel.plugins()).toMatchObject([{ name: 'echo', state: 'running' }])
  })

  test('rejects with what keeps a plugin from starting, the root before its victims', async () => {
    const files = {
      ...pluginsWith({ a: { dependencies: { b: '*' } }, b: {} }),
      'plugins/b/index.js': "export default { start() { throw new Error('no port') } }",
    }
    const error = await started(files).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'PLUGIN_START', plugin: 'b', message: expect.stringContaining('no port') })
    // Where it was thrown is what its author wants to know.
    expect((error as { cause: Error }).cause.stack).toMatch(/plugins\/b\/index\.js.*:1:/)
    const kernel = await started(files, { mayFail: true })
    expect(kernel.report.plugins.map(({ state }) => state)).toEqual(['failed', 'failed'])
  })

  test('rejects over a place where no plugin is', async () => {
    await expect(createTestKernel({ plugins: './nowhere-at-all' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })

  test('provides stubs, and lets one stand in for the plugin that is depended on', async () => {
    const files = {
      ...pluginsWith({ shop: { dependencies: { rates: '^2.1.0' } } }),
      'plugins/shop/index.js': `export default {
        async start(ctx) {
          const rates = await ctx.services.use('rates')
          ctx.bus.subscribe('buy', async ({ data }) => ctx.bus.publish('bought', { price: data * await rates.of('EUR') }))
        }
      }`,
    }
    await expect(started(files)).rejects.toMatchObject({ code: 'DEPENDENCY_MISSING' })
    const asked: string[] = []
    const rates = {
      of(currency: string) {
        asked.push(currency)
        return 3
      },
    }
    const kernel = await started(files, { services: { rates } })
    await kernel.bus.publish('buy', 7)
    expect((await kernel.expectEvent('bought')).data).toEqual({ price: 21 })
    expect(asked).toEqual(['EUR'])
  })

  test('asks whether a stub under a name that is a slip away was meant for what is missing', async () => {
    const files = pluginsWith({ shop: { dependencies: { rates: '^2.1.0' } } })
    await expect(started(files, { services: { raets: { of: () => 1 } } })).rejects.toMatchObject({
      code: 'DEPENDENCY_MISSING',
      message: expect.stringMatching(/'rates' \(\^2\.1\.0\) is not there\. Was the stub 'raets' meant to be 'rates'\?$/),
    })
  })

  test.each<[string, object]>([
    ['has plugins = 5. Give a path, a file: URL, or a list of these.', { plugins: 5 }],
    ['has plugins = a list. Give a path, a file: URL, or a list of these.', { plugins: ['./x', new URL('https://example.org')] }],
    ["has no option 'plgins'. Did you mean 'plugins'? It takes plugins, services,", { plgins: 'x' }],
    ['has services = a list. Give an object with a service for each name.', { services: [] }],
    ['has base = 5. Give the path of a folder.', { base: 5 }],
    ["has mayFail = 'yes'. Give true or false.", { mayFail: 'yes' }],
    ["takes no 'dataDir'. It has a temporary folder for that", { dataDir: './data' }],
    ["takes no 'logger'. It keeps all lines, in `logged`", { logger: console }],
  ])('refuses what it cannot heed: %s', async (says, options) => {
    await expect(createTestKernel(options)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining(`createTestKernel() ${says}`),
    })
  })

  test('removes what the plugins kept when it stops, twice without harm', async () => {
    const kernel = await started()
    const line = kernel.logged.find(({ message }) => message === 'ready')
    const folder = String(line?.fields.dataDir)
    expect(folder).toBe(join(kernel.dataDir, 'echo'))
    expect(existsSync(folder)).toBe(true)
    await kernel.stop()
    await kernel.stop()
    expect(existsSync(join(folder, '..', '..'))).toBe(false)
  })
})

describe('expectEvent', () => {
  test('gives what was published before and what comes later, each once, in order', async () => {
    const kernel = await started()
    await kernel.bus.publish('n', 1)
    await kernel.bus.publish('n', 2)
    expect((await kernel.expectEvent('n')).data).toBe(1)
    const [second, third] = [kernel.expectEvent('n'), kernel.expectEvent('n')]
    await kernel.bus.publish('n', 3)
    expect((await second).data).toBe(2)
    expect((await third).data).toBe(3)
  })

  test('gives one event to one of those that wait for it', async () => {
    const kernel = await started()
    const [first, second] = [kernel.expectEvent('n.*'), kernel.expectEvent('n.**')]
    await kernel.bus.publish('n.1')
    await kernel.bus.publish('n.2')
    expect([(await first).type, (await second).type]).toEqual(['n.1', 'n.2'])
  })

  test("finds the kernel's own events, which are not among the published ones", async () => {
    const kernel = await started()
    const state = await kernel.expectEvent('kernel.plugin.state', { where: (event) => event.data.to === 'running' })
    expect(state.data.name).toBe('echo')
    expect(kernel.published).toEqual([])
  })

  test('takes only what `where` accepts, and leaves the rest for others', async () => {
    const kernel = await started()
    const wanted = kernel.expectEvent('n', { where: (event) => event.data > 1 })
    await kernel.bus.publish('n', 1)
    await kernel.bus.publish('n', 2)
    expect((await wanted).data).toBe(2)
    expect((await kernel.expectEvent('n')).data).toBe(1)
  })

  test('rejects with what `where` throws, before and after the event is there', async () => {
    const kernel = await started()
    const where = (event: { data: { deep: { value: number } } }) => event.data.deep.value > 1
    const waiting = kernel.expectEvent('n', { where })
    await kernel.bus.publish('n', {})
    await expect(waiting).rejects.toThrow(TypeError)
    await expect(kernel.expectEvent('n', { where })).rejects.toThrow(TypeError)
  })

  test('that is not met says what was published, and the nearest topic', async () => {
    const kernel = await started()
    await expect(kernel.expectEvent('a', { timeout: 1 })).rejects.toMatchObject({
      name: 'AssertionError',
      message: "No event on 'a' within 1 ms.\nNothing was published at all.",
    })
    await kernel.bus.publish('user.created', { id: 7n })
    await expect(kernel.expectEvent('user.create', { timeout: 1 })).rejects.toThrow(
      `No event on 'user.create' within 1 ms. Did you mean 'user.created'?\nPublished were:\n  user.created from plugbay: {"id":"7n"}`,
    )
    await expect(kernel.expectEvent('user.*', { timeout: 1, where: () => false })).rejects.toThrow('refused by `where`')
    await kernel.expectEvent('user.*')
    await expect(kernel.expectEvent('user.*', { timeout: 1 })).rejects.toThrow('what came met earlier expectations')
  })

  test('that is not met names the fault that may be why', async () => {
    const kernel = await started()
    await kernel.bus.publish('break')
    await kernel.bus.drain()
    await expect(kernel.expectEvent('mended', { timeout: 1 })).rejects.toThrow(/These faults may be why:\n.*'echo' for 'break'.*broken/)
  })

  test('refuses a pattern that is none', async () => {
    const kernel = await started()
    await expect(kernel.expectEvent('a..b')).rejects.toMatchObject({ code: 'PATTERN_INVALID' })
  })
})

test.each([
  [{ wher: () => false }, "expectEvent('n') has no option 'wher'. Did you mean 'where'? It takes where, timeout."],
  [{ where: { data: 1 } }, "expectEvent('n') has where = an object. Give a function of the event."],
  [{ timeout: '5' }, "expectEvent('n') has timeout = '5'. Give milliseconds, from 0 on."],
  [{ timeout: Number.POSITIVE_INFINITY }, "expectEvent('n') has timeout = Infinity. Give milliseconds, from 0 on."],
  [null, "expectEvent('n') has null for its options. Give an object with any of where, timeout."],
])('expectEvent refuses %o, and takes no event', async (options, message) => {
  const kernel = await started()
  await kernel.bus.publish('n', 1)
  await expect(kernel.expectEvent('n', options as object)).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message })
  expect((await kernel.expectEvent('n')).data).toBe(1)
})

describe('expectNoFaults', () => {
  test('is quiet until a handler fails, and names it then', async () => {
    const kernel = await started()
    kernel.expectNoFaults()
    await kernel.bus.publish('break')
    await kernel.expectEvent('kernel.handler.failed')
    expect(() => kernel.expectNoFaults()).toThrow(/there was one:\n.*the handler of 'echo' for 'break', at an event on 'break': broken/)
  })

  test('names a crash', async () => {
    const files = {
      ...pluginsWith({ fragile: { restart: { policy: 'temporary' } } }),
      'plugins/fragile/index.js':
        "export default { start(ctx) { ctx.bus.subscribe('fall', () => { setImmediate(() => { throw new Error('fell') }) }) } }",
    }
    const kernel = await started(files, { isolation: 'thread' })
    await kernel.bus.publish('fall')
    await kernel.expectEvent('kernel.plugin.fault')
    expect(() => kernel.expectNoFaults()).toThrow(/plugin 'fragile', generation 1: PLUGIN_CRASHED.*fell/)
  })
})

describe('fakeClock', () => {
  const ticker = `export default {
    start(ctx) {
      setInterval(() => ctx.bus.publish('tick', Date.now()), 60_000)
      ctx.bus.subscribe('remind', ({ data }) => { setTimeout(() => ctx.bus.publish('reminder', Date.now()), data) })
    }
  }`
  const TICKER = { ...pluginsWith({ ticker: {} }), 'plugins/ticker/index.js': ticker }
  let clock: FakeClock | undefined
  afterEach(() => clock?.restore())

  test('moves the timers of an inline plugin, and the date, only when told to', async () => {
    clock = fakeClock({ now: Date.UTC(2030, 0, 1) })
    const kernel = await started(TICKER)
    const begin = clock.now
    expect(new Date(begin).toISOString()).toBe('2030-01-01T00:00:00.000Z')
    await clock.advance(59_999)
    expect(kernel.published).toEqual([])
    await clock.advance(1)
    expect(kernel.published.map(({ data }) => data - begin)).toEqual([60_000])
    await clock.advance(180_000)
    expect(kernel.published.map(({ data }) => data - begin)).toEqual([60_000, 120_000, 180_000, 240_000])
  })

  test('heeds timers that are made while it moves', async () => {
    clock = fakeClock()
    const kernel = await started(TICKER)
    await kernel.bus.publish('remind', 500)
    await clock.advance(1000)
    expect((await kernel.expectEvent('reminder')).data).toBe(500)
  })

  test('forgets a timer that was cleared, and fires one at its own time after another', async () => {
    clock = fakeClock()
    const fired: [string, number][] = []
    const note = (name: string) => () => fired.push([name, Date.now()])
    clearTimeout(setTimeout(note('cleared'), 5))
    const interval = setInterval(note('interval'), 10)
    setTimeout(note('late'), 25)
    setTimeout(note('early'), 3)
    await clock.advance(30)
    clearInterval(interval)
    await clock.advance(100)
    expect(fired).toEqual([
      ['early', 3],
      ['interval', 10],
      ['interval', 20],
      ['late', 25],
      ['interval', 30],
    ])
    expect(clock.now).toBe(130)
  })

  test('leaves an expectation its own patience', async () => {
    clock = fakeClock()
    const kernel = await started(TICKER)
    await expect(kernel.expectEvent('tick', { timeout: 5 })).rejects.toThrow("No event on 'tick'")
  })

  test.each(['x', Number.NaN, undefined, '500', -1, Infinity])('refuses to advance by %s', async (ms) => {
    clock = fakeClock()
    setInterval(() => {}, 1000)
    await expect(clock.advance(ms as number)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(/^advance\(\) was given .* for the time\. Give milliseconds, from 0 on\.$/),
    })
    expect(clock.now).toBe(0)
  })

  test('refuses a beginning that is no time, and an option it does not know', () => {
    expect(() => fakeClock({ now: Number.NaN })).toThrow('fakeClock() has now = NaN. Give a Date, or milliseconds since 1970.')
    expect(() => fakeClock({ nwo: 1 } as object)).toThrow("fakeClock() has no option 'nwo'. Did you mean 'now'?")
  })

  test('is one at a time, and does not advance any more once it is restored', async () => {
    clock = fakeClock()
    expect(() => fakeClock()).toThrow('fakeClock() was called while time stands still already. Call restore()')
    clock.restore()
    await expect(clock.advance(1)).rejects.toThrow('advance() was called on a clock that is restored')
  })

  test('gives the real clock back, twice without harm', () => {
    const before = Date.now()
    const real = setTimeout
    clock = fakeClock()
    expect(Date.now()).toBe(0)
    clock.restore()
    clock.restore()
    expect(Date.now()).toBeGreaterThanOrEqual(before)
    expect(setTimeout).toBe(real)
  })
})
