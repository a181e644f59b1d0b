/** The doors of `node:dgram`: where datagrams go, and where they are awaited. */
import type { Socket } from 'node:dgram'
import type { NetModules } from './net-handles.js'
import type { NetRules } from './net-rules.js'

type Function = (...args: unknown[]) => unknown

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply } = Reflect
const { nextTick } = process

export const closeDatagrams = ({ dgram }: NetModules, rules: NetRules): void => {
  const sockets = dgram.Socket.prototype as unknown as Record<string, Function>
  const { remoteAddress } = dgram.Socket.prototype

  const connected = (socket: Socket): boolean => {
    try {
      apply(remoteAddress, socket, [])
      return true
    } catch {
      return false
    }
  }
  /** `check`: throws PERMISSION_DENIED, of which the callback among the arguments is told, else whoever listens for errors. */
  const guard = (name: string, check: (socket: Socket, args: readonly unknown[]) => void, calledBack: boolean): void => {
    const found = sockets[name]
    if (found === undefined) return
    sockets[name] = function (this: Socket, ...args: unknown[]) {
      try {
        check(this, args)
      } catch (error) {
        if (name.endsWith('Sync')) throw error
        const callback = args[args.length - 1]
        if (calledBack && typeof callback === 'function') nextTick(callback, error)
        else nextTick(() => this.emit('error', error))
        return name === 'bind' ? this : undefined
      }
      return apply(found, this, args)
    }
  }
  const connect = (socket: Socket, port: unknown, address: unknown): void => {
    // Node says what is wrong with them.
    if (typeof port !== 'number' && typeof port !== 'string') return
    const host = address && typeof address !== 'function' ? address : socketType(socket) === 'udp6' ? '::1' : '127.0.0.1'
    if (typeof host === 'string') rules.connect(host, +port)
  }
  const bind = (address: unknown, port: unknown): void => {
    const number = typeof port === 'function' ? 0 : +((port ?? 0) as number)
    if (!rules.mayBind(typeof address === 'string' && address !== '' ? address : '::', number))
      rules.listen(typeof address === 'string' && address !== '' ? address : undefined, number)
  }

  for (const name of ['connect', 'connectSync']) guard(name, (socket, { 0: port, 1: address }) => connect(socket, port, address), true)
  guard(
    'send',
    (socket, { 1: offset, 2: length, 3: port, 4: address }) => {
      // As Node tells apart send(message, offset, length, port, address) and send(message, port, address).
      const long = address || (port && typeof port !== 'function')
      try {
        connect(socket, long ? port : offset, long ? address : length)
      } catch (error) {
        if (!connected(socket)) throw error
      }
    },
    true,
  )
  guard(
    'bind',
    (_socket, { 0: given, 1: address }) => {
      if (typeof given !== 'object' || given === null) return bind(address, given)
      const { address: its, port, fd, recvStart } = given as Record<string, unknown>
      // What is bound already says by its native handle to what.
      if (fd === undefined && recvStart === undefined) bind(its, port)
    },
    false,
  )
  guard(
    'bindSync',
    (_socket, { 0: given }) =>
      bind((given as Record<string, unknown> | undefined)?.['address'], (given as Record<string, unknown> | undefined)?.['port']),
    false,
  )
}

const socketType = (socket: Socket): unknown => (socket as unknown as { type: unknown }).type
