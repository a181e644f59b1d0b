/** Where plugins run: what their operator says over what they say, and the move of one that fails too often into a process. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KernelEvents, KernelOptions } from 'plugbay'
import { describe, expect, test } from 'vitest'
import { lastEntries } from '#src/kernel/audit/verify.js'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith } from '../support/plugin-folder.js'

/** Says where it runs, and crashes when told to. */
const CRASHING = pluginCode({
  start: `
    ctx.bus.subscribe('fail', () => setTimeout(() => { throw new Error('it was told to') }))
    await ctx.bus.publish('place', { pid: process.pid })
  `,
})

/** Kept short, so that a test of it ends soon. */
const backoff = { initial: 1, max: 10, factor: 1 }

describe("the operator's word", () => {
  test('is where a plugin runs, whatever its manifest says', async () => {
    const { kernel } = await startedWith(
      {
        moved: { manifest: { isolation: 'inline' }, code: CRASHING },
        asked: { manifest: { isolation: 'inline' }, code: CRASHING },
        silent: CRASHING,
      },
      { isolation: { moved: 'thread' } },
    )
    expect(infoOf(kernel, 'moved')).toMatchObject({ isolation: 'thread', isolationFrom: 'operator', tier: 'thread' })
    expect(infoOf(kernel, 'asked')).toMatchObject({ isolation: 'inline', isolationFrom: 'manifest', tier: 'inline' })
    expect(infoOf(kernel, 'silent')).toMatchObject({ isolation: 'thread', isolationFrom: 'default', tier: 'thread' })
  })

  test('is where a process runs that asked for a thread', async () => {
    const { kernel } = await startedWith(
      { moved: { manifest: { isolation: 'thread' }, code: CRASHING } },
      { isolation: { moved: 'process' } },
    )
    const { tier, isolationFrom } = infoOf(kernel, 'moved')
    expect(tier).toMatch(/^process/)
    expect(isolationFrom).toBe('operator')
  })
})

describe('a plugin that fails too often in its thread', () => {
  const demoted = async (options: KernelOptions = {}) => {
    const running = await startedWith({ weak: { manifest: { restart: { demote: { after: 2 }, backoff } }, code: CRASHING } }, options)
    const { kernel } = running
    const told: KernelEvents['plugin:demoted'][] = []
    kernel.on('plugin:demoted', (event) => told.push(event))
    for (const restarts of [1, 2]) {
      await kernel.bus.publish('fail')
      await eventually(() => expect(infoOf(kernel, 'weak')).toMatchObject({ state: 'running', restarts }))
    }
    return { ...running, told }
  }

  test('runs in a process from its next start on, and all are told why', async () => {
    const { kernel, told, lines } = await demoted()
    const info = infoOf(kernel, 'weak')
    expect(info).toMatchObject({ isolation: 'process', isolationFrom: 'demoted', state: 'running' })
    expect(info.tier).toMatch(/^process/)
    expect(told).toEqual([{ name: 'weak', generation: 2, from: 'thread', to: 'process', reason: expect.any(String) as string }])
    const reason = told[0]?.reason ?? ''
    expect(reason).toMatch(/'weak' had 2 faults within 60000 ms in its thread \(restart\.demote\).*it was told to/)
    expect(info.history.at(-1)?.message).toBe(reason)
    expect(lines.find(({ message }) => message === reason)).toMatchObject({ level: 'warn', fields: { plugin: 'weak' } })
  })

  test('has it in the audit log', async () => {
    const { kernel, folder, told } = await demoted({ audit: true })
    await kernel.stop()
    const entries = await lastEntries(join(folder, '.data/.audit'), 100)
    const { reason } = told[0] ?? {}
    expect(entries.filter(({ kind }) => kind === 'plugin.demoted')).toMatchObject([
      { plugin: 'weak', generation: 2, actor: 'kernel', reason, details: { from: 'thread', to: 'process' } },
    ])
    expect(entries.filter(({ kind }) => kind === 'plugin.granted')).toMatchObject([
      { generation: 1, details: { isolation: 'thread', isolationFrom: 'default' } },
      { generation: 2, details: { isolation: 'thread', isolationFrom: 'default' } },
      { generation: 3, details: { isolation: 'process', isolationFrom: 'demoted' } },
    ])
  })

  test('stays there when it crashes again, and its faults in the thread no longer count against it', async () => {
    const { kernel, told } = await demoted()
    const places = collect(kernel, 'place')
    await kernel.bus.publish('fail')
    await eventually(() => expect(places).toHaveLength(1))
    expect(places[0]?.data).toEqual({ pid: expect.any(Number) as number })
    expect(places[0]?.data).not.toMatchObject({ pid: process.pid })
    await eventually(() => expect(infoOf(kernel, 'weak')).toMatchObject({ state: 'running', restarts: 3, isolationFrom: 'demoted' }))
    expect(told).toHaveLength(1)
  })

  test('comes back to a thread with new files', async () => {
    const { kernel, folder } = await demoted()
    writeFileSync(join(folder, 'weak/index.js'), `${CRASHING}// mended`)
    await kernel.reload('weak')
    expect(infoOf(kernel, 'weak')).toMatchObject({ isolation: 'thread', isolationFrom: 'default', tier: 'thread' })
  })

  test('stays demoted when its new files do not start', async () => {
    const { kernel, folder } = await demoted()
    writeFileSync(join(folder, 'weak/index.js'), pluginCode({ start: "throw new Error('not yet')" }))
    await expect(kernel.reload('weak')).rejects.toThrow('not yet')
    expect(infoOf(kernel, 'weak')).toMatchObject({ isolationFrom: 'demoted', state: 'running' })
    expect(infoOf(kernel, 'weak').tier).toMatch(/^process/)
  })

  test('stays in its thread where the operator says so', async () => {
    const { kernel, told } = await demoted({ isolation: { weak: 'thread' } })
    expect(infoOf(kernel, 'weak')).toMatchObject({ isolation: 'thread', isolationFrom: 'operator', tier: 'thread' })
    expect(told).toEqual([])
  })

  test('stays in its thread where nothing is said of it', async () => {
    const { kernel } = await startedWith({ weak: { manifest: { restart: { backoff } }, code: CRASHING } })
    for (const restarts of [1, 2, 3]) {
      await kernel.bus.publish('fail')
      await eventually(() => expect(infoOf(kernel, 'weak')).toMatchObject({ state: 'running', restarts }))
    }
    expect(infoOf(kernel, 'weak')).toMatchObject({ isolation: 'thread', isolationFrom: 'default' })
  })
})
