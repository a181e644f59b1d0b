/** The check of what providers and users of services ask for: the kernel makes it, and so does a plugin's end, where the mistake is. */
import { PlugbayError } from './errors.js'

/** More milliseconds than this are none to a timer. */
const MAX_MS = 2 ** 31 - 1

const milliseconds = (value: unknown): string | undefined =>
  typeof value === 'number' && value >= 0 && value <= MAX_MS ? undefined : 'Give milliseconds, from 0 on.'
const text = (example: string) => (value: unknown) => (typeof value === 'string' ? undefined : `Give one such as '${example}'.`)
const abortSignal = (value: unknown): string | undefined =>
  value instanceof AbortSignal ? undefined : 'Give the signal of an AbortController.'

/** What each option has to be: says what to give instead. */
type Checks = Readonly<Record<string, (value: unknown) => string | undefined>>

export const PROVIDE_OPTIONS: Checks = { version: text('1.0.0') }
export const CALL_OPTIONS: Checks = { timeout: milliseconds, signal: abortSignal }
export const USE_OPTIONS: Checks = { range: text('^1.0.0'), wait: milliseconds, ...CALL_OPTIONS }

/** Says which of the names was meant by an unknown one; left out where its code would be too much to load. */
type Hint = (name: string, names: readonly string[]) => string

/** A value in an error message: a short text of it, whatever it is. */
const shown = (value: unknown): string => {
  if (typeof value === 'string') return `'${value}'`
  return typeof value === 'object' && value !== null ? 'an object' : typeof value === 'function' ? 'a function' : String(value)
}

/** Throws SERVICE_NAME_INVALID for a name that is no text. Whether it is a good one, the registry says. */
export function assertServiceName(name: unknown): asserts name is string {
  if (typeof name === 'string') return
  throw new PlugbayError('SERVICE_NAME_INVALID', `The name of a service is a text, and not ${shown(name)}. Give one such as 'users'.`)
}

/** `what`: the beginning of a sentence, such as "The use of service 'users'". Throws SERVICE_OPTIONS. */
export const assertServiceOptions = (what: string, options: unknown, checks: Checks, hint: Hint = () => ''): void => {
  const refuse = (told: string): never => {
    throw new PlugbayError('SERVICE_OPTIONS', `${what} ${told}`)
  }
  if (typeof options !== 'object' || options === null) return refuse(`has ${shown(options)} for its options. Give an object.`)
  for (const key of Object.keys(options)) {
    const names = Object.keys(checks)
    if (!Object.hasOwn(checks, key)) refuse(`has no option '${key}'.${hint(key, names)} It takes ${names.join(', ')}.`)
    const value = (options as Record<string, unknown>)[key]
    const mend = value === undefined ? undefined : checks[key]?.(value)
    if (mend !== undefined) refuse(`has ${key} = ${shown(value)}. ${mend}`)
  }
}

/** Throws SERVICE_OPTIONS. */
export const assertListener = (name: string, listener: unknown): void => {
  if (typeof listener === 'function') return
  throw new PlugbayError(
    'SERVICE_OPTIONS',
    `The watch of service '${name}' has ${shown(listener)} for its listener. Give a function of the change.`,
  )
}
