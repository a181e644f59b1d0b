import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTestKernel } from 'plugbay/testing'
import { afterEach, expect, test } from 'vitest'

let kernel
const start = async (config = {}) => {
  kernel = await createTestKernel({ plugins: new URL('.', import.meta.url), config: { logger: config } })
}
afterEach(() => kernel?.stop())

const read = async (name = 'events.log') => {
  await kernel.bus.drain()
  const text = await readFile(join(kernel.dataDir, 'logger', name), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('an event is a line with its time, level, topic, source and data', async () => {
  await start()
  await kernel.bus.publish('user.login', { userId: '1' })
  const { time } = await kernel.expectEvent('user.login')
  expect(await read()).toEqual([{ time, level: 'info', topic: 'user.login', source: 'plugbay', data: { userId: '1' } }])
})

test('only chosen topics are written, and one that several patterns match once', async () => {
  await start({ patterns: ['user.*', '*.login'] })
  for (const topic of ['user.login', 'user.logout', 'admin.login', 'order.paid']) await kernel.bus.publish(topic)
  const topics = (await read()).map(({ topic }) => topic)
  expect(topics.toSorted()).toEqual(['admin.login', 'user.login', 'user.logout'])
})

test("the level follows from the topic: the kernel's events are debug, failures are errors", async () => {
  await start({ level: 'debug' })
  for (const topic of ['mail.failed', 'user.login']) await kernel.bus.publish(topic)
  const levels = Object.fromEntries((await read()).map(({ topic, level }) => [topic, level]))
  expect(levels).toMatchObject({ 'kernel.plugin.state': 'debug', 'mail.failed': 'error', 'user.login': 'info' })
})

test('less severe events than the level are left out', async () => {
  await start({ level: 'error' })
  for (const topic of ['user.login', 'mail.failed']) await kernel.bus.publish(topic)
  expect((await read()).map(({ topic }) => topic)).toEqual(['mail.failed'])
})

test('a file that has grown is rotated, and the oldest goes', async () => {
  await start({ patterns: ['n'], maxBytes: 100, keep: 2 })
  for (let n = 0; n < 10; n++) await kernel.bus.publish('n', n)
  // One line has about 80 bytes: two fill a file.
  expect((await read()).map(({ data }) => data)).toEqual([8, 9])
  expect((await read('events.log.1')).map(({ data }) => data)).toEqual([6, 7])
  expect((await read('events.log.2')).map(({ data }) => data)).toEqual([4, 5])
  expect(await readdir(join(kernel.dataDir, 'logger'))).toHaveLength(3)
})

test('data that JSON cannot say does not break the log', async () => {
  await start()
  await kernel.bus.publish('odd', { big: 7n, bytes: new Uint8Array(3) })
  expect((await read())[0].data).toEqual({ big: '7', bytes: '3 bytes' })
  kernel.expectNoFaults()
})
