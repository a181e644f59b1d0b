/** The check of what a public function was given, made where the mistake is. */
import { PlugbayError } from './errors.js'

/** `null`, `a list`, `number`: what something is, for the sentence that refuses it. */
export const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value)

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

/** OPTIONS_INVALID: `call` is what was called, `what` says what is wrong with what it was given, and the mend. */
export const argumentInvalid = (call: string, what: string): PlugbayError =>
  new PlugbayError('OPTIONS_INVALID', `${call} ${what}`, { details: { call } })

/** Throws OPTIONS_INVALID. */
export function assertFunction(value: unknown, call: string, of: string): asserts value is (...args: never) => unknown {
  if (typeof value !== 'function') throw argumentInvalid(call, `was given a listener that is ${kindOf(value)}. Give a function of ${of}.`)
}

/** Throws OPTIONS_INVALID for what is no text, or an empty one. */
export function assertText(value: unknown, call: string, of: string): asserts value is string {
  if (typeof value !== 'string' || value === '')
    throw argumentInvalid(call, `was given ${value === '' ? 'an empty text' : kindOf(value)} for ${of}. Give it as a text.`)
}
