/** The end of a process in which a thread cannot be ended: Node itself would wait for it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { bin, folderWith, pluginsWith, root } from '../support/command.js'
import { inNativeCode } from '../support/offences.js'

/** Far longer than the test takes. */
const NATIVE = inNativeCode(300_000)
const STUCK = `export default { start() { setTimeout(() => { ${NATIVE} }, 50) } }`

const folder = (): string =>
  folderWith({
    ...pluginsWith({ stuck: { limits: { hang: 300 }, restart: { policy: 'temporary' } } }),
    'plugins/stuck/index.js': STUCK,
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error' })
      kernel.on('plugin:stuck', () => void kernel.exit(3))
      setInterval(() => {}, 1_000) // An application that serves somebody.
      await kernel.start()`,
  })

const run = (args: string[], cwd: string): { child: ChildProcess; output: () => string; ended: Promise<unknown> } => {
  const child = spawn(process.execPath, args, { cwd, env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)))
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))
  return { child, output: () => text, ended }
}

const patient = { timeout: 120_000 }

describe('kernel.exit', () => {
  it('ends a process with a stuck thread, which says so by its signal', patient, async () => {
    const { ended } = run(['app.mjs'], folder())
    await expect(ended).resolves.toEqual({ code: null, signal: 'SIGKILL' })
  })

  it('ends a process in which a task is held by native code', patient, async () => {
    const { ended } = run(
      ['app.mjs'],
      folderWith({
        ...pluginsWith({ busy: { tasks: { native: 'native.js' } } }),
        'plugins/busy/index.js': "export default { start(ctx) { ctx.tasks.run('native').catch(() => {}) } }",
        'plugins/busy/native.js': `
          export default () => {
            console.log('begun')
            return new Promise(() => setTimeout(() => { ${NATIVE} }))
          }`,
        'app.mjs': `
          import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
          const none = () => {}
          const info = (_, line) => { if (line === 'begun') setTimeout(() => void kernel.exit(3), 500) }
          const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logger: { debug: none, info, warn: none, error: none } })
          await kernel.start()`,
      }),
    )
    await expect(ended).resolves.toEqual({ code: null, signal: 'SIGKILL' })
  })

  it.skipIf(process.platform === 'win32').each([1, 4])(
    "ends a process in which %i of Node's own threads wait for a file that never comes, also with an audit log",
    patient,
    async (pipes) => {
      const cwd = folderWith({
        ...pluginsWith({ plain: {} }),
        'plugins/plain/index.js': 'export default {}',
        'app.mjs': `
          import { execFileSync } from 'node:child_process'
          import { readFile } from 'node:fs/promises'
          import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
          const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error', audit: true })
          await kernel.start()
          for (let at = 0; at < ${pipes}; at++) {
            execFileSync('mkfifo', ['pipe' + at])
            readFile('pipe' + at)
          }
          console.log('waiting')
          setTimeout(() => void kernel.exit(3), 100)`,
      })
      const { ended, output } = run(['app.mjs'], cwd)
      await expect(ended).resolves.toEqual({ code: null, signal: 'SIGKILL' })
      expect(output()).toContain('waiting')
      // All of them: nobody is left to write it.
      if (pipes === 4) expect(output()).toContain('were not written')
    },
  )

  it('does not wait for a chain of plugins of which each uses up its time to stop', patient, async () => {
    const names = Array.from({ length: 15 }, (_, i) => `p${i}`)
    const chain = names.map((name, i): [string, object] => [name, i === 0 ? {} : { dependencies: { [`p${i - 1}`]: '*' } }])
    const { ended, output } = run(
      ['app.mjs'],
      folderWith({
        ...pluginsWith(Object.fromEntries(chain)),
        ...Object.fromEntries(names.map((name) => [`plugins/${name}/index.js`, 'export default { stop: () => new Promise(() => {}) }'])),
        'app.mjs': `
          import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
          const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'silent' })
          await kernel.start()
          const began = performance.now()
          process.once('exit', () => console.log(performance.now() - began))
          await kernel.exit(3)`,
      }),
    )
    await expect(ended).resolves.toEqual({ code: 3, signal: null })
    // The default for one is 2 s, so one after the other they would take 30 s.
    expect(Number(output())).toBeLessThan(15_000)
  })

  it('leaves plugins their time to stop where one may have all the time there is', async () => {
    const { ended, output } = run(
      ['app.mjs'],
      folderWith({
        ...pluginsWith({ patient: { limits: { stopTimeout: 2_147_483_647 } } }),
        'plugins/patient/index.js': `export default { stop: async () => { await new Promise((resolve) => setTimeout(resolve, 300)); console.warn('stopped') } }`,
        'app.mjs': `
          import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
          const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins' })
          await kernel.start()
          await kernel.exit(3)`,
      }),
    )
    await expect(ended).resolves.toEqual({ code: 3, signal: null })
    expect(output()).toContain('stopped')
    expect(output()).not.toContain('TimeoutOverflowWarning')
  })

  it('gives the code it was given where every thread has ended', patient, async () => {
    const { ended } = run(
      ['app.mjs'],
      folderWith({
        ...pluginsWith({ plain: {} }),
        'plugins/plain/index.js': 'export default {}',
        'app.mjs': `
          import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
          const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error' })
          await kernel.start()
          setInterval(() => {}, 1_000) // An application that serves somebody.
          await kernel.exit(3)`,
      }),
    )
    await expect(ended).resolves.toEqual({ code: 3, signal: null })
  })
})

describe('plugbay start', () => {
  it('that is told to stop ends, though a thread is stuck', patient, async () => {
    const { child, output, ended } = run([bin, 'start'], folder())
    await vi.waitFor(() => expect(output()).toContain('kernel.exit()'), { timeout: 60_000 })
    child.kill('SIGTERM')
    await expect(ended).resolves.toEqual({ code: null, signal: 'SIGKILL' })
    expect(output()).toContain('stopped in')
  })
})
