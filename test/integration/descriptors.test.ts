/** A process without a free descriptor: what the kernel cannot read or open for a while ends neither the application nor a plugin that is well. */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'

/** Few, so that they are soon gone. */
const DESCRIPTORS = 256

/** A plugin that provides these functions by its own name. */
const providing = (functions: string): string =>
  `export default { async start(ctx) { await ctx.services.provide(ctx.name, { ${functions} }) } }`

/** What an application says that runs over these plugins; `kernel`, `faults`, `told` (what it says) and `starved`, which does something without a descriptor, are there. */
const runs = async (files: Record<string, string | object>, body: string): Promise<unknown> => {
  const cwd = folderWith({
    ...files,
    'app.mjs': `
      import { closeSync, openSync } from 'node:fs'
      import { once } from 'node:events'
      import { setTimeout as delay } from 'node:timers/promises'
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'silent' })
      const told = {}
      const faults = []
      kernel.on('plugin:fault', ({ name, error }) => faults.push({ name, code: error.code, message: error.message }))
      const until = async (holds) => { while (!holds()) await delay(10) }
      const starved = async (act) => {
        const held = []
        try { for (;;) held.push(openSync('app.mjs')) } catch (error) { if (error.code !== 'EMFILE') throw error }
        try { return await act() } finally { for (const fd of held) closeSync(fd) }
      }
      await kernel.start()
      ${body}
      await kernel.stop()
      console.log(JSON.stringify(told))`,
  })
  const command = `ulimit -n ${DESCRIPTORS}; exec "$0" app.mjs`
  // An application that ends by an error fails the test with it.
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command, process.execPath], { cwd, timeout: 60_000 })
  return JSON.parse(stdout)
}

it.skipIf(process.platform === 'win32')(
  'keeps a process from being started again, and a thread from being made for later, until there is one',
  { timeout: 90_000 },
  async () => {
    const told = await runs(
      {
        ...pluginsWith({ crashes: { isolation: 'process', restart: { max: 1_000, backoff: { initial: 20, max: 100 } } } }),
        'plugins/crashes/index.js': providing("boom: () => void setTimeout(() => { throw new Error('boom') })"),
      },
      `
      const crashes = await kernel.services.use('crashes')
      // From before the first thread that is to wait is made.
      await starved(async () => {
        // It may end before it answers.
        await crashes.boom().catch(() => {})
        await until(() => faults.length > 1)
      })
      told.faults = faults.slice(0, 2)
      await until(() => kernel.plugins()[0].state === 'running')`,
    )
    expect(told).toEqual({
      faults: [
        { name: 'crashes', code: 'PLUGIN_CRASHED', message: expect.stringContaining('boom') },
        expect.objectContaining({ name: 'crashes', message: expect.stringContaining('EMFILE') }),
      ],
    })
  },
)

it.skipIf(process.platform === 'win32')(
  'fails the tasks that are run meanwhile, the first of a plugin among them, and none after that',
  { timeout: 90_000 },
  async () => {
    const told = await runs(
      {
        ...pluginsWith({ counts: { tasks: { twice: 'twice.js' } } }),
        'plugins/counts/twice.js': 'export default (number) => number * 2',
        'plugins/counts/index.js': providing("twice: (number) => ctx.tasks.run('twice', number)"),
      },
      `
      const counts = await kernel.services.use('counts')
      const tried = () => counts.twice(21).catch(() => 'failed')
      told.during = await starved(tried)
      told.after = await tried()`,
    )
    expect(told).toEqual({ during: 'failed', after: 42 })
  },
)

it.skipIf(process.platform === 'win32')(
  'costs no plugin in a thread its life that computes meanwhile, and saves none that goes past its limit',
  { timeout: 90_000 },
  async () => {
    const patient = { hang: 30_000 }
    const told = await runs(
      {
        ...pluginsWith({
          computes: { limits: patient },
          grows: { limits: { ...patient, memory: 64 }, restart: { policy: 'temporary' } },
        }),
        'plugins/computes/index.js': providing(
          "work: (ms) => { for (const end = performance.now() + ms; performance.now() < end; ); return 'done' }",
        ),
        'plugins/grows/index.js': providing('grow: () => void setInterval(() => (globalThis.kept ??= []).push(Buffer.alloc(2e7, 1)), 20)'),
      },
      `
      const computes = await kernel.services.use('computes')
      const grows = await kernel.services.use('grows')
      await starved(async () => {
        told.during = await computes.work(300)
        await grows.grow()
        await until(() => faults.length > 0)
      })
      told.after = await computes.work(1)
      told.faults = faults`,
    )
    expect(told).toEqual({
      during: 'done',
      after: 'done',
      faults: [{ name: 'grows', code: 'PLUGIN_LIMIT', message: expect.stringContaining('limits.memory') }],
    })
  },
)
