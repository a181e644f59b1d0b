/** What a plugin may reach of the network: the hosts that were granted, and the addresses that the system says they have. */
import { hostAs, hostOf, reaches } from '../../../hosts.js'
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import type { Used } from './recorder.js'

/** Hosts are names or addresses, written in any way. */
export interface NetRules {
  /** Throws PERMISSION_DENIED, as the next three do. An address that the plugin was told for a granted name counts as that name. */
  connect(host: string, port: number): void
  /** `host` undefined: on all addresses. Port 0 is any that is free. */
  listen(host: string | undefined, port: number): void
  /** To ask the system for its addresses, or for the names of an address. */
  resolve(host: string): void
  /** To ask for what else is known of a name. */
  query(host: string): void
  /** The system has said that a granted name has this address; `told`: to the plugin, which asked for it. */
  leads(name: string, address: string, told: boolean): void
  /** What a native handle is about to do: it has an address, and not the name that has led there. */
  mayConnect(address: string, port: number): boolean
  mayListen(address: string, port: number): boolean
  /** A socket for datagrams needs a port of its own, whichever, to send from and be answered on. */
  mayBind(address: string, port: number): boolean
}

// The plugin shares this realm and may change all it finds: what the rules need is taken now, and tables have no prototype.
const { create } = Object
const table = <Value>(): Record<string, Value | undefined> => create(null) as Record<string, Value | undefined>

/** By address: the names that have led to it. */
type Known = Record<string, Record<string, true | undefined> | undefined>

/** Every address of the machine. */
const ALL_4 = '0.0.0.0'
const ALL_6 = '[::]'

export const netRules = ({ net, listen }: Grants, deny: Deny, used?: Used): NetRules => {
  const whole = net.includes('*')
  const serves = whole ? ['*'] : [...listen]
  // To listen on every address is no leave to ask for every name.
  const hosts = [...net, ...listen.map((each) => (each === '*' ? 'localhost' : each))].map((each) => hostOf(each))
  const told: Known = table()
  const led: Known = table()
  const noted = table<true>()
  /** What was decided for hosts as they were written: a datagram takes no time to think. */
  const connects = table<true>()
  const goes = table<true>()

  const covers = (granted: readonly string[], wanted: string): boolean => {
    for (let at = 0; at < granted.length; at++) if (reaches(granted[at] as string, wanted)) return true
    return false
  }
  /** The granted name that has led there. */
  const nameOf = (known: Known, address: string, port: number, granted: readonly string[]): string | undefined => {
    for (const name in known[address]) if (covers(granted, `${name}:${port}`)) return name
    return undefined
  }
  const note = (address: string, action: string): void => {
    if (used === undefined || noted[`${action} ${address}`]) return
    noted[`${action} ${address}`] = true
    used(`net:${address}`, action)
  }
  const mayListen = (address: string, port: number): boolean => {
    const at = hostAs(address)
    if (covers(serves, `${at}:${port}`) || nameOf(led, at, port, serves) !== undefined || nameOf(told, at, port, serves) !== undefined)
      return true
    return (at === ALL_4 || at === ALL_6) && (covers(serves, `${ALL_4}:${port}`) || covers(serves, `${ALL_6}:${port}`))
  }

  const resolve = (host: string): void => {
    const wanted = hostAs(host)
    if (!covers(hosts, wanted) && told[wanted] === undefined && led[wanted] === undefined)
      deny(`look up '${wanted}'`, `net:${wanted}`, 'connect')
  }

  return {
    connect: (host, port) => {
      if (connects[`${host}:${port}`]) return
      const wanted = hostAs(host)
      const name = nameOf(told, wanted, port, net) ?? wanted
      if (!covers(net, `${name}:${port}`)) deny(`connect to '${wanted}:${port}'`, `net:${wanted}:${port}`, 'connect')
      note(`${name}:${port}`, 'connect')
      // While it learns, a name may yet be told for the address.
      if (used === undefined) connects[`${host}:${port}`] = true
    },
    listen: (host = ALL_4, port) => {
      const wanted = `${hostAs(host)}:${port}`
      if (!covers(serves, wanted) && !mayListen(host, port)) deny(`listen on '${wanted}'`, `net:${wanted}`, 'listen')
      note(wanted, 'listen')
    },
    resolve,
    query: (host) => {
      resolve(host)
      note(hostAs(host), 'connect')
    },
    leads: (name, address, asked) => {
      const known = asked ? told : led
      const at = hostAs(address)
      known[at] ??= table()
      known[at][hostAs(name)] = true
    },
    mayConnect: (address, port) => {
      if (goes[`${address}:${port}`]) return true
      const at = hostAs(address)
      const may = covers(net, `${at}:${port}`) || nameOf(led, at, port, net) !== undefined || nameOf(told, at, port, net) !== undefined
      if (may) goes[`${address}:${port}`] = true
      return may
    },
    // Which port it has been given nobody knew before.
    mayListen: (address, port) => mayListen(address, port) || mayListen(address, 0),
    mayBind: (address, port) => (port === 0 && net.length > 0) || mayListen(address, port),
  }
}
