/** Web streams between plugins: they cross by plugbay's own wire. Node's own way believes the other end, so nothing goes by it. */
import { transfer } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith } from '../support/plugin-folder.js'
import { startedTasks } from '../support/task-plugin.js'

type Service = Record<string, (...args: unknown[]) => Promise<unknown>>

/** Says of what is thrown its code and its message. */
const SAID = 'const said = (error) => `${error.code} ${error.message}`'
const IMPORT = `import { transfer } from 'plugbay/plugin'\n${SAID}\n`

const READS = 'const items = []; for await (const item of stream) items.push(item); return items'

/** Two of them, and the application reads and writes by the first. */
const shops = (isolation: string): Parameters<typeof startedWith>[0] => ({
  shop: {
    code: pluginCode(
      {
        start: `
          let left = false
          await ctx.services.provide('shop', {
            read: async (stream) => { ${READS} },
            list: (moved) => { const stream = ReadableStream.from([1, 2, 3]); return moved ? transfer(stream, [stream]) : stream },
            endless: () => new ReadableStream({ pull: (controller) => controller.enqueue(1), cancel: () => { left = true } }),
            left: () => left,
            writable: () => { const stream = new WritableStream(); return transfer(stream, [stream]) },
            nested: () => { const stream = new ReadableStream(); return transfer({ stream }, [stream]) },
          })`,
      },
      IMPORT,
    ),
    manifest: { isolation },
  },
  customer: pluginCode(
    {
      start: `
        const shop = await ctx.services.use('shop')
        await ctx.services.provide('customer', {
          buy: async (moved) => { const stream = ReadableStream.from(['a', 'b']); return shop.read(moved ? transfer(stream, [stream]) : stream) },
          look: async (moved) => { const stream = await shop.list(moved); ${READS} },
          give: (kind) => { const stream = new globalThis[kind](); return shop.read(transfer(stream, [stream])).catch(said) },
          hide: () => { const stream = new ReadableStream(); return shop.read(transfer([stream], [stream])).catch(said) },
          hidden: () => shop.nested().catch(said),
        })`,
    },
    IMPORT,
  ),
})

describe.each(['thread', 'process'])('a stream and a plugin in a %s', (isolation) => {
  it('is read at the other side, marked to move or not, as an argument and as a result', async () => {
    const { kernel } = await startedWith(shops(isolation))
    const shop = (await kernel.services.use('shop')) as Service
    const customer = (await kernel.services.use('customer')) as Service
    for (const moved of [false, true]) {
      await expect(customer['buy']?.(moved)).resolves.toEqual(['a', 'b'])
      await expect(customer['look']?.(moved)).resolves.toEqual([1, 2, 3])
      const given = ReadableStream.from([{ a: 1 }, { a: 2 }])
      await expect(shop['read']?.(moved ? transfer(given, [given]) : given)).resolves.toEqual([{ a: 1 }, { a: 2 }])
      const items: unknown[] = []
      const listed = (await shop['list']?.(moved)) as AsyncIterable<unknown>
      for await (const item of ReadableStream.from(listed)) items.push(item)
      expect(items).toEqual([1, 2, 3])
    }
  })

  it('is cancelled where it is written when its reader leaves', async () => {
    const { kernel } = await startedWith(shops(isolation))
    const shop = (await kernel.services.use('shop')) as Service
    const endless = (await shop['endless']?.()) as AsyncIterable<unknown>
    for await (const item of endless) {
      expect(item).toBe(1)
      break
    }
    await eventually(async () => expect(await shop['left']?.()).toBe(true))
  })

  it('is refused where it would move: one that is written, both ways, or a part of a value; and it is said what to do', async () => {
    const { kernel } = await startedWith(shops(isolation))
    const shop = (await kernel.services.use('shop')) as Service
    const customer = (await kernel.services.use('customer')) as Service
    await expect(customer['give']?.('WritableStream')).resolves.toMatch(
      /^PAYLOAD_NOT_CLONEABLE What is to move to service 'shop' of 'shop' cannot cross a thread: a WritableStream does not move, .* Pass a callback/,
    )
    await expect(customer['give']?.('TransformStream')).resolves.toMatch(/a TransformStream does not move, .* Hand over its readable end/)
    const inside = /^PAYLOAD_NOT_CLONEABLE .* a ReadableStream does not move, .* Hand it over itself/
    await expect(customer['hide']?.()).resolves.toMatch(inside)
    await expect(customer['hidden']?.()).resolves.toMatch(inside)
    const written = new WritableStream()
    await expect(shop['read']?.(transfer(written, [written]))).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
    await expect(shop['writable']?.()).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE', plugin: 'shop' })
  })
})

it('a stream that somebody reads already fails its call, and uses up nothing', async () => {
  const { kernel } = await startedWith(shops('thread'))
  const shop = (await kernel.services.use('shop')) as Service
  const read = ReadableStream.from([1])
  read.getReader()
  for (let i = 0; i < 50; i++) {
    const calls = Array.from({ length: 100 }, () => shop['read']?.(read))
    for (const call of calls) await expect(call).rejects.toThrow(/locked/)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await expect(shop['read']?.(ReadableStream.from([1]))).resolves.toEqual([1])
})

it('a task answers no stream, moved or not', async () => {
  const answer = (how: string): string =>
    `import { transfer } from 'plugbay/plugin'\nexport default () => { const stream = new ReadableStream(); return ${how} }`
  const { run } = await startedTasks({ 'moved.js': answer('transfer(stream, [stream])'), 'plain.js': answer('stream') })
  await expect(run('moved')).resolves.toMatchObject({
    code: 'TASK_FAILED',
    cause: { code: 'PAYLOAD_NOT_CLONEABLE', message: expect.stringContaining('a ReadableStream does not move'), plugin: 'worker' },
  })
  await expect(run('plain')).resolves.toMatchObject({ code: 'TASK_FAILED', cause: { code: 'PAYLOAD_NOT_CLONEABLE' } })
})

/**
 * Goes past plugbay's own end of the line: a stream is none to it, and Node would move one whose other end is `kept`, by what the plugin
 * says of it.
 */
const forged = (kind: string): string => `
  import { transfer } from 'plugbay/plugin'
  const { prototype } = ${kind}
  for (const stream of [ReadableStream, WritableStream, TransformStream]) Object.defineProperty(stream, Symbol.hasInstance, { value: () => false })
  const own = (name) => Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'messaging_' + name + '_symbol')
  let asked = 0
  prototype[own('transfer_list')] = () => { asked++; return [] }
  prototype[own('transfer')] = () => { asked++; return { data: {}, deserializeInfo: 'internal/webstreams/${kind.toLowerCase()}:Transferred${kind}' } }
  const forge = () => { const stream = new ${kind}(); return transfer(stream, [stream]) }
`

it.each(['ReadableStream', 'WritableStream'])('a %s does not move past that: no thread is asked how', async (kind) => {
  const start = `await ctx.services.provide('evil', {
    to: async (name) => { const taken = await (await ctx.services.use(name)).take(forge()).catch((error) => error.code); return [taken, asked] },
  })`
  const { kernel, faults } = await startedWith({
    victim: pluginCode({ start: "await ctx.services.provide('victim', { take: () => 'taken' })" }),
    evil: pluginCode({ start }, forged(kind)),
  })
  kernel.services.provide('application', { take: () => 'taken' })
  const { to } = (await kernel.services.use('evil')) as Service
  for (const name of ['victim', 'application']) await expect(to?.(name)).resolves.toEqual(['PAYLOAD_NOT_CLONEABLE', 0])
  expect(faults).toEqual([])
})
