/** The message and the fields of a log line, as its author meant them, and as they can cross. */
import { inspect } from 'node:util'
import { reasonOf, toWire } from '../../wire-error.js'
import { holdsRegExp } from '../values/uncloneable-part.js'

/** Parts that are looked at, and how deep they lie: below, an object with anything that cannot cross is text as a whole. */
const MAX_PARTS = 256
const MAX_DEPTH = 4
const MAX_TEXT = 1_024

const textOf = (value: unknown): string => {
  const text = inspect(value, { depth: 1, customInspect: false, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 256 })
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

const canCross = (value: unknown): boolean => {
  try {
    structuredClone(value)
    return !holdsRegExp(value)
  } catch {
    return false
  }
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Also of who gives the fields first, as pino takes them, or alone. */
export const asMeant = (message: unknown, fields: unknown): [message: string, fields: unknown] => {
  if (typeof message !== 'object' || message === null || (fields !== undefined && typeof fields !== 'string'))
    return [message === undefined ? '' : String(message), fields]
  return [fields ?? (message instanceof Error ? reasonOf(message) : ''), message]
}

/** Of fields that were refused as a whole: what of them can cross does, and the rest is left as text. Never throws. */
export const crossing = (fields: unknown): unknown => {
  let parts = 0
  const cross = (value: unknown, depth: number): unknown => {
    if (canCross(value)) return value
    if (value instanceof Error) return toWire(value)
    if (depth < MAX_DEPTH && typeof value === 'object' && value !== null) {
      if (Array.isArray(value)) return value.slice(0, MAX_PARTS).map((_, i) => read(() => value[i], depth + 1))
      if (isPlain(value)) {
        const keys = Object.keys(value).slice(0, MAX_PARTS)
        return Object.fromEntries(keys.map((key) => [key, read(() => Reflect.get(value, key), depth + 1)]))
      }
    }
    return textOf(value)
  }
  const read = (value: () => unknown, depth: number): unknown => {
    try {
      return ++parts > MAX_PARTS ? '…' : cross(value(), depth)
    } catch (error) {
      return `could not be read: ${reasonOf(error)}`
    }
  }
  return read(() => fields, 0)
}
