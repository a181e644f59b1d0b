import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderBootTree } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const ok = pluginCode({ start: '' })
const depends = (...names: string[]): { code: string; manifest: Record<string, unknown> } => ({
  code: ok,
  manifest: { dependencies: Object.fromEntries(names.map((name) => [name, '^1.0.0'])) },
})

describe('a boot', () => {
  it('starts plugins in waves, each after all it depends on, and reports it', async () => {
    const { kernel, states } = await kernelWith({ d: depends('b', 'c'), b: depends('a'), c: depends('a'), a: ok, z: ok })
    const report = await kernel.start()
    expect(report.waves).toEqual([['a', 'z'], ['b', 'c'], ['d']])
    const running = states.filter(({ to }) => to === 'running').map(({ name }) => name)
    const precedes = (first: string, second: string): boolean => running.indexOf(first) < running.indexOf(second)
    expect([precedes('a', 'b'), precedes('a', 'c'), precedes('b', 'd'), precedes('c', 'd')]).toEqual([true, true, true, true])
    expect(report.plugins.map(({ name, state, generation }) => [name, state, generation]).sort()).toEqual(
      ['a', 'b', 'c', 'd', 'z'].map((name) => [name, 'running', 1]),
    )
    const starting = (name: string): number => states.findIndex((change) => change.name === name && change.to === 'initializing')
    expect(starting('d')).toBeGreaterThan(states.findIndex(({ name, to }) => name === 'c' && to === 'running'))
  })

  it('and the stop take no plugin longer than the ceiling, however long it asks for', async () => {
    const never = 'await new Promise(() => {})'
    const limits = { startTimeout: 2_147_483_647, stopTimeout: 2_147_483_647 }
    const { kernel } = await kernelWith(
      {
        starts: { code: pluginCode({ start: never }), manifest: { limits } },
        stops: { code: pluginCode({ stop: never }), manifest: { limits } },
      },
      { ceiling: { startTimeout: 300, stopTimeout: 300 } },
    )
    await kernel.start()
    expect(infoOf(kernel, 'starts').lastError).toMatchObject({
      code: 'PLUGIN_TIMEOUT',
      message: expect.stringContaining('300 ms') as string,
    })
    await kernel.stop()
    expect(stateOf(kernel, 'stops')).toBe('stopped')
  })

  it('starts no more at a time than it may', async () => {
    const plugins = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`p${i}`, ok]))
    const { kernel, states } = await kernelWith(plugins, { maxConcurrency: 2 })
    await kernel.start()
    let now = 0
    let most = 0
    for (const { to } of states) {
      if (to === 'initializing') most = Math.max(most, ++now)
      if (to === 'running') now--
    }
    expect(most).toBe(2)
  })

  it('leaves out what fails with those that need it, names the one cause, and starts the rest', async () => {
    const { kernel } = await kernelWith({
      root: pluginCode({ start: 'throw new Error("the disk is full")' }),
      mid: depends('root'),
      leaf: depends('mid'),
      other: ok,
    })
    const report = await kernel.start()
    expect(Object.fromEntries(report.plugins.map(({ name, state, error }) => [name, [state, error?.code]]))).toEqual({
      root: ['failed', 'PLUGIN_START'],
      mid: ['failed', 'DEPENDENCY_FAILED'],
      leaf: ['failed', 'DEPENDENCY_FAILED'],
      other: ['running', undefined],
    })
    for (const name of ['mid', 'leaf']) {
      const { because, code } = kernel.explain(name)
      expect(code).toBe('DEPENDENCY_FAILED')
      expect(because).toMatch(/'root'/)
      expect(because).toMatch(/the disk is full/)
    }
    expect(kernel.explain('root')).toMatchObject({ running: false, code: 'PLUGIN_START', holdsBack: ['leaf', 'mid'] })
    expect(kernel.explain('other').because).toMatch(/runs/)
  })

  it('ends when a plugin that must run does not, and leaves nothing running', async () => {
    const { kernel, states } = await kernelWith({
      a: ok,
      vital: { code: pluginCode({ start: 'throw new Error("no")' }), manifest: { onFailure: 'abort', dependencies: { a: '*' } } },
    })
    await expect(kernel.start()).rejects.toMatchObject({
      code: 'BOOT_FAILED',
      plugin: 'vital',
      message: expect.stringMatching(/'vital'.*no/),
      cause: { code: 'PLUGIN_START' },
    })
    expect(kernel.state).toBe('stopped')
    expect(stateOf(kernel, 'a')).toBe('stopped')
    expect(states.filter(({ to }) => to === 'running').map(({ name }) => name)).toEqual(['a'])
  })

  it.each([
    ['has an unknown field', '{ "name": "vital", "onFailure": "abort", "colour": "red" }', 'MANIFEST_INVALID'],
    ['is no JSON', '{ "name": "vital", "onFailure": "abort", }', 'MANIFEST_INVALID'],
    ['names a module that is not there', '{ "name": "vital", "onFailure": "abort", "main": "gone.js" }', 'PLUGIN_LOAD'],
  ])('ends when the manifest of a plugin that must run %s', async (_, manifest, code) => {
    const { kernel, folder } = await kernelWith({ a: ok, vital: ok })
    writeFileSync(join(folder, 'vital', 'plugin.json'), manifest)
    await expect(kernel.start()).rejects.toMatchObject({ code: 'BOOT_FAILED', message: expect.stringContaining('vital'), cause: { code } })
    expect([kernel.state, stateOf(kernel, 'a')]).toEqual(['stopped', 'stopped'])
  })

  it('says loudly, in log and report, that a place of plugins is not there, and that options speak of plugins that are not', async () => {
    const { kernel, folder, lines } = await kernelWith(
      { cafe: ok },
      { plugins: ['.', './cafes'], config: { cff: {}, cafe: {} }, isolation: { cafee: 'thread' } },
    )
    const { plugins } = await kernel.start()
    const error = { code: 'OPTIONS_INVALID', message: `plugins names ${join(folder, 'cafes')}, which is not there. Did you mean 'cafe'?` }
    expect(plugins.find(({ name }) => name === join(folder, 'cafes'))).toMatchObject({ state: 'failed', error })
    const said = lines.map(({ level, message, fields }) => [level, message, (fields['err'] as Error | undefined)?.cause])
    expect(said).toEqual([
      ['error', error.message, undefined],
      ['warn', "config has 'cff', but there is no plugin of that name. Did you mean 'cafe'?", undefined],
      ['warn', "isolation has 'cafee', but there is no plugin of that name. Did you mean 'cafe'?", undefined],
    ])
  })

  it('happens once', async () => {
    const { kernel } = await startedWith({ a: ok })
    await expect(kernel.start()).rejects.toMatchObject({ code: 'KERNEL_STATE' })
  })

  it('names all that is missing at once, with who needs it, the range, and the nearest name', async () => {
    const { kernel } = await kernelWith({
      database: ok,
      shop: { code: ok, manifest: { dependencies: { databsae: '^1.0.0', payments: '^2.1.0', database: '^9.0.0' } } },
    })
    const report = await kernel.start()
    const { error } = report.plugins.find(({ name }) => name === 'shop') as { error: { code: string; message: string } }
    expect(error.code).toBe('DEPENDENCY_MISSING')
    for (const text of ["'shop'", "'databsae'", "Did you mean 'database'", "'payments'", '^2.1.0', '^9.0.0', '1.0.0'])
      expect(error.message).toContain(text)
  })

  it('tells once of a folder among the plugins that has a module and is no plugin', async () => {
    const { kernel, folder, lines } = await kernelWith({ a: ok })
    mkdirSync(join(folder, 'mail'))
    writeFileSync(join(folder, 'mail', 'mail.js'), ok)
    const { plugins } = await kernel.start()
    expect(plugins.map(({ name }) => name)).toEqual(['a'])
    expect(lines.filter(({ message }) => message.includes('mail')).map(({ level, message }) => [level, message])).toEqual([
      ['warn', expect.stringMatching(/mail is no plugin: .*index, plugin, main.* It has mail\.js/)],
    ])
  })

  it('explains a plugin that cannot be read, and starts it at a reload once it can', async () => {
    const { kernel, folder } = await kernelWith({ a: ok, typo: ok, torn: ok, gone: ok, needs: depends('typo') })
    writeFileSync(join(folder, 'typo', 'plugin.json'), '{ "name": "typo", "vresion": "1.0.0" }')
    writeFileSync(join(folder, 'torn', 'plugin.json'), '{ "name": "to')
    writeFileSync(join(folder, 'gone', 'plugin.json'), '{ "name": "gone", "main": "none.js" }')
    await kernel.start()
    const notRead = { state: 'failed', running: false, history: [] }
    const because = expect.stringMatching(/vresion: .*'version'/) as string
    expect(kernel.explain('typo')).toEqual({ ...notRead, name: 'typo', code: 'MANIFEST_INVALID', because, holdsBack: ['needs'] })
    expect(kernel.explain('gone')).toMatchObject({ ...notRead, code: 'PLUGIN_LOAD' })
    // Nobody knows its name: it is told of by its path, and lies in a folder of its name.
    const torn = join(folder, 'torn')
    for (const name of ['torn', torn]) expect(kernel.explain(name)).toMatchObject({ ...notRead, name: torn, code: 'MANIFEST_INVALID' })
    await expect(kernel.reload('typo')).rejects.toMatchObject({ code: 'MANIFEST_INVALID' })
    await expect(kernel.unload('typo')).rejects.toMatchObject({
      code: 'PLUGIN_UNKNOWN',
      message: expect.stringMatching(/could not be read.*vresion.*kernel\.reload\('typo'\)/) as string,
    })
    writeFileSync(join(folder, 'typo', 'plugin.json'), '{ "name": "typo", "version": "1.0.0" }')
    await kernel.reload('typo')
    expect([stateOf(kernel, 'typo'), stateOf(kernel, 'needs'), kernel.explain('typo').running]).toEqual(['running', 'running', true])
    // One that can be read and does not run stays known, as at the boot.
    writeFileSync(join(torn, 'plugin.json'), '{ "name": "torn" }')
    writeFileSync(join(torn, 'index.js'), pluginCode({ start: 'throw new Error("no luck")' }))
    await expect(kernel.reload('torn')).rejects.toMatchObject({ code: 'PLUGIN_START' })
    expect(stateOf(kernel, 'torn')).toBe('failed')
    rmSync(join(folder, 'gone'), { recursive: true })
    expect(() => kernel.explain('gone')).toThrow(/There is no plugin 'gone'\. There are/)
  })

  it('draws a circle, and logs it once', async () => {
    const plugins = { a: depends('b'), b: depends('c'), c: depends('a'), d: ok, e: depends('b'), f: depends('e') }
    const { kernel, lines } = await kernelWith(plugins)
    const report = await kernel.start()
    expect(lines.filter(({ message }) => message.includes('a → b → c → a'))).toHaveLength(1)
    expect(renderBootTree(report).split('a → b → c → a')).toHaveLength(2)
    expect(['a', 'b', 'c'].map((name) => kernel.explain(name).holdsBack)).toEqual([
      ['e', 'f'],
      ['e', 'f'],
      ['e', 'f'],
    ])
    expect(kernel.explain('b')).toMatchObject({ code: 'DEPENDENCY_CYCLE', because: expect.stringContaining('a → b → c → a') })
    expect(stateOf(kernel, 'd')).toBe('running')
  })

  it('warns of an activation that does nothing yet, once', async () => {
    const eager = { code: ok, manifest: { activation: ['user.*'] } }
    const { kernel, folder, lines } = await kernelWith({ a: eager, b: ok })
    await kernel.start()
    const warned = (): unknown[] =>
      lines.filter(({ message }) => message.includes('activation')).map(({ level, fields }) => [level, fields['plugin']])
    expect([warned(), stateOf(kernel, 'a')]).toEqual([[['warn', 'a']], 'running'])
    writePlugin(folder, 'b', eager)
    for (const name of ['a', 'b', 'b']) await kernel.reload(name)
    expect(warned()).toEqual([
      ['warn', 'a'],
      ['warn', 'b'],
    ])
  })

  it('that is stopped while it is under way ends with nothing running', async () => {
    const { kernel, states } = await kernelWith({ a: ok, b: depends('a'), c: depends('b') }, { watch: true })
    const starting = kernel.start().catch((error: unknown) => error)
    await kernel.stop()
    const outcome = await starting
    expect(outcome).toMatchObject({
      code: 'KERNEL_STATE',
      message: expect.stringMatching(/^The kernel was stopped (while it was starting|meanwhile: it starts nothing any more)\./),
    })
    expect(kernel.state).toBe('stopped')
    await new Promise((resolve) => setImmediate(resolve))
    for (const { state } of kernel.plugins()) expect(['running', 'starting', 'initializing']).not.toContain(state)
    const alive = states.reduce((count, { from, to }) => count + (to === 'running' ? 1 : from === 'running' ? -1 : 0), 0)
    expect(alive).toBe(0)
    expect(kernel.state).toBe('stopped')
  })

  it('that is stopped after its first plugin runs ends with nothing running', async () => {
    const { kernel, states } = await kernelWith({ a: ok, b: depends('a'), c: depends('b') })
    const starting = kernel.start().catch((error: unknown) => error)
    await eventually(() => expect(states.some(({ to }) => to === 'running')).toBe(true))
    await kernel.stop()
    await starting
    expect(kernel.state).toBe('stopped')
    for (const { state } of kernel.plugins()) expect(['running', 'starting', 'initializing']).not.toContain(state)
  })
})

describe('each phase has its own limit, whose error names plugin, phase and time', () => {
  const never = 'await new Promise(() => {})'
  it.each([
    ['load', { code: `${never}\nexport default { start() {} }`, limit: 'loadTimeout' }],
    ['load', { code: 'for (;;) {}', limit: 'loadTimeout' }],
    ['initialize', { code: pluginCode({ initialize: never }), limit: 'initializeTimeout' }],
    ['start', { code: pluginCode({ start: never }), limit: 'startTimeout' }],
    ['start', { code: pluginCode({ start: 'for (;;) {}' }), limit: 'startTimeout' }],
  ])('%s: %o', async (phase, { code, limit }) => {
    const { kernel } = await kernelWith({ slow: { code, manifest: { limits: { [limit]: 150 } } }, other: ok })
    const report = await kernel.start()
    const { error } = report.plugins.find(({ name }) => name === 'slow') as { error: { code: string; message: string } }
    expect(error.code).toBe('PLUGIN_TIMEOUT')
    expect(error.message).toMatch(new RegExp(`'slow'.*'${phase}'.*\\d+ ms.*150 ms.*limits\\.${limit}`))
    expect(stateOf(kernel, 'other')).toBe('running')
    expect(infoOf(kernel, 'slow')).toMatchObject({ state: 'failed', subscriptions: [], provides: [] })
  })
})

describe('a start that fails is undone completely', () => {
  it.each([
    ['throws', 'throw new Error("after all")', 'PLUGIN_START'],
    ['never ends', 'await new Promise(() => {})', 'PLUGIN_TIMEOUT'],
    ['exits', 'process.exit(5)', 'PLUGIN_CRASHED'],
    ['leaves a rejection', 'void Promise.reject(new Error("loose")); await new Promise(() => {})', 'PLUGIN_CRASHED'],
    ['is refused a service', 'void ctx.services.provide("not a name", { x() {} })', 'PLUGIN_START'],
  ])('when it %s', async (_, end, code) => {
    const { kernel } = await kernelWith({
      p: {
        code: pluginCode({
          start: `ctx.bus.subscribe('a', () => {}); ctx.bus.subscribe('b.**', () => {}); await ctx.services.provide('shop', { v: () => 1 }); await ctx.services.watch('x', () => {}); ${end}`,
        }),
        // How long the others take is for the machine to say.
        manifest: code === 'PLUGIN_TIMEOUT' ? { limits: { startTimeout: 200 } } : {},
      },
    })
    const report = await kernel.start()
    expect(report.plugins[0]).toMatchObject({ state: 'failed', error: { code } })
    expect(kernel.bus.subscriptionsOf('p')).toEqual([])
    expect(kernel.services.list()).toEqual([])
    expect(infoOf(kernel, 'p')).toMatchObject({ subscriptions: [], provides: [] })
    await kernel.bus.drain()
  })
})

it('several kernels in one process share nothing', async () => {
  const code = pluginCode({
    start: `ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', [ctx.config.who, data])); await ctx.services.provide('who', { who: () => ctx.config.who })`,
  })
  const kernels = await Promise.all(['x', 'y', 'z'].map((who) => startedWith({ p: code }, { config: { p: { who } }, name: who })))
  const seen: unknown[] = []
  for (const { kernel } of kernels) kernel.bus.subscribe('out', ({ data }: { data: unknown }) => void seen.push(data))
  await kernels[1]?.kernel.bus.publish('in', 1)
  await eventually(() => expect(seen).toEqual([['y', 1]]))
  for (const [index, { kernel }] of kernels.entries()) {
    const { who } = await kernel.services.use('who')
    await expect(who?.()).resolves.toBe(['x', 'y', 'z'][index])
  }
  await kernels[0]?.kernel.stop()
  expect(kernels.map(({ kernel }) => stateOf(kernel, 'p'))).toEqual(['stopped', 'running', 'running'])
})
