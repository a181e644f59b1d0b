/** A save while what the one before it brought is still coming up: that ends, and the newer one is tried at once. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BootReport } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, infoOf, kernelWith, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

/** More than any test takes: what waited for it would not be done in time. */
const limits = { loadTimeout: 60_000, initializeTimeout: 60_000, startTimeout: 60_000, stopTimeout: 2_000 }
const options = { watch: true, defaults: { limits } }

const says = (what: number | string, before = ''): string =>
  pluginCode({ start: `${before}\nawait ctx.services.provide(ctx.name, { say: () => '${what}' })` })
/** It waits as long as the test holds the gate, which a call's own limit would cut short on a busy machine. */
const GATED = "await (await ctx.services.use('gate', { timeout: 0 })).opened()"
const NEVER = 'await new Promise(() => {})'
const IN_START = says('never', `ctx.log.info('hangs')\n${NEVER}`)
const IN_MODULE = `console.log('hangs')\n${NEVER}\n${IN_START}`

/** Its code is read by now: a later save is none of what it is. */
const hung = ({ lines }: Running): Promise<void> => eventually(() => expect(lines.map(({ message }) => message)).toContain('hangs'))

/** Which generation of a plugin came to which states. */
const came = ({ states }: Running, plugin: string, to: string): number[] =>
  states.filter((state) => state.name === plugin && state.to === to).map(({ generation }) => generation)

const answer = async ({ kernel }: Running, service: string): Promise<unknown> => (await kernel.services.use(service))['say']?.()

it.each<[string, string, string]>([
  ['a thread', 'in its start', IN_START],
  ['a thread', 'in its module', IN_MODULE],
  ['a process', 'in its start', IN_START],
  ['a process', 'in its module', IN_MODULE],
  ['no place of its own', 'in its start', IN_START],
])('of a plugin in %s that hangs %s replaces the old generation, which serves until then', async (place, _where, hangs) => {
  const isolation = place === 'no place of its own' ? 'inline' : place.slice(2)
  const running = await startedWith({ p: { code: says(1), manifest: { isolation } } }, options)
  save(running, { 'p/index.js': hangs })
  await hung(running)
  expect(await answer(running, 'p')).toBe('1')
  save(running, { 'p/index.js': says(3) })
  await eventually(async () => expect(await answer(running, 'p')).toBe('3'))
  await eventually(() => expect(running.replaced.map(({ from, to }) => [from, to])).toEqual([[1, 3]]))
  expect(came(running, 'p', 'initializing')).toEqual([1, 2, 3])
  expect(running.faults).toEqual([])
  expect(infoOf(running.kernel, 'p').history).toEqual([])
})

describe.each([
  ['in its start', IN_START],
  ['in its module', IN_MODULE],
])('of a plugin that hangs %s', (_where, hangs) => {
  it('is taken up where that was dropped in', async () => {
    const running = await startedWith({}, options)
    save(running, { 'p.js': hangs })
    await hung(running)
    save(running, { 'p.js': says(2) })
    await eventually(async () => expect(await answer(running, 'p')).toBe('2'))
    expect(came(running, 'p', 'initializing')).toEqual([1, 2])
    expect(running.faults).toEqual([])
  })

  it('is taken up where nothing of it ran before', async () => {
    const running = await startedWith({ p: pluginCode({ start: "throw new Error('no luck')" }) }, options)
    save(running, { 'p/index.js': hangs })
    await hung(running)
    save(running, { 'p/index.js': says(3) })
    await eventually(async () => expect(await answer(running, 'p')).toBe('3'))
    expect(came(running, 'p', 'initializing')).toEqual([1, 2, 3])
    expect(running.faults.map(({ generation }) => generation)).toEqual([1])
  })
})

describe('while the kernel starts', () => {
  const needs = (...names: string[]): Record<string, unknown> => ({ dependencies: Object.fromEntries(names.map((name) => [name, '*'])) })
  const stateIn = (report: BootReport, plugin: string): string | undefined => report.plugins.find(({ name }) => name === plugin)?.state

  it.each([
    ['in its start', IN_START],
    ['in its module', IN_MODULE],
  ])('of a plugin that hangs %s is what that, and all that need it, start with', async (_where, hangs) => {
    const files = { code: hangs, manifest: { onFailure: 'abort' } }
    const running = await kernelWith(
      { p: files, needy: { code: says(''), manifest: needs('p') }, last: { code: says(''), manifest: needs('needy') } },
      options,
    )
    const started = running.kernel.start()
    await hung(running)
    save(running, { 'p/index.js': says(2) })
    const report = await started
    expect(await answer(running, 'p')).toBe('2')
    expect(report.plugins.map(({ name, state, generation, wave }) => [name, state, generation, wave]).sort()).toEqual([
      ['last', 'running', 1, 2],
      ['needy', 'running', 1, 1],
      ['p', 'running', 2, 0],
    ])
    expect(report.plugins.flatMap(({ error }) => error ?? [])).toEqual([])
    expect(running.faults).toEqual([])
    expect(running.states.filter(({ to }) => to === 'failed')).toEqual([])
  })

  it('starts what can start, though another plugin still hangs, and waits for all of it', async () => {
    const running = await kernelWith(
      {
        p: IN_START,
        slow: says('', GATED),
        needy: { code: says('needy'), manifest: needs('p') },
        both: { code: says(''), manifest: needs('p', 'slow') },
      },
      options,
    )
    const { kernel } = running
    let free: (() => void) | undefined
    await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
    const started = kernel.start()
    await hung(running)
    await eventually(() => expect(free).toBeDefined())
    save(running, { 'p/index.js': says(2) })
    await eventually(() => expect(stateOf(kernel, 'needy')).toBe('running'))
    expect([stateOf(kernel, 'slow'), stateOf(kernel, 'both'), kernel.state]).toEqual(['starting', 'discovered', 'starting'])
    free?.()
    const report = await started
    expect(report.plugins.map(({ state }) => state)).toEqual(['running', 'running', 'running', 'running'])
    expect(running.faults).toEqual([])
  })

  it('is seen though it takes long to find out what the plugin is made of', async () => {
    const LENGTH = 400
    const links = Array.from({ length: LENGTH }, (_, at) => [`p/${at}.js`, `export const next = () => import('./${at + 1}.js')`])
    const running = await kernelWith({ p: `${IN_START}\nexport const first = () => import('./0.js')` }, options)
    save(running, Object.fromEntries(links))
    const started = running.kernel.start()
    await hung(running)
    save(running, { 'p/index.js': says(2) })
    expect(stateIn(await started, 'p')).toBe('running')
    expect(await answer(running, 'p')).toBe('2')
  })

  it('may hang as well: the one after it is tried', async () => {
    const running = await kernelWith({ p: IN_START, needy: { code: says(''), manifest: needs('p') } }, options)
    const started = running.kernel.start()
    for (const generation of [1, 2]) {
      await eventually(() => expect(running.lines.filter(({ message }) => message === 'hangs')).toHaveLength(generation))
      save(running, { 'p/index.js': generation === 1 ? `${IN_START}// again` : says(3) })
    }
    const report = await started
    expect([stateIn(report, 'p'), stateIn(report, 'needy')]).toEqual(['running', 'running'])
    expect(came(running, 'p', 'initializing')).toEqual([1, 2, 3])
  })

  const unreadable = { 'p/plugin.json': '{ "name": "p", "nonsense": 1 }' }

  it.each<[string, string, Record<string, string>, string]>([
    ['does not start', 'thread', { 'p/index.js': says(2, "throw new Error('no luck')") }, 'no luck'],
    ['cannot be read', 'thread', unreadable, 'nonsense'],
    ['cannot be read', 'process', unreadable, 'nonsense'],
  ])('is told as the fault where it %s (in a %s), of the plugin and of those that need it', async (_what, isolation, files, told) => {
    const running = await kernelWith(
      { p: { code: IN_START, manifest: { isolation } }, needy: { code: says(''), manifest: needs('p') }, other: says('') },
      options,
    )
    const started = running.kernel.start()
    await hung(running)
    save(running, files)
    const report = await started
    const byName = Object.fromEntries(report.plugins.map((plugin) => [plugin.name, plugin]))
    expect(byName['p']).toMatchObject({ state: 'failed', error: { message: expect.stringContaining(told) as string } })
    expect(byName['needy']).toMatchObject({ state: 'failed', error: { code: 'DEPENDENCY_FAILED' } })
    expect(byName['other']).toMatchObject({ state: 'running' })
    expect(running.kernel.explain('needy').because).toContain(told)
    expect(running.faults).toHaveLength(1)
    save(running, { 'p/plugin.json': '{ "name": "p" }', 'p/index.js': says(3) })
    await eventually(() => expect(stateOf(running.kernel, 'needy')).toBe('running'))
  })

  it('may take the plugin away, or disable it: the kernel has started then', async () => {
    const running = await kernelWith({ p: IN_START, q: IN_START, needy: { code: says(''), manifest: needs('p') } }, options)
    const started = running.kernel.start()
    await eventually(() => expect(running.lines.filter(({ message }) => message === 'hangs')).toHaveLength(2))
    save(running, { 'p/plugin.json': { name: 'p', enabled: false } })
    rmSync(join(running.folder, 'q'), { recursive: true })
    const report = await started
    expect(report.plugins.map(({ name, state }) => [name, state]).sort()).toEqual([
      ['needy', 'failed'],
      ['p', 'disabled'],
    ])
  })

  it('that the plugin makes itself as it starts keeps it from starting for so long only', async () => {
    const writes =
      `writeFileSync(new URL('./stamp.json', import.meta.url), JSON.stringify(process.hrtime.bigint().toString()))\n` +
      // Long enough for the watcher to see it.
      'await new Promise((resolve) => setTimeout(resolve, 1_000))'
    const code = pluginCode(
      { start: writes },
      "import { writeFileSync } from 'node:fs'\nawait import('./stamp.json', { with: { type: 'json' } })",
    )
    const running = await kernelWith({ p: { code, manifest: { isolation: 'inline' } } }, options)
    writeFileSync(join(running.folder, 'p/stamp.json'), '0')
    const report = await running.kernel.start()
    expect(stateIn(report, 'p')).toBe('running')
  })

  it('keeps nobody from stopping it', async () => {
    const running = await kernelWith({ p: IN_START }, options)
    const started = running.kernel.start().catch((error: unknown) => error)
    await hung(running)
    save(running, { 'p/index.js': `${IN_START}// again` })
    await eventually(() => expect(came(running, 'p', 'stopped')).toContain(1))
    await running.kernel.stop()
    expect(await started).toMatchObject({ code: 'KERNEL_STATE' })
  })
})

it('ends the start of what came up together with a change as well', async () => {
  const manifest = { dependencies: { p: '*' } }
  const running = await startedWith(
    { p: pluginCode({ start: "throw new Error('no luck')" }), needy: { code: IN_START, manifest } },
    options,
  )
  save(running, { 'p/index.js': says(2) })
  await hung(running)
  save(running, { 'needy/index.js': says('fixed') })
  await eventually(async () => expect(await answer(running, 'needy')).toBe('fixed'))
  expect(running.faults.map(({ name, generation }) => [name, generation])).toEqual([['p', 1]])
})

it('of two plugins that swap their services is judged with the other change, which is carried out once', async () => {
  const provides = (service: string, before = ''): string =>
    pluginCode({ start: `${before}\nawait ctx.services.provide('${service}', { say: () => ctx.name })` })
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, options)
  save(running, { 'a/index.js': provides('sb'), 'b/index.js': provides('sa', `ctx.log.info('hangs')\n${NEVER}`) })
  await hung(running)
  save(running, { 'b/index.js': provides('sa') })
  await eventually(async () => expect([await answer(running, 'sa'), await answer(running, 'sb')]).toEqual(['b', 'a']))
  await eventually(() => expect(running.replaced.map(({ name }) => name).sort()).toEqual(['a', 'b']))
  expect(running.faults).toEqual([])
})

it('ends nothing that was asked for by somebody else', async () => {
  const running = await startedWith({ p: says(1) }, options)
  const { kernel, folder } = running
  let free: (() => void) | undefined
  await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
  save({ folder }, { 'p/index.js': says(2, GATED) })
  const reload = kernel.reload('p')
  await eventually(() => expect(free).toBeDefined())
  save(running, { 'p/index.js': says(3) })
  // The watcher is past that save when it has seen the next.
  save(running, { 'late.js': says('') })
  await eventually(() => expect(stateOf(kernel, 'late')).toBe('running'))
  free?.()
  await expect(reload).resolves.toMatchObject({ name: 'p', to: 2 })
  await eventually(async () => expect(await answer(running, 'p')).toBe('3'))
  expect(running.faults).toEqual([])
})

it('ends no start that somebody else waits for as well', async () => {
  const running = await startedWith({}, options)
  const { kernel } = running
  let free: (() => void) | undefined
  await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
  save(running, { 'p.js': says(1, GATED) })
  await eventually(() => expect(free).toBeDefined())
  const aside = emptyFolder()
  const load = kernel.load(writePlugin(aside, 'needy', { code: says(''), manifest: { dependencies: { p: '*' } } }))
  await eventually(() => expect(stateOf(kernel, 'needy')).toBe('discovered'))
  save(running, { 'p.js': says(2) })
  save(running, { 'late.js': says('') })
  await eventually(() => expect(infoOf(kernel, 'late')).toBeDefined())
  free?.()
  await expect(load).resolves.toMatchObject({ name: 'needy', state: 'running' })
  await eventually(async () => expect(await answer(running, 'p')).toBe('2'))
  expect(running.faults).toEqual([])
})

describe('a file that is being written while what was saved before fails', () => {
  /** So long the watcher waits for the writer: what fails meanwhile is not what was saved last. */
  const slowly = { ...options, watch: { settle: 500 } }
  const unlucky = says('never', `${GATED}\nthrow new Error('no luck')`)

  it.each<[string, Record<string, string>, string]>([
    ['replaces', { 'p/index.js': says(1), 'p/plugin.json': '{ "name": "p" }' }, 'p/index.js'],
    ['was dropped in', {}, 'p.js'],
  ])('is no fault of the plugin (what %s)', async (_what, before, file) => {
    const running = await startedWith({}, slowly)
    const { kernel, folder, faults } = running
    let free: (() => void) | undefined
    await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
    if (Object.keys(before).length > 0) {
      save(running, before)
      await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
    }
    save(running, { [file]: unlucky })
    await eventually(() => expect(free).toBeDefined())
    writeFileSync(join(folder, file), '')
    free?.()
    await eventually(() => expect(came(running, 'p', 'stopping').length + came(running, 'p', 'failed').length).toBeGreaterThan(0))
    writeFileSync(join(folder, file), says(3))
    await eventually(async () => expect(await answer(running, 'p')).toBe('3'))
    expect(faults).toEqual([])
    expect(running.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
  })

  it('is what it is tried with in the end: what still fails then is told once', async () => {
    const running = await startedWith({ p: says(1) }, slowly)
    const { kernel, folder, faults } = running
    let free: (() => void) | undefined
    await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
    save(running, { 'p/index.js': unlucky })
    await eventually(() => expect(free).toBeDefined())
    writeFileSync(join(folder, 'p/index.js'), 'export default {')
    free?.()
    await eventually(() => expect(faults.map(({ error }) => error)).toEqual([expect.objectContaining({ code: 'PLUGIN_LOAD' })]))
    expect(await answer(running, 'p')).toBe('1')
  })
})
