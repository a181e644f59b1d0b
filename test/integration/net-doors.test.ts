/**
 * What a plugin that was granted some hosts reaches of the network: real plugins in threads and processes, and real servers, of which one
 * is granted and one is not.
 */
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { basename, join } from 'node:path'
import type { Permission, PlugbayError } from 'plugbay'
import { describe, expect, onTestFinished, test } from 'vitest'
import { node } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder, type Running, startedWith, writePlugin } from '../support/plugin-folder.js'
import { http2Server, httpServer, SHARED_KEY, tcpServer, tlsServer, udpServer } from '../support/servers.js'

/** Each way that leads to the network, tried by the plugin: 'reached', or what it was told. */
const WAYS = `
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import { lookup as promised } from 'node:dns/promises'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import { promisify } from 'node:util'

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

const told = (running: Running): unknown[] =>
  running.faults.map(({ error }) => ((error as PlugbayError).details as { resource?: unknown }).resource)

const KINDS: readonly (readonly [string, (host: string) => Promise<number>, readonly string[]])[] = [
  ['net', (host) => tcpServer({ host }), ['net', 'listOfArguments', 'oneFamily']],
  ['http', httpServer, ['http', 'fetch']],
  // It says of no failure why it failed.
  ...(typeof WebSocket === 'function' ? [['WebSocket', httpServer, ['webSocket']] as const] : []),
  ['http2', http2Server, ['http2']],
  ['tls', tlsServer, ['tls']],
  ['udp', udpServer, ['udp', 'udpWithCallback', 'udpConnected']],
]

describe.each(['thread', 'process'])('a plugin in a %s that was granted some hosts', (isolation) => {
  test.each(KINDS)('reaches them, and no other port of theirs: %s', async (kind, serve, ways) => {
    const [granted, other] = [await serve('127.0.0.1'), await serve('127.0.0.1')]
    const [granted6, other6] = [await serve('::1'), await serve('::1')]
    const running = await started(connectTo(`127.0.0.1:${granted}`, `[::1]:${granted6}`), isolation)
    const refused = (address: string): unknown => (kind === 'WebSocket' ? expect.not.stringMatching('reached') : refusedTo(address))
    for (const way of ways) {
      expect(await running.ways[way]?.('127.0.0.1', granted), way).toBe('reached')
      expect(await running.ways[way]?.('127.0.0.1', other), way).toEqual(refused(`127.0.0.1:${other}`))
      expect(await running.ways[way]?.('::1', granted6), way).toBe('reached')
      expect(await running.ways[way]?.('::1', other6), way).toEqual(refused(`[::1]:${other6}`))
    }
    await eventually(() => expect(told(running)).toEqual(expect.arrayContaining([`net:127.0.0.1:${other}`, `net:[::1]:${other6}`])))
  })

  test('reaches a name at whatever address the system says it has, and an address that it was told for it', async () => {
    const port = await tcpServer({ host: '127.0.0.1' })
    const { ways } = await started(
      connectTo(`localhost:${port}`),
      isolation,
      `
      lookedUp: (port, lookup) => attempt((reached, failed) => net.connect({ host: 'localhost', port, family: 4, lookup: (host, options, done) => done(null, '127.0.0.9', 4) }).on('error', failed).on('data', reached)),
      lookUp: async () => { const found = await dns.promises.lookup('LocalHost', { family: 4 }); return found.address },
      lookUpBefore: () => new Promise((resolve, reject) => dns.lookup('localhost', 4, (error, address, family) => error ? reject(error) : resolve([address, family]))),
      `,
    )
    expect(await ways['net']?.('LOCALHOST', port)).toBe('reached')
    expect(await ways['fetch']?.('localhost', port)).not.toContain('may not')
    expect(await ways['lookedUp']?.(port), 'with a lookup of its own').toBe('reached')
    expect(await ways['net']?.('127.0.0.1', port)).toBe(refusedTo(`127.0.0.1:${port}`))
    expect(await ways['lookUp']?.()).toBe('127.0.0.1')
    expect(await ways['net']?.('127.0.0.1', port)).toBe('reached')
    expect(await ways['net']?.('127.0.0.1', 1)).toBe(refusedTo('127.0.0.1:1'))
    expect(await ways['lookUpBefore']?.()).toEqual(['127.0.0.1', 4])
    expect(await ways['lookedUp']?.(1)).toBe(refusedTo('localhost:1'))
  })

  test('looks up no other names, asks no servers of its own choice, and no names of addresses', async () => {
    const { ways, ...running } = await started(
      connectTo('localhost', '127.0.0.1:5353'),
      isolation,
      `
      lookUp: (name) => attempt((_, failed) => dns.lookup(name, (error) => failed(error))),
      promised: (name) => attempt(() => dns.promises.lookup(name)),
      resolved: (name) => attempt((_, failed) => dns.resolve4(name, failed)),
      queried: (name) => attempt(() => dns.promises.resolveTxt(name)),
      ownResolver: (name) => attempt(() => new dns.promises.Resolver().resolve(name, 'MX')),
      servers: (server) => attempt((reached) => { dns.setServers([server]); reached() }),
      ownServers: (server) => attempt((reached) => { new dns.Resolver().setServers([server]); reached() }),
      reversed: (address) => attempt(() => dns.promises.reverse(address)),
      service: (address) => attempt((_, failed) => dns.lookupService(address, 80, failed)),
      granted: async () => [
        await promisify(dns.lookup)('localhost', { family: 4 }),
        await promisify(dns.lookup)('localhost', { family: 4, all: true }),
        await dns.promises.lookup('localhost', 4),
        await dns.promises.lookup('localhost', { family: 4, all: true }),
        await promised('localhost').then(({ address }) => typeof address),
      ],
      address: (address) => new Promise((resolve) => dns.lookup(address, (error, found) => resolve(found))),
      `,
    )
    const refusedName = (name: string): string => refusedTo(name).replace(`connect to '${name}'`, `look up '${name}'`)
    for (const way of ['lookUp', 'promised', 'resolved', 'queried', 'ownResolver'])
      expect(await ways[way]?.('Secret.Example.COM'), way).toBe(refusedName('secret.example.com'))
    for (const way of ['reversed', 'service']) expect(await ways[way]?.('10.0.0.1'), way).toBe(refusedName('10.0.0.1'))
    for (const way of ['servers', 'ownServers']) {
      expect(await ways[way]?.('10.0.0.1'), way).toBe(refusedTo('10.0.0.1:53'))
      expect(await ways[way]?.('127.0.0.1:5353'), way).toBe('reached')
    }
    const found = { address: '127.0.0.1', family: 4 }
    // As many as the system has lines for it.
    const all = expect.arrayContaining([found]) as unknown
    expect(await ways['granted']?.()).toEqual([found, all, found, all, 'string'])
    expect(await ways['address']?.('10.0.0.1'), 'which is none').toBe('10.0.0.1')
    await eventually(() => expect(told(running)).toContain('net:secret.example.com'))
  })

  test('listens where it was granted that, and nowhere else', async () => {
    const { ways, ...running } = await started(
      [...listenOn('127.0.0.1:0', '[::1]', 'localhost:0'), ...connectTo('example.com')],
      isolation,
      `
      serve: (...where) => new Promise((resolve) => {
        const server = http.createServer((request, response) => response.end('served')).on('error', (error) => resolve(told(error)))
        server.listen(...where, () => resolve(server.address().port))
      }),
      bind: (...where) => new Promise((resolve) => {
        const socket = createSocket('udp4').on('error', (error) => resolve(told(error)))
        socket.bind(...where, () => { socket.close(); resolve('bound') })
      }),
      `,
    )
    const served = async (port: unknown, host: string): Promise<string> => (await fetch(`http://${host}:${port as number}`)).text()
    expect(await served(await ways['serve']?.(0, '127.0.0.1'), '127.0.0.1')).toBe('served')
    expect(await served(await ways['serve']?.({ port: 0, host: '::1' }), '[::1]')).toBe('served')
    expect(await ways['serve']?.(0, 'localhost')).toEqual(expect.any(Number))
    expect(await ways['serve']?.(12_345, '127.0.0.1')).toBe(refusedAt('127.0.0.1:12345'))
    expect(await ways['serve']?.({ port: '0' })).toBe(refusedAt('0.0.0.0:0'))
    expect(await ways['serve']?.()).toBe(refusedAt('0.0.0.0:0'))
    expect(await ways['serve']?.(0, '::')).toBe(refusedAt('[::]:0'))
    // From where it sends.
    expect(await ways['bind']?.()).toBe('bound')
    expect(await ways['bind']?.({ port: 0, address: '127.0.0.1' })).toBe('bound')
    expect(await ways['bind']?.(12_345)).toBe(refusedAt('0.0.0.0:12345'))
    expect(await ways['bind']?.({ port: 12_345, address: '127.0.0.1' })).toBe(refusedAt('127.0.0.1:12345'))
    await eventually(() => expect(told(running)).toContain('net:127.0.0.1:12345'))
  })

  test('listens everywhere, where all addresses were granted, or the whole network', async () => {
    const serve = `
      serve: () => attempt((reached, failed) => net.createServer().on('error', failed).listen(0, reached)),
      lookUp: (name) => attempt(() => dns.promises.lookup(name)),
    `
    const whole = connectTo('*')
    for (const permissions of [listenOn('0.0.0.0:0'), listenOn('[::]'), listenOn('*'), whole]) {
      const { ways, kernel } = await started(permissions, isolation, serve)
      expect(await ways['serve']?.(), JSON.stringify(permissions)).toBe('reached')
      if (permissions !== whole)
        expect(await ways['lookUp']?.('secret.example.com'), JSON.stringify(permissions)).toContain('may not look up')
      await kernel.stop()
    }
  })

  test('uses sockets that are files where it may write them', async () => {
    const folder = emptyFolder()
    await tcpServer(join(folder, 'granted.sock'))
    const permissions = [...connectTo('example.com'), { resource: `fs:${folder}`, actions: ['write'] }]
    const unix = `
      unix: (path) => attempt((reached, failed) => net.connect({ path }).on('error', failed).on('data', reached)),
      unixByHttp: (path) => attempt((reached, failed) => http.get({ socketPath: path }, reached).on('error', failed)),
      serve: (path) => attempt((reached, failed) => net.createServer().on('error', failed).listen(path, reached)),
    `
    const { ways } = await started(permissions, isolation, unix)
    const refusedFile = (path: string): string =>
      refusedTo('').replace("connect to ''", `write ${path}`).replace('"net:"', `"fs:${path}"`).replace('"connect"', '"write"')
    expect(await ways['unix']?.(join(folder, 'granted.sock'))).toBe('reached')
    expect(await ways['serve']?.(join(folder, 'own.sock'))).toBe('reached')
    for (const way of ['unix', 'unixByHttp', 'serve'])
      expect(await ways[way]?.('/run/other.sock'), way).toBe(refusedFile('/run/other.sock'))
    const past = `${folder}/no.sock\0/../${basename(folder)}/granted.sock`
    expect(await ways['unix']?.(past), 'a path of which the system reads a part').toContain('may not')
    expect(await ways['unix']?.('\0abstract')).toBe(refusedTo('*').replace("connect to '*'", 'connect to an abstract socket'))
  })

  test('is held though it goes past the modules, by the native handles that its sockets show', async () => {
    const [granted, other] = [await tcpServer({ host: '127.0.0.1' }), await tcpServer({ host: '127.0.0.1' })]
    const otherUdp = await udpServer('127.0.0.1')
    const reachedServers: string[] = []
    const witness = createServer((socket) => reachedServers.push(String(socket.end().remotePort))).listen(0, '127.0.0.1')
    await once(witness, 'listening')
    onTestFinished(() => void witness.close())
    const { ways } = await started(
      connectTo(`127.0.0.1:${granted}`, `localhost:${granted}`),
      isolation,
      `
      handles: async (granted, other, otherUdp) => {
        const requests = []
        Object.defineProperty(Object.prototype, 'oncomplete', {
          set(value) { requests.push(this.constructor); Object.defineProperty(this, 'oncomplete', { value, writable: true, configurable: true }) },
          configurable: true,
        })
        const socket = net.connect(granted, '127.0.0.1').on('error', () => {})
        const { constructor: TCP } = socket._handle
        await new Promise((resolve) => socket.once('connect', resolve))
        const named = net.connect(granted, 'localhost').on('error', () => {})
        await new Promise((resolve) => named.once('close', resolve).resume())
        delete Object.prototype.oncomplete
        socket.destroy()
        // What the channel is writing just then is among them.
        const names = requests.map(({ name }) => name).filter((name) => name !== 'WriteWrap')
        const Request = requests.find(({ name }) => name === names[0])
        const outcomes = { requests: [...new Set(names)] }
        const raw = (port) => { const request = new Request(); request.oncomplete = () => {}; return new TCP(0).connect(request, '127.0.0.1', port) }
        outcomes.tcp = raw(other)
        try { TCP.prototype.connect = () => {}; outcomes.tcp = 'replaced' } catch {}
        const udp = createSocket('udp4')
        const { handle } = udp[Object.getOwnPropertySymbols(udp).find(({ description }) => description === 'state symbol')]
        outcomes.udp = handle.connect('127.0.0.1', otherUdp)
        udp.close()
        const server = new TCP(1)
        server.bind('127.0.0.1', 0)
        outcomes.listen = server.listen(1)
        server.close()
        return outcomes
      },
      changed: async (port) => {
        const changes = [
          [String.prototype, 'endsWith', () => true], [String.prototype, 'startsWith', () => true], [String.prototype, 'slice', () => '127.0.0.1'],
          [String.prototype, 'indexOf', () => -1], [String.prototype, 'toLowerCase', () => 'localhost'], [Reflect, 'apply', () => true], [RegExp.prototype, 'exec', () => []],
          [Array.prototype, Symbol.iterator, function* () { yield 1 }], [Array.prototype, 'some', () => true], [dns, 'lookup', (host, options, done) => done(null, [{ address: '127.0.0.1', family: 4 }])],
        ].map(([target, key, value]) => [target, key, target[key], value])
        for (let at = 0; at < changes.length; at++) changes[at][0][changes[at][1]] = changes[at][3]
        const tried = new Promise((resolve) => net.connect({ host: '127.0.0.1', port }).once('connect', () => resolve('reached')).once('error', ({ message }) => resolve(message)))
        const named = new Promise((resolve) => net.connect({ host: 'localhost', port }).once('connect', () => resolve('reached')).once('error', ({ message }) => resolve(message)))
        for (let at = 0; at < changes.length; at++) changes[at][0][changes[at][1]] = changes[at][2]
        return Promise.all([tried, named])
      },
      `,
    )
    const EACCES = -13
    // Node 20 itself goes astray, and only the handle is left.
    const HELD = expect.stringMatching(/may not connect to|EACCES/) as string
    const outcome = await ways['handles']?.(granted, other, otherUdp)
    // Not GetAddrInfoReqWrap, by which it could answer for the system.
    expect(outcome).toEqual({ requests: ['TCPConnectWrap'], tcp: EACCES, udp: EACCES, listen: EACCES })
    const { port } = witness.address() as { port: number }
    expect(await ways['changed']?.(port)).toEqual([HELD, HELD])
    expect(reachedServers).toEqual([])
  })

  test('shows none of its own functions on the stack', async () => {
    const [granted, other] = [await tcpServer({ host: '127.0.0.1' }), await tcpServer({ host: '127.0.0.1' })]
    const { ways } = await started(
      connectTo(`localhost:${granted}`),
      isolation,
      `
      stacks: async (granted, other) => {
        const found = []
        // Not strict, or nothing of those beneath would be shown.
        const look = new Function('found', 'resolve', \`return function (...told) {
          const { prepareStackTrace, stackTraceLimit } = Error
          Error.prepareStackTrace = (_error, frames) => { for (const frame of frames) found.push(frame.getFunction(), frame.getThis()) }
          Error.stackTraceLimit = 100
          void new Error().stack
          Object.assign(Error, { prepareStackTrace, stackTraceLimit })
          try { for (let at = arguments.callee.caller; at; at = at.caller) found.push(at) } catch {}
          resolve?.()
          return '127.0.0.1'
        }\`)
        const own = new Set()
        const looking = (resolve) => { const looks = look(found, resolve); own.add(looks); return looks }
        await new Promise((resolve) => net.connect(granted, 'localhost').on('lookup', looking()).on('error', resolve).on('close', resolve).resume())
        await new Promise((resolve) => dns.lookup('localhost', looking(resolve)))
        net.connect(Object.defineProperty({ port: other }, 'host', { get: looking(), enumerable: true })).on('error', () => {})
        for (const each of own) if (!found.includes(each)) found.push(function lookedInVain() {})
        return found.filter((each) => typeof each === 'function' && !own.has(each)).map(String)
      },
      `,
    )
    expect(await ways['stacks']?.(granted, other)).toEqual([])
  })

  test('does not get at sockets that are open already', async () => {
    const port = await tcpServer({ host: '127.0.0.1' })
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const { ways } = await started(
      connectTo('example.com'),
      isolation,
      `
      adopt: (fd) => attempt((reached) => { new net.Socket({ fd }); reached() }),
      write: () => attempt((reached) => process.stdout.write('written', reached)),
      handles: () => attempt((reached) => { process._getActiveHandles(); reached() }),
      `,
    )
    // In a process: the one that it talks to the kernel on.
    expect(await ways['adopt']?.(isolation === 'thread' ? fd : 3)).toMatch(/^EACCES /)
    expect(await ways['write']?.()).toBe('reached')
    expect(await ways['handles']?.()).toMatch(/may not use process\._getActiveHandles/)
  })
})

test('a module that was granted by its name opens no host', async () => {
  const modules = ['dgram', 'dns', 'dns/promises', 'http', 'http2', 'net', 'tls'].map(
    (name): Permission => ({ resource: `builtin:${name}`, actions: ['import'] }),
  )
  const port = await httpServer('127.0.0.1')
  const { ways } = await started(modules, 'thread')
  for (const way of ['net', 'http', 'http2', 'tls', 'udp'])
    expect(await ways[way]?.('127.0.0.1', port), way).toBe(refusedTo(`127.0.0.1:${port}`))
})

test('a socket that is found among what a module shows is held too', async () => {
  const port = await tcpServer({ host: '127.0.0.1' })
  const code = `
import tty from 'node:tty'
export default {
  async start(ctx) {
    const Socket = Object.getPrototypeOf(tty.ReadStream)
    const reach = (port) => new Promise((resolve) => new Socket().on('error', ({ message }) => resolve(message)).connect(port, '127.0.0.1', () => resolve('reached')))
    await ctx.services.provide('net', { reach })
  },
}`
  const { kernel } = await startedWith({ reacher: { manifest: { permissions: [{ resource: 'builtin:tty', actions: ['import'] }] }, code } })
  const ways = (await kernel.services.use('net')) as unknown as Ways
  expect(await ways['reach']?.(port)).toBe(refusedTo(`127.0.0.1:${port}`))
})

describe('no new door', () => {
  /** Held, or harmless: they tell, close, or set what a socket that is allowed does. */
  const JUDGED: Record<string, string> = {
    TCP: 'open listen connect connect6 bind bind6 getsockname getpeername setNoDelay setKeepAlive setTypeOfService getTypeOfService reset setSimultaneousAccepts',
    Pipe: 'open listen connect bind fchmod setPendingInstances',
    UDP: `open bind bind6 connect connect6 send send6 fd recvStart recvStop disconnect getpeername getsockname addMembership dropMembership
      addSourceSpecificMembership dropSourceSpecificMembership setMulticastInterface setMulticastTTL setMulticastLoopback setBroadcast setTTL bufferSize getSendQueueSize getSendQueueCount`,
    ChannelWrap: `queryAny queryA queryAaaa queryCaa queryCname queryMx queryNs queryTlsa queryTxt querySrv queryPtr queryNaptr querySoa getHostByAddr
      getServers setServers setLocalAddress cancel`,
  }

  test('at the native handles of sockets', async () => {
    const port = await tcpServer({ host: '127.0.0.1' })
    const path = join(emptyFolder(), 'a.sock')
    await tcpServer(path)
    const [tcp, pipe, udp] = [connect(port, '127.0.0.1'), connect(path), createSocket('udp4')]
    onTestFinished(() => {
      tcp.destroy()
      pipe.destroy()
      udp.close()
    })
    const state = Object.getOwnPropertySymbols(udp).find(({ description }) => description === 'state symbol') as symbol
    const handles = [tcp, pipe, new Resolver()].map((each) => (each as unknown as { _handle: object })._handle)
    handles.push((udp as unknown as Record<symbol, { handle: object }>)[state].handle)
    const found = handles.map((handle) => {
      const prototype = Object.getPrototypeOf(handle) as object
      const judged = `${JUDGED[prototype.constructor.name] ?? ''} constructor owner`.split(/\s+/)
      return [prototype.constructor.name, Object.getOwnPropertyNames(prototype).filter((name) => !judged.includes(name))]
    })
    expect(Object.fromEntries(found)).toEqual({ TCP: [], Pipe: [], UDP: [], ChannelWrap: [] })
  })
})

describe('a plugin in a process that no sandbox holds', () => {
  /** What the ways of a plugin come to, run by a kernel that finds none of the commands that hold a process. */
  const without = async (permissions: Permission[], body: string, denials: number): Promise<unknown> => {
    const folder = emptyFolder()
    writePlugin(join(folder, 'plugins'), 'reacher', plugin(permissions, 'process', SERVE))
    writeFileSync(
      join(folder, 'host.mjs'),
      `import { createKernel } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
       const kernel = await createKernel({ base: ${JSON.stringify(folder)}, plugins: './plugins', dataDir: './data', logLevel: 'error' })
       const denied = new Set()
       kernel.on('plugin:fault', ({ error }) => denied.add(error.details.resource))
       await kernel.start()
       const ways = await kernel.services.use('net')
       const found = await (async () => { ${body} })()
       for (let at = 0; at < 500 && denied.size < ${denials}; at++) await new Promise((resolve) => setTimeout(resolve, 20))
       console.log(JSON.stringify({ tier: kernel.plugins()[0].tier, found, denied: [...denied] }))
       await kernel.stop()`,
    )
    const { stdout, stderr } = await node(['host.mjs'], folder, { PATH: folder })
    expect(stdout, stderr).toContain('tier')
    return JSON.parse(stdout)
  }
  const SERVE = `
    serve: (...where) => attempt((reached, failed) => net.createServer().on('error', failed).listen(...where, reached)),
    lookUp: (name) => attempt(() => dns.promises.lookup(name)),
  `

  test('reaches nothing without a grant, whatever the Node', async () => {
    const port = await httpServer('127.0.0.1')
    const body = `return [await ways.net('127.0.0.1', ${port}), await ways.fetch('127.0.0.1', ${port}), await ways.udp('127.0.0.1', ${port}), await ways.serve(0, '127.0.0.1'), await ways.lookUp('secret.example.com')]`
    expect(await without([], body, 3)).toEqual({
      tier: 'process+permission',
      found: [
        refusedTo(`127.0.0.1:${port}`),
        refusedTo(`127.0.0.1:${port}`),
        refusedTo(`127.0.0.1:${port}`),
        refusedAt('127.0.0.1:0'),
        refusedTo('secret.example.com').replace('connect to', 'look up'),
      ],
      denied: [`net:127.0.0.1:${port}`, 'net:127.0.0.1:0', 'net:secret.example.com'],
    })
  })

  test('reaches the hosts it was granted, and no other', async () => {
    const [granted, other] = [await httpServer('127.0.0.1'), await httpServer('127.0.0.1')]
    const body = `return [await ways.fetch('127.0.0.1', ${granted}), await ways.fetch('127.0.0.1', ${other})]`
    expect(await without(connectTo(`127.0.0.1:${granted}`), body, 1)).toEqual({
      tier: 'process+permission',
      found: ['reached', refusedTo(`127.0.0.1:${other}`)],
      denied: [`net:127.0.0.1:${other}`],
    })
  })
})
