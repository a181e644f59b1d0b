import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { TRANSITIONS } from '#src/kernel/lifecycle/lifecycle.js'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const NAMES = ['a', 'b', 'c', 'd']
const NEEDS: Record<string, string[]> = { a: [], b: ['a'], c: ['b'], d: [] }
const code = pluginCode({
  start: `
    ctx.bus.subscribe('where', () => ctx.bus.publish('here', ctx.name + '#' + ctx.generation))
    ctx.bus.subscribe('die.' + ctx.name, () => process.exit(1))
    await ctx.services.provide('service.' + ctx.name, { name: () => ctx.name })`,
})
const manifestOf = (name: string): Record<string, unknown> => ({
  dependencies: Object.fromEntries((NEEDS[name] ?? []).map((other) => [other, '*'])),
  restart: { max: 1_000 },
})

const act = fc.record({
  verb: fc.constantFrom('load', 'unload', 'reload', 'enable', 'disable', 'updateConfig', 'crash'),
  name: fc.constantFrom(...NAMES),
  turns: fc.integer({ min: 0, max: 3 }),
})

it('whatever is asked at once, every move is in the table, and what runs in the end is what the kernel says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 20, maxLength: 20 }), async (acts) => {
      const { kernel, folder, states } = await startedWith(
        Object.fromEntries(NAMES.map((name) => [name, { code, manifest: manifestOf(name) }])),
      )
      const outcomes = await Promise.all(
        acts.map(async ({ verb, name, turns }) => {
          for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
          try {
            if (verb === 'load') await kernel.load(`${folder}/${name}`)
            else if (verb === 'crash') await kernel.bus.publish(`die.${name}`)
            else if (verb === 'updateConfig') await kernel.updateConfig(name, { turns })
            else await kernel[verb](name)
            return undefined
          } catch (error) {
            return error
          }
        }),
      )
      // Every refusal is one of ours, with a code.
      for (const outcome of outcomes) if (outcome !== undefined) expect(PlugbayError.is(outcome)).toBe(true)
      for (const { from, to } of states) expect(TRANSITIONS[from]).toContain(to)
      const serving = new Map<string, number>()
      for (const { name, from, to } of states) {
        const now = (serving.get(name) ?? 0) + (to === 'running' ? 1 : from === 'running' ? -1 : 0)
        serving.set(name, now)
        // Nobody is said to rest while a generation of it runs.
        if (to === 'disabled' || to === 'resolved') expect([name, to, now]).toEqual([name, to, 0])
      }

      // Crashed ones come back; then the kernel, the bus, the services and the plugins themselves agree on who runs.
      // That a thread died is noticed later than it was asked to: until all that run have answered, all of it is looked at anew.
      await eventually(async () => {
        const plugins = kernel.plugins()
        const running = plugins.filter(({ state }) => state === 'running').map(({ name, generation }) => `${name}#${generation}`)
        const runs = (name: string): boolean => running.some((each) => each.startsWith(`${name}#`))
        for (const { name, state, lastError } of plugins) {
          expect([name, state, lastError?.code]).not.toEqual([name, 'failed', 'PLUGIN_CRASHED'])
          expect(['running', 'failed', 'disabled', 'stopped']).toContain(state)
          if (state === 'running') for (const need of NEEDS[name] ?? []) expect(runs(need)).toBe(true)
        }
        const here: unknown[] = []
        kernel.bus.subscribe('here', ({ data }: { data: unknown }) => void here.push(data))
        await kernel.bus.publish('where')
        await eventually(() => expect([...here].sort()).toEqual([...running].sort()), 1_000)
        expect(
          kernel.services
            .list()
            .map(({ provider }) => provider)
            .sort(),
        ).toEqual(running.map((each) => each.split('#')[0]).sort())
        for (const name of NAMES) expect(kernel.bus.subscriptionsOf(name)).toHaveLength(runs(name) ? 2 : 0)
      })

      // One that is there can be brought to run, so nothing hangs.
      for (const name of NAMES) {
        const there = kernel.plugins().find((plugin) => plugin.name === name)
        if (there === undefined) await kernel.load(writePlugin(folder, name, { code, manifest: manifestOf(name) }))
        else if (there.state === 'disabled') await kernel.enable(name)
        else if (there.state !== 'running') await kernel.reload(name)
      }
      expect(kernel.plugins().map(({ state }) => state)).toEqual(NAMES.map(() => 'running'))
      await kernel.stop()
      expect(kernel.plugins().map(({ state }) => state)).toEqual(NAMES.map(() => 'stopped'))
      for (const { from, to } of states) expect(TRANSITIONS[from]).toContain(to)
      const alive = states.reduce((count, { from, to }) => count + (to === 'running' ? 1 : from === 'running' ? -1 : 0), 0)
      expect(alive).toBe(0)
    }),
    { numRuns: 6 },
  )
}, 60_000)

it('what is asked while something else is under way is judged when its turn comes', async () => {
  const { kernel, folder } = await startedWith({ a: { code } })
  const [unloaded, loaded] = await Promise.all([kernel.unload('a'), kernel.load(`${folder}/a`)])
  expect([unloaded.left, loaded.state]).toEqual([[], 'running'])

  const [disabled] = await Promise.all([kernel.disable('a'), kernel.enable('a')])
  expect(disabled).toEqual({ name: 'a', left: [] })
  expect(stateOf(kernel, 'a')).toBe('running')

  await Promise.all([kernel.enable('a'), kernel.disable('a')])
  expect(stateOf(kernel, 'a')).toBe('disabled')
})

it('what was to be stopped for a plugin that is gone by then comes up all the same', async () => {
  const { kernel, folder } = await startedWith({ a: { code }, b: { code, manifest: manifestOf('b') } })
  const [, , disabled] = await Promise.allSettled([kernel.unload('a'), kernel.load(`${folder}/a`), kernel.disable('a')])
  expect(disabled).toMatchObject({ status: 'rejected', reason: { code: 'PLUGIN_UNKNOWN' } })
  await eventually(() => expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'running']))
})

it('a plugin that is disabled as it starts is disabled, however many that wait for it are to stop first', async () => {
  const waiting = Array.from({ length: 20 }, (_, at) => `waits-${at}`)
  const { kernel } = await startedWith({
    slow: { code: pluginCode({ start: 'await new Promise(() => {})' }), manifest: { isolation: 'inline', enabled: false } },
    ...Object.fromEntries(waiting.map((name) => [name, { code, manifest: { dependencies: { slow: '*' } } }])),
  })
  const enabled = kernel.enable('slow')
  await eventually(() => expect(stateOf(kernel, 'slow')).toBe('starting'))
  await Promise.all([enabled, kernel.disable('slow')])
  expect(stateOf(kernel, 'slow')).toBe('disabled')
})
