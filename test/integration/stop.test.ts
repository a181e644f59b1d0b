import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { workerThreads } from '../support/traces-of-threads.js'

const ok = pluginCode({ start: '' })

it('plugins stop in reverse order, each after those that depend on it', async () => {
  const { kernel, states } = await startedWith({
    a: pluginCode({ stop: '' }),
    b: { code: pluginCode({ stop: '' }), manifest: { dependencies: { a: '*' } } },
    c: { code: pluginCode({ stop: '' }), manifest: { dependencies: { b: '*' } } },
  })
  await kernel.stop()
  await kernel.stop()
  const order = states.filter(({ to }) => to === 'stopping' || to === 'stopped').map(({ name, to }) => `${name} ${to}`)
  expect(order).toEqual(['c stopping', 'c stopped', 'b stopping', 'b stopped', 'a stopping', 'a stopped'])
  expect(kernel.bus.stats()).toMatchObject({ queued: 0, inFlight: 0 })
})

it('a plugin handles the events it was promised before its stop is called, and what it publishes then still arrives', async () => {
  const { kernel } = await startedWith({
    p: pluginCode({
      start:
        'this.seen = []; ctx.bus.subscribe("in", async ({ data }) => { for (let i = 0; i < 3; i++) await null; this.seen.push(data) })',
      stop: 'await ctx.bus.publish("out", this.seen)',
    }),
  })
  const out = collect(kernel, 'out')
  for (let n = 0; n < 500; n++) void kernel.bus.publish('in', n)
  await kernel.unload('p')
  expect(out[0]?.data).toEqual(Array.from({ length: 500 }, (_, n) => n))
})

const SHORT = { stopTimeout: 80 }
it.each([
  ['a stop that never ends', { start: '', stop: 'await new Promise(() => {})' }, SHORT, /stop.*80 ms/],
  ['a stop that loops', { start: '', stop: 'for (;;) {}' }, SHORT, /stop.*80 ms/],
  // How long these take is for the machine to say.
  ['a stop that throws', { start: '', stop: 'throw new Error("not so fast")' }, {}, /not so fast/],
  ['a stop that exits', { start: '', stop: 'process.exit(4)' }, {}, /stop/],
  ['a handler that never ends', { start: 'ctx.bus.subscribe("in", () => new Promise(() => {}))' }, SHORT, /1 events.*80 ms/],
])('%s has a hard end, and the report says so', async (_, hooks, limits, text) => {
  const { kernel } = await startedWith({ p: { code: pluginCode(hooks), manifest: { limits } }, other: ok })
  void kernel.bus.publish('in')
  await eventually(() => expect(kernel.bus.stats().inFlight).toBe('start' in hooks && hooks.start !== '' ? 1 : 0))
  const { left } = await kernel.unload('p')
  expect(left.join('\n')).toMatch(text)
  expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([['other', 'running']])
  expect(kernel.bus.subscriptionsOf('p')).toEqual([])
})

it('unloading leaves nothing, and reports nothing', async () => {
  const { kernel, folder } = await startedWith({
    shop: pluginCode({ start: 'await ctx.services.provide("shop", { v: () => 1 })' }),
    p: pluginCode({
      start: `
        for (const pattern of ['a', 'b.*', '**']) ctx.bus.subscribe(pattern, () => {})
        await ctx.services.provide('mine', { v: () => 1 })
        const shop = await ctx.services.use('shop')
        await shop.v()
        await ctx.services.watch('shop', () => {})`,
    }),
  })
  for (let round = 0; round < 3; round++) {
    await expect(kernel.unload('p')).resolves.toEqual({ name: 'p', left: [] })
    expect(kernel.bus.subscriptionsOf('p')).toEqual([])
    expect(kernel.services.list().map(({ name }) => name)).toEqual(['shop'])
    expect(kernel.plugins().map(({ name }) => name)).toEqual(['shop'])
    await kernel.load(`${folder}/p`)
    expect(infoOf(kernel, 'p').subscriptions).toHaveLength(3)
  }
})

it('unloading a plugin stops those that need it first, and they come back with it', async () => {
  const { kernel, folder } = await startedWith({
    a: ok,
    b: { code: ok, manifest: { dependencies: { a: '*' } } },
    c: { code: ok, manifest: { dependencies: { b: '*' } } },
  })
  await kernel.unload('a')
  expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([
    ['b', 'failed'],
    ['c', 'failed'],
  ])
  expect(kernel.explain('c').because).toMatch(/'b'|'a'/)
  await kernel.load(`${folder}/a`)
  expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([
    ['a', 'running'],
    ['b', 'running'],
    ['c', 'running'],
  ])
})

it('disabling keeps a plugin from running, with those that need it, until it is enabled', async () => {
  const { kernel, folder } = await startedWith({ a: ok, b: { code: ok, manifest: { dependencies: { a: '*' } } } })
  await expect(kernel.disable('a')).resolves.toEqual({ name: 'a', left: [] })
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['disabled', 'failed'])
  expect(kernel.explain('a').because).toMatch(/disabled/)
  expect(kernel.explain('b').because).toMatch(/'a'.*disabled/)
  await kernel.load(writePlugin(folder, 'c', { code: ok }))
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['disabled', 'failed'])
  await kernel.enable('a')
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'running'])
})

it('a stopped kernel starts nothing any more', async () => {
  const { kernel, folder } = await startedWith({ a: ok, b: ok })
  await kernel.disable('b')
  writePlugin(folder, 'c', { code: ok })
  const late = [kernel.load(`${folder}/c`), kernel.reload('a'), kernel.enable('b')].map((act) => act.catch((error: unknown) => error))
  await kernel.stop()
  await Promise.all(late)
  for (const act of [() => kernel.load(`${folder}/c`), () => kernel.reload('a'), () => kernel.enable('b')])
    await expect(act()).rejects.toMatchObject({
      code: 'KERNEL_STATE',
      message: expect.stringMatching(/^The kernel is stopped: it cannot \w+ a plugin any more\. Make a new one with createKernel\(\)\.$/),
    })
  for (const { state } of kernel.plugins()) expect(['running', 'starting', 'initializing']).not.toContain(state)
  expect(kernel.state).toBe('stopped')
})

it.each(['unload', 'disable'] as const)(
  'a reload that comes while the plugin is being stopped (%s) does not bring it back',
  async (act) => {
    const { kernel, states } = await startedWith({
      p: pluginCode({ start: '', stop: 'await new Promise((resolve) => setTimeout(resolve, 50))' }),
    })
    const ended = kernel[act]('p')
    await eventually(() => expect(states.some(({ to }) => to === 'stopping')).toBe(true))
    await Promise.all([ended, kernel.reload('p').catch(() => {})])
    expect(states.filter(({ to }) => to === 'running')).toHaveLength(1)
    expect(kernel.plugins().map(({ state }) => state)).toEqual(act === 'unload' ? [] : ['disabled'])
    await kernel.stop()
    await eventually(() => expect(workerThreads()).toBe(0))
  },
)

it('a plugin that is enabled again while it is being disabled is never told to be disabled while it runs', async () => {
  const { kernel, states } = await startedWith({ p: ok })
  await Promise.all([kernel.disable('p'), kernel.enable('p'), kernel.disable('p'), kernel.enable('p')])
  expect(stateOf(kernel, 'p')).toBe('running')
  const runs = states.map(({ to }) => to).lastIndexOf('running')
  expect(states.slice(runs + 1)).toEqual([])
})
