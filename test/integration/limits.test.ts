/** What a plugin may take: who goes past it is named, out of the system in the same turn, and mended; who is healthy is left alone. */
import { Worker } from 'node:worker_threads'
import type { KernelOptions } from 'plugbay'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

/** Does what it is told on `go`, and answers calls. */
const doing = (act: string): string =>
  pluginCode({
    start: `
      await ctx.services.provide('offender', { slow: () => new Promise(() => {}), alive: () => true })
      ctx.bus.subscribe('go', () => { setImmediate(() => { ${act} }) })`,
  })

const limited = (act: string, limits: Record<string, number>, more: Record<string, unknown> = {}) => ({
  p: { code: doing(act), manifest: { limits, ...more } },
})

const observesFromOutside = 'getHeapStatistics' in Worker.prototype
const linux = process.platform === 'linux'

describe('a plugin that hangs', () => {
  it.each([
    ['in a loop', 'for (;;);', linux ? (observesFromOutside ? /computes.*loop, a regular/ : /computes/) : /does not come back/],
    ['in promises', 'const f = () => Promise.resolve().then(f); f()', /does not come back/],
    ['in a regular expression', "/^(a+)+$/.test('a'.repeat(50) + '!')", /does not come back/],
    [
      'in Atomics.wait',
      'Atomics.wait(new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer), 0, 0)',
      linux ? /Atomics\.wait/ : /does not come back/,
    ],
  ])('%s is found, named, and replaced', async (_, act, text) => {
    const { kernel, faults, replaced } = await startedWith(limited(act, { hang: 300 }))
    await kernel.bus.publish('go')
    await eventually(() => expect(replaced).toHaveLength(1))
    expect(faults).toHaveLength(1)
    const { error } = faults[0] ?? { error: new Error('none') }
    expect(error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'hang', allowed: 300, observed: expect.any(Number) as number, generation: 1 },
    })
    expect(error.message).toMatch(/^Plugin 'p' got nothing done for \d+ ms, its limit is 300 ms \(limits\.hang\)/)
    expect(error.message).toMatch(text)
    expect(replaced[0]).toMatchObject({ reason: 'crash', from: 1, to: 2, left: [] })
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', restarts: 1, stuckThreads: 0, lastExit: { reason: error.message } })
  })

  it('is out of the system when its fault is told: routes gone, calls under way rejected', async () => {
    const { kernel } = await startedWith(limited('for (;;);', { hang: 250 }, { restart: { policy: 'temporary' } }))
    const offender = await kernel.services.use('offender')
    const call = offender['slow']?.() as Promise<unknown>
    const rejected = call.catch((error: unknown) => error)
    const told = new Promise<unknown[]>((resolve) =>
      kernel.on('plugin:fault', () => resolve([stateOf(kernel, 'p'), kernel.services.list(), infoOf(kernel, 'p').provides])),
    )
    await kernel.bus.publish('go')
    expect(await told).toEqual(['failed', [], []])
    expect(await rejected).toMatchObject({
      code: 'SERVICE_GONE',
      message: expect.stringMatching(/'p' got nothing done.*limit is 250 ms/) as string,
      cause: { code: 'PLUGIN_LIMIT', details: { limit: 'hang', allowed: 250 } },
    })
  })

  it('at a stop is ended, and the stop goes on', async () => {
    const { kernel } = await startedWith({
      p: { code: pluginCode({ start: '', stop: 'for (;;);' }), manifest: { limits: { hang: 250, stopTimeout: 60_000 } } },
    })
    const { left } = await kernel.unload('p')
    expect(left).toEqual([expect.stringMatching(/p#1\/stop: Plugin 'p' got nothing done for .*\(limits\.hang\)/)])
  })
})

describe('a plugin that takes more memory than it may', () => {
  it.each([
    ['in objects', 'globalThis.kept = []; const f = () => { for (let i = 0; i < 2e4; i++) kept.push({ i }); setImmediate(f) }; f()'],
    ['in buffers', 'globalThis.kept = []; const f = () => { kept.push(Buffer.alloc(2e6, 1)); setImmediate(f) }; f()'],
    ['in one turn', 'const kept = []; for (;;) kept.push({ at: kept.length })'],
  ])('%s is found, named, and replaced', async (how, act) => {
    const { kernel, faults, replaced } = await startedWith(limited(act, { memory: 64 }))
    await kernel.bus.publish('go')
    await eventually(() => expect(replaced).toHaveLength(1))
    const { error } = faults[0] ?? { error: new Error('none') }
    expect(error).toMatchObject({ code: 'PLUGIN_LIMIT', plugin: 'p' })
    // On Node 20 a thread that does not come back cannot be asked: it may be found as one that hangs.
    if (how === 'in one turn' && !observesFromOutside) return
    expect(error).toMatchObject({ details: { limit: 'memory', allowed: 64 } })
    expect(error.message).toMatch(/^Plugin 'p' used \d+ MB of memory, its limit is 64 MB \(limits\.memory\)/)
  })

  it('is found while it starts', async () => {
    const { kernel, faults } = await startedWith({
      p: {
        code: pluginCode({ start: 'globalThis.kept = []; for (;;) { kept.push(Buffer.alloc(1e6, 1)); await new Promise(setImmediate) }' }),
        manifest: { limits: { memory: 64, startTimeout: 60_000 } },
      },
    })
    expect(stateOf(kernel, 'p')).toBe('failed')
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', details: { limit: 'memory' } })
  })

  it('is not one that makes much garbage', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith(
      limited(
        `let rounds = 0
         const f = () => {
           globalThis.kept = Array.from({ length: 1e5 }, (_, i) => ({ i, text: 'x' + i }))
           if (++rounds < 60) setImmediate(f)
           else void ctx.bus.publish('done')
         }
         f()`,
        { memory: 64 },
      ),
    )
    let done = false
    kernel.bus.subscribe('done', () => (done = true))
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(done || faults.length > 0).toBe(true), { timeout: 50_000 })
    expect(faults).toEqual([])
  })
})

describe('a plugin that takes more of a processor than it may', () => {
  it('is found, named, and replaced', { timeout: 60_000 }, async () => {
    const busy = 'const f = () => { const end = performance.now() + 20; while (performance.now() < end); setImmediate(f) }; f()'
    const { kernel, faults } = await startedWith(limited(busy, { cpu: 0.05 }, { restart: { policy: 'temporary' } }))
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 40_000 })
    expect(faults[0]?.error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'cpu', allowed: 0.05, observed: expect.any(Number) as number },
    })
    expect(faults[0]?.error.message).toMatch(/'p' took \d.* of a core .* its limit is 0\.05 \(limits\.cpu\)/)
  })
})

describe('the log', () => {
  it('takes so much a second of a plugin, and tells what it dropped', async () => {
    const { kernel, lines } = await startedWith(limited("for (let i = 0; i < 1e4; i++) ctx.log.info('x'.repeat(100))", {}))
    await kernel.bus.publish('go')
    await eventually(() =>
      expect(lines.some(({ level, message }) => level === 'warn' && /\d+ lines .* were dropped/.test(message))).toBe(true),
    )
    const written = lines.filter(({ message }) => message.startsWith('xxx'))
    expect(written.length).toBeGreaterThan(100)
    expect(written.length).toBeLessThan(5_000)
  })
})

describe('a healthy plugin is left alone', () => {
  /** Works all the time, in short turns, so that its loop never rests. */
  const busy = pluginCode({
    start: `
      let turns = 0
      const f = () => { const end = performance.now() + 5; while (performance.now() < end); turns++; setImmediate(f) }
      f()
      await ctx.services.provide('busy', { turns: () => turns })
      await ctx.services.provide('idle', { alive: () => true })`,
  })
  const hang = { limits: { hang: 250 } }
  const options: KernelOptions = { defaults: { limits: { hang: 250 } } }

  it("while the application's thread is blocked for five seconds", { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith({ busy: { code: busy, manifest: hang } }, options)
    const service = await kernel.services.use('busy')
    const before = (await service['turns']?.()) as number
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000)
    await eventually(async () => expect(await service['turns']?.()).toBeGreaterThan(before + 50))
    expect(faults).toEqual([])
  })

  it('under sixteen hot threads', { timeout: 120_000 }, async () => {
    const { kernel, faults } = await startedWith({ busy: { code: busy, manifest: { limits: { hang: 1_000 } } } })
    const service = await kernel.services.use('busy')
    const hot = Array.from({ length: 16 }, () => new Worker('for (;;);', { eval: true }))
    onTestFinished(async () => void (await Promise.all(hot.map((worker) => worker.terminate()))))
    await Promise.all(hot.map((worker) => new Promise((resolve) => worker.once('online', resolve))))
    const before = (await service['turns']?.()) as number
    await eventually(async () => expect(await service['turns']?.()).toBeGreaterThan(before + 20))
    expect(faults).toEqual([])
  })

  it.runIf(linux)('that computes for a third of its limit, and waits long for a processor', { timeout: 120_000 }, async () => {
    const { kernel, faults } = await startedWith({
      p: pluginCode({
        start: `
          const compute = (rounds) => { let x = 0; for (let i = 0; i < rounds; i++) x += Math.sqrt(i); return x }
          let rounds = 1e6
          for (let took = 0; took < 300; ) { const began = performance.now(); compute(rounds); took = performance.now() - began; rounds *= 300 / Math.max(took, 30) }
          await ctx.services.provide('p', { compute: () => compute(rounds) })`,
      }),
    })
    const { compute } = await kernel.services.use('p', { timeout: 0 })
    const hot = Array.from({ length: 16 }, () => new Worker('for (;;);', { eval: true }))
    onTestFinished(async () => void (await Promise.all(hot.map((worker) => worker.terminate()))))
    await Promise.all(hot.map((worker) => new Promise((resolve) => worker.once('online', resolve))))
    await compute?.()
    expect(faults).toEqual([])
  })

  it('while it handles many events in one turn, each of them in time', async () => {
    const { kernel, faults } = await startedWith(
      {
        p: {
          code: pluginCode({
            start: `let handled = 0
              ctx.bus.subscribe('work', () => { const end = performance.now() + 10; while (performance.now() < end); handled++ })
              await ctx.services.provide('count', { handled: () => handled })`,
          }),
          manifest: hang,
        },
      },
      options,
    )
    await Promise.all(Array.from({ length: 100 }, () => kernel.bus.publish('work')))
    const { handled } = await kernel.services.use('count')
    await eventually(async () => expect(await handled?.()).toBe(100))
    expect(faults).toEqual([])
  })
})

describe('a thread that native code holds', () => {
  /** Some seconds in one call of V8's that nothing interrupts. */
  const native = `
    const text = '[' + '[1,2,3],'.repeat(6e6) + '1]'
    for (const end = Date.now() + 8_000; Date.now() < end; ) JSON.parse(text)`

  it('is out of the system at once, told of as stuck, and does not hold up the stop', { timeout: 120_000 }, async () => {
    const { kernel, faults, lines } = await startedWith(limited(native, { hang: 250, memory: 2_000 }, { restart: { policy: 'temporary' } }))
    const stuck: unknown[] = []
    kernel.on('plugin:stuck', (event) => stuck.push(event))
    await kernel.bus.publish('go')
    await eventually(() => expect(faults).toHaveLength(1))
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_LIMIT', details: { limit: 'hang' } })
    if (linux && observesFromOutside) expect(faults[0]?.error.message).toContain('computes in native code')
    await eventually(() => expect(stuck).toEqual([{ name: 'p', generation: 1 }]))
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'failed', stuckThreads: 1 })
    expect(lines.filter(({ message }) => message.includes('kernel.exit()'))).toHaveLength(1)
    const began = performance.now()
    await kernel.stop()
    expect(performance.now() - began).toBeLessThan(5_000)
    // It ends when its call does, however long that takes on a machine that is busy.
    await vi.waitFor(() => expect(infoOf(kernel, 'p').stuckThreads).toBe(0), { timeout: 60_000 })
  })
})
