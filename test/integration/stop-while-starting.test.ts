/** A stop that comes while something starts, or changes, ends that at once: nobody waits for the limit of a phase. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'
import { thrown } from '../support/thrown.js'

/** More than any test takes: what waited for it would not be done in time. */
const limits = { loadTimeout: 60_000, initializeTimeout: 60_000, startTimeout: 60_000 }
const ends = 'await new Promise(() => {})'
const hanging = { code: pluginCode({ start: ends }), manifest: { limits } }
const ok = pluginCode({ start: '', stop: 'await ctx.bus.publish("ended", ctx.name)' })
const needs = (name: string): Record<string, unknown> => ({ dependencies: { [name]: '*' } })
/** What a host promises of its shutdown. */
const WITHIN = 5_000

const timed = async (act: () => Promise<unknown>): Promise<void> => {
  const began = performance.now()
  await act()
  expect(performance.now() - began).toBeLessThan(WITHIN)
}

it.each<[string, Record<string, unknown>, string, string]>([
  ['a start that never ends', {}, pluginCode({ start: ends }), 'starting'],
  ['a start that spins', {}, pluginCode({ start: 'for (;;) {}' }), 'starting'],
  ['a start that waits for a service', {}, pluginCode({ start: `await ctx.services.use('none', { wait: 60_000 })` }), 'starting'],
  ['an initialize that never ends', {}, pluginCode({ initialize: ends, start: '' }), 'initializing'],
  ['a module that is never evaluated', {}, `${ends}\n${pluginCode({ start: '' })}`, 'initializing'],
  ['an inline start that never ends', { isolation: 'inline' }, pluginCode({ start: ends }), 'starting'],
  ['the start of a process', { isolation: 'process' }, pluginCode({ start: ends }), 'starting'],
])('kernel.stop() ends %s, and stops those that run', async (_, manifest, code, state) => {
  const running = await kernelWith({
    ok,
    p: { code, manifest: { limits, ...manifest } },
    after: { code: ok, manifest: needs('p') },
  })
  const { kernel, states, faults } = running
  const ended: unknown[] = []
  kernel.bus.subscribe('ended', ({ data }) => void ended.push(data))
  const start = thrown(() => kernel.start())
  await eventually(() => expect([stateOf(kernel, 'ok'), stateOf(kernel, 'p')]).toEqual(['running', state]))
  await timed(() => kernel.stop())
  expect(await start).toMatchObject({ code: 'KERNEL_STATE', message: 'The kernel was stopped while it was starting.' })
  expect(ended).toEqual(['ok'])
  expect(states.filter(({ name }) => name === 'p').map(({ to }) => to)).toEqual(
    ['resolved', 'initializing', 'starting', 'stopping', 'stopped'].filter((to) => to !== 'starting' || state === to),
  )
  expect(states.find(({ name, to }) => name === 'p' && to === 'stopping')?.reason).toMatch(
    /^Plugin 'p' was stopped during (load|initialize|start): the kernel stops\.$/,
  )
  expect(states.some(({ name, to }) => name === 'after' && to === 'initializing')).toBe(false)
  // To be stopped is no fault.
  expect(faults).toEqual([])
  expect(infoOf(kernel, 'p').history).toEqual([])
})

it('kernel.stop() waits for no process that has closed its channel, and blames it for nothing', async () => {
  // One that goes on would miss its channel as soon as it answers, and end by itself, maybe before the kernel stops.
  const close = 'closeSync(3); for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'
  const start = `await ctx.services.provide('p', { close() { ${close} } }); ${ends}`
  const code = pluginCode({ start }, "import { closeSync } from 'node:fs'")
  const { kernel } = await kernelWith({ p: { code, manifest: { isolation: 'process', limits } } })
  const started = thrown(() => kernel.start())
  const p = await kernel.services.use('p', { wait: 60_000 })
  await thrown(() => p.close?.())
  await kernel.stop()
  expect(await started).toMatchObject({ code: 'KERNEL_STATE' })
  expect(infoOf(kernel, 'p').lastError).toMatchObject({
    code: 'PLUGIN_STOPPED',
    message: "Plugin 'p' was stopped during start: the kernel stops.",
  })
})

it('kernel.stop() begins none of those that wait for their turn to start', async () => {
  const { kernel, states } = await kernelWith({ a: hanging, b: hanging, c: hanging }, { maxConcurrency: 1 })
  const start = thrown(() => kernel.start())
  await eventually(() => expect(stateOf(kernel, 'a')).toBe('starting'))
  await timed(() => kernel.stop())
  expect(await start).toMatchObject({ code: 'KERNEL_STATE' })
  expect(states.filter(({ to }) => to === 'initializing').map(({ name }) => name)).toEqual(['a'])
})

it.each(['stop', 'unload'] as const)(
  'kernel.%s() keeps what has yet to begin from starting, also while others are still stopped',
  async (end) => {
    const { kernel, folder, states } = await startedWith({
      slow: pluginCode({ start: '', stop: 'await new Promise((resolve) => setTimeout(resolve, 300))' }),
    })
    const disabled = kernel.disable('slow')
    await eventually(() => expect(stateOf(kernel, 'slow')).toBe('stopping'))
    writePlugin(folder, 'p', hanging)
    const load = thrown(() => kernel.load(join(folder, 'p')))
    await timed(() => (end === 'stop' ? kernel.stop() : kernel.unload('p')))
    await disabled.catch(() => {})
    expect(await load).toMatchObject({ code: expect.stringMatching(/^(PLUGIN_STOPPED|KERNEL_STATE)$/) })
    expect(states.filter(({ name, to }) => name === 'p' && to === 'initializing')).toEqual([])
  },
)

it.each(['unload', 'disable'] as const)('kernel.%s() ends a start that is under way, with those that need it', async (act) => {
  const { kernel, folder, faults } = await startedWith({ ok })
  writePlugin(folder, 'p', hanging)
  writePlugin(folder, 'after', { code: ok, manifest: needs('p') })
  const late = thrown(() => kernel.load(join(folder, 'after')))
  expect(await late).toMatchObject({ code: 'DEPENDENCY_MISSING' })
  const [load] = [kernel.load(join(folder, 'p'))].map((loaded) => loaded.catch((error: unknown) => error))
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('starting'))
  await timed(async () => expect(await kernel[act]('p')).toEqual({ name: 'p', left: [] }))
  expect(faults).toEqual([])
  expect(stateOf(kernel, 'ok')).toBe('running')
  if (act === 'unload')
    expect(await load).toMatchObject({
      code: 'PLUGIN_STOPPED',
      message: "Plugin 'p' was stopped during start: 'p' was unloaded.",
    })
  // Known is what it is now, and disabled.
  else expect([((await load) as { name: string }).name, stateOf(kernel, 'p')]).toEqual(['p', 'disabled'])
})

it('unloading what a start waits for, or what waits for it, ends that start', async () => {
  const { kernel, folder } = await startedWith({ a: ok })
  writePlugin(folder, 'b', { ...hanging, manifest: { ...hanging.manifest, ...needs('a') } })
  const load = thrown(() => kernel.load(join(folder, 'b')))
  await eventually(() => expect(stateOf(kernel, 'b')).toBe('starting'))
  await timed(() => kernel.unload('a'))
  expect(await load).toMatchObject({ code: 'PLUGIN_STOPPED' })
})

type Hooks = Parameters<typeof pluginCode>[0]
const begins = `await ctx.bus.publish('begun'); ${ends}`
const tells = 'await ctx.bus.publish("ended", ctx.generation)'
const attempts: { what: string; before: Hooks; after?: Hooks }[] = [
  { what: 'a replacement whose start never ends', before: { start: '' }, after: { start: begins } },
  { what: 'a replacement whose restore never ends', before: { snapshot: 'return 1' }, after: { start: '', restore: begins } },
  { what: 'a replacement whose predecessor never ends its snapshot', before: { snapshot: begins }, after: { restore: '' } },
  { what: 'an updateConfig that never ends', before: { updateConfig: begins } },
]

it.each(attempts.flatMap(({ what, before, after }) => (['stop', 'unload'] as const).map((end) => [end, what, before, after] as const)))(
  'kernel.%s() ends %s, and the generation that serves stops as ever',
  async (end, _, before, after) => {
    const all = { ...limits, stopTimeout: 60_000 }
    const code = pluginCode({ start: '', ...before, stop: tells })
    const { kernel, folder, faults } = await startedWith({ p: { code, manifest: { limits: all } } })
    const [ended, begun]: [unknown[], unknown[]] = [[], []]
    kernel.bus.subscribe('ended', ({ data }) => void ended.push(data))
    kernel.bus.subscribe('begun', () => void begun.push(1))
    if (after) writePlugin(folder, 'p', { code: pluginCode(after), manifest: { limits: all } })
    const outcome = thrown(() => (after ? kernel.reload('p') : kernel.updateConfig('p', { a: 1 })))
    await eventually(() => expect(begun).toEqual([1]))
    await timed(() => (end === 'stop' ? kernel.stop() : kernel.unload('p')))
    expect(await outcome).toMatchObject({ code: 'PLUGIN_STOPPED' })
    expect(ended).toEqual([1])
    expect(faults).toEqual([])
  },
)

it('kernel.stop() ends a change of files whose start never ends, and takes up no other', async () => {
  const { kernel, folder, states, faults, lines } = await startedWith({ a: ok, b: ok }, { watch: { settle: 20 } })
  for (const name of ['a', 'b']) writePlugin(folder, name, hanging)
  await eventually(() => expect(states.some(({ generation, to }) => generation === 2 && to === 'starting')).toBe(true))
  await timed(() => kernel.stop())
  expect(states.filter(({ generation, to }) => generation === 2 && to === 'starting')).toHaveLength(1)
  expect(faults).toEqual([])
  expect(lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})

it.each(['stop', 'unload'] as const)('kernel.%s() ends the restart of a plugin that crashed', async (end) => {
  const { kernel, folder, states } = await startedWith({
    p: {
      code: pluginCode({
        start: `if (ctx.generation > 1) ${ends}; ctx.bus.subscribe('exit', () => process.exit(1))`,
      }),
      manifest: { limits },
    },
  })
  await kernel.bus.publish('exit')
  await eventually(() => expect(states.some(({ generation, to }) => generation === 2 && to === 'starting')).toBe(true))
  await timed(() => (end === 'stop' ? kernel.stop() : kernel.unload('p')))
  expect(states.some(({ generation, to }) => generation === 2 && to === 'running')).toBe(false)
  if (end === 'stop') return
  await expect(kernel.load(writePlugin(folder, 'p', { code: ok }))).resolves.toMatchObject({ state: 'running' })
  expect(states.filter(({ to }) => to === 'starting')).toHaveLength(3)
})

it('a replacement that waits for a partner in its start is ended by the stop of either', async () => {
  // Each is what the other needs: they are replaced in one turn.
  const { kernel, folder, states } = await startedWith(
    { a: { code: ok }, b: { code: ok, manifest: { dependencies: { a: '^1.0.0' } } } },
    { watch: { settle: 20 } },
  )
  writePlugin(folder, 'a', { code: ok, manifest: { version: '2.0.0' } })
  writePlugin(folder, 'b', { ...hanging, manifest: { ...hanging.manifest, dependencies: { a: '^2.0.0' } } })
  await eventually(() => expect(states.some(({ name, generation, to }) => name === 'b' && generation >= 2 && to === 'starting')).toBe(true))
  await timed(() => kernel.unload('a'))
  expect(kernel.plugins().map(({ name }) => name)).toEqual(['b'])
  await kernel.stop()
})

/** Starts when it is told to. */
const slow = { code: pluginCode({ start: `await new Promise((go) => ctx.bus.subscribe('go', () => go()))` }), manifest: { limits } }
const letGo = (kernel: Running['kernel']): Promise<void> =>
  eventually(async () => {
    await kernel.bus.publish('go')
    expect(stateOf(kernel, 'p')).toBe('running')
  })
const timesBegun = (states: Running['states'], name: string): number =>
  states.filter((state) => state.name === name && state.to === 'initializing').length

it.each(['unload', 'disable'] as const)('kernel.%s() waits for no other plugin that starts, and ends none', async (act) => {
  const { kernel, folder, states, faults } = await kernelWith(
    { ok, p: slow, q: ok, after: { code: ok, manifest: needs('p') } },
    { maxConcurrency: 1 },
  )
  const start = kernel.start()
  await eventually(() => expect([stateOf(kernel, 'ok'), stateOf(kernel, 'p')]).toEqual(['running', 'starting']))
  writePlugin(folder, 'late', { code: ok, manifest: needs('p') })
  const load = kernel.load(join(folder, 'late'))
  await timed(async () => expect(await kernel[act]('ok')).toEqual({ name: 'ok', left: [] }))
  // The others go on as they would have: one at a time, and nobody before what it needs.
  const others = ['p', 'q', 'after', 'late']
  expect(others.map((name) => [stateOf(kernel, name), timesBegun(states, name)])).toEqual([
    ['starting', 1],
    ...Array.from({ length: 3 }, () => ['discovered', 0]),
  ])
  await letGo(kernel)
  const report = await start
  expect((await load).state).toBe('running')
  expect(report.plugins.map(({ name, state }) => [name, state])).toEqual(
    expect.arrayContaining(['p', 'q', 'after'].map((name) => [name, 'running'])),
  )
  expect(others.map((name) => timesBegun(states, name))).toEqual([1, 1, 1, 1])
  if (act === 'disable') expect(stateOf(kernel, 'ok')).toBe('disabled')
  expect(faults).toEqual([])
})

it('who is disabled and enabled again while it waits for another that starts runs once that does', async () => {
  const { kernel, states } = await kernelWith({ p: slow, after: { code: ok, manifest: needs('p') } })
  const start = kernel.start()
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('starting'))
  await timed(() => kernel.disable('after'))
  expect(stateOf(kernel, 'after')).toBe('disabled')
  const enable = kernel.enable('after')
  await letGo(kernel)
  await Promise.all([start, enable])
  expect([stateOf(kernel, 'after'), timesBegun(states, 'after')]).toEqual(['running', 1])
})

it('a plugin that may no longer run, as another was loaded, is stopped while it starts', async () => {
  const { kernel, folder } = await kernelWith({ ok, p: { code: slow.code, manifest: { limits, conflicts: { rival: '*' } } } })
  const start = kernel.start()
  await eventually(() => expect([stateOf(kernel, 'ok'), stateOf(kernel, 'p')]).toEqual(['running', 'starting']))
  writePlugin(folder, 'rival', { code: ok })
  const load = kernel.load(join(folder, 'rival'))
  await timed(() => Promise.all([kernel.unload('ok'), start]))
  expect((await load).state).toBe('running')
  expect(infoOf(kernel, 'p')).toMatchObject({ state: 'failed', lastError: { code: 'DEPENDENCY_CONFLICT' } })
})

it('nothing of a start that was ended keeps the process', { timeout: 60_000 }, async () => {
  const folder = folderWith({
    ...pluginsWith({ thread: { limits }, process: { limits, isolation: 'process' } }),
    'plugins/thread/index.js': hanging.code,
    'plugins/process/index.js': hanging.code,
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins' })
      let starting = 0
      kernel.on('plugin:state', ({ to }) => { if (to === 'starting' && ++starting === 2) void kernel.stop() })
      await kernel.start().catch(({ code }) => console.log(code))`,
  })
  const child = spawn(process.execPath, ['app.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (text) => (said += String(text)))
  const [code] = await once(child, 'close')
  expect([code, said.split('\n').at(-2)]).toEqual([0, 'KERNEL_STATE'])
})

it('kernel.stop() just after a save was taken over is no fault of that save', async () => {
  const { kernel, folder, faults, lines } = await startedWith({ p: ok }, { watch: true })
  let stopped: Promise<void> | undefined
  // Before what is left to do for the save: a round, as its version may be another.
  kernel.on('plugin:replaced', () => void (stopped = kernel.stop()))
  save({ folder }, { 'p/index.js': `${ok}// again` })
  await eventually(() => expect(stopped).toBeDefined())
  await stopped
  expect(faults).toEqual([])
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
})
