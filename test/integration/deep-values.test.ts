/** Values nested too deep: refused where they are sent, and harmless where a plugin sends one all the same. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'
import { startedTasks } from '../support/task-plugin.js'

const DEEP = `const deep = (levels) => { let value = 0; for (let i = 0; i < levels; i++) value = [value]; return value }
const outcome = (promise) => promise.then(() => 'taken', ({ code, message }) => code + ': ' + message)`

/** What its encoder looks for it does not find in these: of a changed class nothing is told. */
const FORGED = `const forged = (levels) => { let value = 0; for (let i = 0; i < levels; i++) value = new Map([[0, value]]); return value }
Object.defineProperty(Map.prototype, Symbol.iterator, { value: function* () {} })`

const innocent = pluginCode({
  start: `
    ctx.bus.subscribe('**', () => {})
    await ctx.services.provide('calm', { echo: (value) => value, count: () => 1 })`,
})

it('a value nested deeper than 1000 objects is refused at its sender, wherever it was on its way to', async () => {
  const evil = pluginCode(
    {
      start: `
        ctx.bus.subscribe('go', async () => {
          const calm = await ctx.services.use('calm')
          const own = await ctx.services.use('own')
          await ctx.bus.publish('outcomes', [
            await outcome(ctx.bus.publish('x', deep(1_500))),
            await outcome(calm.echo(deep(1_500))),
            await outcome(own.answer()),
            await outcome(ctx.bus.publish('x', deep(900))),
            await outcome(calm.echo(deep(900))),
          ])
        })
        await ctx.services.provide('own', { answer: () => deep(1_500) })`,
    },
    DEEP,
  )
  const { kernel, faults } = await startedWith({ calm: innocent, evil })
  const told: unknown[] = []
  kernel.bus.subscribe('outcomes', ({ data }) => told.push(...(data as unknown[])))
  await kernel.bus.publish('go')
  await eventually(() => expect(told).toHaveLength(5))
  const refused = expect.stringMatching(/^PAYLOAD_NOT_CLONEABLE: .*more than 1000 objects lie in one another/) as string
  expect(told).toEqual([refused, refused, refused, 'taken', 'taken'])
  expect(faults).toEqual([])
  await expect(kernel.bus.publish('x', { list: nest(1_500) })).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
})

const nest = (levels: number): unknown => {
  let value: unknown = 0
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

it.each([2_000, 3_000, 4_000])(
  'who forges a value %i deep ends itself alone: not the host, and nobody who was to have it',
  async (levels) => {
    const evil = {
      code: pluginCode(
        {
          start: `ctx.bus.subscribe('go', () => { for (let i = 0; i < 50; i++) ctx.bus.publish('x', forged(${levels})).catch(() => {}) })`,
        },
        FORGED,
      ),
      manifest: { restart: { policy: 'temporary' } },
    }
    const { kernel, faults } = await startedWith({
      calm: innocent,
      apart: { code: innocent.replace("'calm'", "'apart'"), manifest: { isolation: 'process' } },
      evil,
    })
    await kernel.bus.publish('go')
    await eventually(() => expect(faults).not.toEqual([]))
    expect(faults.map(({ name, error }) => ({ name, code: error.code }))).toEqual([{ name: 'evil', code: 'PROTOCOL' }])
    for (const name of ['calm', 'apart']) {
      expect(stateOf(kernel, name)).toBe('running')
      expect(await (await kernel.services.use(name))['count']?.()).toBe(1)
    }
  },
  30_000,
)

it.each([5_000, 12_000])('what is forged %i deep does not leave its thread', async (levels) => {
  const evil = pluginCode(
    {
      start: `ctx.bus.subscribe('go', async () => { await ctx.bus.publish('told', await outcome(ctx.bus.publish('x', forged(${levels})))) })`,
    },
    `${DEEP}\n${FORGED}`,
  )
  const { kernel, faults } = await startedWith({ calm: innocent, evil })
  const told: unknown[] = []
  kernel.bus.subscribe('told', ({ data }) => told.push(data))
  await kernel.bus.publish('go')
  await eventually(() => expect(told).toEqual([expect.stringMatching(/^PAYLOAD_NOT_CLONEABLE: /)]))
  expect(faults).toEqual([])
})

it('a thread that says such a thing last does not end the host', async () => {
  const evil = {
    code: pluginCode(
      {
        start: `ctx.bus.subscribe('go', () => { for (let i = 0; i < 50; i++) ctx.bus.publish('x', forged(4_000)).catch(() => {}); process.exit(1) })`,
      },
      FORGED,
    ),
    manifest: { restart: { policy: 'temporary' } },
  }
  const names = ['evil0', 'evil1', 'evil2', 'evil3', 'evil4', 'evil5']
  const { kernel, faults } = await startedWith({ calm: innocent, ...Object.fromEntries(names.map((name) => [name, evil])) })
  await kernel.bus.publish('go')
  await eventually(() => expect(faults).toHaveLength(names.length))
  expect(new Set(faults.map(({ name }) => name))).toEqual(new Set(names))
  expect(stateOf(kernel, 'calm')).toBe('running')
}, 30_000)

it('a call that its provider cannot read ends the line of its caller alone', async () => {
  const evil = pluginCode(
    {
      start: `
        ctx.bus.subscribe('go', async () => {
          for (const name of ['calm', 'apart']) {
            const used = await ctx.services.use(name)
            for (let i = 0; i < 3; i++) used.echo(forged(60_000)).catch(() => {})
          }
          await ctx.bus.publish('done')
        })`,
    },
    FORGED,
  )
  const { kernel, faults } = await startedWith({
    calm: innocent,
    apart: { code: innocent.replace("'calm'", "'apart'"), manifest: { isolation: 'process' } },
    evil,
  })
  let done = false
  kernel.bus.subscribe('done', () => void (done = true))
  await kernel.bus.publish('go')
  await eventually(() => expect(done || faults.length > 0).toBe(true))
  for (const name of ['calm', 'apart']) expect(await (await kernel.services.use(name))['count']?.()).toBe(1)
  expect(faults.filter(({ name }) => name !== 'evil')).toEqual([])
}, 30_000)

it('the result of a task that is nested too deep fails the task, and the next one runs', async () => {
  const { run } = await startedTasks({
    'deep.js': 'export default (levels) => { let value = 0; for (let i = 0; i < levels; i++) value = [value]; return value }',
  })
  expect(await run('deep', 12_000)).toMatchObject({ code: 'TASK_FAILED', cause: { code: 'PAYLOAD_NOT_CLONEABLE', plugin: 'worker' } })
  expect(await run('deep', 2)).toEqual({ value: [[0]] })
})
