/** The doors of `node:net`: HTTP, TLS, `fetch` and WebSocket connect and listen through it, and are told as Node tells of what failed. */
import type { Server, Socket } from 'node:net'
import type { Lookup } from './lookup-doors.js'
import type { NetModules } from './net-handles.js'
import type { NetRules } from './net-rules.js'

type Options = Record<string, unknown>
type Function = (...args: unknown[]) => unknown
/** What Node makes of the arguments of `connect` and `listen`. */
type Normalize = (args: readonly unknown[]) => [options: Options, callback: Function | null]

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply } = Reflect
const { create } = Object
const { isArray } = Array
const { nextTick } = process

export const closeSockets = (
  { net }: NetModules,
  rules: NetRules,
  lookup: Lookup,
  /** Throws PERMISSION_DENIED for the path of a socket that is a file. */
  checkPath: (path: string) => void,
): void => {
  const normalize = (net as unknown as { _normalizeArgs: Normalize })._normalizeArgs
  const normalized = Object.getOwnPropertySymbols(normalize([]))[0] as symbol
  const sockets = net.Socket.prototype as unknown as Record<'connect', Function>
  const servers = net.Server.prototype as unknown as Record<'listen', Function>
  const { connect } = sockets
  const { listen } = servers

  /** As they are now, without a prototype that could say more, with the system's lookup of the name that was asked for. */
  const held = (given: Options): Options => {
    const options = create(null) as Options
    for (const key in given) options[key] = given[key]
    const { path, host, port } = options
    if (path) {
      if (typeof path === 'string') checkPath(path)
      return options
    }
    // Node says what is wrong with it.
    if (typeof port !== 'number' && typeof port !== 'string') return options
    const name = host ? `${host as string}` : 'localhost'
    rules.connect(name, +port)
    options['host'] = name
    options['lookup'] = (_name: string, wishes: object, answer: Parameters<Lookup>[2]) => lookup(name, wishes, answer)
    return options
  }
  sockets.connect = function (this: Socket, ...args: unknown[]) {
    const { 0: given, 1: listener } =
      isArray(args[0]) && normalized in args[0] ? (args[0] as unknown as ReturnType<Normalize>) : normalize(args)
    let options: Options
    try {
      options = held(given)
    } catch (error) {
      // A name that cannot be looked up is what everybody who connects is prepared for.
      options = create(null) as Options
      options['host'] = 'refused'
      options['port'] = 1
      options['lookup'] = (_name: string, _wishes: object, answer: Function) => nextTick(answer, error)
    }
    return apply(connect, this, listener === null ? [options] : [options, listener])
  }
  servers.listen = function (this: Server, ...args: unknown[]) {
    try {
      assertListen(normalize(args)[0], args)
    } catch (error) {
      nextTick(() => this.emit('error', error))
      return this
    }
    return apply(listen, this, args)
  }

  const assertListen = (options: Options, args: readonly unknown[]): void => {
    // What is bound already says by its native handle to what.
    if (options['_handle'] || options['handle'] || typeof options['fd'] === 'number') return
    const { path, host, port } = options
    const free = args.length === 0 || typeof args[0] === 'function' || port === null || (port === undefined && 'port' in options)
    if (free || typeof port === 'number' || typeof port === 'string')
      rules.listen(host ? `${host as string}` : undefined, free ? 0 : +(port as number))
    else if (typeof path === 'string') checkPath(path)
  }
}
