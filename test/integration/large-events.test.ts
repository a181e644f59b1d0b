/** Events that are large: one too many is refused, and many at a time wait where they are, not in the memory of a thread that is busy. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

const HALF = 512 * 1_024

it('an event larger than limits.message is refused, by name and size, plain or not, and the next one passes', async () => {
  const publishes = pluginCode({
    start: `
      const refusal = (data) => ctx.bus.publish('big', data).then(() => 'taken', ({ code, message, details }) => ({ code, message, details }))
      await ctx.bus.publish('refusals', [
        await refusal({ text: 'x'.repeat(2_000) }),
        await refusal('x'.repeat(2_000)),
        await refusal(new Map([['a', new Uint8Array(2_000)]])),
        await refusal({ text: 'x'.repeat(900) }),
      ])`,
  })
  const { kernel, folder } = await startedWith({})
  const refusals: unknown[] = []
  const taken: unknown[] = []
  kernel.bus.subscribe('refusals', ({ data }) => refusals.push(...(data as unknown[])))
  kernel.bus.subscribe('big', ({ data }) => taken.push(data))
  await kernel.load(writePlugin(folder, 'p', { code: publishes, manifest: { limits: { message: 1_000 } } }))
  await eventually(() => expect(refusals).toHaveLength(4))
  const refused = (size: number) => ({
    code: 'PAYLOAD_TOO_LARGE',
    message: expect.stringMatching(
      /^The data that plugin 'p' published on 'big' is too large: some \d+ bytes, and the limit is 1000 \(limits\.message\)/,
    ) as string,
    details: { topic: 'big', size: expect.closeTo(size, -3) as number, limit: 1_000 },
  })
  expect(refusals).toEqual([refused(2_000), refused(2_000), refused(3_000), 'taken'])
  expect(taken).toEqual([{ text: 'x'.repeat(900) }])
})

it('both ends weigh alike: what was taken at the very limit arrives, and nothing else', async () => {
  const publishes = pluginCode({
    start: `
      const made = [
        (n) => 'x'.repeat(n),
        (n) => ['x'.repeat(n)],
        (n) => ({ lists: [[], [], [['x'.repeat(n)]]] }),
        (n) => [1, 'two', ['x'.repeat(n)]],
        (n) => new Map([['text', 'x'.repeat(n)]]),
      ]
      for (const make of made) {
        let taken = 0
        for (let n = 0; n <= 2_000; n++) await ctx.bus.publish('edge', make(n)).then(() => void taken++, () => {})
        await ctx.bus.publish('taken', taken)
      }
      await ctx.bus.publish('over')`,
  })
  const { kernel, folder } = await startedWith({})
  const taken: unknown[] = []
  const arrived: number[] = []
  let count = 0
  let over = false
  kernel.bus.subscribe('edge', () => void count++)
  kernel.bus.subscribe('taken', ({ data }) => {
    taken.push(data)
    arrived.push(count)
    count = 0
  })
  kernel.bus.subscribe('over', () => void (over = true))
  await kernel.load(writePlugin(folder, 'p', { code: publishes, manifest: { limits: { message: 2_000 } } }))
  await eventually(() => expect(over).toBe(true))
  expect(arrived).toEqual(taken)
  for (const each of arrived) expect(each).toBeGreaterThan(900)
})

it('of large events to a slow plugin only some are under way; the rest waits in the kernel, and all come in order', async () => {
  const slow = pluginCode(
    {
      start: `
      ctx.bus.subscribe('big', async ({ data }) => { await gate; await ctx.bus.publish('seen', data.n) })
      ctx.bus.subscribe('go', () => open())`,
    },
    'let open; const gate = new Promise((resolve) => (open = resolve))',
  )
  const { kernel } = await startedWith({ slow })
  const seen: unknown[] = []
  kernel.bus.subscribe('seen', ({ data }) => seen.push(data))
  const numbers = Array.from({ length: 40 }, (_, n) => n)
  await Promise.all(numbers.map((n) => kernel.bus.publish('big', { n, text: 'x'.repeat(HALF) })))
  const [subscription] = kernel.bus.subscriptionsOf('slow').filter(({ pattern }) => pattern === 'big')
  expect(subscription?.stats).toMatchObject({ inFlight: 8, queued: 32 })
  await kernel.bus.publish('go')
  await eventually(() => expect(seen).toEqual(numbers))
})

it("a plugin's large publishes wait for room though its window counts more of them", async () => {
  const publisher = pluginCode({
    start: `
      ctx.bus.subscribe('go', async () => {
        let left = 0
        const all = Array.from({ length: 40 }, (_, n) => ctx.bus.publish('big', { n, text: 'x'.repeat(${HALF}) }).then(() => left++))
        await null
        await null
        ctx.log.info('left at once', { left })
        await Promise.all(all)
        await ctx.bus.publish('done')
      })`,
  })
  const { kernel, lines } = await startedWith({ publisher })
  const seen: unknown[] = []
  let done = false
  kernel.bus.subscribe('big', ({ data }) => seen.push((data as { n: number }).n))
  kernel.bus.subscribe('done', () => (done = true))
  await kernel.bus.publish('go')
  await eventually(() => expect(done).toBe(true))
  expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => n))
  expect(lines.find(({ message }) => message === 'left at once')?.fields['left']).toBe(16)
})
