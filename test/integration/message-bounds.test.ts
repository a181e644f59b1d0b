/** The largest single message of a plugin: what it answers, passes, hands over and asks for, in a thread and in a process. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { PluginFiles } from '../support/plugin-folder.js'
import { infoOf, pluginCode, type Running, startedWith, writePlugin } from '../support/plugin-folder.js'

/** Objects that are more than may be sent at once, and fewer bytes than may. */
const MANY = 'const many = () => Array.from({ length: 100_000 }, (_, i) => ({ i }))'

interface Maker {
  items(): Promise<AsyncIterable<unknown>>
  rows(): Promise<unknown>
  numbers(): Promise<Float64Array>
  basket(): Promise<{ all(): Promise<unknown> }>
  give(name: string): Promise<unknown>
  task(name: string, much: boolean): Promise<unknown>
  write(length: number): Promise<unknown>
  state(): Promise<number>
}

const MAKER = pluginCode(
  {
    start: `
      globalThis.state ??= 1
      const told = (error) => ({ code: error.code, message: error.message, cause: error.cause?.code })
      await ctx.services.provide('maker', {
        async *items() { yield 'one'; yield many(); yield 'three' },
        rows: many,
        numbers: () => new Float64Array(3e6),
        basket: () => byReference({ all: many }),
        give: async (name) => { const app = await ctx.services.use('app'); return app[name](many()).catch(told) },
        task: (name, much) => ctx.tasks.run(name, much ? many() : 3).catch(told),
        write: async (length) => {
          const bytes = new Uint8Array(length).fill(7)
          await ctx.fs.writeFile('bytes', bytes)
          await ctx.fs.writeFile('text', 'é'.repeat(length))
          await ctx.fs.appendFile('text', 'é'.repeat(length))
          const back = await ctx.fs.readFile('bytes')
          return [bytes.length, back.length, back.every((byte) => byte === 7), (await ctx.fs.readFile('text', 'utf8')) === 'é'.repeat(2 * length)]
        },
        state: () => globalThis.state,
      })`,
    snapshot: 'return globalThis.state === 1 ? many() : [3]',
    restore: 'globalThis.state = argument.length',
  },
  `import { byReference } from 'plugbay/plugin'\n${MANY}`,
)

describe.each(['thread', 'process'] as const)('a message of a plugin in a %s', (isolation) => {
  let running: Running
  let maker: Maker
  const refused = expect.stringMatching(
    /too large: some \d+ bytes or more, and the limit of a call is 33554432\. Many small objects/,
  ) as string

  const MANIFEST: PluginFiles['manifest'] = {
    isolation,
    limits: { memory: 512, hang: 10_000 },
    tasks: { count: 'count.js', make: 'make.js' },
  }

  beforeEach(async () => {
    running = await startedWith({})
    const { kernel, folder } = running
    kernel.services.provide('app', { take: (value: unknown[]) => value.length })
    const path = writePlugin(folder, 'maker', { code: MAKER, manifest: MANIFEST })
    writeFileSync(join(path, 'count.js'), 'export default (value) => value')
    writeFileSync(join(path, 'make.js'), `${MANY}\nexport default (value) => (value === 3 ? many() : 'made')`)
    await kernel.load(path)
    maker = (await kernel.services.use('maker', { timeout: 0 })) as unknown as Maker
  })

  it('has its limit as an item of a stream, a result, and a result of an object by reference', async () => {
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const item of await maker.items()) seen.push(item)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', plugin: 'maker', message: refused })
    expect(seen).toEqual(['one'])
    await expect(maker.rows()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', plugin: 'maker', message: refused })
    await expect((await maker.basket()).all()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', plugin: 'maker', message: refused })
    // As many bytes in one piece are nothing to make.
    await expect(maker.numbers()).resolves.toHaveLength(3e6)
  })

  it('has it as an argument of a service of the application, and as what a task is given and answers', async () => {
    await expect(maker.give('take')).resolves.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', message: refused })
    await expect(maker.task('count', true)).resolves.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', message: refused })
    await expect(maker.task('make', false)).resolves.toMatchObject({
      code: 'TASK_FAILED',
      message: expect.stringMatching(/^Task 'make' of plugin 'maker' failed: Its result is too large/) as string,
      cause: 'PAYLOAD_TOO_LARGE',
    })
    await expect(maker.task('count', false)).resolves.toBe(3)
  })

  it('has it as a snapshot: the replacement is refused, and the plugin goes on as it was', async () => {
    const { kernel } = running
    await expect(kernel.reload('maker')).rejects.toMatchObject({
      plugin: 'maker',
      message: expect.stringMatching(
        /^Plugin 'maker' failed in snapshot: The result of 'snapshot' of 'maker' for the kernel is too large/,
      ) as string,
    })
    expect(infoOf(kernel, 'maker')).toMatchObject({ state: 'running', generation: 1 })
    await expect(maker.state()).resolves.toBe(1)
  })

  it('has none of these as what is written to a file', async () => {
    await expect(maker.write(3 * 1_048_576)).resolves.toEqual([3 * 1_048_576, 3 * 1_048_576, true, true])
  })
})
