/** What a plugin in a process may take: who goes past it is named and mended as in a thread; who is healthy is left alone. */
import type { KernelOptions } from 'plugbay'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'

/** Does what it is told on `go`, and answers calls. */
const limited = (act: string, limits: Record<string, number>, more: Record<string, unknown> = {}) => ({
  p: {
    code: pluginCode({
      start: `
        await ctx.services.provide('offender', { alive: () => true })
        ctx.bus.subscribe('go', () => { setImmediate(() => { ${act} }) })`,
    }),
    manifest: { isolation: 'process', limits, ...more },
  },
})

const linux = process.platform === 'linux'
const onLinux = it.runIf(linux)
/** A process boots slower than a thread, and four Nodes may do so at once. */
const options: KernelOptions = {
  defaults: {
    limits: { loadTimeout: 60_000, initializeTimeout: 60_000, startTimeout: 60_000 },
    restart: { backoff: { initial: 1, max: 10, factor: 1 } },
  },
}

describe('a plugin in a process that hangs', () => {
  it.each([
    ['in a loop', 'for (;;);', linux ? /computes and does not come back/ : /does not come back/],
    ['in promises', 'const f = () => Promise.resolve().then(f); f()', /does not come back/],
    [
      'in Atomics.wait',
      'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)',
      linux ? /blocked .*Atomics\.wait/ : /does not come back/,
    ],
  ])('%s is found, named, and replaced', { timeout: 60_000 }, async (_, act, text) => {
    const { kernel, faults, replaced } = await startedWith(limited(act, { hang: 500 }), options)
    await kernel.bus.publish('go')
    // One that is blocked has something to do when it is told something.
    const { alive } = await kernel.services.use('offender')
    void alive?.().catch(() => {})
    await vi.waitFor(() => expect(replaced).toHaveLength(1), { timeout: 30_000 })
    expect(faults).toHaveLength(1)
    const { error } = faults[0] ?? { error: new Error('none') }
    expect(error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'hang', allowed: 500, observed: expect.any(Number) as number, generation: 1 },
    })
    expect(error.message).toMatch(/^Plugin 'p' got nothing done for \d+ ms, its limit is 500 ms \(limits\.hang\)/)
    expect(error.message).toMatch(text)
    expect(replaced[0]).toMatchObject({ reason: 'crash', from: 1, to: 2, left: [] })
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', restarts: 1, lastExit: { reason: error.message } })
  })
})

describe('a plugin in a process that takes more than it may', () => {
  onLinux.each([
    ['in objects', 'globalThis.kept = []; const f = () => { for (let i = 0; i < 2e4; i++) kept.push({ i }); setImmediate(f) }; f()'],
    ['in buffers', 'globalThis.kept = []; const f = () => { kept.push(Buffer.alloc(2e6, 1)); setImmediate(f) }; f()'],
  ])('of memory, %s, is found and named with what was seen', { timeout: 60_000 }, async (_, act) => {
    const { kernel, faults } = await startedWith(limited(act, { memory: 64 }, { restart: { policy: 'temporary' } }), options)
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 30_000 })
    const { error } = faults[0] ?? { error: new Error('none') }
    expect(error).toMatchObject({ code: 'PLUGIN_LIMIT', plugin: 'p', details: { limit: 'memory', allowed: 64, margin: 80 } })
    expect(error.message).toMatch(
      /^Plugin 'p' used \d+ MB of memory, its limit is 64 MB \(limits\.memory\), and 80 MB more for its process\./,
    )
  })

  onLinux('of a processor, is found and named', { timeout: 90_000 }, async () => {
    const busy = 'const f = () => { const end = performance.now() + 20; while (performance.now() < end); setImmediate(f) }; f()'
    const { kernel, faults } = await startedWith(limited(busy, { cpu: 0.05 }, { restart: { policy: 'temporary' } }), options)
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 60_000 })
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', plugin: 'p', details: { limit: 'cpu', allowed: 0.05 } })
  })
})

describe('a healthy plugin in a process is left alone', () => {
  const counting = (start: string, hang: number) => ({
    p: {
      code: pluginCode({ start: `let count = 0\n${start}\nawait ctx.services.provide('count', { count: () => count })` }),
      manifest: { isolation: 'process', limits: { hang } },
    },
  })

  it('while it works all the time in short turns, and the kernel is blocked', { timeout: 60_000 }, async () => {
    const busy = 'const f = () => { const end = performance.now() + 5; while (performance.now() < end); count++; setImmediate(f) }; f()'
    const { kernel, faults } = await startedWith(counting(busy, 1_000), options)
    const { count } = await kernel.services.use('count', { timeout: 0 })
    const before = (await count?.()) as number
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000)
    await vi.waitFor(async () => expect(await count?.()).toBeGreaterThan(before + 50), { timeout: 30_000 })
    expect(faults).toEqual([])
  })

  it('while it handles many events in one turn, each of them in time', { timeout: 60_000 }, async () => {
    const work = "ctx.bus.subscribe('work', () => { const end = performance.now() + 10; while (performance.now() < end); count++ })"
    const { kernel, faults } = await startedWith(counting(work, 1_000), options)
    await Promise.all(Array.from({ length: 300 }, () => kernel.bus.publish('work')))
    const { count } = await kernel.services.use('count', { timeout: 0 })
    await vi.waitFor(async () => expect(await count?.()).toBe(300), { timeout: 40_000 })
    expect(faults).toEqual([])
  })

  it('while it waits for a call that takes long', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith(
      counting("ctx.bus.subscribe('wait', () => new Promise((done) => setTimeout(() => { count++; done() }, 2500)))", 1_000),
      options,
    )
    await kernel.bus.publish('wait')
    const { count } = await kernel.services.use('count', { timeout: 0 })
    await eventually(async () => expect(await count?.()).toBe(1))
    expect(faults).toEqual([])
  })
})
