import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const crashing = pluginCode({
  start: `
    ctx.bus.subscribe('exit', ({ data }) => process.exit(data))
    ctx.bus.subscribe('throw', () => { setImmediate(() => { throw Object.assign(new RangeError('uncaught'), { code: 'E_X' }) }) })
    ctx.bus.subscribe('reject', () => { void Promise.reject(new RangeError('unhandled')) })`,
})
const other = pluginCode({ start: 'await ctx.services.provide("other", { alive: () => true })' })

it.each([
  ['exit', 7, /code 7.*process\.exit/],
  ['throw', undefined, /uncaught error.*uncaught/],
  ['reject', undefined, /uncaught error.*unhandled/],
])('a crash by %s is contained, named, told of and mended', async (how, data, text) => {
  const { kernel, faults, replaced, states } = await startedWith({ p: crashing, other })
  await kernel.bus.publish(how, data)
  await eventually(() => expect(replaced).toHaveLength(1))
  expect(faults).toHaveLength(1)
  expect(faults[0]).toMatchObject({
    name: 'p',
    generation: 1,
    error: { code: 'PLUGIN_CRASHED', plugin: 'p', message: expect.stringMatching(text) },
  })
  expect(faults[0]?.error.message).toContain("'p'")
  if (how === 'throw') expect(faults[0]?.error.cause).toMatchObject({ name: 'RangeError', code: 'E_X' })
  expect(replaced[0]).toMatchObject({ name: 'p', from: 1, to: 2, reason: 'crash', left: [] })
  expect(states.some(({ name, generation, from, to }) => name === 'p' && generation === 1 && from === 'running' && to === 'failed')).toBe(
    true,
  )
  expect(infoOf(kernel, 'p')).toMatchObject({
    state: 'running',
    generation: 2,
    restarts: 1,
    lastExit: { reason: expect.stringMatching(text) as string },
  })
  const { alive } = await kernel.services.use('other')
  await expect(alive?.()).resolves.toBe(true)
})

const TOO_LARGE =
  /^Plugin 'p' crashed .*an uncaught error ended it: it takes \d+ KiB with all it holds, and no more than 256 are taken of one\. /

it.each<[how: string, enlarge: string, text?: RegExp]>([
  ['where no clone takes it', "Object.defineProperty(error, 'hidden', { value: big() })"],
  [
    'the second time it is asked',
    "let asked = false; Object.defineProperty(error, 'odd', { enumerable: true, get: () => asked ? big() : (asked = true) })",
  ],
  ['and hears of it alone', "process.removeAllListeners('uncaughtExceptionMonitor'); error.shown = big()"],
  [
    'by its parts alone, which take few bytes,',
    "process.removeAllListeners('uncaughtExceptionMonitor'); error.shown = [Buffer.alloc(9), ...big().slice(0, 6e4)]",
    /an uncaught error ended it: nothing it holds is taken: a value of \d+ bytes has too many parts/,
  ],
])('of an uncaught error that is large %s, nothing is built in the kernel', async (_how, enlarge, text = TOO_LARGE) => {
  const code = pluginCode(
    {
      start: `ctx.bus.subscribe('throw', () => {
        const error = new RangeError('uncaught')
        ${enlarge}
        setImmediate(() => { throw error })
      })`,
    },
    'const big = () => Array.from({ length: 1e5 }, () => ({}))',
  )
  const { kernel, faults } = await startedWith({ p: { code, manifest: { restart: { policy: 'temporary' } } } })
  await kernel.bus.publish('throw')
  await eventually(() => expect(faults).toHaveLength(1))
  expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_CRASHED', message: expect.stringMatching(text) })
  expect(Reflect.ownKeys(faults[0]?.error.cause as object)).not.toEqual(expect.arrayContaining([expect.stringMatching(/hidden|odd|shown/)]))
})

it('what a plugin published before its end arrives', async () => {
  const code = pluginCode({
    start: `
      const publish = (from, to) => { for (let n = from; n < to; n++) void ctx.bus.publish('n', n) }
      ctx.bus.subscribe('go', () => { publish(0, 50); setImmediate(() => { publish(50, 60); process.exit(3) }) })`,
  })
  const { kernel, faults } = await startedWith({ p: { code, manifest: { restart: { policy: 'temporary' } } } })
  const arrived: unknown[] = []
  kernel.bus.subscribe('n', ({ data }) => void arrived.push(data))
  await kernel.bus.publish('go')
  await eventually(() => expect(faults).toHaveLength(1))
  await kernel.bus.drain()
  expect(arrived).toEqual(Array.from({ length: 60 }, (_, n) => n))
})

describe('a policy', () => {
  it.each([
    ['permanent', 0, true],
    ['permanent', 1, true],
    ['transient', 1, true],
    ['temporary', 1, false],
  ])('%s, after an exit with %i: restarted %s', async (policy, code, restarted) => {
    const { kernel, faults, replaced } = await startedWith({ p: { code: crashing, manifest: { restart: { policy } } }, other })
    await kernel.bus.publish('exit', code)
    await eventually(() => expect(faults).toHaveLength(1))
    if (restarted) await eventually(() => expect(replaced).toHaveLength(1))
    else {
      await eventually(() => expect(kernel.bus.subscriptionsOf('p')).toEqual([]))
      expect(stateOf(kernel, 'p')).toBe('failed')
      expect(replaced).toEqual([])
    }
  })

  it.each(['transient', 'temporary'].flatMap((policy) => ['thread', 'process'].map((isolation) => [policy, isolation] as const)))(
    '%s, of a plugin in a %s that exits with 0: it is stopped, and that is no fault',
    async (policy, isolation) => {
      const running = await startedWith({ p: { code: crashing, manifest: { isolation, restart: { policy } } }, other })
      const { kernel, faults, lines, replaced, states } = running
      const explained: unknown[] = []
      kernel.on('plugin:state', ({ name, to }) => void (name === 'p' && to === 'stopped' && explained.push(kernel.explain('p'))))
      await kernel.bus.publish('exit', 0)
      await eventually(() => expect(kernel.bus.subscriptionsOf('p')).toEqual([]))
      const because = expect.stringMatching(/^Plugin 'p' has ended by itself, with code 0\. .*until it is reloaded\.$/) as string
      // As it is told, before its supervisor knows, and afterwards.
      for (const told of [...explained, kernel.explain('p')])
        expect(told).toMatchObject({ state: 'stopped', running: false, code: undefined, because, history: [] })
      expect(explained).toHaveLength(1)
      expect(infoOf(kernel, 'p')).toMatchObject({
        state: 'stopped',
        lastError: undefined,
        lastExit: { code: 0, reason: because },
        restarts: 0,
      })
      expect(states.filter(({ name, from }) => name === 'p' && (from === 'running' || from === 'stopping'))).toMatchObject([
        { to: 'stopping', reason: because },
        { to: 'stopped', reason: because },
      ])
      expect(lines.filter(({ fields, level }) => fields['plugin'] === 'p' && level !== 'debug')).toMatchObject([
        {
          level: 'info',
          message: expect.stringMatching(/^Plugin 'p' has ended by itself.* Events that it had in hand are lost: 1\./) as string,
        },
      ])
      await kernel.reload('other')
      expect([stateOf(kernel, 'p'), faults, replaced.map(({ name }) => name)]).toEqual(['stopped', [], ['other']])
      await kernel.reload('p')
      expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', lastError: undefined })
    },
  )

  it('stops a crash loop, says so once, and starts it again only when it is asked to', async () => {
    const { kernel, faults, folder, replaced } = await startedWith({
      p: { code: pluginCode({ start: 'setImmediate(() => process.exit(1))' }), manifest: { restart: { max: 3, within: 60_000 } } },
      other,
    })
    await eventually(() =>
      expect(faults.at(-1)?.error).toMatchObject({
        code: 'PLUGIN_CRASH_LOOP',
        plugin: 'p',
        message: expect.stringMatching(/'p' crashed 4 times.*allows 3/),
      }),
    )
    expect(faults.filter(({ error }) => (error as { code?: string }).code === 'PLUGIN_CRASH_LOOP')).toHaveLength(1)
    expect(stateOf(kernel, 'p')).toBe('failed')
    expect(kernel.explain('p')).toMatchObject({ running: false, code: 'PLUGIN_CRASH_LOOP' })
    const { newest } = { newest: infoOf(kernel, 'p').generation }
    await kernel.load(writePlugin(folder, 'unrelated', { code: other.replaceAll('"other"', '"unrelated"') }))
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'failed', generation: newest })
    writePlugin(folder, 'p', { code: pluginCode({ start: '' }) })
    const before = replaced.length
    await kernel.reload('p')
    expect(stateOf(kernel, 'p')).toBe('running')
    expect(replaced).toHaveLength(before)
  })
})

it('a plugin that crashes and cannot come back at first is tried again', async () => {
  const { kernel, replaced, folder, faults } = await startedWith({ p: { code: crashing, manifest: { restart: { max: 50 } } } })
  writePlugin(folder, 'p', { code: pluginCode({ start: 'throw new Error("not yet")' }), manifest: { restart: { max: 50 } } })
  await kernel.bus.publish('exit', 1)
  await eventually(() => expect(faults.length).toBeGreaterThan(3))
  expect(replaced).toEqual([])
  writePlugin(folder, 'p', { code: crashing, manifest: { restart: { max: 50 } } })
  await eventually(() => expect(replaced).toHaveLength(1))
  expect(stateOf(kernel, 'p')).toBe('running')
})

it('a plugin that waits for its restart can be unloaded, and does not come back', async () => {
  const { kernel, faults, states } = await startedWith({
    p: { code: crashing, manifest: { restart: { backoff: { initial: 300, max: 300, factor: 1 } } } },
  })
  await kernel.bus.publish('exit', 1)
  await eventually(() => expect(faults).toHaveLength(1))
  await expect(kernel.unload('p')).resolves.toEqual({ name: 'p', left: [] })
  const seen = states.length
  await new Promise((resolve) => setTimeout(resolve, 350))
  expect(states).toHaveLength(seen)
  expect(kernel.plugins()).toEqual([])
})
