/** How faults become entries of the audit log. */
import { expect, test } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { Audit } from '#src/kernel/audit/audit.js'
import { AuditLog } from '#src/kernel/audit/audit-log.js'
import type { AuditEntry } from '#src/kernel/audit/chain.js'
import { lastEntries, verifyAudit } from '#src/kernel/audit/verify.js'
import type { PluginState } from '#src/kernel/lifecycle/lifecycle.js'
import { fromWire, toWire } from '#src/wire-error.js'
import { emptyFolder, keptLog } from '../../../support/plugin-folder.js'

const entryFor = async (error: Error) => {
  const dir = emptyFolder()
  const log = new AuditLog({ dir, maxBytes: 1_000_000, keep: 1, log: keptLog().logger })
  const audit = new Audit({ log, errorOf: () => undefined })
  audit.told('plugin:fault', { name: 'p', generation: 2, error })
  await audit.close()
  return (await lastEntries(dir, 1))[0]
}

test('a denial is one, and its actor is the plugin that tried', async () => {
  const error = new PlugbayError('PERMISSION_DENIED', "Plugin 'p' may not read /etc/passwd.")
  expect(await entryFor(error)).toMatchObject({
    kind: 'plugin.denied',
    plugin: 'p',
    generation: 2,
    actor: 'p',
    reason: error.message,
    details: { code: 'PERMISSION_DENIED' },
  })
})

test('what a plugin says to be a denial is a fault of its own', async () => {
  const said = fromWire(toWire(new PlugbayError('PERMISSION_DENIED', 'no')))
  expect(await entryFor(said)).toMatchObject({ kind: 'plugin.fault', actor: 'kernel', details: { code: 'PERMISSION_DENIED' } })
})

test('a text without end is cut', async () => {
  const entry = await entryFor(new PlugbayError('PLUGIN_CRASHED', 'x'.repeat(100_000)))
  expect(entry).toMatchObject({ kind: 'plugin.fault', actor: 'kernel', details: { code: 'PLUGIN_CRASHED' } })
  expect(entry?.reason?.length).toBeLessThan(2_100)
})

test('a plugin that is denied without end does not fill the log: its denials are summed, and what else was written stays', async () => {
  const dir = emptyFolder()
  const options = { dir, maxBytes: 100_000, keep: 2, log: keptLog().logger }
  const audit = new Audit({ log: new AuditLog(options), errorOf: () => undefined })
  await audit.act('disable', { name: 'q', newest: 1 }, { actor: 'anna' }, async () => {})
  const denied = (plugin: string, path: string, unsaid = 0) =>
    audit.told('plugin:fault', {
      name: plugin,
      generation: 1,
      error: new PlugbayError('PERMISSION_DENIED', path, { plugin, details: unsaid > 0 ? { unsaid } : {} }),
    })
  // What a path is made of may be six times as long in the log.
  for (let at = 0; at < 2_000; at++) denied('p', `${'\u0001'.repeat(1_900)}${at}`, 4)
  audit.told('plugin:state', { name: 'p', generation: 1, from: 'running', to: 'stopping', reason: 'enough' })
  denied('p', 'once more')
  denied('q', 'of another')
  await audit.close()

  const entries = await lastEntries(dir, 1_000)
  expect(entries[0]).toMatchObject({ kind: 'action', actor: 'anna' })
  expect((await verifyAudit(dir)).faults).toEqual([])
  const ofP = entries.filter(({ kind, plugin }) => kind === 'plugin.denied' && plugin === 'p')
  const sum = (sums: number, { reason, details }: AuditEntry) =>
    sums + Number(details?.['unsaid'] ?? 0) + (reason?.startsWith('more was') ? 0 : 1)
  expect(ofP.reduce(sum, 0)).toBe(10_001)
  expect(entries).toContainEqual(expect.objectContaining({ kind: 'plugin.denied', actor: 'q', reason: 'of another' }))
})

test('a plugin that crashes without end does not fill the log: its crashes are summed with all that follows from them, until somebody asks for something or it is granted more', async () => {
  const dir = emptyFolder()
  const options = { dir, maxBytes: 1_000_000, keep: 2, log: keptLog().logger }
  const audit = new Audit({ log: new AuditLog(options), errorOf: () => undefined })
  await audit.act('disable', { name: 'q', newest: 1 }, { actor: 'anna' }, async () => {})
  const grant = (generation: number, reason: string, more = 0): void => {
    const permissions = Array.from({ length: 100 + more }, (_, at) => ({ resource: `fs:/srv/${at}`, actions: ['read'] }))
    audit.granted(
      { name: 'p', version: '1.0.0' } as never,
      generation,
      { isolation: 'thread', from: 'default', tier: 'thread' },
      permissions,
      reason,
    )
  }
  const moved = (generation: number, from: PluginState, to: PluginState): void =>
    audit.told('plugin:state', { name: 'p', generation, from, to, reason: 'start' })
  const crash = (generation: number, restartIn?: number, more = 0): void => {
    moved(generation, 'running', 'failed')
    const error = new PlugbayError('PLUGIN_CRASHED', 'it crashed')
    audit.told('plugin:fault', { name: 'p', generation, error, lost: 0, ...(restartIn !== undefined && { restartIn }) })
    if (restartIn === undefined) return
    grant(generation + 1, 'crash', more)
    moved(generation + 1, 'resolved', 'running')
    audit.told('plugin:replaced', { name: 'p', from: generation, to: generation + 1, reason: 'crash', ms: 1, moved: 0, left: [] })
  }
  grant(1, 'start')
  for (let generation = 1; generation <= 1_000; generation++) crash(generation, 1)
  await audit.act('updateConfig', { name: 'p', newest: 1_001 }, { actor: 'anna' }, async () => {})
  moved(1_001, 'running', 'running')
  for (let generation = 1_001; generation < 1_010; generation++) crash(generation, 1, generation === 1_005 ? 1 : 0)
  crash(1_010)
  await audit.close()

  const entries = await lastEntries(dir, 10_000)
  expect((await verifyAudit(dir)).faults).toEqual([])
  expect(entries[0]).toMatchObject({ kind: 'action', actor: 'anna' })
  expect(entries.length).toBeLessThan(150)
  const crashes = entries.filter(({ kind }) => kind === 'plugin.fault')
  const sum = (sums: number, { reason, details }: AuditEntry) =>
    sums + Number(details?.['unsaid'] ?? 0) + (reason?.startsWith('it crashed more') ? 0 : 1)
  expect(crashes.reduce(sum, 0)).toBe(1_010)
  const asked = entries.findIndex(({ details }) => details?.['action'] === 'updateConfig')
  expect(entries.slice(asked - 2, asked + 2)).toMatchObject([
    { kind: 'plugin.fault', generation: 1_000, details: { unsaid: expect.any(Number) as number } },
    { kind: 'plugin.state', generation: 1_001, details: { to: 'running' } },
    { kind: 'action' },
    { kind: 'plugin.state' },
  ])
  // What it may do is written whenever that is another than before, and so is what ends it.
  expect(entries.filter(({ kind, generation }) => kind === 'plugin.granted' && [1_006, 1_007].includes(Number(generation)))).toHaveLength(2)
  expect(entries.at(-1)).toMatchObject({ kind: 'plugin.fault', generation: 1_010, reason: 'it crashed' })
})

test('faults that cost a plugin no restart do not fill the log, nor do they write out what is summed of its crashes', async () => {
  const dir = emptyFolder()
  const audit = new Audit({ log: new AuditLog({ dir, maxBytes: 1_000_000, keep: 2, log: keptLog().logger }), errorOf: () => undefined })
  const failed = new PlugbayError('TASK_FAILED', 'y'.repeat(1_990))
  const crashed = new PlugbayError('PLUGIN_CRASHED', 'it crashed')
  for (let generation = 1; generation <= 1_000; generation++) {
    audit.told('plugin:fault', { name: 'p', generation, error: failed })
    audit.told('plugin:fault', { name: 'p', generation, error: crashed, lost: 0, restartIn: 1 })
  }
  const crashLoop = new PlugbayError('PLUGIN_CRASH_LOOP', 'too often')
  audit.told('plugin:fault', { name: 'p', generation: 1_000, error: crashLoop })
  audit.told('plugin:fault', { name: 'q', generation: 1, error: failed })
  await audit.close()

  const entries = await lastEntries(dir, 10_000)
  expect((await verifyAudit(dir)).faults).toEqual([])
  const sumOf = (code: string): number =>
    entries
      .filter(({ plugin, details }) => plugin === 'p' && details?.['code'] === code)
      .reduce(
        (sum, { reason, details }) =>
          sum + Number(details?.['unsaid'] ?? 0) + (/ than is written | than are written /.test(reason ?? '') ? 0 : 1),
        0,
      )
  expect([sumOf('TASK_FAILED'), sumOf('PLUGIN_CRASHED'), sumOf('PLUGIN_CRASH_LOOP')]).toEqual([1_000, 1_000, 1])
  const size = entries.reduce((sum, entry) => sum + JSON.stringify(entry).length, 0)
  expect(size).toBeLessThan(5 * 65_536)
  expect(entries.filter(({ plugin }) => plugin === 'q')).toHaveLength(1)
})

test('those that are replaced for one that crashes are summed with its crashes, and their own last state is written when something else comes of them', async () => {
  const dir = emptyFolder()
  const audit = new Audit({ log: new AuditLog({ dir, maxBytes: 10_000_000, keep: 2, log: keptLog().logger }), errorOf: () => undefined })
  const crashed = new PlugbayError('PLUGIN_CRASHED', 'it crashed')
  const place = { isolation: 'thread', from: 'default', tier: 'thread' } as const
  const moved = (name: string, generation: number, from: PluginState, to: PluginState): void =>
    audit.told('plugin:state', { name, generation, from, to, reason: 'start' })
  const dependents = ['q', 'r', 's']
  for (const name of dependents) audit.granted({ name, version: '1.0.0' } as never, 1, place, [], 'start')
  for (let generation = 2; generation <= 1_000; generation++) {
    audit.told('plugin:fault', { name: 'p', generation: generation - 1, error: crashed, lost: 0, restartIn: 1 })
    for (const name of dependents) {
      audit.granted({ name, version: '1.0.0' } as never, generation, place, [], 'dependency', 'p')
      moved(name, generation, 'starting', 'running')
      moved(name, generation - 1, 'stopping', 'stopped')
      audit.told('plugin:fault', { name, generation: generation - 1, error: crashed, lost: 0 })
      audit.told('plugin:replaced', { name, from: generation - 1, to: generation, reason: 'dependency', ms: 1, moved: 0, left: [] })
    }
  }
  await audit.act('disable', { name: 'q', newest: 1_000 }, { actor: 'anna' }, async () => {})
  await audit.close()

  const entries = await lastEntries(dir, 100_000)
  expect((await verifyAudit(dir)).faults).toEqual([])
  const replacing = entries.filter(({ kind, plugin }) => plugin !== 'p' && kind !== 'plugin.fault')
  expect(JSON.stringify(replacing).length).toBeLessThan(4 * 65_536)
  expect(replacing.filter(({ kind }) => kind === 'plugin.replaced').length).toBeGreaterThan(50)
  const asked = entries.findIndex(({ kind }) => kind === 'action')
  expect(entries[asked - 1]).toMatchObject({ kind: 'plugin.state', plugin: 'q', generation: 1_000, details: { to: 'running' } })
})
