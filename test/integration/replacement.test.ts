import { expect, it } from 'vitest'
import { tellComings } from '#src/cli/narration.js'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

it('state is handed over from generation to generation, after what the old one had in hand', async () => {
  const { kernel, replaced } = await startedWith({
    counter: pluginCode({
      start:
        'this.count ??= 0; ctx.bus.subscribe("add", async () => { await null; this.count++ }); await ctx.services.provide("counter", { get: () => [ctx.generation, this.count] })',
      snapshot: 'return { count: this.count, at: new Date(5) }',
      restore: 'this.count = argument.count; if (!(argument.at instanceof Date)) throw new Error("no date")',
    }),
  })
  const counter = await kernel.services.use('counter')
  for (let round = 1; round <= 5; round++) {
    for (let n = 0; n < 100; n++) void kernel.bus.publish('add')
    await kernel.reload('counter')
  }
  expect(replaced).toHaveLength(5)
  await kernel.bus.drain()
  await eventually(async () => expect(await counter.get?.()).toEqual([6, 500]))
})

it.each([
  ['does not parse', 'export default {', 'PLUGIN_LOAD'],
  ['throws', 'throw new Error("at the top")', 'PLUGIN_LOAD'],
  ['has no plugin', 'export const a = 1', 'PLUGIN_SHAPE'],
  ['does not start', pluginCode({ start: 'throw new Error("no")' }), 'PLUGIN_START'],
  ['does not take the state', pluginCode({ start: '', restore: 'throw new Error("what is that")' }), 'PLUGIN_START'],
])('a new version that %s leaves the old one as it was, and the mend is taken', async (_, broken, code) => {
  const good = (version: string): string =>
    pluginCode({ start: `ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', ['${version}', data]))`, snapshot: 'return 1' })
  const { kernel, folder, faults } = await startedWith({ p: good('old') })
  const out = collect(kernel, 'out')
  writePlugin(folder, 'p', { code: broken })
  await expect(kernel.reload('p')).rejects.toMatchObject({ code })
  expect(faults).toHaveLength(1)
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', generation: 1 })
  expect(kernel.bus.subscriptionsOf('p')).toHaveLength(1)
  await kernel.bus.publish('in', 1)
  await eventually(() => expect(out.map(({ data }) => data)).toEqual([['old', 1]]))
  writePlugin(folder, 'p', { code: good('new') })
  await kernel.reload('p')
  await kernel.bus.publish('in', 2)
  await eventually(() =>
    expect(out.map(({ data }) => data)).toEqual([
      ['old', 1],
      ['new', 2],
    ]),
  )
})

it('a broken manifest leaves the old one as it was', async () => {
  const { kernel, folder } = await startedWith({ p: pluginCode({ start: '' }) })
  writePlugin(folder, 'p', { code: pluginCode({ start: '' }), manifest: { dependencies: { a: 'not a range' }, colour: 'red' } })
  await expect(kernel.reload('p')).rejects.toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'p' })
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', generation: 1 })
})

it('a new version that closes a circle is refused, and the circle is drawn', async () => {
  const ok = pluginCode({ start: '' })
  const { kernel, folder } = await startedWith({ a: ok, b: { code: ok, manifest: { dependencies: { a: '*' } } } })
  writePlugin(folder, 'a', { code: ok, manifest: { dependencies: { b: '*' } } })
  await expect(kernel.reload('a')).rejects.toMatchObject({ code: 'DEPENDENCY_CYCLE', message: expect.stringMatching(/a → b → a/) })
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'running'])
})

it('a new version out of the range of its dependents stops them; back in range they return', async () => {
  const ok = pluginCode({ start: '' })
  const { kernel, folder } = await startedWith({ a: ok, b: { code: ok, manifest: { dependencies: { a: '^1.0.0' } } } })
  writePlugin(folder, 'a', { code: ok, manifest: { version: '2.0.0' } })
  await kernel.reload('a')
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'failed'])
  expect(kernel.explain('b').because).toMatch(/2\.0\.0/)
  writePlugin(folder, 'a', { code: ok, manifest: { version: '1.5.0' } })
  await kernel.reload('a')
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'running'])
})

it('a provider that provides one version twice does not come up, and the old one stays', async () => {
  const provide = 'await ctx.services.provide("shop", { v: () => ctx.generation })'
  const { kernel, folder } = await startedWith({ p: pluginCode({ start: provide }) })
  const shop = await kernel.services.use('shop')
  writePlugin(folder, 'p', { code: pluginCode({ start: `${provide}; ${provide}` }) })
  await expect(kernel.reload('p')).rejects.toMatchObject({ message: expect.stringContaining('already provides') })
  await expect(shop.v?.()).resolves.toBe(1)
})

it('health tells how a plugin is, and of one that does not answer or run', async () => {
  const { kernel } = await startedWith({
    well: pluginCode({ start: '', health: 'return { healthy: true, load: 0.5 }' }),
    plain: pluginCode({ start: '' }),
    ill: pluginCode({ start: '', health: 'throw new Error("a fever")' }),
    mute: { code: pluginCode({ start: '', health: 'await new Promise(() => {})' }), manifest: { limits: { healthTimeout: 60 } } },
    off: { code: pluginCode({ start: '' }), manifest: { enabled: false } },
  })
  await expect(kernel.health('well')).resolves.toEqual({ healthy: true, load: 0.5 })
  await expect(kernel.health('plain')).resolves.toEqual({ healthy: true })
  await expect(kernel.health('ill')).resolves.toMatchObject({
    healthy: false,
    state: 'running',
    reason: expect.stringContaining('a fever'),
  })
  await expect(kernel.health('mute')).resolves.toMatchObject({ healthy: false, reason: expect.stringMatching(/'mute'.*60 ms/) })
  await expect(kernel.health('off')).resolves.toMatchObject({ healthy: false, state: 'disabled' })
})

it.each([
  ['return 5', '5'],
  ["return 'fine'", "'fine'"],
  ['return [true]', 'a list'],
  ['return { ok: true }', 'an object'],
  ["return { healthy: 'yes' }", 'an object'],
])('a plugin whose health is `%s` is not healthy, and told what to answer', async (health, given) => {
  const { kernel, faults } = await startedWith({ p: pluginCode({ health }) })
  await expect(kernel.health('p')).resolves.toEqual({
    healthy: false,
    state: 'running',
    reason: `Plugin 'p' answers health with ${given}. Give an object such as { healthy: true }.`,
  })
  expect([faults, stateOf(kernel, 'p')]).toEqual([[], 'running'])
})

it('a disabled plugin is not reloaded: that would do nothing, and says what to do instead', async () => {
  const { kernel } = await startedWith({ off: { code: pluginCode({ start: '' }), manifest: { enabled: false } } })
  await expect(kernel.reload('off')).rejects.toMatchObject({
    code: 'PLUGIN_STATE',
    plugin: 'off',
    message: expect.stringContaining("Enable it with kernel.enable('off')"),
  })
  await kernel.enable('off')
  await expect(kernel.reload('off')).resolves.toMatchObject({ from: 1, to: 2 })
})

it.each([
  ['as failed where it is its own fault', 'restore', 'failed', { snapshot: 'return 1' }, { restore: 'throw new Error("no")' }],
  ['as stopped where it is not', 'snapshot', 'stopped', { snapshot: 'throw new Error("no")' }, { restore: '' }],
] as const)('a generation that came up and does not take over is told %s', async (_, phase, end, before, after) => {
  const { kernel, folder, states, lines } = await startedWith({ p: pluginCode({ start: '', ...before }) })
  tellComings(kernel)
  writePlugin(folder, 'p', { code: pluginCode({ start: '', ...after }) })
  await expect(kernel.reload('p')).rejects.toMatchObject({ details: { phase } })
  const reason = `Plugin 'p' failed in ${phase}: no`
  expect(states.filter(({ generation, from }) => generation === 2 && ['running', 'stopping'].includes(from))).toMatchObject(
    end === 'failed'
      ? [{ from: 'running', to: end, reason }]
      : [
          { from: 'running', to: 'stopping', reason },
          { from: 'stopping', to: end, reason },
        ],
  )
  // The one before it never moved, and nobody is told that the plugin stopped.
  expect(states.filter(({ generation }) => generation === 1).at(-1)).toMatchObject({ to: 'running' })
  expect(lines.map(({ message }) => message)).not.toContainEqual(expect.stringMatching(/^Stopped/))
})

it('a snapshot that fails is told as of the generation that failed at it, what the next makes of it as of the next', async () => {
  const code = pluginCode({ start: '', snapshot: 'throw new Error("no state")', restore: '' })
  const { kernel, faults, folder } = await startedWith({ p: code })
  await expect(kernel.reload('p')).rejects.toMatchObject({ code: 'PLUGIN_STOP', details: { phase: 'snapshot' } })
  writePlugin(folder, 'p', { code: pluginCode({ start: 'throw new Error("no start")' }) })
  await expect(kernel.reload('p')).rejects.toMatchObject({ code: 'PLUGIN_START' })
  expect(faults.map(({ generation, error }) => [generation, error.message])).toEqual([
    [1, "Plugin 'p' failed in snapshot: no state"],
    [3, "Plugin 'p' failed in start: no start"],
  ])
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', generation: 1 })
})
