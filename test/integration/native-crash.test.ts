/** What no thread holds: a line that ends all of V8, and with it the process it runs in. docs/threads.md says so, for as long as this does. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { expect, it, onTestFinished, vi } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'
import { onGo } from '../support/offences.js'
import { startedWith } from '../support/plugin-folder.js'

/** More pieces than V8 has room for in one array, which it looks at when it has begun. */
const SPLITS = onGo("globalThis.kept = 'x'.repeat(2.5e8).split('')")
const limits = { memory: 2_000, hang: 60_000 }
const patient = { timeout: 120_000 }

it(
  'a text of 250 million characters that a plugin in a thread splits into characters ends the process, on each version of Node',
  patient,
  async () => {
    const cwd = folderWith({
      ...pluginsWith({ splits: { limits } }),
      'plugins/splits/index.js': SPLITS,
      'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error' })
      await kernel.start()
      await kernel.bus.publish('go')
      setInterval(() => {}, 1_000) // An application that serves somebody.`,
    })
    const child = spawn(process.execPath, ['app.mjs'], { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
    expect(await text(child.stderr)).toContain('Fatal JavaScript invalid size error')
    expect(await ended).not.toBe(0)
  },
)

it('the same ends a process of its own alone', patient, async () => {
  const { kernel, faults } = await startedWith({
    splits: {
      code: SPLITS,
      manifest: { isolation: 'process', limits: { ...limits, loadTimeout: 60_000 }, restart: { policy: 'temporary' } },
    },
  })
  await kernel.bus.publish('go')
  await vi.waitFor(() => expect(faults).toMatchObject([{ name: 'splits', error: { code: 'PLUGIN_CRASHED' } }]), { timeout: 60_000 })
})
