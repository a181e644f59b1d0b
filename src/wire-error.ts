/** Whatever was thrown as plain data, bounded and read with care: so errors cross boundaries without losing what they are. */
import { cut } from './cut.js'
import { isErrorCode, PlugbayError } from './errors.js'
import { isTooDeep, tooDeep } from './nesting.js'
import { enumerated, unended } from './sentence.js'

/** An error as plain data: what crosses a boundary. */
export interface WireError {
  name: string
  message: string
  stack?: string
  code?: string | number
  plugin?: string
  details?: Record<string, unknown>
  cause?: WireError
  /** The members of an AggregateError. */
  errors?: WireError[]
  /** Whatever else was set on it, as far as it is plain data. */
  properties?: Record<string, unknown>
  branded?: true
  /** A thrown value that was no error, as text. */
  thrown?: string
}

/** A chain of causes and members longer than this is cut: a hostile error may have itself as its cause. */
const MAX_DEPTH = 8
/** Errors that one brings along as members of aggregates, its own and those of its causes. */
const MAX_MEMBERS = 16
/** Details and texts longer than this many characters are cut: a report must never be what fills the memory or the log. */
const MAX_DETAILS = 64 * 1024
const MAX_TEXT = 16 * 1024
/** Properties of an error with all their parts, and how deep these lie. What goes beyond is left behind. */
const MAX_PARTS = 256
const MAX_PART_DEPTH = 4

/**
 * As JSON; undefined where that is longer than `most`. It is not written to its end then: what is small, and holds the same part in many
 * places, may have none.
 */
const jsonWithin = (value: unknown, most: number): string | undefined => {
  let size = 0
  try {
    const text = JSON.stringify(value, (key, part: unknown) => {
      size += key.length + (typeof part === 'string' ? part.length : 1)
      if (size > most) throw new RangeError('it is too long')
      return typeof part === 'bigint' ? `${part}n` : part
    })
    return text.length > most ? undefined : text
  } catch (error) {
    if (size > most) return undefined
    throw error
  }
}

/** Text of any value, whatever its own toString does; of a list, and of an object that has none, its content. */
const describe = (value: unknown): string => {
  if (value === undefined || value === null) return `${value} was thrown, which says neither what went wrong nor where: throw an Error`
  try {
    // The text of a list is that of all in it, without a bound.
    const text = Array.isArray(value) ? '[object Array]' : String(value)
    if (!/^\[object \w+\]$/.test(text)) return cut(text, MAX_TEXT)
    return jsonWithin(value, MAX_TEXT) ?? `a thrown ${Array.isArray(value) ? 'list' : 'object'} of more than ${MAX_TEXT} characters`
  } catch {
    return `a thrown ${typeof value} that has no text`
  }
}

/** A property of a value that may be hostile: undefined when it is not there, is of another type, or reading it throws. */
const read = (target: object, key: string): unknown => {
  try {
    return Reflect.get(target, key)
  } catch {
    return undefined
  }
}

const readText = (target: object, key: string): string | undefined => {
  const value = read(target, key)
  return typeof value === 'string' ? cut(value, MAX_TEXT) : undefined
}

let written: ((stack: string) => string) | undefined

/** From now on stacks are read by this: it knows where code of this thread was written that Node does not map. */
export const readStacksBy = (reader: typeof written): void => {
  written = reader
}

const readStack = (error: object): string | undefined => {
  const stack = readText(error, 'stack')
  return stack === undefined || written === undefined ? stack : written(stack)
}

/** Only what is plain data may travel in details: anything else is dropped rather than break the report. */
const plainDetails = (details: unknown): Record<string, unknown> | undefined => {
  if (typeof details !== 'object' || details === null) return undefined
  try {
    const text = jsonWithin(details, MAX_DETAILS)
    if (text === undefined) return { omitted: `more than ${MAX_DETAILS} characters of details` }
    const plain: unknown = JSON.parse(text)
    if (isTooDeep(plain)) return { omitted: `details in which ${tooDeep().message}` }
    return typeof plain === 'object' && plain !== null ? (plain as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** What the properties of one error may still take. */
interface Room {
  parts: number
  text: number
}

/** The values of an object's own properties that are values: no code of the object runs. */
const valuesOf = (object: object): [key: string, value: unknown][] => {
  const values: [string, unknown][] = []
  for (const key of Object.keys(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, key)
    if (key !== '__proto__' && descriptor !== undefined && Object.hasOwn(descriptor, 'value')) values.push([key, descriptor.value])
    if (values.length > MAX_PARTS) break
  }
  return values
}

/** A copy of plain data; undefined for what is not plain, or takes too much room. */
const plainCopy = (value: unknown, room: Room, depth = 1): unknown => {
  if (--room.parts < 0) return undefined
  switch (typeof value) {
    case 'string':
      return (room.text -= value.length) < 0 ? undefined : value
    case 'number':
    case 'boolean':
      return value
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? value : undefined
    case 'object':
      break
    default:
      return undefined
  }
  if (value === null) return null
  const list = Array.isArray(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (depth > MAX_PART_DEPTH) return undefined
  if (list ? value.length > room.parts : prototype !== Object.prototype && prototype !== null) return undefined
  const values = valuesOf(value)
  // A list with holes, or with more than elements, is none.
  if (list && (values.length !== value.length || !values.every(([key], i) => key === String(i)))) return undefined
  const parts: [string, unknown][] = []
  for (const [key, part] of values) {
    const copy = plainCopy(part, room, depth + 1)
    if (copy === undefined && (list || part !== undefined)) return undefined
    room.text -= key.length
    parts.push([key, copy])
  }
  return list ? parts.map(([, part]) => part) : Object.fromEntries(parts)
}

/** What has a place of its own in a wire error. */
const PLACED: ReadonlySet<string> = new Set(['stack', 'code', 'plugin', 'details', 'cause'])

/**
 * What was set on an error beside what every error has: each property whole, or not at all. Whoever has it calls what every error can, so
 * that stays.
 */
const plainProperties = (error: object): Record<string, unknown> | undefined => {
  let room: Room = { parts: MAX_PARTS, text: MAX_TEXT }
  const found: [string, unknown][] = []
  try {
    for (const [key, value] of valuesOf(error)) {
      if (PLACED.has(key) || key in Error.prototype) continue
      const left = { parts: room.parts, text: room.text - key.length }
      const copy = plainCopy(value, left)
      if (copy === undefined) continue
      found.push([key, copy])
      room = left
    }
  } catch {
    // a proxy whose trap throws
  }
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

/** The members of an AggregateError, of this or another realm. */
const membersOf = (error: object): readonly unknown[] | undefined => {
  const errors = read(error, 'errors')
  try {
    return Array.isArray(errors) && (error instanceof AggregateError || read(error, 'name') === 'AggregateError')
      ? errors.slice(0, MAX_MEMBERS)
      : undefined
  } catch {
    return undefined // a proxy whose trap throws
  }
}

/** What an error may still bring along. */
interface Baggage {
  members: number
}

/** Turns anything that was thrown into plain data. `plugin` is the plugin of origin, kept if one is there already. Never throws. */
export const toWire = (thrown: unknown, plugin?: string): WireError => wired(thrown, plugin, 0, { members: MAX_MEMBERS })

const wired = (thrown: unknown, plugin: string | undefined, depth: number, baggage: Baggage): WireError => {
  if (typeof thrown !== 'object' || thrown === null) {
    return { name: 'Error', message: describe(thrown), thrown: typeof thrown, ...(plugin === undefined ? {} : { plugin }) }
  }
  const origin = readText(thrown, 'plugin') ?? plugin
  const message = readText(thrown, 'message')
  const wire: WireError = { name: readText(thrown, 'name') ?? 'Error', message: message ?? describe(thrown) }
  const stack = readStack(thrown)
  const code = read(thrown, 'code')
  // Of what is no error, its content is all there is.
  const details = plainDetails(read(thrown, 'details')) ?? (message === undefined ? plainDetails(thrown) : undefined)
  const properties = plainProperties(thrown)
  const cause = read(thrown, 'cause')
  if (stack !== undefined) wire.stack = stack
  if (typeof code === 'string') wire.code = cut(code, MAX_TEXT)
  else if (typeof code === 'number') wire.code = code
  if (origin !== undefined) wire.plugin = origin
  if (details) wire.details = details
  if (properties) wire.properties = properties
  if (depth < MAX_DEPTH) {
    if (cause !== undefined && cause !== null) wire.cause = wired(cause, undefined, depth + 1, baggage)
    const members = membersOf(thrown)
    if (members) wire.errors = members.filter(() => baggage.members-- > 0).map((each) => wired(each, undefined, depth + 1, baggage))
  }
  if (PlugbayError.is(thrown)) wire.branded = true
  return wire
}

/** Errors that were built from what another end said. */
const told = new WeakSet<Error>()

/**
 * Whether a PlugbayError was made at this end. One that came over a wire says of itself what it likes, its code too: it is shown, and never
 * acted on. So whoever decides by a code asks this, and whoever only tells it {@link PlugbayError.is} or {@link codeOf}.
 */
export const isOwn = (error: unknown): error is PlugbayError => error instanceof PlugbayError && !told.has(error)

/**
 * The error again: a PlugbayError where it was one, an AggregateError where it has members, else an Error; with the same name, message,
 * code, cause, stack and properties. All is bounded like in {@link toWire}, because what arrives may not have been made by it. `from`: the
 * plugin at the other end, where that is known. What names another as its origin came by way of that one, which is `via` in its details,
 * whatever it says there itself.
 */
export const fromWire = (wire: WireError, from?: string): Error =>
  isWire(wire)
    ? unwired(from === undefined ? wire : cameFrom(wire, from), 0, { members: MAX_MEMBERS })
    : new TypeError('The other end failed with what is no error.')

const cameFrom = (wire: WireError, from: string): WireError => {
  const plugin = textOr(from, wire.plugin)
  const { via, ...told } = isWire(wire.details) ? (wire.details as Record<string, unknown>) : {}
  if (plugin === from) return via === undefined ? { ...wire, plugin } : { ...wire, plugin, details: told }
  return { ...wire, details: { ...told, via: from } }
}

const define = (error: Error, key: string, value: unknown, enumerable: boolean): void => {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable })
}

const textOr = <T>(otherwise: T, value: unknown): string | T => (typeof value === 'string' ? value : otherwise)

const isWire = (value: unknown): value is WireError => typeof value === 'object' && value !== null

const unwired = (wire: WireError, depth: number, baggage: Baggage): Error => {
  const { thrown, code } = wire
  // A value with a `toString` of its own would throw where a text is expected.
  const name = textOr('Error', wire.name)
  const message = textOr('', wire.message)
  const plugin = textOr(undefined, wire.plugin)
  const details = isWire(wire.details) ? (wire.details as Record<string, unknown>) : undefined
  // What was no error has no stack, and this end's would say nothing of it.
  const stack = textOr(undefined, wire.stack) ?? (thrown === undefined ? undefined : `${name}: ${message}`)
  const deeper = depth < MAX_DEPTH
  const options: { cause?: unknown } = isWire(wire.cause) && deeper ? { cause: unwired(wire.cause, depth + 1, baggage) } : {}
  let error: Error
  if (wire.branded && isErrorCode(code)) {
    error = new PlugbayError(code, message, { ...options, plugin, details })
  } else {
    const members =
      deeper && Array.isArray(wire.errors)
        ? wire.errors.filter((each) => isWire(each) && baggage.members-- > 0).map((each) => unwired(each, depth + 1, baggage))
        : undefined
    error = members ? new AggregateError(members, message, options) : new Error(message, options)
    define(error, 'name', name, false)
    for (const [key, value] of Object.entries({ code, plugin, details })) if (value !== undefined) define(error, key, value, true)
  }
  if (isWire(wire.properties)) {
    const properties = plainProperties(wire.properties) ?? {}
    for (const [key, value] of Object.entries(properties)) if (!Object.hasOwn(error, key)) define(error, key, value, true)
  }
  if (stack !== undefined) define(error, 'stack', stack, false)
  told.add(error)
  return error
}

/** The error once more, from data of its own that leave something out: of this end where it was that. */
export const again = (error: Error, wire: WireError): Error => {
  const copy = fromWire(wire)
  if (isOwn(error)) told.delete(copy)
  return copy
}

/** The error with its stacks as {@link readStacksBy} has them. */
export const asWritten = (error: Error): Error => (written === undefined ? error : again(error, toWire(error)))

/** The code of anything thrown, where it has one: a key of {@link ERROR_CODES}, or one of Node's such as `ENOENT`. */
export const codeOf = (thrown: unknown): string | undefined => {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  const code = read(thrown, 'code')
  return typeof code === 'string' ? code : undefined
}

/** A sentence names so many members of an AggregateError. */
const MEMBERS_TOLD = 3

/** The message of anything thrown, for the tail of a longer message; of an AggregateError, with those of its members. */
export const reasonOf = (thrown: unknown): string => {
  const { message, errors = [] } = toWire(thrown)
  if (errors.length === 0) return message
  const told = errors.slice(0, MEMBERS_TOLD).map((each) => unended(each.message))
  return cut(`${unended(message)}: ${enumerated(told, errors.length, '; ')}`, MAX_TEXT)
}
