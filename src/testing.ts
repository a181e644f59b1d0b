/**
 * `plugbay/testing`: a real kernel around the plugins under test, in a folder of its own, with expectations; and a clock that stands still.
 */
import type { TestKernelOptions } from './testing/start-test-kernel.js'
import type { TestKernel } from './testing/test-kernel.js'

export { type FakeClock, type FakeClockOptions, fakeClock } from './testing/fake-clock.js'
export type { TestKernelOptions } from './testing/start-test-kernel.js'
export { type ExpectEventOptions, type LoggedLine, TestKernel } from './testing/test-kernel.js'

/**
 * Makes and starts a kernel for a test: the real one, with a temporary `dataDir`, its lines kept in `logged` instead of printed, and stubs
 * in the place of services the plugins need. Stop it at the end, or declare it with `await using`.
 *
 * Rejects with the error of the first plugin that does not start (unless `mayFail`), and as `createKernel` does.
 *
 * ```ts
 * const test = await createTestKernel({ plugins: ['./plugins/hello'] })
 * await test.bus.publish('user.login', { userId: '1' })
 * await test.expectEvent('user.welcome', { where: (event) => event.data.userId === '1' })
 * await test.stop()
 * ```
 */
export const createTestKernel = async (options: TestKernelOptions = {}): Promise<TestKernel> => {
  // A test file imports this one before it has a kernel, and may never make one.
  const { startTestKernel } = await import('./testing/start-test-kernel.js')
  return startTestKernel(options)
}
