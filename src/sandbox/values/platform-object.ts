/**
 * Objects of the platform within a value, such as a Blob or shared memory: they stay in their process. V8 alone would write most of them
 * down as empty objects, from Node 22 on without a word.
 */
import { MessagePort } from 'node:worker_threads'

const { getPrototypeOf, values } = Object
const { isArray } = Array
const { isView } = ArrayBuffer

/** Of these a clone has no parts that are objects. A port is not written down, but relayed. */
const WHOLE = [ArrayBuffer, Date, RegExp, String, Number, Boolean, BigInt, MessagePort] as const

const partsOf = (object: object): readonly unknown[] | undefined => {
  if (isArray(object)) return values(object)
  const prototype: unknown = getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return values(object)
  if (object instanceof Map) return [...object.keys(), ...object.values()]
  if (object instanceof Set) return [...object]
  if (object instanceof Error && !(object instanceof DOMException)) return [object.cause]
  if (isView(object)) return object.buffer instanceof SharedArrayBuffer ? undefined : []
  return WHOLE.some((kind) => object instanceof kind) ? [] : undefined
}

export const isPlatformObject = (part: unknown): boolean => typeof part === 'object' && part !== null && partsOf(part) === undefined

/** What is said of one that was to go on. */
export const staysHere = (object: object): Error =>
  new DOMException(`A ${(isView(object) ? object.buffer : object).constructor.name} cannot go to another process.`, 'DataCloneError')

/** One in a value that is a clone. */
export const platformObjectIn = (value: unknown): object | undefined => closedIn(value, partsOf)

/** The first object in a value of which `partsOf` tells no parts, itself or within. */
export const closedIn = (value: unknown, partsOf: (object: object) => readonly unknown[] | undefined): object | undefined => {
  const seen = new Set<object>()
  const found: unknown[] = [value]
  while (found.length > 0) {
    const object = found.pop()
    if (typeof object !== 'object' || object === null || seen.has(object)) continue
    seen.add(object)
    const parts = partsOf(object)
    if (parts === undefined) return object
    for (let i = 0; i < parts.length; i++) if (typeof parts[i] === 'object') found.push(parts[i])
  }
  return undefined
}
