/**
 * How much a plugin may ask of the kernel's thread and have there: a healthy one meets no limit, others are told which, in their own
 * thread.
 */
import { describe, expect, it, vi } from 'vitest'
import { infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const linux = process.platform === 'linux'
/** Publishes what `act` comes to. */
const outcomeOf = (act: string): string => `
  const told = (error) => ({ code: error.code, message: error.message })
  await ctx.services.provide('outcome', { outcome: async () => { try { return await (async () => { ${act} })() } catch (error) { return told(error) } } })`

describe.each(['thread', 'process', 'inline'] as const)('a plugin in a place of kind %s', (isolation) => {
  const started = async (start: string, limits: Record<string, number> = {}) => {
    const running = await startedWith({
      p: { code: pluginCode({ start }), manifest: { isolation, limits: { startTimeout: 60_000, ...limits } } },
    })
    const outcome = async (): Promise<unknown> => (await running.kernel.services.use('outcome', { timeout: 0 }))['outcome']?.()
    return { ...running, outcome }
  }

  it('subscribes a thousand times, offers and uses hundreds of services, and reads many files at once', { timeout: 60_000 }, async () => {
    const { kernel, faults, lines, outcome } = await started(`
      for (let i = 0; i < 1_000; i++) ctx.bus.subscribe('topic.' + i, () => {})
      await Promise.all(Array.from({ length: 200 }, (_, i) => ctx.services.provide('s' + i, { f: () => i })))
      await Promise.all(Array.from({ length: 200 }, (_, i) => ctx.services.use('s' + i)))
      ${outcomeOf(`
        const all = Array.from({ length: 200 }, (_, i) => 'file-' + i)
        await Promise.all(all.map((file) => ctx.fs.writeFile(file, file)))
        const read = await Promise.all(all.map((file) => ctx.fs.readFile(file, 'utf8')))
        return read.every((text, i) => text === all[i])`)}`)
    expect(await outcome()).toBe(true)
    expect(infoOf(kernel, 'p').subscriptions).toHaveLength(1_000)
    expect(faults).toEqual([])
    expect(lines.filter(({ message }) => message.includes('limits.requests'))).toEqual([])
  })

  it('is refused one subscription too many where it subscribes, and may have another when it ended one', { timeout: 60_000 }, async () => {
    const { faults, outcome } = await started(
      outcomeOf(`
        const all = Array.from({ length: 10 }, (_, i) => ctx.bus.subscribe('topic.' + i, () => {}))
        let refused
        try { ctx.bus.subscribe('one.more', () => {}) } catch (error) { refused = told(error) }
        all[0].unsubscribe()
        ctx.bus.subscribe('another', () => {})
        return refused`),
      { subscriptions: 10 },
    )
    expect(await outcome()).toEqual({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(
        /^Plugin 'p' may not subscribe to 'one\.more': it has 10 subscriptions already, and 10 is its limit \(limits\.subscriptions\)\. Unsubscribe/,
      ) as string,
    })
    expect(faults).toEqual([])
  })

  it('is refused one service too many, by name', { timeout: 60_000 }, async () => {
    const { outcome } = await started(
      outcomeOf("await ctx.services.provide('b', { x() {} }); await ctx.services.provide('c', { x() {} })"),
      {
        services: 2,
      },
    )
    expect(await outcome()).toEqual({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(
        /^Plugin 'p' may not provide the service 'c': it provides 2 already, and 2 is its limit \(limits\.services\)/,
      ) as string,
    })
  })
})

it('a plugin that floods the kernel in its start does not come up, and its error names the limit and what mends it', {
  timeout: 60_000,
}, async () => {
  const { kernel, faults, lines } = await startedWith({
    p: {
      code: pluginCode({
        start:
          "for (;;) { for (let i = 0; i < 1_000; i++) ctx.bus.subscribe('x', () => {}).unsubscribe(); await new Promise(setImmediate) }",
      }),
      manifest: { limits: { requests: 500, startTimeout: 60_000 }, restart: { policy: 'temporary' } },
    },
  })
  await vi.waitFor(() => expect(stateOf(kernel, 'p')).toBe('failed'), { timeout: 30_000 })
  expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', plugin: 'p', details: { limit: 'requests', allowed: 500 } })
  expect(faults[0]?.error.message).toMatch(
    /^Plugin 'p' asked the kernel for \d+ things .* 500 a second .*limits\.requests.*Look for a loop/,
  )
  expect(lines.filter(({ level, message }) => level === 'warn' && message.includes('limits.requests'))).toHaveLength(1)
})

it('what is held of a plugin is told of the place it runs in', { timeout: 60_000 }, async () => {
  const code = pluginCode({ start: '' })
  const { kernel } = await startedWith({
    near: { code, manifest: { isolation: 'inline' } },
    apart: { code },
    far: { code, manifest: { isolation: 'process', limits: { startTimeout: 60_000 } } },
  })
  expect(['near', 'apart', 'far'].map((name) => infoOf(kernel, name).holds)).toEqual([
    [],
    ['memory', 'cpu', 'hang'],
    linux ? ['memory', 'cpu', 'hang'] : ['hang'],
  ])
})
