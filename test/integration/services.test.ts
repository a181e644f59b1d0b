import { getEventListeners } from 'node:events'
import { runInThisContext } from 'node:vm'
import { byReference, transfer } from 'plugbay'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const provider = (methods: string, version = '1.0.0', before = ''): string =>
  pluginCode({ start: `${before}\nawait ctx.services.provide('shop', { ${methods} }, { version: '${version}' })` })

/** Runs a text as a function of `ctx` in a plugin of its own, so that both ends of a service are threads. */
const caller = pluginCode(
  {
    start: `
    const AsyncFunction = (async () => {}).constructor
    globalThis.transfer = transfer
    await ctx.services.provide('run', {
      run: async (code, ...args) => {
        try { return { value: await new AsyncFunction('ctx', 'args', code)(ctx, args) } }
        catch (error) { return { error: { name: error.name, code: error.code, message: error.message, plugin: error.plugin, details: error.details, cause: error.cause?.message } } }
      },
    })`,
  },
  "import { transfer } from 'plugbay/plugin'",
)

interface Outcome {
  value?: unknown
  error?: { name: string; code?: string; message: string; plugin?: string; details?: object; cause?: string }
}

const between = async (methods: string, options: { version?: string; before?: string; manifest?: object } = {}) => {
  const running = await startedWith({
    shop: { code: provider(methods, options.version, options.before), manifest: { ...options.manifest } },
    caller: { code: caller, manifest: { dependencies: { shop: '*' } } },
  })
  const { run } = await running.kernel.services.use('run', { timeout: 15_000 })
  return { ...running, run: (code: string, ...args: unknown[]) => (run as (...all: unknown[]) => Promise<Outcome>)(code, ...args) }
}

describe('a service', () => {
  it('is called from another thread and from the embedder, with what structured clone takes', async () => {
    const { kernel, run } = await between('echo: (...args) => args, add: async (a, b) => a + b')
    const shop = await kernel.services.use('shop')
    await expect(shop.add?.(1, 2)).resolves.toBe(3)
    await expect(shop.echo?.(1, new Map([[1, new Date(5)]]), undefined)).resolves.toEqual([1, new Map([[1, new Date(5)]]), undefined])
    await expect(
      run('const shop = await ctx.services.use("shop"); return [await shop.add(1, 2), await shop.echo(-0, 10n)]'),
    ).resolves.toEqual({ value: [3, [-0, 10n]] })
  })

  it('of the embedder is called by a plugin', async () => {
    const { kernel, run } = await between('x: () => 1')
    const { withdraw } = kernel.services.provide('clock', { now: () => 42 }, { version: '2.1.0' })
    await expect(run('return (await ctx.services.use("clock", { range: "^2.0.0" })).now()')).resolves.toEqual({ value: 42 })
    withdraw()
    await expect(run('return ctx.services.use("clock", { wait: 0 })')).resolves.toMatchObject({ error: { code: 'SERVICE_UNKNOWN' } })
  })

  it('may be an object of a class', async () => {
    const { kernel } = await startedWith({
      shop: `
        class Base { inherited() { return this.secret } }
        class Shop extends Base { secret = 'kept'; own() { return this.secret } get price() { return 1 } }
        export default { start: (ctx) => ctx.services.provide('shop', new Shop()) }`,
    })
    const shop = await kernel.services.use('shop')
    expect(kernel.services.list()[0]?.methods).toEqual(expect.arrayContaining(['own', 'inherited']))
    await expect(shop.own?.()).resolves.toBe('kept')
    await expect(shop.inherited?.()).resolves.toBe('kept')
  })

  it('is found in a range, the highest version first', async () => {
    const { kernel } = await startedWith({
      a: provider('v: () => 1', '1.4.0'),
      b: provider('v: () => 2', '2.0.0'),
      c: provider('v: () => 3', '1.9.9'),
    })
    const version = async (range?: string) => (await kernel.services.use('shop', { wait: 0, ...(range ? { range } : {}) })).v?.()
    expect([await version(), await version('^1.0.0'), await version('~1.4.0')]).toEqual([2, 3, 1])
    await expect(version('^3.0.0')).rejects.toMatchObject({ code: 'SERVICE_UNKNOWN', message: expect.stringMatching(/\^3\.0\.0.*2\.0\.0/) })
    await expect(version('not a range')).rejects.toMatchObject({ code: 'SERVICE_VERSION_INVALID' })
  })

  it('is waited for until it appears, and a start that does not wait for it is not held up', async () => {
    const { kernel, folder } = await startedWith({
      waiter: pluginCode({
        start: 'void ctx.services.use("shop", { wait: 60000 }).then((shop) => shop.v()).then((v) => ctx.bus.publish("got", v))',
      }),
    })
    const got = collect(kernel, 'got')
    const used = kernel.services.use('shop')
    await kernel.load(writePlugin(folder, 'late', { code: provider('v: () => 7') }))
    await eventually(() => expect(got.map(({ data }) => data)).toEqual([7]))
    await expect((await used).v?.()).resolves.toBe(7)
  })

  it('that is not there is explained, with the nearest name, in the time it may be waited for', async () => {
    const { kernel, run } = await between('v: () => 1')
    await expect(kernel.services.use('shpo', { wait: 10 })).rejects.toMatchObject({
      code: 'SERVICE_UNKNOWN',
      message: expect.stringMatching(/'shpo'.*Did you mean 'shop'.*10 ms/),
    })
    await expect(run('return ctx.services.use("shpo", { wait: 0 })')).resolves.toMatchObject({
      error: { code: 'SERVICE_UNKNOWN', message: expect.stringContaining("Did you mean 'shop'") },
    })
  })

  it.each([
    ['while it is waited for', false],
    ['before it is asked for', true],
  ])('whose use is cancelled %s is not used', async (_, early) => {
    const { kernel, run } = await between('v: () => 1')
    const abort = new AbortController()
    const why = new Error('enough')
    if (early) abort.abort(why)
    const use = kernel.services.use(early ? 'shop' : 'shpo', { signal: abort.signal, wait: 60_000 })
    abort.abort(why)
    await expect(use).rejects.toMatchObject({ code: 'CALL_CANCELLED', message: expect.stringContaining('was cancelled'), cause: why })
    await expect(
      run(
        `
        const abort = new AbortController()
        if (args[0]) abort.abort()
        const use = ctx.services.use(args[0] ? 'shop' : 'shpo', { signal: abort.signal, wait: 60000 })
        abort.abort()
        return use`,
        early,
      ),
    ).resolves.toMatchObject({ error: { code: 'CALL_CANCELLED' } })
    await expect((await kernel.services.use('shop')).v?.()).resolves.toBe(1)
  })

  it('suggests the nearest method', async () => {
    const { kernel, run } = await between('findById: () => 1, list: () => 2')
    const shop = await kernel.services.use('shop')
    await expect(shop.findByID?.()).rejects.toMatchObject({
      code: 'SERVICE_METHOD_UNKNOWN',
      message: expect.stringMatching(/'findByID'.*Did you mean 'findById'.*findById, list/),
    })
    await expect(run('return (await ctx.services.use("shop")).lits()')).resolves.toMatchObject({
      error: { code: 'SERVICE_METHOD_UNKNOWN', message: expect.stringContaining("Did you mean 'list'") },
    })
  })

  it.each([
    ['a name that is not valid', "'my shop', { x() {} }", 'SERVICE_NAME_INVALID'],
    ['a version that is none', "'other', { x() {} }, { version: 'one' }", 'SERVICE_VERSION_INVALID'],
    ['a name and version that are provided', "'shop', { x() {} }", 'SERVICE_DUPLICATE'],
    ['something that has no methods', "'other', 42", 'SERVICE_SHAPE'],
    ['nothing', "'other', undefined", 'SERVICE_SHAPE'],
  ])('is refused with %s, by plugin and by embedder', async (_, given, code) => {
    const { kernel, run } = await between('v: () => 1')
    await expect(run(`return ctx.services.provide(${given})`)).resolves.toMatchObject({ error: { code } })
    const provide = runInThisContext(`(services) => services.provide(${given})`) as (services: object) => unknown
    expect(() => provide(kernel.services)).toThrow(expect.objectContaining({ code }))
    expect(infoOf(kernel, 'caller').state).toBe('running')
  })

  it('is withdrawn: calls under way are answered, later ones fail at once', async () => {
    const { kernel } = await startedWith({
      shop: pluginCode({
        start: `
          let open
          const slow = new Promise((resolve) => { open = () => resolve('answered') })
          const service = await ctx.services.provide('shop', { slow: () => slow, ping: () => 1 })
          ctx.bus.subscribe('withdraw', async () => { await service.withdraw(); open() })`,
      }),
    })
    const shop = await kernel.services.use('shop')
    await shop.ping?.()
    const slow = shop.slow?.()
    await kernel.bus.publish('withdraw')
    await expect(slow).resolves.toBe('answered')
    expect(kernel.services.list()).toEqual([])
    await expect(shop.ping?.()).rejects.toMatchObject({ code: 'SERVICE_GONE', plugin: 'shop' })
  })

  it('is watched', async () => {
    const { kernel, run } = await between('v: () => 1')
    const seen: unknown[] = []
    const stop = kernel.services.watch('clock', ({ change, version, provider: by }) => seen.push([change, version, by]))
    const told = collect(kernel, 'told')
    await run('globalThis.watch = await ctx.services.watch("clock", (change) => ctx.bus.publish("told", change))')
    const first = kernel.services.provide('clock', { now: () => 1 })
    first.withdraw()
    await eventually(() =>
      expect(told.map(({ data }) => data)).toEqual([
        { change: 'provided', version: '1.0.0' },
        { change: 'withdrawn', version: '1.0.0' },
      ]),
    )
    expect(seen).toEqual([
      ['provided', '1.0.0', 'plugbay'],
      ['withdrawn', '1.0.0', 'plugbay'],
    ])
    stop()
    await run('await globalThis.watch.stop()')
    kernel.services.provide('clock', { now: () => 1 })
    await run('return 1')
    expect(seen).toHaveLength(2)
    expect(told).toHaveLength(2)
  })
})

describe('a service that is used again', () => {
  const ports = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length

  it('is called over the line that is there, as often as it is used', async () => {
    const { kernel, run } = await between('echo: (value) => value', { manifest: { limits: { services: 10 } } })
    const first = await kernel.services.use('shop')
    const before = ports()
    for (let i = 0; i < 100; i++) await expect((await kernel.services.use('shop', { timeout: 10_000 })).echo?.(i)).resolves.toBe(i)
    expect(ports() - before).toBeLessThan(10)
    await expect(first.echo?.(1)).resolves.toBe(1)
    // More often than a plugin may have lines.
    await expect(
      run('let sum = 0; for (let i = 0; i < 1200; i++) sum += await (await ctx.services.use("shop")).echo(1); return sum'),
    ).resolves.toEqual({ value: 1_200 })
  })

  it('at the same time from many sides is one line too, with the options of each', async () => {
    const { kernel } = await between('hang: () => new Promise(() => {}), echo: (value) => value')
    const before = ports()
    const used = await Promise.all(Array.from({ length: 50 }, (_, i) => kernel.services.use('shop', { timeout: 20 + i })))
    expect(ports() - before).toBeLessThan(10)
    await expect(used[0]?.hang?.()).rejects.toMatchObject({ code: 'CALL_TIMEOUT', message: expect.stringContaining('20 ms') })
    await expect(used[9]?.hang?.()).rejects.toMatchObject({ code: 'CALL_TIMEOUT', message: expect.stringContaining('29 ms') })
  })

  it('is the highest version there is now', async () => {
    const { kernel, folder } = await startedWith({ a: provider('v: () => 1') })
    const first = await kernel.services.use('shop')
    await kernel.load(writePlugin(folder, 'b', { code: provider('v: () => 2', '2.0.0') }))
    await expect((await kernel.services.use('shop')).v?.()).resolves.toBe(2)
    await expect(first.v?.()).resolves.toBe(1)
  })

  it('while its provider is away is waited for, and the users from before have it back too', async () => {
    const { kernel } = await startedWith({ shop: provider('v: () => ctx.generation'), caller })
    const run = (await kernel.services.use('run')).run as (code: string) => Promise<Outcome>
    const first = await kernel.services.use('shop')
    await kernel.disable('shop')
    await expect(first.v?.()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
    await expect(kernel.services.use('shop', { wait: 0 })).rejects.toMatchObject({ code: 'SERVICE_UNKNOWN' })
    const [again, far] = [kernel.services.use('shop'), run('return (await ctx.services.use("shop")).v()')]
    await kernel.enable('shop')
    const generation = await (await again).v?.()
    expect(generation).toBeGreaterThan(1)
    await expect(first.v?.()).resolves.toBe(generation)
    await expect(far).resolves.toEqual({ value: generation })
  })

  it.each([
    ['in the turn of its use', ''],
    ['when its line is on the way', 'const until = Date.now() + 200; while (Date.now() < until);'],
    ['when the line may be there', 'await new Promise((resolve) => setTimeout(resolve, 20))'],
  ])('is there as ever after a use that was cancelled %s', async (_, busy) => {
    const { run, faults } = await between('echo: (value) => value')
    await expect(
      run(`
        const seen = []
        for (const range of ['*', '1.x', '^1.0.0', '>=1']) {
          const abort = new AbortController()
          const use = ctx.services.use('shop', { signal: abort.signal, range }).catch(() => {})
          ${busy}
          abort.abort()
          await use
          seen.push(await (await ctx.services.use('shop', { range })).echo(range))
        }
        return seen`),
    ).resolves.toEqual({ value: ['*', '1.x', '^1.0.0', '>=1'] })
    expect(faults).toEqual([])
  })

  it('has the methods that its next version brings, whoever used it before, and tells of those that went', async () => {
    const { kernel, folder, run } = await between('old: () => 1')
    const first = await kernel.services.use('shop')
    await run('globalThis.first = await ctx.services.use("shop")')
    writePlugin(folder, 'shop', { code: provider('fresh: () => 2') })
    await kernel.reload('shop')
    await expect((await kernel.services.use('shop')).fresh?.()).resolves.toBe(2)
    await expect(first.fresh?.()).resolves.toBe(2)
    await expect(first.old?.()).rejects.toMatchObject({ code: 'SERVICE_METHOD_UNKNOWN' })
    await expect(run('return [await first.fresh(), await (await ctx.services.use("shop")).fresh()]')).resolves.toEqual({ value: [2, 2] })
  })
})

describe('a call', () => {
  it('fails with the error of its method, whole', async () => {
    const { run, kernel } = await between(
      `fail: () => { throw Object.assign(new RangeError('out of stock', { cause: new Error('why') }), { code: 'E_STOCK', details: { left: 0 } }) }`,
    )
    const whole = { name: 'RangeError', code: 'E_STOCK', message: 'out of stock', plugin: 'shop', details: { left: 0 } }
    await expect(run('return (await ctx.services.use("shop")).fail()')).resolves.toEqual({ error: { ...whole, cause: 'why' } })
    await expect((await kernel.services.use('shop')).fail?.()).rejects.toMatchObject({ ...whole, cause: { message: 'why' } })
  })

  it('fails with all that an AggregateError holds, and with what was set on an error', async () => {
    const { kernel } = await between(`
      any: () => Promise.any([Promise.reject(new TypeError('db down')), Promise.reject(Object.assign(new RangeError('cache down'), { code: 'E_CACHE' }))]),
      find: () => { throw Object.assign(new Error('not found'), { status: 404, query: { id: [1] }, socket: new (class Socket {})() }) }`)
    const shop = await kernel.services.use('shop')
    const any: unknown = await shop.any?.().catch((error: unknown) => error)
    expect(any).toBeInstanceOf(AggregateError)
    expect(any).toMatchObject({
      plugin: 'shop',
      errors: [
        { name: 'TypeError', message: 'db down' },
        { name: 'RangeError', message: 'cache down', code: 'E_CACHE' },
      ],
    })
    const find: unknown = await shop.find?.().catch((error: unknown) => error)
    expect({ ...(find as object) }).toEqual({ plugin: 'shop', status: 404, query: { id: [1] } })
  })

  it('has a deadline', async () => {
    const { run, kernel } = await between('never: () => new Promise(() => {})')
    await expect((await kernel.services.use('shop', { timeout: 20 })).never?.()).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
      message: expect.stringMatching(/'shop'.*'never'.*20 ms/),
    })
    await expect(run('return (await ctx.services.use("shop")).$with({ timeout: 20 }).never()')).resolves.toMatchObject({
      error: { code: 'CALL_TIMEOUT' },
    })
  })

  it('is cancelled by a signal', async () => {
    const { run, kernel } = await between('never: () => new Promise(() => {}), quick: () => 1')
    const abort = new AbortController()
    const shop = await kernel.services.use('shop')
    const call = shop.$with({ signal: abort.signal }).never?.()
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'CALL_CANCELLED' })
    await expect(shop.quick?.()).resolves.toBe(1)
    await expect(
      run(
        'const abort = new AbortController(); const call = (await ctx.services.use("shop")).$with({ signal: abort.signal }).never(); abort.abort(); return call',
      ),
    ).resolves.toMatchObject({ error: { code: 'CALL_CANCELLED' } })
  })

  it('with an argument that cannot cross is refused, and the line goes on', async () => {
    const { run } = await between('echo: (value) => value, bad: () => ({ callback() {} })')
    await expect(run('return (await ctx.services.use("shop")).echo({ callback() {} })')).resolves.toMatchObject({
      error: { code: 'PAYLOAD_NOT_CLONEABLE' },
    })
    await expect(run('return (await ctx.services.use("shop")).bad()')).resolves.toMatchObject({ error: { code: 'PAYLOAD_NOT_CLONEABLE' } })
    await expect(run('return (await ctx.services.use("shop")).echo("still there")')).resolves.toEqual({ value: 'still there' })
  })

  it('passes functions: the other side calls them, their errors come back whole', async () => {
    const { run, kernel } = await between(
      'each: async (items, visit) => { const out = []; for (const item of items) out.push(await visit(item)); return out }, make: (by) => (n) => n * by',
    )
    const shop = await kernel.services.use('shop')
    await expect(shop.each?.([1, 2, 3], (n: number) => n * 10)).resolves.toEqual([10, 20, 30])
    const byThree = (await shop.make?.(3)) as (n: number) => Promise<number>
    await expect(byThree(5)).resolves.toBe(15)
    await expect(
      run('const shop = await ctx.services.use("shop"); return [await shop.each([1, 2], (n) => n + 1), await (await shop.make(4))(2)]'),
    ).resolves.toEqual({ value: [[2, 3], 8] })
    await expect(
      shop.each?.([1], () => {
        throw Object.assign(new RangeError('in the callback'), { code: 'E_CB' })
      }),
    ).rejects.toMatchObject({ name: 'RangeError', code: 'E_CB', message: 'in the callback' })
  })

  it('passes objects by reference: their methods run where they live', async () => {
    const { run, kernel } = await between(
      `open: () => byReference(new Basket()), fill: async (basket) => { await basket.add('pear'); return basket.count() }`,
      {
        before: `const { byReference } = await import('plugbay/plugin'); class Basket { items = []; add(item) { this.items.push(item); return this.items.length } fail() { throw Object.assign(new Error('no'), { code: 'E_NO' }) } }`,
      },
    )
    const shop = await kernel.services.use('shop')
    const basket = (await shop.open?.()) as Record<string, (...args: unknown[]) => Promise<unknown>>
    await expect(basket['add']?.('apple')).resolves.toBe(1)
    await expect(basket['add']?.('plum')).resolves.toBe(2)
    await expect(basket['fail']?.()).rejects.toMatchObject({ code: 'E_NO', message: 'no' })
    await expect(basket['nothing']?.()).rejects.toMatchObject({
      code: 'SERVICE_METHOD_UNKNOWN',
      message: expect.stringContaining("'nothing'"),
    })
    await expect(basket['add']?.({ uncloneable: () => 1 })).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
    const mine = { items: [] as unknown[], add: (item: unknown) => mine.items.push(item), count: () => mine.items.length }
    await expect(shop.fill?.(byReference(mine))).resolves.toBe(1)
    expect(mine.items).toEqual(['pear'])
    await expect(
      run('const shop = await ctx.services.use("shop"); const basket = await shop.open(); await basket.add(1); return basket.add(2)'),
    ).resolves.toEqual({ value: 2 })
  })

  it('moves what is marked to be moved', async () => {
    const { run, kernel } = await between(
      `size: (bytes) => bytes.byteLength, make: () => { const bytes = new Uint8Array(8); this.last = bytes; return transfer(bytes, [bytes.buffer]) }, left: () => this.last.byteLength`,
      {
        before: `const { transfer } = await import('plugbay/plugin')`,
      },
    )
    const shop = await kernel.services.use('shop')
    const bytes = new Uint8Array(1_000)
    await expect(shop.size?.(transfer(bytes, [bytes.buffer]))).resolves.toBe(1_000)
    expect(bytes.byteLength).toBe(0)
    await expect(shop.make?.()).resolves.toEqual(new Uint8Array(8))
    await expect(shop.left?.()).resolves.toBe(0)
    await expect(
      run(
        'const b = new Uint8Array(9); const n = await (await ctx.services.use("shop")).size(transfer(b, [b.buffer])); return [n, b.byteLength]',
      ),
    ).resolves.toMatchObject({
      value: [9, 0],
    })
  })

  it('passes a signal', async () => {
    const { kernel } = await between(
      'wait: (signal) => new Promise((resolve) => { if (signal.aborted) resolve("aborted already"); else signal.addEventListener("abort", () => resolve(signal.reason.message)) })',
    )
    const shop = await kernel.services.use('shop')
    const abort = new AbortController()
    const call = shop.wait?.(abort.signal)
    abort.abort(new Error('enough'))
    await expect(call).resolves.toBe('enough')
  })

  it.each(['inline', 'thread', 'process'] as const)(
    'passes a signal that is aborted as one that is, before the method runs, to one %s',
    async (isolation) => {
      const { kernel, run } = await between(
        'at: (signal) => [signal.aborted, signal.reason.name, signal.reason.message], back: (signal) => signal',
        { manifest: { isolation } },
      )
      const shop = await kernel.services.use('shop')
      await expect(shop.at?.(AbortSignal.abort(new RangeError('why')))).resolves.toEqual([true, 'RangeError', 'why'])
      await expect(shop.back?.(AbortSignal.abort(new Error('why')))).resolves.toMatchObject({ aborted: true, reason: { message: 'why' } })
      await expect(run('return (await ctx.services.use("shop")).at(AbortSignal.any([AbortSignal.abort()]))')).resolves.toMatchObject({
        value: [true, 'AbortError', 'This operation was aborted'],
      })
    },
  )
})

it.each(['thread', 'process'] as const)(
  'what a method has subscribed to is in force when its caller has the answer, in a %s',
  async (isolation) => {
    const { kernel } = await startedWith({
      shop: {
        manifest: { isolation },
        code: provider(
          'sync: (topic) => void ctx.bus.subscribe(topic, () => {}), later: async (topic) => { await null; ctx.bus.subscribe(topic, () => {}); return [topic] }',
        ),
      },
    })
    const shop = await kernel.services.use('shop')
    const missed: string[] = []
    for (let i = 0; i < 200; i++) {
      const topic = `topic.n${i}`
      await (i % 2 === 0 ? shop.sync?.(topic) : shop.later?.(topic))
      if (infoOf(kernel, 'shop').subscriptions.length !== i + 1) missed.push(topic)
    }
    expect(missed).toEqual([])
  },
)

describe('a stream', () => {
  const methods = `
    count: async function* (to) { try { for (let n = 1; n <= to; n++) { produced = n; yield n } } finally { finished++ } },
    broken: async function* () { yield 1; throw Object.assign(new RangeError('dry'), { code: 'E_DRY' }) },
    sum: async (numbers) => { let sum = 0; for await (const n of numbers) { sum += n; if (sum > 100) break } return sum },
    quiet: () => {
      let sent = 0
      return { [Symbol.asyncIterator]: () => ({ next: async () => sent++ ? new Promise(() => {}) : { value: 1 }, return: async () => { finished++ } }) }
    },
    late: async () => {
      waiting++
      await new Promise((resolve) => { opened = resolve })
      return { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: 1 }), return: async () => { finished++ } }) }
    },
    open: () => opened(),
    state: () => ({ produced, finished, waiting }),
    die: () => process.exit(1)`
  const before = 'let produced = 0, finished = 0, waiting = 0, opened'

  it('is returned, to its end', async () => {
    const { run, kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    const seen: unknown[] = []
    for await (const n of (await shop.count!(50)) as AsyncIterable<number>) seen.push(n)
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    await expect(
      run('const seen = []; for await (const n of await (await ctx.services.use("shop")).count(5)) seen.push(n); return seen'),
    ).resolves.toEqual({ value: [1, 2, 3, 4, 5] })
    await expect(shop.state?.()).resolves.toMatchObject({ finished: 2 })
  })

  it('that is left early ends at its producer, who was never far ahead', async () => {
    const { kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    for await (const n of (await shop.count!(1_000_000)) as AsyncIterable<number>) if (n === 3) break
    await eventually(async () => expect(await shop.state?.()).toMatchObject({ finished: 1 }))
    const state = (await shop.state?.()) as { produced: number }
    expect(state.produced).toBeLessThan(100)
  })

  it('that fails tells its error after its items', async () => {
    const { kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    const seen: unknown[] = []
    const read = async (): Promise<void> => {
      for await (const n of (await shop.broken!()) as AsyncIterable<number>) seen.push(n)
    }
    await expect(read()).rejects.toMatchObject({ name: 'RangeError', code: 'E_DRY', message: 'dry' })
    expect(seen).toEqual([1])
  })

  it('is passed as an argument, and left early by the provider', async () => {
    const { run, kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    let ended = false
    async function* numbers(): AsyncGenerator<number> {
      try {
        for (let n = 1; ; n++) yield n
      } finally {
        ended = true
      }
    }
    await expect(shop.sum?.(numbers())).resolves.toBe(105)
    await eventually(() => expect(ended).toBe(true))
    await expect(run('return (await ctx.services.use("shop")).sum((async function* () { yield 1; yield 2 })())')).resolves.toEqual({
      value: 3,
    })
  })

  it('ends with the signal of its call, at both ends', async () => {
    const { run, kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    const abort = new AbortController()
    const seen: number[] = []
    const read = async (): Promise<void> => {
      for await (const n of (await shop.$with({ signal: abort.signal }).count!(1_000_000)) as AsyncIterable<number>) {
        seen.push(n)
        if (n === 3) abort.abort(new Error('enough'))
      }
    }
    await expect(read()).rejects.toMatchObject({
      code: 'CALL_CANCELLED',
      message: "The stream of service 'shop' of 'shop' was cancelled by its caller.",
      cause: { message: 'enough' },
    })
    // What had been asked for ahead and was there is not read any more.
    expect(seen).toEqual([1, 2, 3])
    await eventually(async () => expect(await shop.state?.()).toMatchObject({ finished: 1 }))
    await expect(
      run(`
        const abort = new AbortController()
        const stream = await (await ctx.services.use('shop', { signal: abort.signal })).quiet()
        await stream.next()
        const waiting = stream.next()
        abort.abort()
        const code = await waiting.catch((error) => error.code)
        return [code, await stream.next()]`),
    ).resolves.toEqual({ value: ['CALL_CANCELLED', { done: true, value: undefined }] })
    await eventually(async () => expect(await shop.state?.()).toMatchObject({ finished: 2 }))
  })

  it('leaves nothing at a signal that outlives it', async () => {
    const { kernel } = await between(methods, { before })
    const { signal } = new AbortController()
    const shop = await kernel.services.use('shop', { signal })
    for await (const n of (await shop.count!(3)) as AsyncIterable<number>) expect(n).toBeLessThan(4)
    for await (const n of (await shop.count!(1_000_000)) as AsyncIterable<number>) if (n === 3) break
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('that comes when its call was cancelled is ended', async () => {
    const { kernel } = await between(methods, { before })
    const shop = await kernel.services.use('shop')
    const abort = new AbortController()
    const call = shop.$with({ signal: abort.signal }).late!()
    await eventually(async () => expect(await shop.state?.()).toMatchObject({ waiting: 1 }))
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'CALL_CANCELLED' })
    await shop.open?.()
    await eventually(async () => expect(await shop.state?.()).toMatchObject({ finished: 1 }))
  })

  it('whose provider dies fails at once', async () => {
    const { kernel } = await between(methods, { before, manifest: { restart: { policy: 'temporary' } } })
    const shop = await kernel.services.use('shop')
    const read = async (): Promise<void> => {
      for await (const n of (await shop.count!(1_000_000)) as AsyncIterable<number>) if (n === 3) shop.die!().catch(() => {})
    }
    await expect(read()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })
})

describe('when its provider', () => {
  it('dies, calls under way fail at once with SERVICE_GONE, later ones too, until it is back', async () => {
    const { kernel, replaced, run } = await between(
      'never: () => new Promise(() => {}), ping: () => ctx.generation, die: () => process.exit(3), boom: () => { setImmediate(() => { throw new Error("x") }); return new Promise(() => {}) }',
      {
        manifest: { restart: { backoff: { initial: 30, max: 30, factor: 1 }, max: 20 } },
      },
    )
    const shop = await kernel.services.use('shop', { timeout: 0 })
    const called = collect(kernel, 'called')
    for (let round = 1; round <= 3; round++) {
      const calls = [
        shop.never?.(),
        shop.never?.(),
        run(
          'const call = (await ctx.services.use("shop", { timeout: 0 })).never(); call.catch(() => {}); await ctx.bus.publish("called"); return call',
        ),
      ]
      await shop.ping?.()
      await eventually(() => expect(called).toHaveLength(round))
      void shop.die?.().catch(() => {})
      await expect(calls[0]).rejects.toMatchObject({ code: 'SERVICE_GONE' })
      await expect(calls[1]).rejects.toMatchObject({ code: 'SERVICE_GONE' })
      await expect(calls[2]).resolves.toMatchObject({ error: { code: 'SERVICE_GONE' } })
      await expect(shop.ping?.()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
      await eventually(() => expect(replaced).toHaveLength(round))
      await eventually(async () => expect(await shop.ping?.()).toBe(round + 1))
    }
  })

  it('is unloaded, calls under way are answered first', async () => {
    const { kernel } = await startedWith({
      shop: pluginCode({
        start: `let open; const held = new Promise((r) => { open = r }); await ctx.services.provide('shop', { slow: async () => { setImmediate(() => setImmediate(open)); await held; return 'answered' } })`,
      }),
    })
    const shop = await kernel.services.use('shop')
    const slow = shop.slow?.()
    const unloaded = kernel.unload('shop')
    await expect(slow).resolves.toBe('answered')
    await expect(unloaded).resolves.toEqual({ name: 'shop', left: [] })
    await expect(shop.slow?.()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })

  it('is replaced, no call fails, whatever is under way', async () => {
    const { kernel, run } = await between(
      'work: async (n) => { for (let i = 0; i < n % 5; i++) await null; return n }, generation: () => ctx.generation',
    )
    const shop = await kernel.services.use('shop')
    let stop = false
    const answered: number[] = []
    const traffic = Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let n = lane; !stop; n += 8) {
          if ((await shop.work?.(n)) !== n) throw new Error(`call ${n} got another answer`)
          answered.push(n)
        }
      }),
    )
    const far = run(
      'const shop = await ctx.services.use("shop"); let n = 0; while (!globalThis.enough) { if (await shop.work(n) !== n) throw new Error("wrong"); n++ } return n',
    )
    for (let round = 0; round < 12; round++) await kernel.reload('shop')
    stop = true
    await traffic
    const { run: other } = await kernel.services.use('run')
    await other?.('globalThis.enough = true')
    expect((await far).error).toBeUndefined()
    expect((await far).value).toBeGreaterThan(0)
    expect(answered.length).toBeGreaterThan(0)
    await expect(shop.generation?.()).resolves.toBe(13)
  }, 30_000)

  it('provides several versions, it can be replaced all the same', async () => {
    const { kernel } = await startedWith({
      shop: pluginCode({
        start: `await ctx.services.provide('shop', { v: () => [1, ctx.generation] }, { version: '1.0.0' }); await ctx.services.provide('shop', { v: () => [2, ctx.generation] }, { version: '2.0.0' })`,
      }),
    })
    const one = await kernel.services.use('shop', { range: '^1.0.0' })
    const two = await kernel.services.use('shop', { range: '^2.0.0' })
    await kernel.reload('shop')
    await eventually(async () =>
      expect([await one.v?.(), await two.v?.()]).toEqual([
        [1, 2],
        [2, 2],
      ]),
    )
  })
})

it('a listener of services that throws harms nobody', async () => {
  const { kernel } = await startedWith({ shop: provider('v: () => 1') })
  const heard = vi.fn()
  kernel.services.watch('clock', () => {
    throw new Error('not mine')
  })
  kernel.services.watch('clock', heard)
  kernel.services.provide('clock', { now: () => 1 })
  expect(heard).toHaveBeenCalledTimes(1)
})

it.each([
  ['throws', "() => { throw Object.assign(new Error('not mine'), { code: 'E_MINE' }) }"],
  ['rejects', "async () => { throw Object.assign(new Error('not mine'), { code: 'E_MINE' }) }"],
])('a listener of services in a plugin that %s is told in the log, and ends nothing', async (_, listener) => {
  const { kernel, lines, faults } = await startedWith({ shop: pluginCode({ start: `await ctx.services.watch('clock', ${listener})` }) })
  kernel.services.provide('clock', { now: () => 1 })
  await eventually(() =>
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      {
        message: 'A listener of ctx.services.watch failed: not mine',
        fields: { plugin: 'shop', err: { code: 'E_MINE', stack: expect.any(String) } },
      },
    ]),
  )
  expect(faults).toEqual([])
  expect(stateOf(kernel, 'shop')).toBe('running')
})
