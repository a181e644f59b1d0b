/** Memory that no counter of V8's shows: who takes it is found by what the process grows by, and nobody else is blamed for it. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { faultsTell, processPages } from '#src/sandbox/watch/taken-pages.js'
import { limited } from '../support/limited-plugin.js'
import { inShortTurns, KEEPS_UNCOUNTED, withFunction } from '../support/offences.js'
import { type Plugins, pluginCode, startedWith } from '../support/plugin-folder.js'

/** Linux alone tells, and not where it gives huge pages to everybody. */
const told = processPages() !== undefined && faultsTell()
const temporary = { restart: { policy: 'temporary' } }

describe.runIf(told)('a plugin that keeps what V8 does not count', () => {
  it.each(Object.entries(KEEPS_UNCOUNTED))('%s, is found and named, beside an innocent one', { timeout: 60_000 }, async (_, act) => {
    const { kernel, faults } = await startedWith({
      ...limited(act, { memory: 64 }, temporary),
      innocent: { code: pluginCode({ start: inShortTurns(2) }), manifest: { limits: { memory: 64 } } },
    })
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults.length).toBeGreaterThan(0), { timeout: 30_000 })
    expect(faults.map(({ name }) => name)).toEqual(['p'])
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', plugin: 'p', details: { limit: 'memory', allowed: 64 } })
  })

  it('is told what to look for', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith(limited(KEEPS_UNCOUNTED['shared memory'], { memory: 64 }, temporary))
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 30_000 })
    expect(faults[0]?.error).toMatchObject({ details: { uncounted: expect.any(Number) as number } })
    expect(faults[0]?.error.message).toMatch(/^Plugin 'p' used \d+ MB .*V8 counts \d+ MB of it nowhere: Blobs, messages that wait/)
  })

  it('in one turn, is found too', { timeout: 60_000 }, async () => {
    const act =
      'globalThis.kept = []; for (;;) kept.push(new Uint8Array(new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true }).buffer).fill(1))'
    const { kernel, faults } = await startedWith(limited(act, { memory: 64, hang: 20_000 }, temporary))
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 30_000 })
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', details: { limit: 'memory' } })
  })
})

/** That of Node 20 and 22 does without. */
describe.runIf(Number.parseInt(process.versions.node, 10) >= 24)("what V8's own compiler takes for a plugin's code", () => {
  /**
   * One function of WebAssembly with 40,000 variables and 4,000 branches, 16 KB long. It is there when the plugin has started, and then
   * called until it is worth optimizing.
   */
  const OPTIMIZED = pluginCode({
    start: `
      const { f } = ${withFunction(40_000, '[2, 64, ...Array.from({ length: 4_000 }, () => [32, 0, 13, 0]).flat(), 11]')}.exports
      f(0)
      const call = () => { for (let i = 0; i < 50; i++) f(0); setTimeout(call, 1) }
      ctx.bus.subscribe('go', call)`,
  })

  it('is not found, and nobody is blamed for it: docs/threads.md says so, for as long as this does', { timeout: 90_000 }, async () => {
    const manifest = { limits: { memory: 64, hang: 30_000, startTimeout: 30_000 } }
    const { kernel, faults } = await startedWith({ p: { code: OPTIMIZED, manifest } })
    const before = process.memoryUsage.rss()
    await kernel.bus.publish('go')
    // Of memory that V8 does not count, twice the limit and 128 MB more would be too much.
    await vi.waitFor(() => expect(process.memoryUsage.rss() - before).toBeGreaterThan(300e6), { timeout: 60_000, interval: 20 })
    expect(faults).toEqual([])
  })
})

describe('a plugin is not blamed', () => {
  /** Does it for so many turns, with a pause for what others have to do, then says so. */
  const does = (step: string, turns: number, pause = 2): string =>
    pluginCode({
      start: `
        let turns = 0
        const f = () => { ${step}; if (++turns < ${turns}) setTimeout(f, ${pause}); else done = true }
        let done = false
        await ctx.services.provide(ctx.name, { begin: () => void f(), done: () => done })`,
    })

  /** Runs them all to their end. */
  const innocents = async (plugins: Record<string, string>, memory = 200) => {
    const limits = (code: string): Plugins[string] => ({ code, manifest: { limits: { memory, hang: 30_000 } } })
    const running = await startedWith(Object.fromEntries(Object.entries(plugins).map(([name, code]) => [name, limits(code)])))
    const services = await Promise.all(Object.keys(plugins).map((name) => running.kernel.services.use(name, { timeout: 0 })))
    await Promise.all(services.map(({ begin }) => begin?.()))
    const finished = (): Promise<void> =>
      vi.waitFor(
        async () => {
          expect(running.faults).toEqual([])
          for (const { done } of services) expect(await done?.()).toBe(true)
        },
        { timeout: 60_000, interval: 50 },
      )
    return { ...running, finished }
  }

  const OBJECTS = 'globalThis.kept = Array.from({ length: 5e4 }, (_, i) => ({ i, text: "x" + i }))'

  it('for what the application takes while it works itself', { timeout: 120_000 }, async () => {
    const { finished } = await innocents({ one: does(OBJECTS, 60), two: does('globalThis.kept = Buffer.alloc(1e6, 1)', 200) })
    const kept: unknown[] = []
    onTestFinished(() => void kept.splice(0))
    for (let i = 0; i < 40; i++) {
      kept.push(Buffer.alloc(1e7, 1), new Blob([new Uint8Array(1e7).fill(1)]))
      await new Promise(setImmediate)
    }
    await finished()
  })

  it.each([
    ['objects', 80, OBJECTS],
    ['Blobs', 200, 'globalThis.kept = new Blob([new Uint8Array(4e6).fill(1)])'],
    [
      'messages, which are read',
      200,
      'globalThis.channel ??= new MessageChannel(); channel.port2.onmessage ??= () => {}; channel.port1.postMessage(new Uint8Array(2e6).fill(1))',
    ],
  ] as const)('for garbage, of %s', { timeout: 120_000 }, async (_, turns, step) => {
    const { finished } = await innocents({ p: does(step, turns, 5) })
    await finished()
  })

  it('for taking memory and giving it back, again and again', { timeout: 120_000 }, async () => {
    const { finished } = await innocents({
      p: does('globalThis.kept ??= []; if (kept.length >= 25) kept.length = 0; kept.push(Buffer.alloc(2e6, 1))', 400),
    })
    await finished()
  })

  it('for what it has handed over to the application', { timeout: 120_000 }, async () => {
    const { kernel, faults } = await startedWith({
      p: {
        code: pluginCode(
          {
            start:
              "await ctx.services.provide('p', { make: () => { const bytes = new Uint8Array(1e7).fill(1); return transfer(bytes, [bytes.buffer]) } })",
          },
          "import { transfer } from 'plugbay/plugin'",
        ),
        manifest: { limits: { memory: 64 } },
      },
    })
    const { make } = await kernel.services.use('p', { timeout: 0 })
    const kept: unknown[] = []
    onTestFinished(() => void kept.splice(0))
    for (let i = 0; i < 60; i++) kept.push(await make?.())
    // What would be held against it is: it goes on, and more than one look is taken at it.
    for (const end = performance.now() + 500; performance.now() < end; ) kept[0] = await make?.()
    expect(faults).toEqual([])
  })
})
