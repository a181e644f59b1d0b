/** Web streams between plugins: they cross by plugbay's own wire. Node's own way believes the other end, so nothing honest goes by it, and what comes by it is held. */
import { Worker } from 'node:worker_threads'
import { transfer } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { holdMovedStreams } from '#src/sandbox/moved-streams.js'
import { eventually } from '../support/eventually.js'
import { pluginCode, shared, startedWith } from '../support/plugin-folder.js'
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

/** Goes past plugbay's own end of the line: a stream is none to it, Node moves it, and `kept` is the other end of its port. */
const forged = (kind: string): string => `
  import { transfer } from 'plugbay/plugin'
  const { prototype } = ${kind}
  for (const stream of [ReadableStream, WritableStream, TransformStream]) Object.defineProperty(stream, Symbol.hasInstance, { value: () => false })
  const own = (name) => Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'messaging_' + name + '_symbol')
  let kept, moved
  prototype[own('transfer_list')] = () => { const { port1, port2 } = new MessageChannel(); kept = port1; moved = port2; return [moved] }
  prototype[own('transfer')] = () => ({ data: { port: moved }, deserializeInfo: 'internal/webstreams/${kind.toLowerCase()}:Transferred${kind}' })
  const forge = () => { const stream = new ${kind}(); return transfer(stream, [stream]) }
`
const NONSENSE = ['null', '5', "'text'", '{}', "{ type: 'pull' }", "{ type: 'chunk', value: 1 }", "{ type: 'close' }", '[]']

/** Calls a service with such a stream, says nonsense at its other end, and tells how the call ends, or that it waits. */
const evil = (kind: string): string =>
  pluginCode(
    {
      start: `await ctx.services.provide('evil', {
        async to(name, nonsense) {
          kept = undefined
          const said = (0, eval)('(' + nonsense + ')')
          const taken = (await ctx.services.use(name)).take(forge())
          while (kept === undefined) await new Promise((resolve) => setImmediate(resolve))
          for (let i = 0; i < 1_000; i++) kept.postMessage(said)
          return await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, 300, 'waits'))])
        },
      })`,
    },
    forged(kind),
  )

/** Takes a stream and says how it ends. */
const takes = async (stream: ReadableStream | WritableStream): Promise<string> => {
  try {
    if ('getWriter' in stream) {
      const writer = stream.getWriter()
      writer.write(1).catch(() => {})
      await writer.closed
      return 'closed'
    }
    for await (const _ of stream) return 'an item'
    return 'the end'
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`
  }
}

describe.each(['ReadableStream', 'WritableStream'])(
  'a %s that was moved past the refusal, whose other end says what no stream says',
  (kind) => {
    const started = shared(async (afterwards) => {
      const running = await startedWith(
        {
          victim: pluginCode({ start: `await ctx.services.provide('victim', { take: ${takes.toString()}, alive: () => true })` }),
          evil: evil(kind),
        },
        {},
        afterwards,
      )
      running.kernel.services.provide('application', { take: takes })
      return running
    })

    it.each(NONSENSE)('ends nobody by %s: neither another plugin nor the application', async (nonsense) => {
      const { kernel, faults } = await started()
      const { to } = (await kernel.services.use('evil')) as Service
      // What is no error of a stream is as if nothing was said.
      const ended = /^(PROTOCOL The other end of a stream|waits|the end|an item|closed)/
      for (const name of ['victim', 'application']) await expect(to?.(name, nonsense)).resolves.toMatch(ended)
      await expect(((await kernel.services.use('victim')) as Service)['alive']?.()).resolves.toBe(true)
      expect(faults).toEqual([])
    })
  },
)

it.each(['ReadableStream', 'WritableStream'])(
  'a moved %s is held where other classes are in the place of the globals, or none',
  async (kind) => {
    const { kernel, faults } = await startedWith({
      victim: pluginCode(
        { start: `await ctx.services.provide('victim', { take: ${takes.toString()}, alive: () => true })` },
        'globalThis.ReadableStream = class {}\ndelete globalThis.WritableStream',
      ),
      evil: evil(kind),
    })
    const { to } = (await kernel.services.use('evil')) as Service
    await expect(to?.('victim', 'null')).resolves.toMatch(/^(PROTOCOL|waits)/)
    await expect(((await kernel.services.use('victim')) as Service)['alive']?.()).resolves.toBe(true)
    expect(faults).toEqual([])
  },
)

it('nor does one end the kernel that is on its way to a plugin in a process, which it does not reach', async () => {
  const { kernel, faults } = await startedWith({
    victim: {
      code: pluginCode({ start: "await ctx.services.provide('victim', { take: () => 'taken', alive: () => true })" }),
      manifest: { isolation: 'process' },
    },
    evil: evil('ReadableStream'),
  })
  const { to } = (await kernel.services.use('evil')) as Service
  await expect(to?.('victim', 'null')).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
  await expect(((await kernel.services.use('victim')) as Service)['alive']?.()).resolves.toBe(true)
  expect(faults).toEqual([])
})

it('an application moves streams between its own threads as before', async () => {
  holdMovedStreams()
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     parentPort.on('message', async ({ readable, writable }) => {
       const through = ReadableStream.from((async function* () { for await (const item of readable) yield item * 2 })())
       await through.pipeTo(writable)
       const answer = new ReadableStream({ start(controller) { controller.enqueue('said'); controller.error(new RangeError('over')) } })
       const listed = ReadableStream.from(Array.from({ length: 500 }, (_, i) => i))
       parentPort.postMessage({ answer, listed }, [answer, listed])
     })`,
    { eval: true },
  )
  try {
    const doubled: unknown[] = []
    const writable = new WritableStream({ write: (item) => void doubled.push(item) })
    const readable = ReadableStream.from([1, 2, 3])
    const answered = new Promise<{ answer: ReadableStream; listed: ReadableStream }>((resolve) => worker.once('message', resolve))
    worker.postMessage({ readable, writable }, [readable, writable] as never)
    const { answer, listed } = await answered
    await eventually(() => expect(doubled).toEqual([2, 4, 6]))
    const items: unknown[] = []
    for await (const item of listed) items.push(item)
    expect(items).toHaveLength(500)
    await expect(answer.pipeTo(new WritableStream())).rejects.toThrow('over')
  } finally {
    await worker.terminate()
  }
})
