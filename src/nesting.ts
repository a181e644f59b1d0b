/**
 * How deep a value is nested: the platform writes and reads one by recursion, and not every thread has as much room for that as the one it
 * comes from.
 */

/**
 * Objects in one another that cross a boundary. What is written by a stack of 4 MB may be several thousand, and more than the main thread
 * of a process can read.
 */
export const MOST_NESTED = 1_000

/** Objects that are looked at before it matters whether they are met twice. */
const FEW = 4_096

// The plugin may change what it finds in the realm: taken before it runs.
const { values } = Object
const { isArray } = Array

/**
 * Whether more objects than {@link MOST_NESTED} lie in one another in the value. `names`: the properties too that an array has beside its
 * elements, for values of a sender who is not believed; to ask for them costs more than the rest.
 */
export const isTooDeep = (value: unknown, names = false): boolean => {
  if (typeof value !== 'object' || value === null) return false
  try {
    // What is few and shallow as a tree is so in any case.
    return (
      new Sounding(names, FEW, undefined).reaches(value, MOST_NESTED) &&
      new Sounding(names, Infinity, new Set()).reaches(value, MOST_NESTED)
    )
  } catch {
    return false // one of its getters throws: structured clone will say so
  }
}

/** What is said of such a value. */
export const tooDeep = (): Error => new RangeError(`more than ${MOST_NESTED} objects lie in one another`)

class Sounding {
  readonly #names: boolean
  readonly #seen: Set<object> | undefined
  #left: number

  constructor(names: boolean, most: number, seen: Set<object> | undefined) {
    this.#names = names
    this.#left = most
    this.#seen = seen
  }

  /**
   * Whether it goes below `room` objects, or there are too many to say. In the order in which the platform writes them: of what is met
   * again it writes no more than that.
   */
  reaches(object: object, room: number): boolean {
    if (room === 0 || --this.#left < 0) return true
    if (this.#seen !== undefined) {
      if (this.#seen.has(object)) return false
      this.#seen.add(object)
    }
    if (isArray(object)) return this.#anyElement(object, room - 1)
    if (ArrayBuffer.isView(object)) return false
    if (object instanceof Map) {
      for (const [key, value] of object) if (this.#below(key, room - 1) || this.#below(value, room - 1)) return true
      return false
    }
    if (object instanceof Set) {
      for (const value of object) if (this.#below(value, room - 1)) return true
      return false
    }
    if (object instanceof Error && this.#below(object.cause, room - 1)) return true
    return this.#any(values(object), room - 1)
  }

  #below(part: unknown, room: number): boolean {
    return typeof part === 'object' && part !== null && this.reaches(part, room)
  }

  #any(parts: readonly unknown[], room: number): boolean {
    for (let i = 0; i < parts.length; i++) if (this.#below(parts[i], room)) return true
    return false
  }

  #anyElement(array: readonly unknown[], room: number): boolean {
    if (this.#names) return this.#any(values(array), room)
    const { length } = array
    for (let i = 0; i < length; i++) {
      const part = array[i]
      // One of four thousand million holes has few elements.
      if (part === undefined && !(i in array)) return this.#any(values(array), room)
      if (this.#below(part, room)) return true
    }
    return false
  }
}
