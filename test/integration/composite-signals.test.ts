/** Signals that nobody but plugbay holds, while garbage is collected: a timeout among them is to fire all the same. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { emptyFolder, pluginCode, writePlugin } from '../support/plugin-folder.js'

const dist = new URL('../../dist/index.js', import.meta.url).href

it('a timeout within another signal ends what it was given to: a subscription, a use, a task', { timeout: 60_000 }, async () => {
  const folder = emptyFolder()
  writePlugin(folder, 'p', {
    code: pluginCode({
      start: `
        const soon = () => AbortSignal.any([AbortSignal.timeout(300)])
        ctx.tasks.run('endless', 1, { signal: soon() }).catch(({ code }) => ctx.bus.publish('over', code))`,
    }),
    manifest: { isolation: 'inline', tasks: { endless: './endless.js' } },
  })
  writeFileSync(join(folder, 'p', 'endless.js'), 'export default () => new Promise(() => {})')
  const script = join(folder, 'main.mjs')
  writeFileSync(
    script,
    `
    import { setImmediate as turn } from 'node:timers/promises'
    import { createKernel } from '${dist}'
    const soon = () => AbortSignal.any([AbortSignal.timeout(300)])
    const kernel = await createKernel({ plugins: '${join(folder, 'p')}', base: '${folder}', logLevel: 'error' })
    const told = []
    kernel.bus.subscribe('over', ({ data }) => void told.push(data))
    await kernel.start()
    const subscription = kernel.bus.subscribe('x', () => {}, { signal: soon() })
    kernel.services.use('none', { signal: soon(), wait: 60_000 }).catch(({ code }) => told.push('use ' + code))
    const until = Date.now() + 20_000
    while ((told.length < 2 || kernel.bus.subscriptionsOf(kernel.bus.source).includes(subscription)) && Date.now() < until) {
      globalThis.gc()
      await turn()
    }
    console.log(JSON.stringify([told.sort(), kernel.bus.subscriptionsOf(kernel.bus.source).includes(subscription)]))
    await kernel.exit()
    `,
  )
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  })
  expect(JSON.parse(stdout)).toEqual([['CALL_CANCELLED', 'use CALL_CANCELLED'], false])
})
