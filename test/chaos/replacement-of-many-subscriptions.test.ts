/**
 * A plugin with thousands of subscriptions is replaced: how many they are makes the turn of the take-over no longer, and no event is lost
 * or doubled.
 */
import { setTimeout as rest } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { EventBus } from '#src/bus/event-bus.js'
import { TopicTrie } from '#src/bus/topic-trie.js'
import { Gateway } from '#src/kernel/gateway/gateway.js'
import { eventually } from '../support/eventually.js'
import { collect, pluginCode, startedWith } from '../support/plugin-folder.js'

const MANY = 2_000

/** Subscribes a few hundred at a time, and tells of each event that it handles; the first ones take their time. */
const many = pluginCode({
  start: `
    for (let n = 0; n < ${MANY}; n++) {
      ctx.bus.subscribe('many.' + n, async ({ data }) => {
        if (n < 20) await new Promise((resolve) => setImmediate(resolve))
        await ctx.bus.publish('handled', data)
      })
      if (n % 300 === 299) await new Promise((resolve) => setImmediate(resolve))
    }`,
})

it('the take-over of thousands of subscriptions changes the bus before and after its turn, not in it', async () => {
  const { kernel } = await startedWith({ many })
  await eventually(() => expect(kernel.bus.stats().subscriptions).toBeGreaterThanOrEqual(MANY))
  const { subscriptions } = kernel.bus.stats()
  const changes = [vi.spyOn(TopicTrie.prototype, 'add'), vi.spyOn(TopicTrie.prototype, 'delete'), vi.spyOn(EventBus.prototype, 'detach')]
  const count = (): number => changes.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  const inTurns: number[] = []
  const { takeOver } = Gateway.prototype
  vi.spyOn(Gateway.prototype, 'takeOver').mockImplementation(function (this: Gateway, ...given) {
    const before = count()
    // Before anything that is put off to another turn.
    setImmediate(() => inTurns.push(count() - before))
    return takeOver.apply(this, given)
  })
  try {
    await kernel.reload('many')
    expect(count()).toBeGreaterThan(MANY)
    expect(inTurns).toHaveLength(1)
    expect(inTurns[0]).toBeLessThan(100)
  } finally {
    vi.restoreAllMocks()
  }
  expect(kernel.bus.stats().subscriptions).toBe(subscriptions)
  expect(kernel.bus.subscriptionsOf('many')).toHaveLength(MANY)
}, 60_000)

it('events to some of thousands of subscriptions are neither lost nor doubled when their plugin is replaced, and stay in order', async () => {
  const { kernel, faults } = await startedWith({ many })
  const handled = collect(kernel, 'handled')
  let going = true
  const sent = new Map<number, number>()
  const publishing = (async () => {
    for (let round = 0; going; round++) {
      for (const n of [0, 7, 19, 500 + (round % 40), MANY - 1]) {
        await kernel.bus.publish(`many.${n}`, [n, sent.get(n) ?? 0])
        sent.set(n, (sent.get(n) ?? 0) + 1)
      }
      await rest(1)
    }
  })()
  for (let n = 0; n < 3; n++) await kernel.reload('many')
  going = false
  await publishing
  const total = [...sent.values()].reduce((sum, count) => sum + count, 0)
  await eventually(() => expect(handled).toHaveLength(total))
  const seen = new Map<number, number>()
  for (const { data } of handled) {
    const [n, nth] = data as [number, number]
    expect(nth).toBe(seen.get(n) ?? 0)
    seen.set(n, nth + 1)
  }
  expect(seen).toEqual(sent)
  expect(faults).toEqual([])
}, 60_000)
