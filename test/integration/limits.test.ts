/** What a plugin may take, in each kind of place: who goes past it is named, and mended; who is healthy is left alone. */
import { Worker } from 'node:worker_threads'
import type { KernelOptions } from 'plugbay'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { limited } from '../support/limited-plugin.js'
import { HANGS, inShortTurns, KEEPS_BUFFERS, KEEPS_OBJECTS, nowAndThen } from '../support/offences.js'
import { infoOf, type Plugins, pluginCode, startedWith } from '../support/plugin-folder.js'

const linux = process.platform === 'linux'
const observesFromOutside = 'getHeapStatistics' in Worker.prototype

/** A process boots slower than a thread, and four Nodes may do so at once. */
const options: KernelOptions = {
  defaults: {
    limits: { loadTimeout: 60_000, initializeTimeout: 60_000, startTimeout: 60_000 },
    restart: { backoff: { initial: 1, max: 10, factor: 1 } },
  },
}

interface Place {
  isolation: 'thread' | 'process'
  /** Milliseconds after which one that hangs is told from one that is slow. */
  hang: number
  healthyHang: number
  /** What is said of one that loops, and of one that is blocked. */
  loops: RegExp
  waits: RegExp
  /** One that is blocked has to be told something before it has anything to do. */
  asked: boolean
  /** What it takes of memory and processor is seen here. */
  measured: boolean
  memory: RegExp
  margin?: number
}

const places: Place[] = [
  {
    isolation: 'thread',
    hang: 300,
    healthyHang: 250,
    loops: linux ? (observesFromOutside ? /computes.*loop, a regular/ : /computes/) : /does not come back/,
    waits: linux ? /Atomics\.wait/ : /does not come back/,
    asked: false,
    measured: true,
    memory: /^Plugin 'p' used \d+ MB of memory, its limit is 64 MB \(limits\.memory\)/,
  },
  {
    isolation: 'process',
    hang: 500,
    healthyHang: 500,
    loops: linux ? /computes and does not come back.*processes are not profiled\.$/ : /does not come back/,
    waits: linux ? /blocked .*Atomics\.wait/ : /does not come back/,
    asked: true,
    measured: linux,
    memory: /^Plugin 'p' used \d+ MB of memory, its limit is 64 MB \(limits\.memory\), and 80 MB more for its process\./,
    margin: 80,
  },
]

describe.each(places)('a plugin in a $isolation that hangs', ({ isolation, hang, loops, waits, asked }) => {
  it.each([
    ['in a loop', loops],
    ['in promises', /does not come back/],
    ['in a regular expression', /does not come back/],
    ['in Atomics.wait', waits],
  ] as const)('%s is found, named, and replaced', { timeout: 60_000 }, async (how, text) => {
    const { kernel, faults, replaced } = await startedWith(limited(HANGS[how], { hang }, { isolation }), options)
    const { alive } = await kernel.services.use('offender')
    await kernel.bus.publish('go')
    await vi.waitFor(
      () => {
        if (asked) void alive?.().catch(() => {})
        expect(replaced).toHaveLength(1)
      },
      { timeout: 30_000 },
    )
    expect(faults).toHaveLength(1)
    const { error } = faults[0] ?? { error: new Error('none') }
    expect(error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'hang', allowed: hang, observed: expect.any(Number) as number, generation: 1 },
    })
    expect(error.message).toMatch(new RegExp(`^Plugin 'p' got nothing done for \\d+ ms, its limit is ${hang} ms \\(limits\\.hang\\)`))
    expect(error.message).toMatch(text)
    expect(replaced[0]).toMatchObject({ reason: 'crash', from: 1, to: 2, left: [] })
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', restarts: 1, stuckThreads: 0, lastExit: { reason: error.message } })
  })
})

describe.each(places.filter(({ measured }) => measured))('a plugin in a $isolation that takes more than it may', (place) => {
  const temporary = { isolation: place.isolation, restart: { policy: 'temporary' } }

  it.each([
    ['in objects', KEEPS_OBJECTS],
    ['in buffers', KEEPS_BUFFERS],
  ])('of memory, %s, is found and named with what was seen', { timeout: 60_000 }, async (_, act) => {
    const { kernel, faults } = await startedWith(limited(act, { memory: 64 }, temporary), options)
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 30_000 })
    const { error } = faults[0] ?? { error: new Error('none') }
    const { margin } = place
    expect(error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'memory', allowed: 64, ...(margin === undefined ? {} : { margin }) },
    })
    expect(error.message).toMatch(place.memory)
  })

  it('of a processor, is found and named', { timeout: 90_000 }, async () => {
    // Many times what it may, and little of what there is.
    const { kernel, faults } = await startedWith(limited(nowAndThen(5, 50), { cpu: 0.02 }, temporary), options)
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toHaveLength(1), { timeout: 60_000 })
    expect(faults[0]?.error).toMatchObject({
      code: 'PLUGIN_LIMIT',
      plugin: 'p',
      details: { limit: 'cpu', allowed: 0.02, observed: expect.any(Number) as number },
    })
    expect(faults[0]?.error.message).toMatch(/'p' took \d.* of a core .* its limit is 0\.02 \(limits\.cpu\)/)
  })
})

describe.each(places)('a healthy plugin in a $isolation is left alone', ({ isolation, healthyHang: hang }) => {
  const counting = (start: string): Plugins => ({
    p: {
      code: pluginCode({ start: `let count = 0\n${start}\nawait ctx.services.provide('count', { count: () => count })` }),
      manifest: { isolation, limits: { hang } },
    },
  })

  it('while it works all the time in short turns, and the kernel is blocked', { timeout: 60_000 }, async () => {
    const { kernel, faults } = await startedWith(counting(inShortTurns(5, 'count++')), options)
    const { count } = await kernel.services.use('count', { timeout: 0 })
    const before = (await count?.()) as number
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 * hang)
    await vi.waitFor(async () => expect(await count?.()).toBeGreaterThan(before + 50), { timeout: 30_000 })
    expect(faults).toEqual([])
  })

  it('while it handles many events in one turn, each of them in time', { timeout: 60_000 }, async () => {
    const work = "ctx.bus.subscribe('work', () => { const end = performance.now() + 10; while (performance.now() < end); count++ })"
    const { kernel, faults } = await startedWith(counting(work), options)
    // Four times as long, all together, as it may hang.
    const events = (4 * hang) / 10
    await Promise.all(Array.from({ length: events }, () => kernel.bus.publish('work')))
    const { count } = await kernel.services.use('count', { timeout: 0 })
    await vi.waitFor(async () => expect(await count?.()).toBe(events), { timeout: 40_000 })
    expect(faults).toEqual([])
  })

  it('while it waits for a call that takes long', { timeout: 60_000 }, async () => {
    const wait = `ctx.bus.subscribe('wait', () => new Promise((done) => setTimeout(() => { count++; done() }, ${2.5 * hang})))`
    const { kernel, faults } = await startedWith(counting(wait), options)
    await kernel.bus.publish('wait')
    const { count } = await kernel.services.use('count', { timeout: 0 })
    await eventually(async () => expect(await count?.()).toBe(1))
    expect(faults).toEqual([])
  })
})

describe.runIf(linux)('a plugin in a process that says it exits, and does not', () => {
  // It has a second for it: where the machine gives it no processor in that time, it takes nothing, and there is nothing to find.
  it('is held to its memory all the while', { timeout: 60_000, retry: 5 }, async () => {
    const { kernel, faults } = await startedWith(
      limited(
        "process.emit('exit', 0); globalThis.kept = Buffer.alloc(6e8, 1); for (;;);",
        { memory: 64 },
        { isolation: 'process', restart: { policy: 'temporary' } },
      ),
      options,
    )
    await kernel.bus.publish('go')
    await eventually(() => expect(faults).toHaveLength(1))
    expect(faults).toMatchObject([{ name: 'p', error: { code: 'PLUGIN_LIMIT', details: { limit: 'memory', allowed: 64 } } }])
  })
})
