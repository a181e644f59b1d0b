/** What a plugin that was granted some hosts reaches of the network: real plugins in threads and processes, and real servers, of which one is granted and one is not. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Permission } from 'plugbay'
import { describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, type Running, startedWith } from '../support/plugin-folder.js'
import { http2Server, httpServer, SHARED_KEY, tcpServer, tlsServer, udpServer } from '../support/servers.js'

/** Each way that leads to the network, tried by the plugin: 'reached', or what it was told. */
const WAYS = `
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'

const told = (error) => error.code === 'PERMISSION_DENIED' ? error.message : error.cause ? told(error.cause) : error.code + ' ' + error.message
const attempt = (act) => new Promise((resolve, reject) => {
  Promise.resolve(act(() => resolve('reached'), reject)).catch(reject)
}).catch(told)
const url = (host, port) => (host.includes(':') ? '[' + host + ']' : host) + ':' + port
const WAYS = {
  net: (host, port) => attempt((reached, failed) => net.connect({ host, port }).on('error', failed).on('data', reached)),
  listOfArguments: (host, port) => attempt((reached, failed) => net.connect(port, host).on('error', failed).on('data', reached)),
  oneFamily: (host, port) => attempt((reached, failed) => net.connect({ host, port, autoSelectFamily: false }).on('error', failed).on('data', reached)),
  http: (host, port) => attempt((reached, failed) => http.get('http://' + url(host, port), reached).on('error', failed)),
  fetch: (host, port) => attempt(async (reached) => { await (await fetch('http://' + url(host, port))).text(); reached() }),
  http2: (host, port) => attempt((reached, failed) => {
    const session = http2.connect('http://' + url(host, port)).on('error', failed)
    session.request({ ':path': '/' }).on('error', failed).on('response', () => { session.destroy(); reached() }).end()
  }),
  tls: (host, port) => attempt((reached, failed) => tls.connect({
    host, port, ciphers: 'PSK', maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: Buffer.from('${SHARED_KEY}', 'hex'), identity: 'plugin' }),
  }).on('error', failed).on('data', reached)),
  webSocket: (host, port) => attempt((reached, failed) => {
    const socket = new WebSocket('ws://' + url(host, port))
    socket.onopen = reached
    socket.onerror = ({ error, message }) => failed(error ?? new Error(message))
  }),
  udp: (host, port) => attempt((reached, failed) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').on('error', failed).on('message', () => { socket.close(); reached() })
    socket.send('hello', port, host)
  }),
  udpWithCallback: (host, port) => attempt((reached, failed) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').on('message', () => { socket.close(); reached() })
    socket.send(Buffer.from('hello'), 0, 5, port, host, (error) => { if (error) failed(error) })
  }),
  udpConnected: (host, port) => attempt((reached, failed) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').on('error', failed).on('message', () => { socket.close(); reached() })
    socket.connect(port, host, (error) => { if (error) failed(error); else socket.send('hello') })
  }),
}
`

const plugin = (permissions: Permission[], isolation: string, methods = '') => ({
  manifest: { isolation, permissions },
  code: `${WAYS}
export default {
  async start(ctx) {
    await ctx.services.provide('net', { ...WAYS, ${methods} })
  },
}`,
})

const connectTo = (...hosts: string[]): Permission[] => hosts.map((host) => ({ resource: `net:${host}`, actions: ['connect'] }))
const listenOn = (...hosts: string[]): Permission[] => hosts.map((host) => ({ resource: `net:${host}`, actions: ['listen'] }))

/** What it is told that connects to where it may not. */
const refusedTo = (address: string) =>
  `Plugin 'reacher' may not connect to '${address}'. To allow it, add { "resource": "net:${address}", "actions": ["connect"] } to the permissions in its plugin.json, or to its grants where the kernel's options have some.`
const refusedAt = (address: string) => refusedTo(address).replace('connect to', 'listen on').replace('"connect"', '"listen"')

type Ways = Record<string, (...args: unknown[]) => Promise<unknown>>

const started = async (permissions: Permission[], isolation: string, methods?: string): Promise<Running & { ways: Ways }> => {
  const running = await startedWith({ reacher: plugin(permissions, isolation, methods) })
  return { ...running, ways: (await running.kernel.services.use('net')) as unknown as Ways }
}

const told = (running: Running): unknown[] => running.faults.map(({ error }) => (error.details as { resource?: unknown }).resource)

const hasWebSocket = typeof WebSocket === 'function'
const KINDS: [string, (host: string) => Promise<number>, string[]][] = [
  ['net', (host) => tcpServer({ host }), ['net', 'listOfArguments', 'oneFamily']],
  ['http', httpServer, ['http', 'fetch', ...(hasWebSocket ? ['webSocket'] : [])]],
  ['http2', http2Server, ['http2']],
  ['tls', tlsServer, ['tls']],
  ['udp', udpServer, ['udp', 'udpWithCallback', 'udpConnected']],
]

describe.each(['thread', 'process'])('a plugin in a %s that was granted some hosts', (isolation) => {
  test.each(KINDS)('reaches them, and no other port of theirs: %s', async (_kind, serve, ways) => {
    const [granted, other] = [await serve('127.0.0.1'), await serve('127.0.0.1')]
    const [granted6, other6] = [await serve('::1'), await serve('::1')]
    const running = await started(connectTo(`127.0.0.1:${granted}`, `[::1]:${granted6}`), isolation)
    for (const way of ways) {
      expect(await running.ways[way]?.('127.0.0.1', granted), way).toBe('reached')
      expect(await running.ways[way]?.('127.0.0.1', other), way).toBe(refusedTo(`127.0.0.1:${other}`))
      expect(await running.ways[way]?.('::1', granted6), way).toBe('reached')
      expect(await running.ways[way]?.('::1', other6), way).toBe(refusedTo(`[::1]:${other6}`))
    }
    await eventually(() => expect(told(running)).toEqual(expect.arrayContaining([`net:127.0.0.1:${other}`, `net:[::1]:${other6}`])))
  })
})
