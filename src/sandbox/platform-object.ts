/** Objects of the platform within a value, such as a Blob: V8 alone would write most of them down as empty objects, from Node 22 on without a word. */
import { MessagePort } from 'node:worker_threads'

const { getOwnPropertyDescriptor, getOwnPropertySymbols, getPrototypeOf, keys, values } = Object
const { isArray } = Array
const { isView } = ArrayBuffer

/** Of these a clone has no parts that are objects. A port is not written down, but relayed. */
const WHOLE = [ArrayBuffer, SharedArrayBuffer, Date, RegExp, String, Number, Boolean, BigInt, MessagePort] as const

/** Methods that Node asks how to write down what is no data to V8. */
const ASKED = new Set<string | undefined>(['messaging_clone_symbol', 'messaging_transfer_symbol'])

/** Whether it is one of those that Node itself writes down, from its class on. */
const isAsked = (prototype: object | null): boolean =>
  prototype !== null &&
  (getOwnPropertySymbols(prototype).some(({ description }) => ASKED.has(description)) ||
    isAsked(getPrototypeOf(prototype) as object | null))

/** Nobody's getter is asked. */
const stored = (object: object): unknown[] => keys(object).map((key) => getOwnPropertyDescriptor(object, key)?.value as unknown)

/** Undefined: it is an object of the platform. `cloned`: it is no instance of a class that somebody wrote. */
const partsOf = (object: object, cloned: boolean): readonly unknown[] | undefined => {
  if (isArray(object)) return values(object)
  const prototype: unknown = getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return cloned ? values(object) : stored(object)
  if (object instanceof Map) return [...object.keys(), ...object.values()]
  if (object instanceof Set) return [...object]
  if (object instanceof Error && !(object instanceof DOMException)) return [object.cause]
  if (isView(object) || WHOLE.some((kind) => object instanceof kind)) return []
  return cloned || isAsked(prototype as object) ? undefined : stored(object)
}

/** One in a value that is a clone, or in one `as it is`, which may hold instances of classes. */
export const platformObjectIn = (value: unknown, state: 'cloned' | 'as it is' = 'cloned'): object | undefined => {
  const seen = new Set<object>()
  const found: unknown[] = [value]
  while (found.length > 0) {
    const object = found.pop()
    if (typeof object !== 'object' || object === null || seen.has(object)) continue
    seen.add(object)
    const parts = partsOf(object, state === 'cloned')
    if (parts === undefined) return object
    for (let i = 0; i < parts.length; i++) if (typeof parts[i] === 'object') found.push(parts[i])
  }
  return undefined
}
