import { createTestKernel } from 'plugbay/testing'
import { afterEach, expect, test } from 'vitest'

const plugin = new URL('.', import.meta.url)
let kernel

afterEach(() => kernel.stop())

test('a login is answered with a welcome', async () => {
  kernel = await createTestKernel({ plugins: plugin })
  await kernel.bus.publish('user.login', { userId: '12345' })
  const welcome = await kernel.expectEvent('user.welcome')
  expect(welcome.source).toBe('hello')
  expect(welcome.data).toEqual({ userId: '12345', message: 'Welcome, 12345!' })
  kernel.expectNoFaults()
})

test('the message is configured, and reconfigured while it runs', async () => {
  kernel = await createTestKernel({ plugins: plugin, config: { hello: { message: 'Hi {userId}' } } })
  await kernel.bus.publish('user.login', { userId: '1' })
  expect((await kernel.expectEvent('user.welcome')).data.message).toBe('Hi 1')

  await kernel.kernel.updateConfig('hello', { message: 'Moin {userId}' })
  await kernel.bus.publish('user.login', { userId: '2' })
  const second = await kernel.expectEvent('user.welcome', { where: (event) => event.data.userId === '2' })
  expect(second.data.message).toBe('Moin 2')
  expect(kernel.kernel.plugins()[0].generation).toBe(1)
})

test('an empty message is refused before any code of the plugin runs', async () => {
  const refused = createTestKernel({ plugins: plugin, config: { hello: { message: '' } } })
  await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID', plugin: 'hello' })
  kernel = await createTestKernel()
})
