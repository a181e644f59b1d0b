/** What five hundred replacements leave behind: a process of its own tells, as a test's own memory goes up and down. */
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { folderWith, node, pluginsWith, root } from '../support/command.js'

interface Trace {
  /** Bytes in use after a collection, in and outside the heap. */
  used: number
  /** Bytes resident beside the heap of the application's thread, which V8 lets grow in steps of its own. */
  beside: number
  threads: number
  descriptors: number
  listeners: number
}

const APP = `
  import { readdirSync } from 'node:fs'
  import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
  const count = (folder) => { try { return readdirSync(folder).length } catch { return 0 } }
  const trace = async () => {
    // What has just ended is freed a moment later.
    await new Promise((resolve) => setTimeout(resolve, 500))
    gc()
    gc()
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
    return {
      used: heapUsed + external,
      beside: rss - heapTotal,
      threads: count('/proc/self/task'),
      descriptors: count('/proc/self/fd'),
      listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    }
  }
  const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'error' })
  await kernel.start()
  const replacements = async (count) => {
    for (let n = 0; n < count; n++) {
      await kernel.reload('provider')
      await kernel.bus.publish('go')
    }
    return trace()
  }
  const dear = ([before, after]) => ['used', 'beside'].some((what) => after[what] - before[what] > 300 * 16 * 1024)
  let traces = [await replacements(200), await replacements(300)]
  // An allocator takes a step once; what leaks goes on leaking.
  for (let more = 0; more < 2 && dear(traces); more++) traces = [traces[1], await replacements(300)]
  console.log(JSON.stringify(traces))
  await kernel.stop()`

it('500 replacements leave no thread, descriptor or listener, and cost at most 16 KB each over the last 300', {
  timeout: 480_000,
}, async () => {
  const folder = folderWith({
    ...pluginsWith({ provider: {}, user: { dependencies: { provider: '*' } } }),
    'plugins/provider/index.js': `
      export default { async start(ctx) { ctx.bus.subscribe('in.*', () => {}); await ctx.services.provide('work', { work: (n) => n }) } }`,
    'plugins/user/index.js': `
      export default { async start(ctx) { const { work } = await ctx.services.use('work'); ctx.bus.subscribe('go', () => work(1)) } }`,
    'app.mjs': APP,
  })
  const { stdout, stderr } = await node(['--expose-gc', 'app.mjs'], folder)
  expect(stderr).toBe('')
  const [before, after] = JSON.parse(stdout) as [Trace, Trace]
  const each = (what: 'used' | 'beside'): number => (after[what] - before[what]) / 300 / 1_024
  expect(each('used')).toBeLessThan(16)
  expect(each('beside')).toBeLessThan(16)
  expect(after.threads).toBeLessThanOrEqual(before.threads)
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors)
  expect(after.listeners).toBe(before.listeners)
})
