/** The check of what a public function was given, made where the mistake is. */
import { PlugbayError } from './errors.js'
import { didYouMean } from './nearest.js'

/** More of a text than this tells nobody more. */
const SHOWN = 80

const beginningOf = (text: string): string => (text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text)

/** `5`, `'shop'`, `a list`, `an object`: a value in the sentence that refuses it. */
export const shown = (value: unknown): string => {
  if (typeof value === 'string') return `'${beginningOf(value)}'`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** The same of what somebody has written as data: a list or an object with what is in it, as far as that is JSON. */
export const shownAsData = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return shown(value)
  try {
    return beginningOf(JSON.stringify(value))
  } catch {
    return shown(value) // a circle, a BigInt, or what says that it is nothing in JSON
  }
}

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Data as it is now: what its owner does to it later changes nothing here. What cannot be cloned stays, and is refused where it is used.
 */
export const asItIsNow = <T>(data: T): T => {
  try {
    return structuredClone(data)
  } catch {
    return data
  }
}

/** OPTIONS_INVALID: `call` is what was called, `what` says what is wrong with what it was given, and the mend. */
export const argumentInvalid = (call: string, what: string): PlugbayError =>
  new PlugbayError('OPTIONS_INVALID', `${call} ${what}`, { details: { call } })

/** Throws OPTIONS_INVALID. */
export function assertFunction(value: unknown, call: string, of: string): asserts value is (...args: never) => unknown {
  if (typeof value !== 'function') throw argumentInvalid(call, `was given a listener that is ${shown(value)}. Give a function of ${of}.`)
}

/** Throws OPTIONS_INVALID. */
export function assertText(value: unknown, call: string, of: string): asserts value is string {
  if (typeof value !== 'string' || value === '')
    throw argumentInvalid(call, `was given ${value === '' ? 'an empty text' : shown(value)} for ${of}. Give it as a text.`)
}

/** Throws OPTIONS_INVALID for what is neither text nor bytes: Node would write whatever can be gone through, each part by itself. */
export function assertWritable(value: unknown, call: string): asserts value is string | Uint8Array {
  if (typeof value !== 'string' && !ArrayBuffer.isView(value))
    throw argumentInvalid(call, `was given ${shown(value)} to write. Give a text, or bytes as a Uint8Array.`)
}

/**
 * Throws OPTIONS_INVALID for arguments beyond those that `call` heeds; `takes` says which these are. Undefined is the same as not given.
 */
export const assertNoMore = (call: string, takes: string, more: readonly unknown[]): void => {
  const beyond = more.find((each) => each !== undefined)
  if (beyond !== undefined) throw argumentInvalid(call, `was given ${shown(beyond)} more than it takes: ${takes}. Leave it out.`)
}

/**
 * What each option of a function has to be: says what to give instead of this value, or nothing when it is right. Undefined is the same as
 * not given.
 */
export type OptionChecks = Readonly<Record<string, (value: unknown) => string | undefined>>

/** What is wrong with the value of an option, and the mend: the rest of a sentence that begins with what has the options. */
export const valueFault = (options: object, checks: OptionChecks): string | undefined => {
  // Without a list of them: it is asked for each subscription there is.
  for (const name in checks) {
    const value = (options as Record<string, unknown>)[name]
    const mend = value === undefined ? undefined : checks[name]?.(value)
    if (mend !== undefined) return `has ${name} = ${shown(value)}. ${mend}`
  }
  return undefined
}

/** The same of options that anybody may have written: they can be no options at all, and have other names. */
export const optionsFault = (options: unknown, checks: OptionChecks): string | undefined => {
  const names = Object.keys(checks)
  if (!isObject(options)) return `has ${shown(options)} for its options. Give an object with any of ${names.join(', ')}.`
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) return `has no option '${unknown}'.${didYouMean(unknown, names)} It takes ${names.join(', ')}.`
  return valueFault(options, checks)
}

/** The longest that a timer can wait, in ms: told to wait longer, it does not wait at all. */
export const LONGEST_WAIT = 2 ** 31 - 1

// Checks of {@link OptionChecks} that several options share.
export const milliseconds = (value: unknown): string | undefined =>
  typeof value === 'number' && value >= 0 && value <= LONGEST_WAIT ? undefined : 'Give milliseconds, from 0 on.'
export const abortSignal = (value: unknown): string | undefined =>
  value instanceof AbortSignal ? undefined : 'Give the signal of an AbortController.'
