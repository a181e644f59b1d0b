/**
 * What a plugin's error says of itself, its code too, is told, and decides nothing: whatever a function of a plugin throws, it has failed,
 * and nothing else has happened.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { PlugbayError } from 'plugbay'
import { expect, it } from 'vitest'
import { ERROR_CODES, type ErrorCode } from '#src/errors.js'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, startedWith } from '../support/plugin-folder.js'

type Hook = 'initialize' | 'start' | 'stop' | 'health' | 'updateConfig' | 'snapshot' | 'restore'

/** Throws what says that it is an error of plugbay's own. */
const claims = (code: ErrorCode, details: object = {}): string => `
  const error = Object.assign(new Error('mine'), { code: '${code}', details: ${JSON.stringify(details)} })
  throw Object.defineProperty(error, Symbol.for('plugbay.error'), { value: true })`

/** By these the kernel decides something where they are its own. */
const DECIDED_BY: ErrorCode[] = [
  'CHANNEL_CLOSED',
  'PROTOCOL',
  'PLUGIN_CRASHED',
  'PLUGIN_STOPPED',
  'CALL_TIMEOUT',
  'PLUGIN_LOAD',
  'PLUGIN_SHAPE',
]

const anyCode = fc.oneof(fc.constantFrom(...DECIDED_BY), fc.constantFrom(...(Object.keys(ERROR_CODES) as ErrorCode[])))
const codes = fc.record<Record<Hook, ErrorCode>>({
  initialize: anyCode,
  start: anyCode,
  stop: anyCode,
  health: anyCode,
  updateConfig: anyCode,
  snapshot: anyCode,
  restore: anyCode,
})
const all = (code: ErrorCode): Record<Hook, ErrorCode> => ({
  initialize: code,
  start: code,
  stop: code,
  health: code,
  updateConfig: code,
  snapshot: code,
  restore: code,
})

/** The plugin `<hook>` throws in that hook; for a state to be handed over it takes both that do it. */
const pluginsOf = (claimed: Record<Hook, ErrorCode>, isolation: string) =>
  Object.fromEntries(
    Object.entries(claimed).map(([hook, code]) => [
      hook.toLowerCase(),
      {
        code: pluginCode({
          start: '',
          ...(hook === 'restore' && { snapshot: '' }),
          ...(hook === 'snapshot' && { restore: '' }),
          [hook]: claims(code),
        }),
        manifest: { isolation },
      },
    ]),
  )

/** A failure of the plugin's, with what it threw as it was. */
const failure = (code: ErrorCode, plugin: string, said: ErrorCode): unknown =>
  expect.objectContaining({
    code,
    plugin,
    message: expect.stringContaining('mine') as string,
    cause: expect.objectContaining({ code: said, message: 'mine', plugin }) as unknown,
  })

const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  )

it.each([
  ['inline', 12],
  ['thread', 2],
  ['process', 1],
] as const)('a function that throws has failed, whatever code it claims (%s)', async (isolation, numRuns) => {
  const holds = async (claimed: Record<Hook, ErrorCode>): Promise<void> => {
    const { kernel } = await kernelWith(pluginsOf(claimed, isolation), {}, (undo) => void undos.push(undo))
    await kernel.start()
    expect(infoOf(kernel, 'initialize')).toMatchObject({ state: 'failed', lastError: { code: 'PLUGIN_INITIALIZE' } })
    expect(infoOf(kernel, 'start')).toMatchObject({ state: 'failed', lastError: { code: 'PLUGIN_START' } })
    const [health, ...outcomes] = await Promise.all([
      kernel.health('health'),
      outcome(kernel.updateConfig('updateconfig', { now: true })),
      outcome(kernel.reload('snapshot')),
      outcome(kernel.reload('restore')),
      outcome(kernel.disable('stop')),
    ])
    expect(health).toMatchObject({ healthy: false, state: 'running' })
    expect(outcomes).toEqual([
      failure('CONFIG_INVALID', 'updateconfig', claimed.updateConfig),
      failure('PLUGIN_STOP', 'snapshot', claimed.snapshot),
      failure('PLUGIN_START', 'restore', claimed.restore),
      'done',
    ])
    for (const { cause } of outcomes.slice(0, 3) as Error[]) expect(PlugbayError.is(cause)).toBe(true)
    for (const name of ['health', 'updateconfig', 'snapshot', 'restore'])
      expect(infoOf(kernel, name)).toMatchObject({ state: 'running', generation: 1 })
    expect(infoOf(kernel, 'stop').state).toBe('disabled')
    await kernel.stop()
  }
  const undos: (() => unknown)[] = []
  try {
    await fc.assert(fc.asyncProperty(codes, holds), { numRuns, examples: [[all('CHANNEL_CLOSED')]] })
  } finally {
    for (const undo of undos.reverse()) await undo()
  }
})

it('a change that fails over a service, as it alone says, is not tried again and again', async () => {
  const { folder, kernel, lines } = await startedWith({ a: pluginCode({ start: '' }), b: pluginCode({ start: '' }) }, { watch: true })
  writeFileSync(
    join(folder, '.next.js'),
    pluginCode({ start: claims('SERVICE_DUPLICATE', { name: 'free', version: '1.0.0', provider: 'b' }) }),
  )
  renameSync(join(folder, '.next.js'), join(folder, 'a', 'index.js'))
  const refusals = (): string[] => lines.filter(({ message }) => message.includes('was not taken over')).map(({ message }) => message)
  await eventually(() => expect(refusals()).toHaveLength(1))
  expect(refusals()).toEqual(["The change of 'a' was not taken over: generation 1 stays."])
  expect(kernel.explain('a').history).toMatchObject([{ code: 'PLUGIN_START', generation: 2 }])
})

it.each(['thread', 'process'])(
  'what fails on a line names the plugin at its other end, in isolation %s, whatever plugin it says to come from',
  async (isolation) => {
    const named = (plugin: string): string => `throw Object.assign(new Error('mine'), { plugin: '${plugin}' })`
    const liar = pluginCode({
      start: `await ctx.services.provide('liar', {
      call() { ${named('innocent')} },
      async *stream() { ${named('innocent')} },
      back: () => () => { ${named('innocent')} },
      none() { throw Object.assign(new Error('mine'), { details: { via: 'innocent' } }) },
    })`,
    })
    const between = pluginCode({
      start: `const liar = await ctx.services.use('liar')
      await ctx.services.provide('between', { call: () => liar.call(), none: () => liar.none(), ask: (back) => back() })`,
    })
    const asking = pluginCode({
      start: `const told = async (run) => { try { await run() } catch ({ plugin, details }) { return [plugin, details?.via] } }
      const [liar, between] = [await ctx.services.use('liar'), await ctx.services.use('between')]
      await ctx.services.provide('told', { all: async () => ({
        call: await told(() => liar.call()),
        stream: await told(async () => { for await (const _ of await liar.stream()); }),
        callback: await told(async () => (await liar.back())()),
        none: await told(() => liar.none()),
        passedOn: await told(() => between.none()),
        liePassedOn: await told(() => between.call()),
        ownCallback: await told(() => between.ask(() => { ${named('innocent')} })),
      }) })`,
    })
    const { kernel } = await startedWith({ liar: { code: liar, manifest: { isolation } }, between, asking })
    const { all } = (await kernel.services.use('told')) as unknown as { all(): Promise<object> }
    expect(await all()).toEqual({
      call: ['innocent', 'liar'],
      stream: ['innocent', 'liar'],
      callback: ['innocent', 'liar'],
      none: ['liar', undefined],
      passedOn: ['liar', 'between'],
      liePassedOn: ['innocent', 'between'],
      ownCallback: ['innocent', 'between'],
    })
  },
)
