/** The doors of `node:dns`: names that were not granted are not looked up, and the addresses of those that were are kept. */
import type { LookupAddress } from 'node:dns'
import { isAddress } from '../../../hosts.js'
import type { Deny } from '../../permissions/denial.js'
import type { NetModules } from './net-handles.js'
import type { NetRules } from './net-rules.js'

type Answer = (error: Error | null, address?: string | LookupAddress[], family?: number) => void
/** `told`: the plugin is. */
type Ask = (name: string, options: unknown, told: boolean, answer: Answer) => void
type Function = (...args: unknown[]) => unknown

/** The system's own, of a name that may be looked up: for a connection, whatever the plugin has put in its place. */
export type Lookup = (name: string, options: object, answer: Answer) => void

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply, defineProperty, deleteProperty, getPrototypeOf, ownKeys } = Reflect
const { prototype: ofAll } = Object
const { isArray } = Array
const Later = Promise
const { nextTick } = process

export const closeLookups = ({ dns }: NetModules, rules: NetRules, deny: Deny): Lookup => {
  const { lookup, promises } = dns
  let locked = false
  /** Before the first request: to find one out takes milliseconds, which those that ask for nothing need not pay. */
  const lockOnce = (): void => {
    locked ||= lockRequests(lookup as Function)
    if (!locked) deny("look up a name with a 'callback' in every object", 'net:*', 'connect')
  }

  const keep = (name: string, found: unknown, told: boolean): void => {
    const each = (address: unknown): void => {
      if (typeof address === 'string') rules.leads(name, address, told)
    }
    if (!isArray(found)) return each(typeof found === 'object' ? (found as LookupAddress | null)?.address : found)
    for (let at = 0; at < found.length; at++) each((found[at] as LookupAddress).address)
  }
  const ask: Ask = (name, options, told, answer) => {
    lockOnce()
    // Neither spread nor awaited, which the plugin could do in its own way.
    const kept: Answer = (error, found, family) => {
      if (error) return answer(error)
      keep(name, found, told)
      // As many as Node gives: `util.promisify` counts them.
      return isArray(found) ? answer(error, found) : answer(error, found, family)
    }
    apply(lookup as Function, dns, [name, options, kept])
  }
  /** Of what is no name nothing is asked of anybody; Node says what is wrong with it. */
  const isName = (given: unknown): given is string => typeof given === 'string' && given !== '' && !isAddress(given)

  replace(dns, 'lookup', (...args: unknown[]) => {
    const { 0: name, 1: second, 2: third } = args
    const answer = typeof second === 'function' ? second : third
    if (!isName(name) || typeof answer !== 'function') return apply(lookup as Function, dns, args)
    try {
      rules.resolve(name)
    } catch (error) {
      nextTick(answer, error)
      return {}
    }
    ask(name, second === answer ? {} : second, true, answer as Answer)
    // Node returns the request, which whoever holds it could answer.
    return {}
  })
  guard(dns, 'lookupService', (address) => rules.resolve(address))

  const { lookup: promised } = promises
  replace(promises, 'lookup', async (...args: unknown[]) => {
    const { 0: name, 1: options = {} } = args
    if (!isName(name)) return apply(promised as Function, promises, args)
    rules.resolve(name)
    return new Later((resolve, reject) =>
      ask(name, options, true, (error, address, family) => {
        if (error) reject(error)
        else resolve(isArray(address) ? address : { address, family })
      }),
    )
  })
  guard(promises, 'lookupService', (address) => rules.resolve(address), true)

  return (name, options, answer) => ask(name, options, false, answer)
}

/**
 * A request to the system is given its callbacks by assignment. A setter on a prototype of it would be handed the request, and whoever has
 * that could answer for the system: so its own prototype gets what is assigned. False where that could not be done.
 */
const lockRequests = (lookup: Function): boolean => {
  let prototype: object | undefined
  // As such a setter would: no other way leads to it without a request.
  const set = function (this: object): never {
    prototype = getPrototypeOf(this) ?? undefined
    throw new Error('There is no need to ask.')
  }
  if ('callback' in ofAll || !defineProperty(ofAll, 'callback', { set, configurable: true })) return false
  try {
    lookup('localhost', () => {})
  } catch {
    // It has been found.
  }
  deleteProperty(ofAll, 'callback')
  if (prototype === undefined) return false
  for (let at = 0; at < ASSIGNED.length; at++)
    if (!defineProperty(prototype, ASSIGNED[at] as string, { value: undefined, writable: true, configurable: false })) return false
  return true
}
const ASSIGNED = ['callback', 'family', 'hostname', 'oncomplete']

/**
 * With what else Node keeps at it, such as what `util.promisify` goes by. Not locked: libraries put theirs in the place of these, and get
 * no other by it.
 */
const replace = (target: object, name: string, value: Function): void => {
  const found = (target as Record<string, object>)[name] as Function
  for (const key of ownKeys(found)) {
    if (typeof key === 'symbol') defineProperty(value, key, { value: (found as unknown as Record<symbol, unknown>)[key] })
  }
  ;(target as Record<string, Function>)[name] = value
}

/** `promised`: it tells of a refusal by its promise, else by its callback. */
const guard = (target: object, name: string, check: (address: string) => void, promised = false): void => {
  const found = (target as Record<string, Function>)[name] as Function
  const guarded = (...args: unknown[]): unknown => {
    const answer = args[args.length - 1]
    try {
      if (typeof args[0] === 'string') check(args[0])
    } catch (error) {
      if (promised || typeof answer !== 'function') throw error
      return nextTick(answer, error)
    }
    return apply(found, target, args)
  }
  replace(target, name, promised ? async (...args: unknown[]) => guarded(...args) : guarded)
}
