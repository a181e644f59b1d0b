/**
 * Objects that Node asks how they are to be cloned, such as a Blob, within a value as its author has it: V8 alone would take most of them
 * for objects without properties, from Node 22 on.
 */
import { closedIn } from '../../values/platform-object.js'

const { getOwnPropertyDescriptor, getOwnPropertySymbols, getPrototypeOf, keys, values } = Object
const { isArray } = Array
const { isView } = ArrayBuffer

/** The names of the methods that it asks. */
const ASKED = new Set<string | undefined>(['messaging_clone_symbol', 'messaging_transfer_symbol'])

const hasAsked = (prototype: object | null): boolean =>
  prototype !== null &&
  (getOwnPropertySymbols(prototype).some(({ description }) => ASKED.has(description)) ||
    hasAsked(getPrototypeOf(prototype) as object | null))

const partsOf = (object: object): readonly unknown[] | undefined => {
  if (isArray(object)) return values(object)
  const prototype = getPrototypeOf(object) as object | null
  if (prototype !== Object.prototype && prototype !== null) {
    if (object instanceof Map) return [...object.keys(), ...object.values()]
    if (object instanceof Set) return [...object]
    if (isView(object)) return []
    if (hasAsked(prototype)) return undefined
  }
  // Nobody's getter is asked.
  return keys(object).map((key) => getOwnPropertyDescriptor(object, key)?.value as unknown)
}

/** One whose class shows that it is such a one: what hides that is cloned as what it is to V8. */
export const askedObjectIn = (value: unknown): object | undefined => closedIn(value, partsOf)
