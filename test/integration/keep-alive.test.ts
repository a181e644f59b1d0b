/** What keeps the process of an application alive, and what does not: each application is a process that has nothing else to do. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { folderWith, root } from '../support/command.js'
import { eventually } from '../support/eventually.js'

const patient = { timeout: 60_000 }

/** Runs `code` with `make(options)`, which makes a kernel of the folder `plugins`. */
const application = (code: string, plugins: Record<string, { manifest?: object; code: string }> = {}) => {
  const folder = folderWith({
    ...Object.fromEntries(
      Object.entries(plugins).flatMap(([name, { manifest = {}, code }]) => [
        [`plugins/${name}/plugin.json`, { name, version: '1.0.0', isolation: 'inline', ...manifest }],
        [`plugins/${name}/index.js`, code],
      ]),
    ),
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const make = (options) => createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'silent', standby: 0, ...options })
      ${code}`,
  })
  const child = spawn(process.execPath, ['app.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  const ended = new Promise<{ code: number | null; said: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, said: text.trim() })),
  )
  return { folder, output: () => text, ended }
}

const never = 'new Promise(() => {})'

describe('the process lives until its application has the answer', () => {
  it('of a use of a service that nobody provides, without a plugin', patient, async () => {
    const { ended } = application(`
      const kernel = await make({ plugins: [] })
      const use = () => kernel.services.use('greeter', { wait: 50 }).catch(({ code }) => console.log(kernel.state, code))
      await use()
      await kernel.start()
      await use()`)
    await expect(ended).resolves.toEqual({ code: 0, said: 'created SERVICE_UNKNOWN\nrunning SERVICE_UNKNOWN' })
  })

  it('of a use of a service in an inline plugin', patient, async () => {
    const { ended } = application('const { plugins } = await (await make()).start(); console.log(plugins[0].error.message)', {
      p: { code: 'export default { start: (ctx) => ctx.services.use("greeter", { wait: 50 }) }' },
    })
    await expect(ended).resolves.toEqual({ code: 0, said: expect.stringContaining("No plugin provides a service named 'greeter'") })
  })

  it.each(['loadTimeout', 'initializeTimeout', 'startTimeout'])(
    'of the start of an inline plugin that never ends (%s)',
    patient,
    async (limit) => {
      const code = {
        loadTimeout: `await ${never}; export default {}`,
        initializeTimeout: `export default { initialize: () => ${never} }`,
        startTimeout: `export default { start: () => ${never} }`,
      }[limit] as string
      const { ended } = application('const { plugins } = await (await make()).start(); console.log(plugins[0].error.code)', {
        p: { manifest: { limits: { [limit]: 50 } }, code },
      })
      await expect(ended).resolves.toEqual({ code: 0, said: 'PLUGIN_TIMEOUT' })
    },
  )

  it.each([
    ['whose stop never ends', `export default { start() {}, stop: () => ${never} }`],
    ['whose handler never ends', `export default { start(ctx) { ctx.bus.subscribe('in', () => ${never}) } }`],
  ])('of the stop of an inline plugin %s', patient, async (_, code) => {
    const { ended } = application(
      `
      const kernel = await make()
      await kernel.start()
      await kernel.bus.publish('in')
      await kernel.stop()
      console.log(kernel.state)`,
      { p: { manifest: { limits: { stopTimeout: 50 } }, code } },
    )
    await expect(ended).resolves.toEqual({ code: 0, said: 'stopped' })
  })

  it('of a call that an inline plugin does not answer', patient, async () => {
    const { ended } = application(
      `
      const kernel = await make()
      await kernel.start()
      const slow = await kernel.services.use('slow', { timeout: 50 })
      await slow.wait().catch(({ code }) => console.log(code))
      await kernel.stop()`,
      { p: { code: `export default { start: (ctx) => ctx.services.provide('slow', { wait: () => ${never} }) }` } },
    )
    await expect(ended).resolves.toEqual({ code: 0, said: 'CALL_TIMEOUT' })
  })
})

it('a kernel that watches keeps the process, though there is nothing to watch yet', patient, async () => {
  const { folder, output, ended } = application(`
    const kernel = await make({ watch: true })
    kernel.on('plugin:state', ({ name, to }) => {
      if (to === 'running') setImmediate(() => kernel.stop().then(() => console.log(name)))
    })
    await kernel.start()
    console.log('started')`)
  await eventually(() => expect(output()).toContain('started'))
  mkdirSync(join(folder, 'plugins'))
  writeFileSync(join(folder, 'plugins', 'late.js'), 'export default { start() {} }')
  await expect(ended).resolves.toEqual({ code: 0, said: 'started\nlate' })
})

it(
  'the process ends by itself where nobody waits: with a kernel that runs inline plugins alone, and with one that has stopped',
  patient,
  async () => {
    // Hours: a limit that went on counting would be noticed.
    const limits = { loadTimeout: 1e7, initializeTimeout: 1e7, startTimeout: 1e7, stopTimeout: 1e7 }
    const { ended } = application(
      `
    const idle = await make({ dataDir: 'one' })
    await idle.start()
    const stopped = await make({ dataDir: 'other', watch: true })
    await stopped.start()
    await stopped.services.use('mine', { wait: 1e7 })
    await stopped.stop()
    console.log(idle.state, stopped.state)`,
      { p: { manifest: { limits }, code: `export default { start: (ctx) => ctx.services.provide('mine', { x() {} }), stop() {} }` } },
    )
    await expect(ended).resolves.toEqual({ code: 0, said: 'running stopped' })
  },
)
