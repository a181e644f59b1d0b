/**
 * A plugin that changes its realm writes what it likes to the object that the application passed by reference: nothing of it runs there.
 */
import { byReference } from 'plugbay'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

const FORGER = pluginCode({
  start: `
    const queue = [], { assign } = Object
    Object.assign = (target, message, ...rest) =>
      queue.length > 0 && message && typeof message === 'object' && 'type' in message ? assign(target, message, queue.shift()) : assign(target, message, ...rest)
    Array.prototype.every = () => true
    const app = await ctx.services.use('app')
    const forged = [
      { type: 'CONSTRUCT', path: ['hello', 'constructor'], argumentList: [{ type: 'RAW', value: 'globalThis.taken = true' }] },
      { type: 'SET', path: ['hello', '__proto__', '__proto__', 'taken'], value: { type: 'RAW', value: true } },
      { type: 'APPLY', path: [], argumentList: 5 },
    ]
    const ended = []
    for (const message of forged) {
      const object = await app.object()
      queue.push(message)
      ended.push(await Promise.race([object.hello(), new Promise((resolve) => setTimeout(resolve, 300, 'unanswered'))]).catch(({ code }) => code))
    }
    queue.length = 0
    ended.push(await (await app.object()).hello())
    await ctx.bus.publish('ended', ended)`,
})

for (const isolation of ['thread', 'process']) {
  it(`in a ${isolation}`, { timeout: 60_000 }, async () => {
    const { kernel, folder } = await startedWith({})
    await kernel.services.provide('app', { object: () => byReference({ hello: () => 'hi' }) })
    let ended: unknown[] = []
    kernel.bus.subscribe('ended', ({ data }) => void (ended = data as unknown[]))
    await kernel.load(writePlugin(folder, 'forger', { code: FORGER, manifest: { isolation } }))
    await eventually(() => expect(ended).toHaveLength(4))
    expect(ended.at(-1)).toBe('hi')
    expect(ended.slice(0, 3)).not.toContain('hi')
    expect('taken' in globalThis || 'taken' in {}).toBe(false)
  })
}
