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
      ])
      await ctx.bus.publish('refusals', [await refusal([new Map(), Object.assign([], { 250: 1 })])])`,
  })
  const { kernel, folder } = await startedWith({})
  const refusals: unknown[] = []
  const taken: unknown[] = []
  kernel.bus.subscribe('refusals', ({ data }) => refusals.push(...(data as unknown[])))
  kernel.bus.subscribe('big', ({ data }) => taken.push(data))
  await kernel.load(writePlugin(folder, 'p', { code: publishes, manifest: { limits: { message: 1_000 } } }))
  await eventually(() => expect(refusals).toHaveLength(5))
  const refused = (size: number) => ({
    code: 'PAYLOAD_TOO_LARGE',
    message: expect.stringMatching(
      /^The data that plugin 'p' published on 'big' is too large: some \d+ bytes, and the limit is 1000 \(limits\.message\)/,
    ) as string,
    details: { topic: 'big', size: expect.closeTo(size, -3) as number, limit: 1_000 },
  })
  expect(refusals).toEqual([refused(2_000), refused(2_000), refused(3_000), 'taken', refused(3_000)])
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

/** Publishes until a publisher has to wait, and returns how many need not. */
const publishedAtOnce = async (publish: (n: number) => Promise<void>): Promise<number> => {
  for (let n = 0; n < 1_000; n++) {
    const turn = new Promise((resolve) => setImmediate(resolve, 'waits'))
    if ((await Promise.race([publish(n), turn])) === 'waits') return n
  }
  throw new Error('nobody has to wait')
}

it('the queues of one plugin hold 64 MiB together, and 16 MiB are under way to it: then publishers wait', async () => {
  const stuck = pluginCode({
    start: `for (const topic of ['a', 'b', 'c', 'd', 'e', 'f']) ctx.bus.subscribe(topic, () => new Promise(() => {}), { capacity: 1e9 })`,
  })
  const { kernel } = await startedWith({ stuck, other: pluginCode({ start: `ctx.bus.subscribe('g', () => {})` }) })
  const text = 'x'.repeat(1_000_000)
  const taken = await publishedAtOnce((n) => kernel.bus.publish('abcdef'.charAt(n % 6), text))
  expect(taken).toBeGreaterThanOrEqual(80)
  expect(taken).toBeLessThanOrEqual(86)
  // Small ones count with what it takes to keep them, too.
  expect(await publishedAtOnce((n) => kernel.bus.publish('a', n))).toBe(0)
  // What has nothing to do with it goes on.
  expect(await Promise.race([kernel.bus.publish('g', text), new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBeUndefined()
})

it('the subscriptions of the application share 64 MiB for what plugins publish: then these wait', async () => {
  const publisher = pluginCode({
    start: `
      ctx.bus.subscribe('go', async () => {
        for (let n = 0; n < 100; n++) await ctx.bus.publish('ab'[n % 2], 'x'.repeat(1_000_000))
        await ctx.bus.publish('done')
      })`,
  })
  const { kernel } = await startedWith({ publisher })
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  let seen = 0
  let done = false
  for (const topic of ['a', 'b'])
    kernel.bus.subscribe(topic, async () => {
      await gate
      seen++
    })
  kernel.bus.subscribe('done', () => (done = true))
  await kernel.bus.publish('go')
  // Two are in the hands of the handlers, 67 in the queues, and what the publisher's window lets go waits.
  await eventually(() => expect(kernel.bus.stats()).toMatchObject({ queued: 67 + 9, inFlight: 3 }))
  expect(done).toBe(false)
  open()
  await eventually(() => expect([seen, done]).toEqual([100, true]))
})
