/** How faults become entries of the audit log. */
import { expect, test } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { AuditLog } from '#src/kernel/audit/audit-log.js'
import { lastEntries } from '#src/kernel/audit/verify.js'
import { Audit } from '#src/kernel/audit.js'
import { fromWire, toWire } from '#src/wire-error.js'
import { emptyFolder, keptLog } from '../../support/plugin-folder.js'

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
