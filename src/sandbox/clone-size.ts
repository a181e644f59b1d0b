/** What a value that only structured clone can copy weighs, every part of it: for whoever must have room for it, and time to make it. */

/*
 * A thread that reads a message does nothing else until all of it is made, and small parts take far longer to make than their bytes to copy. So each kind of part weighs about as many bytes
 * as could be copied meanwhile, at the least. What weighs 32 MiB holds its reader for some 50 ms then, whatever it is made of.
 */

/** What the platform's own form of a value weighs beside its parts. */
const VALUE = 1_024
/** A number, a text beside its characters, or something that was met before. */
const LEAF = 24
/** An element of an array, beside what it is. */
const ELEMENT = 24
/** An object, an array, a date, a view of a buffer and the like. */
const OBJECT = 512
/** A property beside its value. */
const PROPERTY = 64
/** A name that no property before it has: each makes another kind of object. */
const NEW_NAME = 1_024
/** An entry of a Map or a Set. */
const ENTRY = 384
/** A bigint beside its bytes. */
const BIGINT = 64
/** A buffer beside its bytes. */
const BUFFER = 1_024
/** Elements of an array that may have names beside them: to ask for those of a longer one would cost more than the clone. */
const SHORT = 1_024
/** What is more than data to the platform, such as a Blob or a port. */
export const HOST_OBJECT = 16 * 1_024

/** The plugin may change what it finds in the realm: taken before it runs. */
const { getPrototypeOf, keys } = Object
const { isArray } = Array
const { isView } = ArrayBuffer

/**
 * Its size in bytes, roughly, without the objects in `moved`. Above `most` it is some size above it: the rest was not looked at. A walk, but one
 * that costs a fraction of the copy.
 */
export const cloneSize = (value: unknown, most: number, moved: readonly unknown[] = []): number => {
  const seen = new Set<unknown>(moved)
  const parts: unknown[] = [value]
  let size = VALUE
  while (parts.length > 0 && size <= most) {
    const part = parts.pop()
    size += LEAF
    if (typeof part === 'string') size += part.length
    else if (typeof part === 'bigint') size += bytesOf(part)
    else if (typeof part === 'object' && part !== null && !seen.has(part)) {
      seen.add(part)
      size += open(part, parts, seen, most - size)
    }
  }
  return size
}

const bytesOf = (integer: bigint): number => BIGINT + (BigInt.asIntN(64, integer) === integer ? 0 : integer.toString(16).length / 2)

/** What an object weighs by itself, with the names that nobody in `seen` has. What it holds is added to `parts`, unless that alone is more than `room`. */
const open = (object: object, parts: unknown[], seen: Set<unknown>, room: number): number => {
  try {
    if (isArray(object)) return openArray(object, parts, seen, room)
    if (object instanceof ArrayBuffer) return BUFFER + object.byteLength
    if (isView(object)) {
      // A view is copied with all of its buffer, and that once; shared memory is not.
      parts.push(object.buffer)
      return OBJECT
    }
    if (object instanceof Map) {
      const weight = OBJECT + object.size * ENTRY
      if (weight <= room) for (const [key, value] of object) parts.push(key, value)
      return weight
    }
    if (object instanceof Set) {
      const weight = OBJECT + object.size * ENTRY
      if (weight <= room) for (const value of object) parts.push(value)
      return weight
    }
    const prototype: unknown = getPrototypeOf(object)
    if (prototype !== Object.prototype && prototype !== null) {
      if (object instanceof Blob) return HOST_OBJECT
      // Its characters are properties of it, but no clone has them as such.
      if (object instanceof String) return OBJECT + object.length
      if (object instanceof Error) parts.push(object.message, object.stack, object.cause)
      else if (object instanceof RegExp) parts.push(object.source)
    }
    return OBJECT + openProperties(object, keys(object), parts, seen, room)
  } catch {
    return OBJECT // one of its getters throws: structured clone will say so
  }
}

const openArray = (array: readonly unknown[], parts: unknown[], seen: Set<unknown>, room: number): number => {
  const { length } = array
  const weight = OBJECT + length * ELEMENT
  if (weight > room) return weight
  for (let i = 0; i < length; i++) parts.push(array[i])
  return length > SHORT ? weight : weight + openProperties(array, namesBeside(array), parts, seen, room)
}

/** The names that an array has after those of its elements, as a match of a regular expression does. */
const namesBeside = (array: readonly unknown[]): string[] => {
  const names = keys(array)
  let first = names.length
  while (first > 0 && !(Number(names[first - 1]) >= 0)) first--
  return names.slice(first)
}

const openProperties = (object: object, names: readonly string[], parts: unknown[], seen: Set<unknown>, room: number): number => {
  let weight = 0
  for (const name of names) {
    if (weight > room) break
    weight += PROPERTY
    if (!seen.has(name)) {
      seen.add(name)
      weight += NEW_NAME + name.length
    }
    parts.push((object as Record<string, unknown>)[name])
  }
  return weight
}
