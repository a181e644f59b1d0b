/**
 * A process without a free descriptor: what the kernel cannot read or open for a while ends neither the application nor a plugin that is
 * well.
 */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'

/** Few, so that they are soon gone. */
const DESCRIPTORS = 256

/** Who waits for a processor is not to be taken for who waits for a descriptor. */
const limits = { hang: 30_000, loadTimeout: 60_000, startTimeout: 60_000 }

/** A plugin that provides these functions by its own name. */
const providing = (functions: string): string =>
  `export default { async start(ctx) { await ctx.services.provide(ctx.name, { ${functions} }) } }`

/** What an application puts into `told`, that runs over these plugins in a process with few descriptors. */
const runs = async (files: Record<string, string | object>, body: string): Promise<unknown> => {
  const cwd = folderWith({
    ...files,
    'app.mjs': `
      import { closeSync, openSync } from 'node:fs'
      import { setTimeout as delay } from 'node:timers/promises'
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'silent' })
      const told = {}
      const faults = []
      kernel.on('plugin:fault', ({ name, error }) => faults.push({ name, code: error.code, message: error.message }))
      const until = async (holds) => { while (!holds()) await delay(10) }
      const opens = () => { try { closeSync(openSync('app.mjs')); return 'opens' } catch (error) { return error.code } }
      await kernel.start()
      const use = (name) => kernel.services.use(name, { wait: 60_000, timeout: 60_000 })
      ${body}
      await kernel.stop()
      console.log(JSON.stringify(told))`,
  })
  const command = `ulimit -n ${DESCRIPTORS}; exec "$0" app.mjs`
  // An application that ends by an error fails the test with it.
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command, process.execPath], { cwd, timeout: 100_000 })
  return JSON.parse(stdout)
}

describe.skipIf(process.platform === 'win32')('a process without a free descriptor', { timeout: 120_000 }, () => {
  it('starts no process again, makes no thread for later and fails tasks, the first of a plugin among them, until it has one', async () => {
    const told = await runs(
      {
        ...pluginsWith({
          crashes: { limits, isolation: 'process', restart: { max: 1_000, backoff: { initial: 20, max: 100 } } },
          counts: { isolation: 'inline', tasks: { twice: 'twice.js' } },
        }),
        'plugins/crashes/index.js': providing("boom: () => void setTimeout(() => { throw new Error('boom') })"),
        'plugins/counts/twice.js': 'export default (number) => number * 2',
        'plugins/counts/index.js': providing("twice: (number) => ctx.tasks.run('twice', number)"),
      },
      `
      const [crashes, counts] = await Promise.all([use('crashes'), use('counts')])
      const twice = () => counts.twice(21).catch(({ message }) => message)
      // From before the first thread that is to wait is made.
      const held = []
      try { for (;;) held.push(openSync('app.mjs')) } catch {}
      told.during = await twice()
      // It may end before it answers.
      await crashes.boom().catch(() => {})
      const ofCrashes = () => faults.filter(({ name }) => name === 'crashes')
      await until(() => ofCrashes().length > 1)
      told.faults = ofCrashes().slice(0, 2)
      for (const fd of held) closeSync(fd)
      told.after = await twice()
      await until(() => kernel.plugins().every(({ state }) => state === 'running'))`,
    )
    expect(told).toEqual({
      during: expect.stringMatching(/No thread was made for tasks of plugin 'counts': the application has no free descriptor \(EMFILE\)\./),
      after: 42,
      faults: [
        { name: 'crashes', code: 'PLUGIN_CRASHED', message: expect.stringContaining('boom') },
        {
          name: 'crashes',
          code: 'SYSTEM_LIMIT',
          message: expect.stringMatching(
            /^Plugin 'crashes' cannot be started: the application has no free descriptor \(EMFILE\)\. Raise its limit/,
          ),
        },
      ],
    })
  })

  it('is what a plugin in a thread makes of it that was granted files, as docs/threads.md says; it costs none its life that computes, and saves none from its limit', async () => {
    const permissions = [{ resource: 'fs:./', actions: ['read'] }]
    // What others give back meanwhile it takes too.
    const hoards = `import { openSync } from 'node:fs'
      const held = []
      const fill = () => { try { for (;;) held.push(openSync(new URL('index.js', import.meta.url))) } catch (error) { return error.code } }
      ${providing('hoard: () => { setInterval(fill, 1); return fill() }')}`
    const told = await runs(
      {
        ...pluginsWith({
          apart: { limits, permissions, isolation: 'process' },
          hoards: { limits, permissions },
          computes: { limits },
          grows: { limits: { ...limits, memory: 64 }, restart: { policy: 'temporary' } },
        }),
        'plugins/apart/index.js': hoards,
        'plugins/hoards/index.js': hoards,
        'plugins/computes/index.js': providing(
          "work: (ms) => { for (const end = performance.now() + ms; performance.now() < end; ); return 'done' }",
        ),
        'plugins/grows/index.js': providing('grow: () => void setInterval(() => (globalThis.kept ??= []).push(Buffer.alloc(2e7, 1)), 20)'),
      },
      `
      const [apart, hoards, computes, grows] = await Promise.all(['apart', 'hoards', 'computes', 'grows'].map(use))
      told.apart = [await apart.hoard(), opens()]
      told.hoards = await hoards.hoard()
      await until(() => opens() === 'EMFILE')
      told.computes = await computes.work(300)
      await grows.grow()
      await until(() => faults.length > 0)
      await kernel.unload('hoards')
      await until(() => opens() === 'opens')
      told.after = await computes.work(1)
      told.faults = faults`,
    )
    expect(told).toEqual({
      apart: ['EMFILE', 'opens'],
      hoards: 'EMFILE',
      computes: 'done',
      after: 'done',
      faults: [{ name: 'grows', code: 'PLUGIN_LIMIT', message: expect.stringContaining('limits.memory') }],
    })
  })
})
