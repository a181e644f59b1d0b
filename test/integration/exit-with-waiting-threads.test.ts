/** A plugin that ends while all of Node's own threads in its process wait for files that never come: Node itself would wait for them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { folderWith, pluginsWith, root } from '../support/command.js'

interface Told {
  /** Of the first fault. */
  code: string
  message: string
  exitCode: number | undefined
  state: string
  stopTook: number
}

const posix = process.platform === 'win32' ? describe.skip : describe

/** An application with a plugin that waits for four pipes, and does `then` when it is told to. */
const folder = (isolation: string, then: string, app: string): string => {
  const cwd = folderWith({
    ...pluginsWith({
      waiting: { isolation, restart: { policy: 'temporary' }, permissions: [{ resource: 'fs:../../pipes', actions: ['read'] }] },
    }),
    'plugins/waiting/index.js': `
      import { readFile } from 'node:fs'
      export default { start(ctx) {
        for (const pipe of ['1', '2', '3', '4']) readFile(new URL('../../pipes/' + pipe, import.meta.url), () => {})
        ctx.bus.subscribe('go', () => void setTimeout(() => { ${then} }))
      } }`,
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'silent', audit: true })
      await kernel.start()
      // The reads are under way.
      await new Promise((resolve) => setTimeout(resolve, 200))
      ${app}`,
  })
  mkdirSync(join(cwd, 'pipes'))
  for (const pipe of ['1', '2', '3', '4']) execFileSync('mkfifo', [join(cwd, 'pipes', pipe)])
  return cwd
}

const run = (cwd: string): ChildProcess => {
  const child = spawn(process.execPath, ['app.mjs'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** It may not end by itself: what it prints is all of it. */
const printedBy = async ({ stdout }: ChildProcess): Promise<string> => {
  let text = ''
  for await (const chunk of stdout ?? []) {
    text += String(chunk)
    if (text.endsWith('\n')) break
  }
  return text
}

posix.each(['process', 'thread'])('in a place of kind %s, a plugin whose reads never end', (isolation) => {
  it('and that exits is told of as crashed, and does not keep the kernel from stopping', { timeout: 120_000 }, async () => {
    const app = `
      const fault = await new Promise((resolve) => {
        kernel.on('plugin:fault', resolve)
        kernel.bus.publish('go')
      })
      const { state } = kernel.plugins()[0]
      const began = performance.now()
      await kernel.stop()
      const stopTook = performance.now() - began
      const { code, message, details: { exitCode } } = fault.error
      console.log(JSON.stringify({ code, message, exitCode, state, stopTook }))`
    const told = JSON.parse(await printedBy(run(folder(isolation, 'process.exit(3)', app)))) as Told
    expect(told).toMatchObject({ code: 'PLUGIN_CRASHED', state: 'failed', ...(isolation === 'process' && { exitCode: 3 }) })
    expect(told.message).toMatch(/process\.exit\(\)/)
    expect(told.stopTook).toBeLessThan(5_000)
  })

  it('does not keep kernel.exit() from ending the process', { timeout: 120_000 }, async () => {
    const child = run(folder(isolation, '', 'await kernel.exit(4)'))
    // Of a thread of its own that waits, Node would wait for the end.
    expect(await once(child, 'close')).toEqual(isolation === 'process' ? [4, null] : [null, 'SIGKILL'])
  })
})
