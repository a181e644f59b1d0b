/** Plugins that crash, and what becomes of those that depend on them. */
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, type PluginFiles, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

/** Exits with the published code, on `<name>.exit`. */
const crashing = pluginCode({ start: `ctx.bus.subscribe(ctx.name + '.exit', ({ data }) => process.exit(data))` })
const idle = pluginCode({ start: '' })
const looping = pluginCode({ start: 'setImmediate(() => process.exit(1))' })
const needs = (...names: string[]): Record<string, unknown> => ({ dependencies: Object.fromEntries(names.map((name) => [name, '*'])) })

/** `middle` needs `root`, `top` needs `middle`; `fan` likes `root`, `other` knows none of them. */
const house = (restart: Record<string, unknown>, root = crashing): Record<string, PluginFiles> => ({
  root: { code: root, manifest: { restart } },
  middle: { code: crashing, manifest: needs('root') },
  top: { code: idle, manifest: needs('middle') },
  fan: { code: idle, manifest: { optionalDependencies: { root: '*' } } },
  other: { code: idle },
})
const generations = ({ kernel }: Running): Record<string, number> =>
  Object.fromEntries(kernel.plugins().map(({ name, generation }) => [name, generation]))

describe('the history', () => {
  it('tells each fault with time, code, message and generation, in plugins() and explain(), to the end of the restarts', async () => {
    const { kernel } = await startedWith({ p: { code: looping, manifest: { restart: { max: 2 } } } })
    await eventually(() => expect(kernel.explain('p').code).toBe('PLUGIN_CRASH_LOOP'))
    const { history, restarts, state, lastError } = infoOf(kernel, 'p')
    expect(history.map(({ code, generation }) => [code, generation])).toEqual([
      ['PLUGIN_CRASHED', 1],
      ['PLUGIN_CRASHED', 2],
      ['PLUGIN_CRASHED', 3],
      ['PLUGIN_CRASH_LOOP', 3],
    ])
    expect(history[0]?.message).toContain('code 1')
    for (const { at } of history) expect(Date.now() - at).toBeLessThan(60_000)
    expect(kernel.explain('p').history).toEqual(history)
    expect({ restarts, state, code: lastError?.code }).toEqual({ restarts: 2, state: 'failed', code: 'PLUGIN_CRASH_LOOP' })
  })

  it('stays when the plugin runs again, as do its last error and its last exit', async () => {
    const { kernel, replaced, folder } = await startedWith({ p: crashing, q: pluginCode({ start: 'throw new Error("first")' }) })
    await kernel.bus.publish('p.exit', 7)
    await eventually(() => expect(replaced).toHaveLength(1))
    writePlugin(folder, 'q', { code: idle })
    await kernel.reload('q')
    const crash = { code: 'PLUGIN_CRASHED', message: expect.stringContaining('code 7') as string }
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', restarts: 1, lastError: crash, lastExit: { code: 7 }, history: [crash] })
    expect(infoOf(kernel, 'q')).toMatchObject({ state: 'running', lastError: { code: 'PLUGIN_START' }, lastExit: undefined })
    expect(kernel.explain('p')).toMatchObject({ running: true, code: undefined })
    const renewed = await kernel.reload('p').then(() => infoOf(kernel, 'p'))
    expect(renewed).toMatchObject({ state: 'running', lastError: crash })
  })

  it('has the starts and replacements that failed, and the newest twenty faults alone', async () => {
    const { kernel, folder } = await startedWith({ p: pluginCode({ start: 'throw new Error("first")' }), q: idle })
    expect(infoOf(kernel, 'p').history).toMatchObject([
      { code: 'PLUGIN_START', message: expect.stringContaining('first') as string, generation: 1 },
    ])
    // Where it runs makes no difference to what is kept of it, and a thread for each would take a second of a processor.
    writePlugin(folder, 'q', { code: pluginCode({ start: 'throw new Error("q")' }), manifest: { isolation: 'inline' } })
    for (let time = 0; time < 22; time++) await expect(kernel.reload('q')).rejects.toThrow('q')
    const { history } = infoOf(kernel, 'q')
    expect(history).toHaveLength(20)
    expect(history.at(-1)).toMatchObject({ code: 'PLUGIN_START', generation: 23 })
  })
})

it('a crash says when it is answered by a restart, and that it is not', async () => {
  const { kernel, faults, replaced } = await startedWith({
    again: { code: crashing, manifest: { restart: { backoff: { initial: 40, max: 40 } } } },
    never: { code: crashing, manifest: { restart: { policy: 'temporary' } } },
  })
  await kernel.bus.publish('again.exit', 1)
  await kernel.bus.publish('never.exit', 1)
  await eventually(() => expect([faults.length, replaced.length]).toEqual([2, 1]))
  const [again, never] = ['again', 'never'].map((name) => faults.find((fault) => fault.name === name))
  expect(again?.restartIn).toBeGreaterThanOrEqual(20)
  expect(again?.restartIn).toBeLessThanOrEqual(40)
  expect(never).toBeDefined()
  expect(never).not.toHaveProperty('restartIn')
})

describe('one-for-one', () => {
  it('restarts the one that crashed; those that depend on it hear that it went, and that it came back', async () => {
    const listening = pluginCode({
      start: `
        ctx.bus.subscribe('kernel.plugin.fault', ({ data }) => ctx.bus.publish('heard', ['went', data.name, data.error.code, data.restartIn > 0]))
        ctx.bus.subscribe('kernel.plugin.replaced', ({ data }) => ctx.bus.publish('heard', ['came back', data.name, data.reason]))`,
    })
    const running = await startedWith({ ...house({}), middle: { code: listening, manifest: needs('root') } })
    const heard = collect(running.kernel, 'heard')
    await running.kernel.bus.publish('root.exit', 1)
    await eventually(() => expect(heard).toHaveLength(2))
    expect(heard.map(({ data }) => data)).toEqual([
      ['went', 'root', 'PLUGIN_CRASHED', true],
      ['came back', 'root', 'crash'],
    ])
    expect(generations(running)).toEqual({ root: 2, middle: 1, top: 1, fan: 1, other: 1 })
  })
})

describe('rest-for-one', () => {
  it('replaces those that need it after it, in start order, and nobody else', async () => {
    const running = await startedWith(house({ strategy: 'rest-for-one' }))
    await running.kernel.bus.publish('root.exit', 1)
    await eventually(() => expect(running.replaced).toHaveLength(3))
    expect(running.replaced.map(({ name, reason }) => [name, reason])).toEqual([
      ['root', 'crash'],
      ['middle', 'dependency'],
      ['top', 'dependency'],
    ])
    expect(generations(running)).toEqual({ root: 2, middle: 2, top: 2, fan: 1, other: 1 })
    await running.kernel.bus.publish('middle.exit', 1)
    await eventually(() => expect(infoOf(running.kernel, 'middle').generation).toBe(3))
    expect(generations(running)).toMatchObject({ root: 2, top: 2 })
  })

  it('one that does not come up anew stays as it was, and that is told; the next is still replaced', async () => {
    const running = await startedWith(house({ strategy: 'rest-for-one' }))
    writePlugin(running.folder, 'middle', { code: pluginCode({ start: 'throw new Error("not again")' }), manifest: needs('root') })
    await running.kernel.bus.publish('root.exit', 1)
    await eventually(() => expect(infoOf(running.kernel, 'top').generation).toBe(2))
    expect(running.faults.map(({ name, error }) => [name, (error as { code?: string }).code])).toEqual([
      ['root', 'PLUGIN_CRASHED'],
      ['middle', 'PLUGIN_START'],
    ])
    expect(infoOf(running.kernel, 'middle')).toMatchObject({ state: 'running', history: [{ code: 'PLUGIN_START', generation: 2 }] })
    await expect(running.kernel.health('middle')).resolves.toMatchObject({ healthy: true })
  })

  it('does not start again what the kernel stops meanwhile', async () => {
    const running = await startedWith(house({ strategy: 'rest-for-one' }))
    await running.kernel.bus.publish('root.exit', 1)
    await eventually(() => expect(running.replaced.length).toBeGreaterThan(0))
    await running.kernel.stop()
    expect(running.kernel.plugins().map(({ state }) => state)).toEqual(Array(5).fill('stopped'))
  })
})

describe('when it is given up', () => {
  const givenUp = async (restart: Record<string, unknown>, code?: string): Promise<Running> =>
    startedWith(house({ max: 0, ...restart }, code))

  it('those that need it are stopped, the last first, and explained; a reload brings all of them back', async () => {
    const running = await givenUp({})
    const { kernel, folder, states } = running
    await kernel.bus.publish('root.exit', 1)
    await eventually(() => expect(stateOf(kernel, 'middle')).toBe('failed'))
    expect(states.filter(({ to }) => to === 'stopping').map(({ name }) => name)).toEqual(['top', 'middle'])
    expect(kernel.explain('top')).toMatchObject({
      running: false,
      code: 'DEPENDENCY_FAILED',
      because: expect.stringMatching(/'top' was left out because 'root'.*'root' crashed 1 time /) as string,
    })
    expect(kernel.explain('root')).toMatchObject({ code: 'PLUGIN_CRASH_LOOP', holdsBack: ['middle', 'top'] })
    expect(['fan', 'other'].map((name) => stateOf(kernel, name))).toEqual(['running', 'running'])
    await kernel.load(writePlugin(folder, 'late', { code: idle }))
    expect(stateOf(kernel, 'middle')).toBe('failed')
    await kernel.reload('root')
    expect(kernel.plugins().map(({ state }) => state)).toEqual(Array(6).fill('running'))
  })

  it.each(['thread', 'process'])(
    'those that need it are stopped, too, when all its ends were exits with code 0 of a %s',
    async (isolation) => {
      const { kernel, faults, replaced } = await startedWith({
        root: { code: crashing, manifest: { isolation, restart: { max: 1 } } },
        user: { code: idle, manifest: needs('root') },
        liking: { code: idle, manifest: { optionalDependencies: { root: '*' } } },
      })
      await kernel.bus.publish('root.exit', 0)
      await eventually(() => expect(replaced).toHaveLength(1))
      await kernel.bus.publish('root.exit', 0)
      await eventually(() => expect(stateOf(kernel, 'user')).toBe('failed'))
      expect(kernel.explain('user')).toMatchObject({ code: 'DEPENDENCY_FAILED', because: expect.stringContaining("'root'") as string })
      expect(infoOf(kernel, 'root')).toMatchObject({ state: 'failed', lastExit: { code: 0 }, lastError: { code: 'PLUGIN_CRASH_LOOP' } })
      expect(faults.map(({ error }) => (error as { code?: string }).code)).toEqual([
        'PLUGIN_CRASHED',
        'PLUGIN_CRASHED',
        'PLUGIN_CRASH_LOOP',
      ])
      expect(stateOf(kernel, 'liking')).toBe('running')
    },
  )

  it.each([
    ['its policy says so', { onGiveUp: 'leave' }, 1, 'failed'],
    ['it ended without a fault', { policy: 'transient' }, 0, 'stopped'],
  ])('they are left running when %s', async (_why, restart, code, state) => {
    const { kernel } = await givenUp(restart)
    await kernel.bus.publish('root.exit', code)
    await eventually(() => expect(kernel.bus.subscriptionsOf('root')).toEqual([]))
    // A round that would stop them comes before this load's.
    await kernel.reload('other')
    expect(['root', 'middle', 'top'].map((name) => stateOf(kernel, name))).toEqual([state, 'running', 'running'])
  })

  it('a reload gives it all its restarts again', async () => {
    const { kernel, replaced } = await givenUp({ max: 1 })
    const crash = async (): Promise<void> => {
      const { generation } = infoOf(kernel, 'root')
      await kernel.bus.publish('root.exit', 1)
      await eventually(() => expect(infoOf(kernel, 'root').history.at(-1)?.generation).toBe(generation))
    }
    await crash()
    await eventually(() => expect(replaced).toHaveLength(1))
    await kernel.reload('root')
    await crash()
    await eventually(() => expect(replaced).toHaveLength(3))
    expect(stateOf(kernel, 'root')).toBe('running')
    await crash()
    await eventually(() => expect(kernel.explain('root').code).toBe('PLUGIN_CRASH_LOOP'))
  })
})

it('why it is not running can be asked as soon as it is told of', async () => {
  const { kernel } = await startedWith({ p: { code: crashing } })
  const said: Record<string, string> = {}
  kernel.on('plugin:state', ({ to }) => void (to === 'failed' && (said['state'] = kernel.explain('p').because)))
  kernel.on('plugin:fault', () => void (said['fault'] = kernel.explain('p').because))
  await kernel.bus.publish('p.exit', 1)
  await eventually(() => expect(Object.keys(said)).toEqual(['state', 'fault']))
  expect(said['state']).toContain("Plugin 'p' crashed")
  expect(said['fault']).toMatch(/will be restarted.*Plugin 'p' crashed/)
})

describe('a plugin that waits for its restart', () => {
  /** It would wait for minutes. */
  const waiting = async (): Promise<Running> => {
    const running = await startedWith({
      p: { code: crashing, manifest: { restart: { backoff: { initial: 600_000, max: 600_000 } } } },
      user: { code: idle, manifest: needs('p') },
    })
    await running.kernel.bus.publish('p.exit', 1)
    await eventually(() => expect(running.faults).toHaveLength(1))
    expect(running.kernel.explain('p').because).toContain('will be restarted')
    return running
  }

  it('runs at once when it is reloaded, and takes over what was queued meanwhile', async () => {
    const { kernel, folder, replaced } = await waiting()
    const published = kernel.bus.publish('p.exit', 'kept')
    const seen = collect(kernel, 'seen')
    writePlugin(folder, 'p', { code: pluginCode({ start: `ctx.bus.subscribe('p.exit', ({ data }) => ctx.bus.publish('seen', data))` }) })
    await kernel.reload('p')
    await published
    await eventually(() => expect(seen.map(({ data }) => data)).toEqual(['kept']))
    expect(replaced).toMatchObject([{ from: 1, to: 2, reason: 'reload' }])
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', restarts: 0 })
  })

  it('is stopped by disable, with those that need it, and runs again when it is enabled', async () => {
    const { kernel } = await waiting()
    await expect(kernel.disable('p')).resolves.toEqual({ name: 'p', left: [] })
    expect(stateOf(kernel, 'p')).toBe('disabled')
    expect(stateOf(kernel, 'user')).toBe('failed')
    await kernel.enable('p')
    expect(['p', 'user'].map((name) => stateOf(kernel, name))).toEqual(['running', 'running'])
  })

  it('runs at once with a new configuration, or refuses it and still waits for its restart with the one it had', async () => {
    const code = pluginCode({
      start: `if (ctx.config.port === 13) throw new Error('13 is taken'); ctx.bus.subscribe('p.exit', () => process.exit(1))`,
    })
    const schema = { properties: { port: { type: 'integer' } }, additionalProperties: false }
    const restart = { backoff: { initial: 600_000, max: 600_000 } }
    const { kernel, faults, replaced } = await startedWith({ p: { code, manifest: { restart, config: { schema } } } })
    await kernel.bus.publish('p.exit', 1)
    await eventually(() => expect(faults).toHaveLength(1))
    await expect(kernel.updateConfig('p', { prot: 1 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(kernel.updateConfig('p', { port: 13 })).rejects.toMatchObject({
      code: 'PLUGIN_START',
      message: expect.stringContaining('13 is taken'),
    })
    expect(kernel.explain('p').because).toContain('will be restarted')
    expect(faults).toMatchObject([{ error: { code: 'PLUGIN_CRASHED' } }, { error: { code: 'PLUGIN_START' } }])
    // Without the one that was refused.
    await kernel.reload('p')
    await kernel.bus.publish('p.exit', 1)
    await eventually(() => expect(faults).toHaveLength(3))
    await kernel.updateConfig('p', { port: 14 })
    expect(stateOf(kernel, 'p')).toBe('running')
    expect(replaced.map(({ reason }) => reason)).toEqual(['reload', 'configuration'])
  })

  it('does not keep the kernel from stopping', async () => {
    const { kernel, replaced } = await waiting()
    await kernel.stop()
    expect(replaced).toEqual([])
    expect(kernel.bus.subscriptionsOf('p')).toEqual([])
  })
})

it('a restart that fails is another crash: tried again after its wait, and at last given up with the reason', async () => {
  const { kernel, folder, faults } = await startedWith({ p: { code: crashing, manifest: { restart: { max: 3 } } } })
  writePlugin(folder, 'p', { code: pluginCode({ start: 'throw new Error("no port")' }), manifest: { restart: { max: 3 } } })
  await kernel.bus.publish('p.exit', 1)
  await eventually(() => expect(kernel.explain('p').code).toBe('PLUGIN_CRASH_LOOP'))
  expect(infoOf(kernel, 'p').history.map(({ code, generation }) => [code, generation])).toEqual([
    ['PLUGIN_CRASHED', 1],
    ['PLUGIN_START', 2],
    ['PLUGIN_START', 3],
    ['PLUGIN_START', 4],
    ['PLUGIN_CRASH_LOOP', 4],
  ])
  expect(faults.at(-1)?.error.message).toContain('no port')
})

it('one that crashed is restarted, though it is found broken meanwhile', async () => {
  const manifest = { restart: { backoff: { initial: 1_000, max: 1_000 } } }
  const { kernel, faults, folder } = await startedWith({ p: { code: crashing, manifest } })
  await kernel.bus.publish('p.exit', 1)
  await eventually(() => expect(faults).toMatchObject([{ error: { code: 'PLUGIN_CRASHED' } }]))
  writePlugin(folder, 'p', { code: pluginCode({ start: 'throw new Error("not yet")' }), manifest })
  await expect(kernel.reload('p')).rejects.toThrow('not yet')
  // The restart may have come by then, and failed as well: another waits after it.
  await eventually(() => expect(kernel.explain('p').because).toContain('will be restarted'))
  writePlugin(folder, 'p', { code: crashing, manifest })
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
})
