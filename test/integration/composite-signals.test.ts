/** Signals that nobody but plugbay holds, while garbage is collected: a timeout among them is to fire all the same. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { AT_ONCE } from '#src/sandbox/conversation/at-once.js'
import { emptyFolder, pluginCode, writePlugin } from '../support/plugin-folder.js'

const dist = new URL('../../dist/index.js', import.meta.url).href

it('a timeout within another signal ends what it was given to, in a plugin and in the application: a subscription, a use, a call, a request, a task, one that waits', {
  timeout: 60_000,
}, async () => {
  const folder = emptyFolder()
  writePlugin(folder, 'p', {
    code: pluginCode({
      start: `
        const soon = () => AbortSignal.any([AbortSignal.timeout(300)])
        const tell = (what) => ({ code }) => ctx.bus.publish('over', what + ' in a plugin: ' + code).catch(() => {})
        ctx.tasks.run('endless', 1, { signal: soon() }).catch(tell('task'))
        ctx.services.use('none', { signal: soon(), wait: 60_000 }).catch(tell('use'))
        ctx.fetch(globalThis.silent, { signal: soon() }).catch(tell('fetch'))
        ctx.bus.subscribe('x', () => {}, { signal: soon() })
        await ctx.services.provide('slow', { wait: () => new Promise(() => {}) })`,
    }),
    manifest: {
      isolation: 'inline',
      tasks: { endless: './endless.js' },
      permissions: [
        { resource: 'net:127.0.0.1', actions: ['connect'] },
        { resource: 'bus:**', actions: ['publish', 'subscribe'] },
        { resource: 'service:*', actions: ['provide', 'call'] },
      ],
    },
  })
  // Of more tasks than so many one waits in the plugin itself.
  writePlugin(folder, 'q', {
    code: pluginCode({
      start: `
        for (let i = 0; i < ${AT_ONCE.task}; i++) ctx.tasks.run('endless', 1).catch(() => {})
        const signal = AbortSignal.any([AbortSignal.timeout(300)])
        ctx.tasks.run('endless', 1, { signal }).catch(({ code }) => ctx.bus.publish('over', 'task that waits: ' + code).catch(() => {}))`,
    }),
    manifest: { isolation: 'inline', tasks: { endless: './endless.js' } },
  })
  for (const name of ['p', 'q']) writeFileSync(join(folder, name, 'endless.js'), 'export default () => new Promise(() => {})')
  const script = join(folder, 'main.mjs')
  writeFileSync(
    script,
    `
    import { once } from 'node:events'
    import { createServer } from 'node:http'
    import { setImmediate as turn } from 'node:timers/promises'
    import { createKernel } from '${dist}'
    const soon = () => AbortSignal.any([AbortSignal.timeout(300)])
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    await once(server, 'listening')
    globalThis.silent = 'http://127.0.0.1:' + server.address().port
    const kernel = await createKernel({ plugins: ['p', 'q'], base: '${folder}', logLevel: 'error' })
    const told = []
    kernel.bus.subscribe('over', ({ data }) => void told.push(data))
    await kernel.start()
    kernel.bus.subscribe('x', () => {}, { signal: soon() })
    const tell = (what) => ({ code }) => told.push(what + ': ' + code)
    kernel.services.use('none', { signal: soon(), wait: 60_000 }).catch(tell('use'))
    // The line is called a while after it was given its signal.
    const slow = (await kernel.services.use('slow')).$with({ signal: soon() })
    const subscribed = () => [kernel.bus.source, 'p'].filter((owner) => kernel.bus.subscriptionsOf(owner).some(({ pattern }) => pattern === 'x'))
    const until = Date.now() + 20_000
    for (let turns = 0; (told.length < 6 || subscribed().length > 0) && Date.now() < until; turns++) {
      globalThis.gc()
      await turn()
      if (turns === 5) slow.wait().catch(tell('call'))
    }
    console.log(JSON.stringify([told.sort(), subscribed()]))
    await kernel.exit()
    `,
  )
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  })
  expect(JSON.parse(stdout)).toEqual([
    ['call', 'fetch in a plugin', 'task in a plugin', 'task that waits', 'use in a plugin', 'use'].map((what) => `${what}: CALL_CANCELLED`),
    [],
  ])
})
