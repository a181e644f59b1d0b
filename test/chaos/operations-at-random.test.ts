/**
 * Whatever is asked of a kernel at random moments: every call ends, what runs in the end is what was asked for, and nothing is left after
 * the stop.
 */
import fc from 'fast-check'
import { PlugbayError } from 'plugbay'
import { expect, it } from 'vitest'
import { ends } from '../support/ends.js'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith } from '../support/plugin-folder.js'
import { workerThreads } from '../support/traces-of-threads.js'

const NEEDS: Record<string, readonly string[]> = { base: [], user: ['base'], top: ['user'], other: [] }
const NAMES = Object.keys(NEEDS)
/** Some take a while to come up, some to stop: what is asked meanwhile finds them so. */
const rests = (ms: number): string => (ms === 0 ? '' : `await new Promise((resolve) => setTimeout(resolve, ${ms}))\n`)

const plugin = fc.record({ startMs: fc.constantFrom(0, 5, 40), stopMs: fc.constantFrom(0, 0, 10), live: fc.boolean() })
type Plugin = typeof plugin extends fc.Arbitrary<infer T> ? T : never

const filesOf = (name: string, { startMs, stopMs, live }: Plugin) => ({
  code: pluginCode({
    start: `${rests(startMs)}await ctx.services.provide('of-' + ctx.name, { generation: () => ctx.generation })\nctx.bus.subscribe('any', () => {})`,
    stop: rests(stopMs),
    ...(live && { updateConfig: '' }),
  }),
  manifest: { dependencies: Object.fromEntries((NEEDS[name] ?? []).map((other) => [other, '*'])) },
})

const act = fc.record({
  verb: fc.constantFrom('load', 'load', 'unload', 'enable', 'enable', 'disable', 'reload', 'updateConfig'),
  name: fc.constantFrom(...NAMES),
  /** What comes before the next: nothing, so many turns of the loop, or the end of this one. */
  next: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 0, 1, 2, 5, 20) }, { weight: 1, arbitrary: fc.constant('its end' as const) }),
})
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

/** What is known of each in the end, by what was asked for in that order and what came of it: undefined for one that is not there. */
const modelOf = (asked: readonly (Act & { error: unknown })[]): Map<string, 'enabled' | 'disabled' | undefined> => {
  const model = new Map<string, 'enabled' | 'disabled' | undefined>(NAMES.map((name) => [name, 'enabled']))
  for (const { verb, name, error } of asked) {
    const there = model.get(name) !== undefined
    if (verb === 'load' && error === undefined) model.set(name, 'enabled')
    if (error !== undefined && verb !== 'enable') continue
    if (verb === 'unload') model.set(name, undefined)
    if (verb === 'disable' && there) model.set(name, 'disabled')
    // It is enabled also where something else keeps it from running.
    if (verb === 'enable' && there) model.set(name, 'enabled')
  }
  return model
}

it('what is asked at random moments ends, and what runs is what was asked for', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('inline' as const, 'thread' as const),
      fc.tuple(...NAMES.map(() => plugin)),
      fc.array(act, { minLength: 40, maxLength: 40 }),
      async (isolation, plugins, acts) => {
        const before = workerThreads()
        const files = Object.fromEntries(NAMES.map((name, index) => [name, filesOf(name, plugins[index])]))
        const { kernel, folder } = await startedWith(files, { defaults: { isolation } })
        const ask = ({ verb, name }: Act): Promise<unknown> => {
          if (verb === 'load') return kernel.load(`${folder}/${name}`)
          if (verb === 'updateConfig') return kernel.updateConfig(name, { asked: acts.length })
          return kernel[verb](name)
        }
        const asked = acts.map((each) => ({ ...each, error: undefined as unknown }))
        const calls: Promise<unknown>[] = []
        for (const each of asked) {
          const call = ends(`${each.verb}('${each.name}')`, () => ask(each)).catch((error: unknown) => (each.error = error))
          calls.push(call)
          if (each.next === 'its end') await call
          else for (let turn = 0; turn < each.next; turn++) await new Promise((resolve) => setImmediate(resolve))
        }
        await Promise.all(calls)
        // Every refusal is one of ours.
        for (const { error } of asked) if (error !== undefined) expect(error).toBeInstanceOf(PlugbayError)

        const model = modelOf(asked)
        const runs = (name: string): boolean => model.get(name) === 'enabled' && (NEEDS[name] ?? []).every(runs)
        const should = NAMES.filter((name) => model.get(name) !== undefined)
          .map((name) => `${name} ${model.get(name) === 'disabled' ? 'disabled' : runs(name) ? 'running' : 'failed'}`)
          .sort()
        await eventually(() => expect(kernel.plugins().map(({ name, state }) => `${name} ${state}`)).toEqual(should))
        const running = NAMES.filter(runs).sort()
        expect(
          kernel.services
            .list()
            .map(({ name }) => name)
            .sort(),
        ).toEqual(running.map((name) => `of-${name}`))
        expect(kernel.bus.stats().subscriptions).toBe(running.length)
        for (const { name, state } of kernel.plugins())
          expect(kernel.explain(name)).toMatchObject({ state, running: runs(name), because: expect.stringMatching(/./) as string })
        expect(kernel.metrics().stuckThreads).toBe(0)

        await ends('stop()', () => kernel.stop())
        expect([kernel.metrics().services, kernel.metrics().bus.subscriptions]).toEqual([0, 0])
        await eventually(() => expect(workerThreads()).toBeLessThanOrEqual(before))
      },
    ),
    { numRuns: 8, endOnFailure: true },
  )
})
