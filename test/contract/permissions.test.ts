/** The ends that decide hold against a guest that went round its own refusals: it speaks the protocol, and asks for what it may not. */
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { PlugbayError } from '#src/errors.js'
import type { Permission } from '#src/permission-set.js'
import { portChannel } from '#src/sandbox/channel.js'
import { ProviderLine } from '#src/sandbox/lines/service-line.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'

const lineOf = (...permissions: Permission[]) => {
  const line = gatewayLine(permissions)
  /** How many of its events the guest was told of as taken. */
  const accepted = (): number => line.told.reduce((sum, { verb, metas: [count] }) => sum + (verb === 'accepted' ? (count as number) : 0), 0)
  return { ...line, accepted }
}

const acts = (denied: readonly PlugbayError[]) =>
  denied.map(({ details }) => `${String(details?.['action'])} ${String(details?.['resource'])}`)

describe('the gateway', () => {
  test('lets through no event that its plugin may not publish, and gives back its place in the window', async () => {
    const { bus, guest, denied, accepted } = lineOf({ resource: 'bus:fine', actions: ['publish'] })
    const events: string[] = []
    bus.subscribe('**', ({ type }) => void events.push(type))
    guest.notify('publish', ['secret'], { stolen: true })
    guest.notify('publish', ['fine'], {})
    await eventually(() => expect(accepted()).toBe(2))
    expect(events).toEqual(['fine'])
    expect(acts(denied)).toEqual(['publish bus:secret'])
  })

  test('attaches no subscription that its plugin may not have', async () => {
    const { bus, guest, denied, gateway } = lineOf({ resource: 'bus:fine', actions: ['subscribe'] })
    guest.notify('subscribe', [1, '**', null])
    guest.notify('subscribe', [2, 'fine', null])
    await eventually(() => expect(bus.subscriptionsOf('hostile').map(({ pattern }) => pattern)).toEqual(['fine']))
    expect(gateway.subscriptions).toHaveLength(1)
    expect(acts(denied)).toEqual(['subscribe bus:**'])
  })

  test('rejects what is asked of services', async () => {
    const { guest, registry } = lineOf({ resource: 'service:fine', actions: ['provide', 'call'] })
    const provide = (name: string) => guest.request('provide', { service: 1, name, version: '1.0.0', methods: ['x'] })
    await expect(provide('secret')).rejects.toMatchObject({ code: 'PERMISSION_DENIED', plugin: 'hostile' })
    await expect(guest.request('use', { name: 'secret', range: '*', wait: 0 })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await expect(guest.request('watch', { watch: 1, name: 'secret' })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await provide('fine')
    expect(registry.list().map(({ name }) => name)).toEqual(['fine'])
  })

  test('is not harmed by what is no denial', async () => {
    const { bus, guest, denied, accepted } = lineOf(
      { resource: 'bus:fine', actions: ['*'] },
      { resource: 'bus:fine.**', actions: ['publish'] },
    )
    const events: string[] = []
    bus.subscribe('**', ({ type }) => void events.push(type))
    guest.notify('denied', [5, null, 'often'])
    guest.notify('denied', ['bus:a', 'publish', -1])
    guest.notify('denied', [`bus:${'**.a.'.repeat(100_000)}b`, 'subscribe', 1])
    guest.notify('publish', ['fine.really'])
    await eventually(() => expect(accepted()).toBe(1))
    expect(events).toEqual(['fine.really'])
    expect(denied).toEqual([])
  })

  test('believes no denial of what is allowed', async () => {
    const { guest, denied } = lineOf({ resource: 'bus:fine', actions: ['publish'] })
    guest.notify('denied', ['bus:fine', 'publish', 1])
    guest.notify('denied', ['bus:secret', 'publish', 3])
    await eventually(() => expect(denied).toHaveLength(1))
    expect(denied[0]?.details).toEqual({ resource: 'bus:secret', action: 'publish', unsaid: 2 })
  })
})

describe("the provider's end of a line", () => {
  test('answers no call to a method that the consumer may not call', async () => {
    const { port1, port2 } = new MessageChannel()
    const cleared: string[] = []
    const service = { count: () => 3, clear: () => void cleared.push('all') }
    const provided = { name: 'stock', plugin: 'stock', service, methods: new Set(Object.keys(service)) }
    const line = new ProviderLine(port2, provided, 'hostile', ['count'], () => {})
    const consumer = new Conversation(portChannel(port1), { request: () => undefined }, 'the provider')
    onTestFinished(() => {
      consumer.close()
      line.close({ message: 'the test is over' } as PlugbayError)
    })
    expect(await consumer.request('count', [])).toBe(3)
    await expect(consumer.request('clear', [])).rejects.toMatchObject({ code: 'PERMISSION_DENIED', plugin: 'hostile' })
    await expect(consumer.request('claer', [])).rejects.toMatchObject({ code: 'SERVICE_METHOD_UNKNOWN' })
    expect(cleared).toEqual([])
  })
})
