/** What a value that only structured clone can copy weighs, every part of it: for whoever must have room for it, and time to make it. */
import {
  bytesIn,
  countIn,
  entriesIn,
  integerIn,
  isArrayBuffer,
  isBigIntObject,
  isMap,
  isNativeError,
  isRegExp,
  isSet,
  isStringObject,
  membersIn,
  textIn,
} from './inner-kind.js'

/*
 * A thread that reads a message does nothing else until all of it is made, and small parts take far longer to make than their bytes to
 * copy. So of a call each kind of part weighs about as many bytes as could be copied meanwhile, at the least. What weighs 32 MiB holds its
 * reader for some 50 ms then, whatever it is made of.
 *
 * Why a walk beside `liveSize`: that one is a glance at events and items of streams, which costs half as much for what is small and ends
 * early for what is large. Where it cannot tell, this one follows.
 */
export interface Weights {
  /** The platform's own form of a value, beside its parts. */
  value: number
  /** A number, a text beside its characters, or something that was met before. */
  leaf: number
  /** An element of an array, beside what it is. */
  element: number
  /** An object, an array, a date, a view of a buffer and the like. */
  object: number
  /** A property beside its value. */
  property: number
  /** A name beside its characters that no property before it has: each makes another kind of object. */
  name: number
  /** An entry of a Map or a Set. */
  entry: number
  /** A bigint beside its bytes. */
  bigint: number
  /** A buffer beside its bytes. */
  buffer: number
  /** A byte of it. */
  byte: number
  /** What is more than data to the platform, such as a Blob. */
  host: number
}

/** What an object weighs that is moved with a call: a port is an object at both ends, and stays. */
export const HOST_OBJECT = 16 * 1_024

const OF_A_CALL: Weights = {
  value: 1_024,
  leaf: 24,
  element: 24,
  object: 512,
  property: 64,
  name: 1_024,
  entry: 384,
  bigint: 64,
  buffer: 1_024,
  byte: 1,
  host: HOST_OBJECT,
}

/** One that may have 1 MiB and not 32: nearer to its bytes, and as long to make when it has all of that. */
export const OF_AN_EVENT: Weights = {
  value: 1_024,
  leaf: 8,
  element: 0,
  object: 16,
  property: 2,
  name: 32,
  entry: 12,
  bigint: 2,
  buffer: 32,
  byte: 1,
  host: 512,
}

/**
 * A call where it arrives, which shows no more which of its buffers were copied: those that were moved count for nothing, however large.
 */
export const OF_WHAT_CAME: Weights = { ...OF_A_CALL, byte: 0 }

/** The plugin may change what it finds in the realm: taken before it runs. */
const { getPrototypeOf, keys, values } = Object
const { isArray } = Array
const { isView } = ArrayBuffer

/**
 * Its size in bytes, roughly, without the objects in `moved`. Above `most` it is some size above it: the rest was not looked at. A walk,
 * but one that costs a fraction of the copy.
 */
export const cloneSize = (value: unknown, most: number, moved: readonly unknown[] = [], weights = OF_A_CALL): number => {
  const seen = new Set<unknown>(moved)
  const parts: object[] = []
  let size = weights.value + put(value, parts, weights)
  while (parts.length > 0 && size <= most) {
    const part = parts.pop() as object
    if (seen.has(part)) continue
    seen.add(part)
    size += open(part, parts, seen, most - size, weights)
  }
  return size
}

/** What a part weighs beside what an object holds, which is added to `parts`: most parts are none. */
const put = (part: unknown, parts: object[], weights: Weights): number => {
  if (typeof part === 'string') return weights.leaf + part.length
  if (typeof part === 'object') {
    if (part !== null) parts.push(part)
  } else if (typeof part === 'bigint') return weights.leaf + weights.bigint + bytesOf(part)
  return weights.leaf
}

/** The bytes of an integer beyond the 64 bits that any has. */
export const bytesOf = (integer: bigint): number => (BigInt.asIntN(64, integer) === integer ? 0 : integer.toString(16).length / 2)

/**
 * What an object weighs by itself, with the names that nobody in `seen` has. What it holds is added to `parts`, unless that alone is more
 * than `room`.
 */
const open = (object: object, parts: object[], seen: Set<unknown>, room: number, weights: Weights): number => {
  try {
    if (isArray(object)) return openArray(object, parts, seen, room, weights)
    if (isArrayBuffer(object)) return weights.buffer + weights.byte * bytesIn(object)
    if (isView(object)) {
      // A view is copied with all of its buffer, and that once; shared memory is not.
      return weights.object + put(object.buffer, parts, weights)
    }
    if (isMap(object)) {
      let weight = weights.object + countIn(object) * weights.entry
      const add = (value: unknown, key: unknown): void => void (weight += put(key, parts, weights) + put(value, parts, weights))
      if (weight <= room) entriesIn(object, add)
      return weight
    }
    if (isSet(object)) {
      let weight = weights.object + countIn(object) * weights.entry
      const add = (value: unknown): void => void (weight += put(value, parts, weights))
      if (weight <= room) membersIn(object, add)
      return weight
    }
    // Its characters are properties of it, but no clone has them as such.
    if (isStringObject(object)) return weights.object + textIn(object).length
    if (isBigIntObject(object)) return weights.object + weights.bigint + bytesOf(integerIn(object))
    let weight = weights.object
    const prototype: unknown = getPrototypeOf(object)
    if (prototype !== Object.prototype && prototype !== null) {
      if (object instanceof Blob) return weights.host
    }
    if (isNativeError(object)) for (const part of [object.message, object.stack, object.cause]) weight += put(part, parts, weights)
    else if (isRegExp(object)) weight += put(object.source, parts, weights)
    return weight + openProperties(object, keys(object), parts, seen, room, weights)
  } catch {
    return weights.object // one of its getters throws: structured clone will say so
  }
}

const openArray = (array: readonly unknown[], parts: object[], seen: Set<unknown>, room: number, weights: Weights): number => {
  const { length } = array
  // Its places are made, whatever is in them.
  let weight = weights.object + length * (weights.element + weights.leaf)
  if (weight > room) return weight
  let taken = length
  for (let i = 0; i < length; i++) {
    const element = array[i]
    if (element === undefined && !(i in array)) taken--
    weight += put(element, parts, weights) - weights.leaf
  }
  return taken === values(array).length ? weight : weight + openProperties(array, namesBeside(array), parts, seen, room, weights)
}

/** The names that an array has after those of its elements, as a match of a regular expression does. */
export const namesBeside = (array: readonly unknown[]): string[] => {
  const names = keys(array)
  let first = names.length
  while (first > 0 && !(Number(names[first - 1]) >= 0)) first--
  return names.slice(first)
}

const openProperties = (
  object: object,
  names: readonly string[],
  parts: object[],
  seen: Set<unknown>,
  room: number,
  weights: Weights,
): number => {
  let weight = 0
  for (const name of names) {
    if (weight > room) break
    weight += weights.property
    if (!seen.has(name)) {
      seen.add(name)
      weight += weights.name + name.length
    }
    weight += put((object as Record<string, unknown>)[name], parts, weights)
  }
  return weight
}
