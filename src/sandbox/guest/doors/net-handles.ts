/** The native handles beneath Node's sockets: every socket shows its own, so what it may do is decided there too, whoever asks it. */
import type Dgram from 'node:dgram'
import type Dns from 'node:dns'
import type Net from 'node:net'
import { protect } from './lock.js'
import type { NetRules } from './net-rules.js'

type Native = (...args: unknown[]) => unknown
type Handle = Record<string, Native>

export interface NetModules {
  net: typeof Net
  dns: typeof Dns
  dgram: typeof Dgram
}

export interface HandleRules {
  rules: NetRules
  /** Throws PERMISSION_DENIED for the path of a socket that is a file. */
  checkPath(path: string): void
  /** Whether the descriptor may become a socket. */
  mayOpen(descriptor: unknown): boolean
}

// The plugin shares this realm and may change all it finds: what a check needs is taken now, and arrays are read by index, not by their
// iterator.
const { apply, defineProperty, getPrototypeOf, ownKeys } = Reflect
const { create } = Object

/** As libuv has it. */
const EACCES = process.platform === 'win32' ? -4_092 : -13

export const lockHandles = (modules: NetModules, { rules, checkPath, mayOpen }: HandleRules): void => {
  const tcp = prototypeOfSocket(modules, { port: 1 })
  const pipe = prototypeOfSocket(modules, { path: '/' })
  const udp = prototypeOfDatagrams(modules)
  const dns = getPrototypeOf((new modules.dns.Resolver() as unknown as { _handle: object })._handle) as Handle
  const { getsockname } = tcp

  /** What is not allowed is told, and answered as the system would. */
  const hold = (handle: Handle, name: string, allows: (args: unknown[], self: unknown) => boolean): void => {
    const native = handle[name]
    if (native === undefined) return
    handle[name] = function (this: unknown, ...args: unknown[]) {
      return allows(args, this) ? apply(native, this, args) : EACCES
    }
  }
  const passes = (assert: () => void): boolean => {
    try {
      assert()
      return true
    } catch {
      return false
    }
  }
  const reaches = (address: unknown, port: unknown): boolean =>
    typeof address === 'string' &&
    typeof port === 'number' &&
    (rules.mayConnect(address, port) || passes(() => rules.connect(address, port)))
  const files = (path: unknown): boolean => typeof path === 'string' && passes(() => checkPath(path))

  for (const name of ['connect', 'connect6']) {
    hold(tcp, name, ({ 1: address, 2: port }) => reaches(address, port))
    hold(udp, name, ({ 0: address, 1: port }) => reaches(address, port))
  }
  hold(tcp, 'listen', (_args, self) => {
    // Without a prototype: a setter on it would be handed the answer.
    const bound = create(null) as { address?: string; port?: number }
    apply(getsockname as Native, self, [bound])
    const { address, port = 0 } = bound
    return rules.mayListen(address ?? '::', port) || passes(() => rules.listen(address, port))
  })
  hold(pipe, 'connect', ({ 1: path }) => files(path))
  hold(pipe, 'bind', ({ 0: path }) => files(path))
  for (const name of ['bind', 'bind6']) {
    hold(udp, name, (args) => {
      const address = args[0]
      // Node hands on what it was given, a function too.
      const port = typeof args[1] === 'function' ? 0 : +(args[1] as number) >>> 0
      args[1] = port
      return typeof address === 'string' && (rules.mayBind(address, port) || passes(() => rules.listen(address, port)))
    })
  }
  // Where the socket is connected, neither port nor address are given.
  for (const name of ['send', 'send6']) hold(udp, name, ({ length, 3: port, 4: address }) => length < 6 || reaches(address, port))
  for (const handle of [tcp, pipe, udp]) hold(handle, 'open', ({ 0: descriptor }) => mayOpen(descriptor))
  holdQueries(dns, rules)
  for (const handle of [tcp, pipe, udp, dns]) protect(handle)
}

/** What a resolver asks of servers, and which these are. It throws: its callers hand that on. */
const holdQueries = (dns: Handle, rules: NetRules): void => {
  for (const key of ownKeys(dns) as string[]) {
    const native = dns[key] as Native
    if (key.startsWith('query') || key === 'getHostByAddr') {
      dns[key] = function (this: unknown, request: unknown, host: unknown) {
        const name = `${host as string}`
        rules.query(name)
        return apply(native, this, [request, name])
      }
    }
  }
  const { setServers } = dns
  dns['setServers'] = function (this: unknown, ...args: unknown[]) {
    const given = args[0] as [family: number, address: string, port: number][]
    const servers: typeof given = []
    for (let at = 0; at < given.length; at++) {
      const server = given[at] as (typeof given)[number]
      // Looked at once: it could say something else the next time.
      const address = `${server[1]}`
      const port = +server[2]
      rules.connect(address, port)
      defineProperty(servers, at, { value: [server[0], address, port], enumerable: true })
    }
    return apply(setServers as Native, this, [servers])
  }
}

/** Of the handle that a socket makes itself to connect so; it goes no further. */
const prototypeOfSocket = ({ net }: NetModules, options: { port: number } | { path: string }): Handle => {
  let made: Handle | undefined
  const socket = new net.Socket()
  Object.defineProperty(socket, '_handle', {
    get: () => null,
    set(handle: Handle | null) {
      if (handle === null) return
      made = handle
      throw new Error('There is no need to connect.')
    },
  })
  try {
    socket.connect(options)
  } catch {
    // It has been made.
  }
  made?.['close']?.()
  return getPrototypeOf(made as Handle) as Handle
}

const prototypeOfDatagrams = ({ dgram }: NetModules): Handle => {
  const socket = dgram.createSocket('udp4')
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const { handle } = (socket as unknown as Record<symbol, { handle: Handle }>)[symbol as symbol] as { handle: Handle }
  const prototype = getPrototypeOf(handle) as Handle
  socket.close()
  return prototype
}
