/** What a kernel writes into its audit log: every move, who asked for it, and nothing secret. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lastEntries, verifyAudit } from '#src/kernel/audit/verify.js'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

type Entries = Awaited<ReturnType<typeof lastEntries>>

const logOf = ({ folder }: Running): string => join(folder, '.data/.audit')
const ended = async (running: Running): Promise<Entries> => {
  await running.kernel.stop({ actor: 'anna', reason: 'end of the day' })
  expect((await verifyAudit(logOf(running))).faults).toEqual([])
  return lastEntries(logOf(running), 1_000)
}
const textOf = (running: Running): string =>
  readdirSync(logOf(running))
    .map((name) => readFileSync(join(logOf(running), name), 'utf8'))
    .join('')

const idle = pluginCode({ start: '' })

test('no log is kept unless it is asked for', async () => {
  const { kernel, folder } = await startedWith({ p: idle })
  await kernel.stop()
  expect(readdirSync(join(folder, '.data'))).toEqual(['p'])
})

test('a run is told from its start to its end, each act before what came of it', async () => {
  const running = await kernelWith({ p: idle }, { audit: true })
  await running.kernel.start()
  await running.kernel.disable('p', { actor: 'anna', reason: 'too loud' })
  await running.kernel.enable('p')
  await running.kernel.reload('p')
  await running.kernel.unload('p', { actor: 'bert' })
  await running.kernel.load('p')
  const entries = await ended(running)
  const acts = entries.filter(({ kind }) => kind === 'action')
  expect(acts.map(({ actor, plugin, generation, reason, details }) => [details?.['action'], plugin, generation, actor, reason])).toEqual([
    ['start', undefined, undefined, 'embedder', undefined],
    ['disable', 'p', 1, 'anna', 'too loud'],
    ['enable', 'p', 1, 'embedder', undefined],
    ['reload', 'p', 2, 'embedder', undefined],
    ['unload', 'p', 3, 'bert', undefined],
    ['load', undefined, undefined, 'embedder', join(running.folder, 'p')],
    ['stop', undefined, undefined, 'anna', 'end of the day'],
  ])
  expect(entries.at(-1)).toMatchObject({ kind: 'kernel.state', details: { from: 'stopping', to: 'stopped' } })
  expect(entries.filter(({ kind }) => kind === 'plugin.state')).toHaveLength(running.states.length)
  const disabled = entries.findIndex(({ details }) => details?.['action'] === 'disable')
  expect(entries[disabled + 1]).toMatchObject({
    kind: 'plugin.state',
    plugin: 'p',
    generation: 1,
    actor: 'kernel',
    details: { to: 'stopping' },
  })
  expect(entries.find(({ kind }) => kind === 'plugin.replaced')).toMatchObject({
    plugin: 'p',
    generation: 3,
    reason: 'reload',
    details: { from: 2, left: [] },
  })
})

test('an act that fails is written with its code', async () => {
  const running = await startedWith({ p: idle }, { audit: true })
  await expect(running.kernel.load('nowhere')).rejects.toThrow()
  writePlugin(running.folder, 'p', { code: 'export default {' })
  await expect(running.kernel.reload('p', { actor: 'anna' })).rejects.toThrow()
  const failed = (await ended(running)).filter(({ kind }) => kind === 'action.failed')
  expect(failed).toMatchObject([
    { actor: 'embedder', details: { action: 'load', code: 'MANIFEST_MISSING' } },
    { plugin: 'p', actor: 'anna', details: { action: 'reload', code: 'PLUGIN_LOAD' } },
  ])
})

test('a crash, its restart, and what each generation was granted', async () => {
  const crashing = pluginCode({ start: `ctx.bus.subscribe('exit', () => process.exit(3))` })
  const reads = { resource: 'fs:/srv', actions: ['read'] }
  const running = await startedWith(
    { p: { code: crashing, manifest: { permissions: [{ resource: 'bus:exit', actions: ['subscribe'] }], roles: ['reader'] } } },
    { audit: true, roles: { reader: [reads] } },
  )
  await running.kernel.bus.publish('exit', null)
  await eventually(() => expect(running.replaced).toHaveLength(1))
  const entries = (await ended(running)).filter(({ plugin }) => plugin === 'p')
  expect(entries.filter(({ kind }) => kind === 'plugin.granted')).toMatchObject(
    [1, 2].map((generation) => ({
      generation,
      reason: generation === 1 ? 'start' : 'crash',
      details: { version: '1.0.0', isolation: 'thread', permissions: [{ resource: 'service:*' }, { resource: 'bus:exit' }, reads] },
    })),
  )
  expect(entries.find(({ kind }) => kind === 'plugin.fault')).toMatchObject({
    generation: 1,
    reason: expect.stringContaining('code 3') as string,
    details: { code: 'PLUGIN_CRASHED' },
  })
  expect(entries.find(({ kind }) => kind === 'plugin.replaced')).toMatchObject({ generation: 2, reason: 'crash', details: { from: 1 } })
})

test('those that are replaced for one that crashes again and again count as what follows from its crashes', async () => {
  const crashing = pluginCode({ start: 'setTimeout(() => { throw new Error() })' })
  const restart = { max: 10_000, strategy: 'rest-for-one', backoff: { initial: 1, max: 1, factor: 1 } }
  const permissions = Array.from({ length: 300 }, (_, at) => ({ resource: `env:VARIABLE_${at}`, actions: ['read'] }))
  const running = await startedWith(
    { p: { code: crashing, manifest: { restart } }, q: { code: idle, manifest: { dependencies: { p: '*' }, permissions } } },
    { audit: true },
  )
  await eventually(() => expect(infoOf(running.kernel, 'q').generation).toBeGreaterThan(12))
  const entries = await ended(running)
  const granted = entries.filter(({ kind, plugin, reason }) => kind === 'plugin.granted' && plugin === 'q' && reason === 'dependency')
  expect(JSON.stringify(granted).length).toBeLessThan(2 * 65_536)
})

test('configurations are told by their keys: no value of one gets into the log', async () => {
  const schema = {
    type: 'object',
    properties: { token: { type: 'string', maxLength: 20 }, port: { type: 'integer' }, same: {} },
    additionalProperties: false,
  }
  const manifest = { config: { schema } }
  const running = await startedWith(
    {
      live: { code: pluginCode({ start: '', updateConfig: '' }), manifest },
      replaced: { code: idle, manifest },
      refused: { code: idle, manifest },
    },
    {
      audit: true,
      config: { live: { token: 'hush-one', same: 1 }, replaced: { token: 'hush-one' }, refused: { token: 'hush-that-is-far-too-long' } },
    },
  )
  expect(stateOf(running.kernel, 'refused')).toBe('failed')
  await running.kernel.updateConfig('live', { token: 'hush-two', port: 1, same: 1 })
  await running.kernel.updateConfig('replaced', { token: 'hush-two' })
  await expect(running.kernel.updateConfig('live', { token: 'hush-that-is-far-too-long' })).rejects.toThrow('hush')
  const entries = await ended(running)
  expect(entries.filter(({ kind }) => kind === 'config.changed')).toMatchObject([
    { plugin: 'live', generation: 1, reason: 'configuration', details: { keys: ['port', 'token'] } },
    { plugin: 'replaced', generation: 2, reason: 'configuration', details: { keys: ['token'] } },
  ])
  expect(entries.find(({ kind }) => kind === 'action.failed')).toMatchObject({
    reason: expect.stringContaining('token') as string,
    details: { code: 'CONFIG_INVALID' },
  })
  expect(entries.find(({ kind, plugin }) => kind === 'plugin.fault' && plugin === 'refused')).toMatchObject({
    details: { code: 'CONFIG_INVALID' },
  })
  expect(textOf(running)).not.toContain('hush')
})

test('what files set going has the watcher as its actor', async () => {
  const running = await startedWith({ p: idle }, { audit: true, watch: true })
  writePlugin(running.folder, 'p', { code: pluginCode({ start: '/* saved */' }) })
  await eventually(() => expect(running.replaced).toHaveLength(1))
  writePlugin(running.folder, 'q', { code: idle })
  await eventually(() => expect(running.kernel.plugins().map(({ state }) => state)).toEqual(['running', 'running']))
  const acts = (await ended(running)).filter(({ actor }) => actor === 'watcher')
  expect(acts.map(({ details, plugin }) => [details?.['action'], plugin])).toEqual([
    ['reload', 'p'],
    ['load', undefined],
  ])
})

test('a folder that cannot be written to does not keep the kernel from running', async () => {
  const running = await startedWith({ p: idle }, { audit: { dir: './p/index.js' } })
  await eventually(() => expect(running.lines.filter(({ message }) => message.includes('audit log'))).toHaveLength(1))
  expect(stateOf(running.kernel, 'p')).toBe('running')
  await running.kernel.stop()
  expect(running.lines.at(-1)?.message).toMatch(/\d+ entries of the audit log in .*index\.js were not written/)
})

test('who asks is said as actor and reason: another name, or what is no text, is refused before anything is done', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  const unload = (by: object) => kernel.unload('p', by)
  await expect(unload({ acter: 'anna' })).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    message: "kernel.unload() has no option 'acter'. Did you mean 'actor'? It takes actor, reason.",
  })
  await expect(unload({ reason: 5 })).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    message: 'kernel.unload() has reason = 5. Give a text.',
  })
  expect(stateOf(kernel, 'p')).toBe('running')
})
