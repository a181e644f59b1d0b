import { createKernel } from 'plugbay'
import { expect, it } from 'vitest'
import { pluginCode, startedWith } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

const stopped = { code: 'KERNEL_STATE', message: expect.stringContaining('Make a new one with createKernel()') }

it('after the stop no event is taken that nobody would get, and no subscription that would get none', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: 'ctx.bus.subscribe("in.*", () => {})' }) })
  const seen: unknown[] = []
  const subscription = kernel.bus.subscribe('in.**', ({ data }) => void seen.push(data))
  await kernel.bus.publish('in.a', 1)
  await kernel.stop()
  await expect(kernel.bus.publish('in.a', 2)).rejects.toMatchObject(stopped)
  await expect(kernel.bus.publish('in.never-published', 3)).rejects.toMatchObject(stopped)
  expect(await thrown(() => kernel.bus.subscribe('in.*', () => {}))).toMatchObject(stopped)
  expect(seen).toEqual([1])
  // What brings a topic to mind again does not open it again.
  subscription.unsubscribe()
  await expect(kernel.bus.publish('in.a', 4)).rejects.toMatchObject(stopped)
  await kernel.bus.drain()
})

it('what a handler has in its queue at the stop it still gets', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  const seen: unknown[] = []
  let go = (): void => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  kernel.bus.subscribe('in', async ({ data }) => {
    await held
    seen.push(data)
  })
  for (const n of [1, 2, 3]) await kernel.bus.publish('in', n)
  await kernel.stop()
  go()
  await kernel.bus.drain()
  expect(seen).toEqual([1, 2, 3])
})

it('a loop over events of the application ends at the stop, after what was queued', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  const seen: unknown[] = []
  const numbers = kernel.bus.subscribe('in')
  const waiting = kernel.bus.subscribe('never')
  for (const n of [1, 2, 3]) await kernel.bus.publish('in', n)
  const loop = (async () => {
    for await (const { data } of numbers) seen.push(data)
  })()
  const none = waiting[Symbol.asyncIterator]().next()
  await kernel.stop()
  await loop
  expect(seen).toEqual([1, 2, 3])
  expect(await none).toEqual({ value: undefined, done: true })
  expect(numbers.closed).toBe(true)
})

it('whoever waited for a handler that never ends is let go at the stop', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  const stuck = kernel.bus.subscribe('in', () => new Promise(() => {}), { capacity: 2 })
  const waiting = Promise.all([1, 2, 3, 4, 5].map((n) => kernel.bus.publish('in', n)))
  await kernel.stop()
  await waiting
  expect(stuck.stats).toMatchObject({ inFlight: 1, queued: 4 })
})

it('after the stop services are neither used nor provided nor watched', async () => {
  const { kernel } = await startedWith({ p: pluginCode({ start: '' }) })
  const waiting = thrown(() => kernel.services.use('none', { wait: 60_000 }))
  await kernel.stop()
  expect(await waiting).toMatchObject(stopped)
  expect(await thrown(() => kernel.services.use('none'))).toMatchObject(stopped)
  expect(await thrown(() => kernel.services.provide('mine', { a: () => 1 }))).toMatchObject(stopped)
  expect(await thrown(() => kernel.services.watch('mine', () => {}))).toMatchObject(stopped)
  expect(kernel.services.list()).toEqual([])
})

it('before the start events go between those of the application', async () => {
  const kernel = await createKernel()
  const seen: unknown[] = []
  kernel.bus.subscribe('in', ({ data }) => void seen.push(data))
  await kernel.bus.publish('in', 1)
  expect(seen).toEqual([1])
})
