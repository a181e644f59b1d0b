/** A plugin that allows itself endless crashes, each with as much to say as there is, fills nothing. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

const LONG = 100_000
const restart = { max: 10_000, within: 1_000, backoff: { initial: 0, max: 0 } }
const crashing = pluginCode({ start: `setImmediate(() => { throw new Error('x'.repeat(${LONG})) })` })

it('it is restarted twenty times at once, then once a second', { timeout: 90_000 }, async () => {
  const { kernel, faults } = await startedWith({ p: { code: crashing, manifest: { restart } } })
  const began = performance.now()
  // The twenty-fourth crash follows the twenty-third restart: the third that has to wait.
  await vi.waitFor(() => expect(faults.length).toBeGreaterThan(23), { timeout: 80_000, interval: 20 })
  expect(performance.now() - began).toBeGreaterThan(2_800)
  expect(faults[0]?.restartIn).toBe(0)
  await kernel.stop()
})

it('what its errors say is cut in the log, the audit log, events and the history, and how long it was is told', async () => {
  const { kernel, folder, lines, faults } = await startedWith({ p: { code: crashing, manifest: { restart } } }, { audit: true })
  const heard: unknown[] = []
  kernel.bus.subscribe('kernel.plugin.*', ({ data }) => void heard.push(data))
  await eventually(() => expect(faults.length).toBeGreaterThan(2))
  const { history, lastExit } = infoOf(kernel, 'p')
  await eventually(() => expect(heard.length).toBeGreaterThan(2))
  await kernel.stop()
  for (const text of [
    history[0]?.message,
    lastExit?.reason,
    faults[0]?.error.message,
    lines.find(({ level }) => level === 'error')?.message,
  ])
    expect(text).toContain(`… (${LONG} characters)`)
  for (const { message } of history) expect(message.length).toBeLessThan(5_000)
  // As a logger writes an error: what it says, its stack, and its causes.
  const { inspect } = await import('node:util')
  for (const line of lines) expect(inspect(line, { depth: 10 }).length).toBeLessThan(20_000)
  for (const event of heard) expect(JSON.stringify(event).length).toBeLessThan(25_000)
  const audit = join(folder, '.data/.audit')
  const written = readdirSync(audit).flatMap((file) => readFileSync(join(audit, file), 'utf8').split('\n'))
  expect(written.some((entry) => entry.includes('characters)'))).toBe(true)
  for (const entry of written) expect(entry.length).toBeLessThan(4_000)
})

it.each([
  [{ max: 1e9 }, /restart\.max.*10000/s],
  [{ within: 1 }, /restart\.within.*1000/s],
])('a policy of %j is refused, in a manifest and in the options', async (policy, message) => {
  const { kernel } = await startedWith({ p: { code: crashing, manifest: { restart: policy } } })
  expect(kernel.plugins()).toEqual([])
  const options = await thrown(() => startedWith({}, { defaults: { restart: policy } }))
  expect(options).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) })
})
