import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTestKernel } from 'plugbay/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'

let kernel
beforeEach(async () => {
  const users = { findById: (id) => (id === '1' ? { id, name: 'Ada', email: 'ada@example.org' } : null) }
  kernel = await createTestKernel({ plugins: new URL('.', import.meta.url), services: { users } })
})
afterEach(() => kernel.stop())

const outbox = async () => (await kernel.services.use('notifications')).outbox()

test('the outbox is empty at first', async () => {
  expect(await outbox()).toEqual([])
})

test('a welcome goes to the address of its user, and is in the outbox by the time it counts as sent', async () => {
  await kernel.bus.publish('user.welcome', { userId: '1', message: 'Welcome!' })
  const sent = await kernel.expectEvent('notification.sent')
  expect(sent.data).toMatchObject({ userId: '1', to: 'ada@example.org' })
  expect(await outbox()).toEqual([expect.objectContaining({ id: kernel.published[0].id, to: 'ada@example.org', text: 'Welcome!' })])
})

test('a welcome to nobody fails, and the next one is sent', async () => {
  await kernel.bus.publish('user.welcome', { userId: 'nobody', message: 'Hm' })
  await kernel.bus.publish('user.welcome', { userId: '1', message: 'Welcome!' })
  await kernel.expectEvent('notification.sent')
  const failed = await kernel.expectEvent('notification.failed')
  expect(failed.data.reason).toBe('There is no user nobody.')
  expect(await outbox()).toHaveLength(1)
  kernel.expectNoFaults()
})

test('a line that a crash cut off is not read', async () => {
  await kernel.bus.publish('user.welcome', { userId: '1', message: 'Welcome!' })
  await kernel.expectEvent('notification.sent')
  await appendFile(join(kernel.dataDir, 'notifications', 'outbox.jsonl'), '{"id":"cut o')
  expect(await outbox()).toHaveLength(1)
})
