import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { eventually } from '../support/eventually.js'
import { collect, emptyFolder, infoOf, pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'
import { openNow, workerThreads } from '../support/traces-of-threads.js'

const DEATHS = [
  'process.exit(1)',
  'process.exit(0)',
  'setImmediate(() => { throw new Error("chaos") })',
  'void Promise.reject(new Error("chaos"))',
]

it('workers that die at random moments while events and calls flow take nobody with them: each call settles, others lose nothing', async () => {
  const mortal = pluginCode({
    start: `
      ctx.bus.subscribe('in', async ({ data }) => { if (data % 5 === 0) await null })
      ctx.bus.subscribe('die.' + ctx.name, ({ data }) => { ${DEATHS.map((death, index) => `if (data === ${index}) { ${death} }`).join('\n')} })
      await ctx.services.provide(ctx.name, {
        work: async (n) => { for (let i = 0; i < n % 4; i++) await null; return n },
        stream: async function* (n) { for (let i = 0; i < n; i++) yield i },
        call: async (visit) => visit(1),
      })`,
  })
  const { kernel, faults } = await startedWith(
    {
      x: { code: mortal, manifest: { restart: { max: 10_000 } } },
      y: { code: mortal, manifest: { restart: { max: 10_000 } } },
      steady: pluginCode({
        start: `
          ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('steady', data))
          await ctx.services.provide('steady', { echo: (n) => n })`,
      }),
    },
    { standby: 1 },
  )
  const steady = collect(kernel, 'steady')
  const echo = (await kernel.services.use('steady')).echo
  const before = openNow()
  let going = true
  let sent = 0
  const outcomes = { answered: 0, failed: 0 }
  const publishing = (async () => {
    while (going) {
      await kernel.bus.publish('in', sent++)
      if (sent % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const calling = ['x', 'y'].map(async (name) => {
    const service = await kernel.services.use(name)
    for (let n = 0; going; n++) {
      try {
        if (n % 10 === 0) {
          for await (const _ of (await service.stream!(5)) as AsyncIterable<number>);
        } else if (n % 10 === 5) await service.call?.((x: number) => x)
        else expect(await service.work?.(n)).toBe(n)
        outcomes.answered++
      } catch (error) {
        if (!PlugbayError.is(error)) throw error
        expect(error.code).toBe('SERVICE_GONE')
        outcomes.failed++
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
  })
  const unharmed = (async () => {
    for (let n = 0; going; n++) expect(await echo?.(n)).toBe(n)
  })()
  for (let death = 0; death < 24; death++) {
    const name = death % 2 ? 'x' : 'y'
    const seen = faults.length
    for (let turns = (death * 7) % 11; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
    await eventually(() => expect(infoOf(kernel, name).state).toBe('running'))
    await kernel.bus.publish(`die.${name}`, death % DEATHS.length)
    await eventually(() => expect(faults.length).toBeGreaterThan(seen))
  }
  going = false
  await Promise.all([publishing, ...calling, unharmed])
  await eventually(() => expect(steady).toHaveLength(sent))
  expect(steady.map(({ data }) => data)).toEqual(Array.from({ length: sent }, (_, n) => n))
  expect(outcomes.answered).toBeGreaterThan(0)
  await eventually(() => expect(['x', 'y'].map((name) => infoOf(kernel, name).state)).toEqual(['running', 'running']))
  for (const name of ['x', 'y']) expect(infoOf(kernel, name).subscriptions).toHaveLength(2)
  await eventually(() => expect(workerThreads()).toBeLessThanOrEqual(before.threads + 1))
  await kernel.stop()
  await eventually(() => expect(workerThreads()).toBe(0))
}, 60_000)

it('a process whose kernel was stopped ends by itself, also after crashes, reloads and unloads', async () => {
  const folder = emptyFolder()
  writePlugin(folder, 'shop', {
    code: pluginCode({
      start: 'await ctx.services.provide("shop", { v: () => 1, die: () => process.exit(1) }); ctx.bus.subscribe("**", () => {})',
    }),
  })
  writePlugin(folder, 'user', {
    code: pluginCode({ start: 'await (await ctx.services.use("shop")).v()' }),
    manifest: { dependencies: { shop: '*' } },
  })
  const script = join(folder, '.main.mjs')
  writeFileSync(
    script,
    `
    import { createKernel } from ${JSON.stringify(import.meta.resolve('plugbay'))}
    const kernel = await createKernel({ plugins: ${JSON.stringify(folder)}, dataDir: ${JSON.stringify(join(folder, '.data'))}, watch: true, logLevel: 'silent', defaults: { restart: { backoff: { initial: 1 } } } })
    await kernel.start()
    const shop = await kernel.services.use('shop')
    kernel.services.provide('host', { ping: () => 1 })
    await shop.v()
    const back = new Promise((resolve) => kernel.on('plugin:replaced', resolve))
    shop.die().catch(() => {})
    await back
    await kernel.reload('shop')
    await kernel.unload('user')
    await kernel.stop()
    console.log('stopped')
    `,
  )
  const { stdout, signal } = await new Promise<{ stdout: string; signal: NodeJS.Signals | null }>((resolve) => {
    execFile(process.execPath, [script], { timeout: 15_000, killSignal: 'SIGKILL' }, (error, out) =>
      resolve({ stdout: out, signal: error?.signal ?? null }),
    )
  })
  expect({ stdout, signal }).toEqual({ stdout: 'stopped\n', signal: null })
}, 30_000)
