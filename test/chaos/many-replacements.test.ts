/** What five hundred replacements leave behind: a process of its own tells, as a test's own memory goes up and down. */
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { folderWith, node, pluginsWith, root } from '../support/command.js'

interface Trace {
  /** Bytes in use after a collection, in and outside the heap. */
  used: number
  /** Bytes resident, of all threads. */
  resident: number
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
    const { rss, heapUsed, external } = process.memoryUsage()
    return {
      used: heapUsed + external,
      resident: rss,
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
  const dear = ([before, after]) => ['used', 'resident'].some((what) => after[what] - before[what] > 300 * 16 * 1024)
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
  // A thread that makes more objects than it did gets more room for new ones, in steps of megabytes, and gives it back as V8 sees fit: that
  // is held to its smallest.
  const { stdout, stderr } = await node(['--expose-gc', '--max-semi-space-size=1', 'app.mjs'], folder)
  expect(stderr).toBe('')
  const [before, after] = JSON.parse(stdout) as [Trace, Trace]
  const each = (what: 'used' | 'resident'): number => (after[what] - before[what]) / 300 / 1_024
  expect(each('used')).toBeLessThan(16)
  expect(each('resident')).toBeLessThan(16)
  expect(after.threads).toBeLessThanOrEqual(before.threads)
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors)
  expect(after.listeners).toBe(before.listeners)
})
