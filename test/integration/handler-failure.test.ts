import { expect, it } from 'vitest'
import { readableLogger } from '#src/kernel/log/log.js'
import { eventually } from '../support/eventually.js'
import { collect, infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const throwing = (how: string): string => pluginCode({ start: `ctx.bus.subscribe('in', ${how})` })

it.each([
  ['throws', '() => { throw Object.assign(new RangeError("boom"), { code: "E_BOOM" }) }'],
  ['rejects', 'async () => { throw Object.assign(new RangeError("boom"), { code: "E_BOOM" }) }'],
])('a handler in a plugin that %s is counted, logged and told of, and stops no other handler', async (_, how) => {
  const { kernel, lines, faults } = await startedWith({
    a: throwing(how),
    b: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data))' }),
  })
  const failed = collect(kernel, 'kernel.handler.failed')
  const out = collect(kernel, 'out')
  for (let n = 1; n <= 3; n++) await kernel.bus.publish('in', n)
  await eventually(() => expect(out.map(({ data }) => data)).toEqual([1, 2, 3]))
  await eventually(() => expect(infoOf(kernel, 'a').subscriptions[0]).toMatchObject({ delivered: 3, failed: 3, inFlight: 0 }))
  await eventually(() => expect(failed).toHaveLength(3))
  expect(failed[0]?.data).toEqual({ topic: 'in', pattern: 'in', plugin: 'a', error: { code: 'E_BOOM', message: 'boom' } })
  const logged = lines.filter(({ level }) => level === 'error')
  expect(logged).toHaveLength(3)
  expect(logged[0]).toMatchObject({
    fields: {
      plugin: 'a',
      generation: 1,
      code: 'HANDLER_FAILED',
      topic: 'in',
      pattern: 'in',
      err: { name: 'RangeError', code: 'E_BOOM' },
    },
    message:
      "A handler of plugin 'a' for 'in' failed on 'in': boom. The event counts as handled: catch in the handler what may fail, and try again there.",
  })
  expect(stateOf(kernel, 'a')).toBe('running')
  expect(faults).toEqual([])
})

it('a handler whose every way failed tells them all, and where', async () => {
  const { kernel, lines } = await startedWith({
    a: throwing(
      "() => Promise.any(['db', 'cache'].map(async (name) => { throw Object.assign(new Error(`${name} down`), { code: 'E_DOWN' }) }))",
    ),
  })
  const failed = collect(kernel, 'kernel.handler.failed')
  await kernel.bus.publish('in', 1)
  await eventually(() => expect(failed).toHaveLength(1))
  expect(failed[0]?.data).toEqual({
    topic: 'in',
    pattern: 'in',
    plugin: 'a',
    error: {
      message: 'All promises were rejected',
      errors: [
        { code: 'E_DOWN', message: 'db down' },
        { code: 'E_DOWN', message: 'cache down' },
      ],
    },
  })
  await eventually(() => expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1))
  const line = lines.find(({ level }) => level === 'error')
  expect(line?.message).toContain("failed on 'in': All promises were rejected: db down; cache down. The event")
  expect(line?.fields).toMatchObject({ err: { name: 'AggregateError', errors: [{ message: 'db down' }, { message: 'cache down' }] } })
  const readable: string[] = []
  readableLogger('error', (text) => void readable.push(text)).error(line?.fields ?? {}, line?.message)
  expect(readable.join('')).toMatch(/Error: db down\n +at .*index\.js.*Error: cache down\n +at .*index\.js/s)
})

it('a handler of the embedder that throws stops neither the publish nor a plugin', async () => {
  const { kernel, lines } = await startedWith({
    b: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data))' }),
  })
  const failed = collect(kernel, 'kernel.handler.failed')
  kernel.bus.subscribe('in', () => {
    throw new Error('host boom')
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('in', 1)
  await eventually(() => expect(out).toHaveLength(1))
  expect(failed.map(({ data }) => data)).toMatchObject([{ plugin: 'plugbay', error: { message: 'host boom' } }])
  expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
    {
      fields: { code: 'HANDLER_FAILED', topic: 'in' },
      message: expect.stringContaining("of the application for 'in' failed on 'in': host boom."),
    },
  ])
})

it('what the embedder publishes and no thread can take is refused, and nobody gets it', async () => {
  const { kernel } = await startedWith({ b: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data))' }) })
  const here: unknown[] = []
  kernel.bus.subscribe('in', ({ data }) => void here.push(data))
  const out = collect(kernel, 'out')
  await expect(kernel.bus.publish('in', { callback: () => 1 })).rejects.toMatchObject({
    code: 'PAYLOAD_NOT_CLONEABLE',
    message: expect.stringContaining("'in'"),
  })
  await kernel.bus.publish('in', 'next')
  await eventually(() => expect(out.map(({ data }) => data)).toEqual(['next']))
  expect(here).toEqual(['next'])
})

it('a handler that fails on a failure does not go round in circles', async () => {
  const { kernel } = await startedWith({
    a: throwing('() => { throw new Error("first") }'),
    watcher: pluginCode({ start: 'ctx.bus.subscribe("kernel.handler.failed", () => { throw new Error("second") })' }),
  })
  const failed = collect(kernel, 'kernel.handler.failed')
  await kernel.bus.publish('in')
  await eventually(() => expect(infoOf(kernel, 'watcher').subscriptions[0]).toMatchObject({ delivered: 1, failed: 1 }))
  expect(failed).toHaveLength(1)
})

it('a handler that fails after a replacement is told of with the generation it belongs to', async () => {
  const { kernel, lines } = await startedWith({ a: throwing('() => { throw new Error("again") }') })
  const logged = (): unknown[] => lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['generation'])
  await kernel.bus.publish('in')
  await eventually(() => expect(logged()).toEqual([1]))
  await kernel.reload('a')
  await kernel.bus.publish('in')
  await eventually(() => expect(logged()).toEqual([1, 2]))
})
