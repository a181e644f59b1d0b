/**
 * What no thread holds: a line that ends all of V8, and with it the process it runs in. docs/threads.md says so, for as long as this does.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { onGo } from '../support/offences.js'
import { startedWith } from '../support/plugin-folder.js'

const limits = { memory: 2_000, hang: 60_000 }
const patient = { timeout: 120_000 }
const manifest = { limits: { ...limits, loadTimeout: 60_000 }, restart: { policy: 'temporary' } }

/** What a process says and how it ends, whose application has a plugin in a thread that does it on `go`. */
const lastWords = async (code: string): Promise<{ said: string; end: unknown }> => {
  const cwd = folderWith({
    ...pluginsWith({ p: { limits } }),
    'plugins/p/index.js': code,
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error' })
      kernel.services.provide('buffers', { make: () => new ArrayBuffer(8, { maxByteLength: 65_536 }) })
      await kernel.start()
      await kernel.bus.publish('go')
      setInterval(() => {}, 1_000) // An application that serves somebody.`,
  })
  const child = spawn(process.execPath, ['app.mjs'], { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.once('close', (exit, signal) => resolve(signal ?? exit)))
  return { said: await text(child.stderr), end: await ended }
}

/** More pieces than V8 has room for in one array, which it looks at when it has begun. */
const SPLITS = onGo("globalThis.kept = 'x'.repeat(2.5e8).split('')")

it(
  'a text of 250 million characters that a plugin in a thread splits into characters ends the process, on each version of Node',
  patient,
  async () => {
    const { said, end } = await lastWords(SPLITS)
    expect(said).toContain('Fatal JavaScript invalid size error')
    expect(end).not.toBe(0)
  },
)

it('the same ends a process of its own alone', patient, async () => {
  const { kernel, faults } = await startedWith({ splits: { code: SPLITS, manifest: { ...manifest, isolation: 'process' } } })
  await kernel.bus.publish('go')
  await vi.waitFor(() => expect(faults).toMatchObject([{ name: 'splits', error: { code: 'PLUGIN_CRASHED' } }]), { timeout: 60_000 })
})

/** Each takes two mappings. Where the system gives a process many more, to use them up would take the machine too long. */
const MANY = 40_000
const mappings = process.platform === 'linux' ? Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8')) : Number.POSITIVE_INFINITY
const usesUp = (made: string): string => `globalThis.kept = []; for (let i = 0; i < ${MANY}; i++) kept.push(${made})`
const MAKES = onGo(usesUp('new ArrayBuffer(8, { maxByteLength: 65_536 })'))

it('resizable buffers by the ten thousands are refused to a plugin in a thread', async () => {
  const { kernel, faults } = await startedWith({ p: { code: MAKES, manifest } })
  await kernel.bus.publish('go')
  await eventually(() => expect(faults.map(({ error }) => error.code)).toEqual(['PERMISSION_DENIED', 'PLUGIN_CRASHED']))
  expect(faults[0]?.error.message).toContain("Plugin 'p' may not use resizable buffers (maxByteLength)")
})

describe.runIf(mappings < 2 * MANY)('where the system gives a process few mappings', () => {
  it('they end a process of its own alone', patient, async () => {
    const { kernel, faults } = await startedWith({ p: { code: MAKES, manifest: { ...manifest, isolation: 'process' } } })
    await kernel.bus.publish('go')
    await vi.waitFor(() => expect(faults).toMatchObject([{ name: 'p', error: { code: 'PLUGIN_CRASHED' } }]), { timeout: 60_000 })
  })

  // From Node 26 on V8 mostly ends the thread alone.
  it.runIf(Number.parseInt(process.versions.node, 10) < 26)(
    'copies of one that a plugin in a thread was handed end the process',
    patient,
    async () => {
      const first = "const buffers = await ctx.services.use('buffers')"
      const { end } = await lastWords(onGo(`buffers.make().then((one) => { ${usesUp('structuredClone(one)')} })`, { first }))
      expect(end).toMatch(/^SIG(ABRT|TRAP|ILL|SEGV)$/)
    },
  )
})
