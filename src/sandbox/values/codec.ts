/**
 * Values on their way over a thread boundary: plain ones flattened into primitives at once, all others left to the platform's structured
 * clone.
 */
import { isTooDeep, tooDeep } from '../../nesting.js'
import { bytesOf, cloneSize, namesBeside, OF_AN_EVENT } from './clone-size.js'
import { bytesIn, entriesIn, isArrayBuffer, isBoxedPrimitive, isMap, isNativeError, isRegExp, isSet, membersIn } from './inner-kind.js'
import { buildValue, LEAF, LEAF_SHAPE, type Shape, ShapeBook, type ShapeText, TOO_LONG } from './shape.js'

/*
 * Why not simply post the value? A batch of events is posted at the end of a turn, but must hold what they were when they
 * were published: primitives cannot change any more. Flattened values are also several times cheaper for structured clone
 * to write and read (no keys, no objects), and a kernel that only passes them on never builds them.
 */

/** A value in transit. Its leaves are primitives, unless it is `live`: then the one leaf is the value itself. */
export class Packed {
  readonly shape: ShapeText
  readonly leaves: readonly unknown[]
  /** Rough size in bytes, for windows and batches. */
  readonly size: number

  constructor(shape: ShapeText, leaves: readonly unknown[], size: number) {
    this.shape = shape
    this.leaves = leaves
    this.size = size
  }

  open(): unknown {
    return this.shape === LEAF_SHAPE ? this.leaves[0] : buildValue(this.shape, this.leaves, 0, this.leaves.length)
  }
}

/** Depth, elements of one array, and objects of one value beyond which structured clone does the work. */
const MAX_DEPTH = 8
const MAX_ELEMENTS = 256
const SCANNED = 16
const MAX_OBJECTS = 512
/** What one leaf weighs beside its text. */
export const LEAF_BYTES = 8

const book = new ShapeBook()
/** The objects of the value that is being encoded: the first few in an array that is scanned, more in a set. */
const seen: (object | undefined)[] = new Array<object | undefined>(SCANNED).fill(undefined)
let seenCount = 0
let many: Set<object | undefined> | undefined
let bytes = 0
/**
 * The leaves of the value that is being encoded, up to `cursor`; beyond lies what was not taken. Cutting an array off costs as much as
 * three leaves.
 */
const scratch: unknown[] = []
let cursor = 0
/** A value is being flattened: one of its getters may come here again. */
let busy = false

/** False when the object was met before in this value: identity matters then, and only structured clone keeps it. */
const fresh = (value: object): boolean => {
  if (seenCount < SCANNED) {
    for (let i = 0; i < seenCount; i++) if (seen[i] === value) return false
    seen[seenCount] = value
  } else {
    many ??= new Set(seen)
    if (many.has(value) || seenCount > MAX_OBJECTS) return false
    many.add(value)
  }
  seenCount++
  return true
}

/** Holes and properties beside the elements are rare, but a clone has them. */
const hasElementsOnly = (value: readonly unknown[]): boolean => value.length <= MAX_ELEMENTS && Object.keys(value).length === value.length

const flattenElements = (value: readonly unknown[], depth: number): Shape | undefined => {
  const length = value.length
  bytes += LEAF_BYTES
  scratch[cursor++] = length
  if (length === 0) return book.arrayOf(LEAF)
  if (!(0 in value)) return undefined
  const first = flatten(value[0], depth + 1)
  if (first === undefined) return undefined
  let step = undefined
  for (let i = 1; i < length; i++) {
    const item = value[i]
    // As many keys as elements may also be a hole and a property.
    if (item === undefined && !(i in value)) return undefined
    const shape = flatten(item, depth + 1)
    if (shape === undefined) return undefined
    if (step === undefined) {
      if (shape === first) continue
      if (length > SCANNED) return undefined
      step = book.tuple
      for (let k = 0; k < i; k++) step = step.to('', first, book)
    }
    step = step.to('', shape, book)
    if (step === TOO_LONG) return undefined
  }
  return step === undefined ? book.arrayOf(first) : step.shape
}

/** Writes down the leaves of a plain value and returns its shape; undefined when it is not plain. */
const flatten = (value: unknown, depth: number): Shape | undefined => {
  switch (typeof value) {
    case 'string':
      bytes += value.length + LEAF_BYTES
      scratch[cursor++] = value
      return LEAF
    case 'object': {
      if (value === null) break
      if (depth > MAX_DEPTH || !fresh(value)) return undefined
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype === Array.prototype && Array.isArray(value)) return hasElementsOnly(value) ? flattenElements(value, depth) : undefined
      if (prototype !== Object.prototype && prototype !== null) return undefined
      let step = book.object
      for (const key in value) {
        const shape = flatten((value as Record<string, unknown>)[key], depth + 1)
        if (shape === undefined) return undefined
        step = step.to(key, shape, book)
        if (step === TOO_LONG) return undefined
      }
      return step.shape
    }
    case 'function':
    case 'symbol':
      return undefined
    case 'bigint':
      bytes += bytesOf(value)
      break
    default:
      break
  }
  bytes += LEAF_BYTES
  scratch[cursor++] = value
  return LEAF
}

/**
 * The shape of a plain value, whose leaves are then to be taken by {@link takeLeaves}; undefined for one that is not plain. Plain are
 * primitives, arrays and objects without a class, within the limits above, each object once. A getter that throws throws; to one that
 * encodes something itself, nothing is plain.
 */
export const encode = (value: unknown): Shape | undefined => encodeBy(flatten, value)

/**
 * The same for the arguments of a call, in an array that the language made of them and that nobody else has: it needs no look at what else
 * it may be.
 */
export const encodeArguments = (args: readonly unknown[]): Shape | undefined => encodeBy(flattenElements, args)

const encodeBy = <T>(flattenWhole: (value: T, depth: number) => Shape | undefined, value: T): Shape | undefined => {
  if (busy) return undefined
  busy = true
  bytes = 0
  cursor = 0
  try {
    return flattenWhole(value, 0)
  } finally {
    busy = false
    // What was encoded last is not to be kept alive by this.
    for (let i = Math.min(seenCount, SCANNED) - 1; i >= 0; i--) seen[i] = undefined
    seenCount = 0
    many = undefined
  }
}

/** How many leaves the value has that was encoded last. */
export const leafCount = (): number => cursor

/** Its size in bytes, roughly. */
export const encodedSize = (): number => bytes

/** Appends its leaves to `out`. Once: they are forgotten here. */
export const takeLeaves = (out: unknown[]): void => {
  for (let i = 0; i < cursor; i++) {
    out.push(scratch[i])
    scratch[i] = undefined
  }
}

/**
 * The value as it would cross a boundary, at once. Throws what structuredClone throws (DataCloneError), and a RangeError for one that is
 * nested too deep.
 */
export const pack = (value: unknown): Packed => {
  const shape = encode(value)
  if (shape === undefined && isTooDeep(value)) throw tooDeep()
  if (shape === undefined) return new Packed(LEAF_SHAPE, [structuredClone(value)], sentSize(value))
  const leaves: unknown[] = []
  takeLeaves(leaves)
  return new Packed(shape.text, leaves, bytes)
}

/** What a live value is taken to weigh beside its buffers and texts: its true size is known to the platform alone. */
const LIVE_BYTES = 1_024
/** How many parts of a live value are looked at, and how deep. */
const WEIGHED_PARTS = 4_096
const WEIGHED_DEPTH = 4

/** A list of more is too large for whoever takes a glance at it. */
const MOST_PLACES = 16 * 1_024 * 1_024

/** Not all parts of the value were looked at that was weighed last. */
let cut = false

/**
 * A value with more names than this has dictionaries in it, not records as there are many of: their reader meets each of them for the first
 * time.
 */
const WIDE = 64
/** What such a name weighs beside its characters: it takes its reader as long to know as so many bytes to copy. */
const NAME_BYTES = 32

/** The names of properties, as they are met. */
class Names {
  /** Those of objects that are not alike, one list for each; when there is a second one, all of them in a set. */
  #first: readonly string[] | undefined
  #known: Set<string> | undefined
  #last: readonly string[] = []
  #met = 0

  weigh(object: object): number {
    const names = Object.keys(object)
    let size = 0
    for (const name of names) size += name.length
    // Rows of a table are as the one before.
    if (alike(names, this.#last)) return size
    this.#last = names
    this.#met += names.length
    return this.#met <= WIDE ? size : size + this.#new(names) * NAME_BYTES
  }

  /** How many of them were not met before. */
  #new(names: readonly string[]): number {
    if (this.#first === undefined) {
      this.#first = names
      return names.length
    }
    const known = (this.#known ??= new Set(this.#first))
    const { size } = known
    for (const name of names) known.add(name)
    return known.size - size
  }
}

/** It is to structured clone what its properties say. */
const isUsual = (part: object): boolean => !(isNativeError(part) || isRegExp(part) || isBoxedPrimitive(part))

const alike = (names: readonly string[], others: readonly string[]): boolean =>
  names.length === others.length && names.every((name, at) => name === others[at])

/**
 * The size of a live value in bytes, roughly: buffers, names and texts near its surface are what makes one large.
 *
 * Why a walk beside {@link cloneSize}: this one is a glance that ends after so many parts, whatever was sent, and keeps no set of what it
 * has met. The kernel's thread takes it of every live value that passes. To walk all of it there would take up to twice as long, and
 * without an end; where it matters what lies deep, the glance says so, and the other walk follows.
 */
export const liveSize = (value: unknown): number => {
  const names = new Names()
  let parts = 0
  cut = false
  const weigh = (part: unknown, depth: number): number => {
    if (typeof part === 'string') return part.length
    if (typeof part === 'bigint') return LEAF_BYTES + bytesOf(part)
    if (typeof part !== 'object' || part === null) return LEAF_BYTES
    if (++parts > WEIGHED_PARTS) cut = true
    if (parts > WEIGHED_PARTS) return LEAF_BYTES
    if (isArrayBuffer(part)) return bytesIn(part)
    if (ArrayBuffer.isView(part)) {
      // A clone has all of its buffer.
      if (part.byteLength !== part.buffer.byteLength) cut = true
      return part.byteLength
    }
    const list = Array.isArray(part)
    // Of what is neither list, map, set nor a usual object, what is large is mostly no property.
    if (depth === WEIGHED_DEPTH || !(list || isMap(part) || isSet(part) || isUsual(part))) {
      cut = true
      return LEAF_BYTES
    }
    if (list) return weighList(part, depth)
    let size = LEAF_BYTES
    if (isMap(part)) entriesIn(part, (each, key) => void (size += weigh(key, depth + 1) + weigh(each, depth + 1)))
    else if (isSet(part)) membersIn(part, (each) => void (size += weigh(each, depth + 1)))
    else {
      for (const each of Object.values(part)) size += weigh(each, depth + 1)
      size += names.weigh(part)
    }
    return size
  }
  /** Its places are made where it is read, whatever is in them. */
  const weighList = (list: readonly unknown[], depth: number): number => {
    const { length } = list
    let size = LEAF_BYTES
    if (length > MOST_PLACES) return size + length * LEAF_BYTES
    let taken = length
    for (let i = 0; i < length; i++) {
      const element = list[i]
      if (element === undefined && !(i in list)) taken--
      size += weigh(element, depth + 1)
    }
    if (taken !== Object.values(list).length)
      for (const name of namesBeside(list))
        size += name.length + NAME_BYTES + weigh((list as unknown as Record<string, unknown>)[name], depth + 1)
    return size
  }
  try {
    return LIVE_BYTES + weigh(value, 0)
  } catch {
    return LIVE_BYTES // one of its getters throws: structured clone will say so
  }
}

/** The same for whoever sends it: all that is in it. Whoever reads it has had the trouble already. */
export const sentSize = (value: unknown): number => {
  const size = liveSize(value)
  return cut ? Math.max(size, cloneSize(value, Infinity, [], OF_AN_EVENT)) : size
}

/** What it weighs as a part of a call, of which there may be `most`: looked at closely when it is not small. */
export const callSize = (value: unknown, most: number): number => {
  const size = liveSize(value)
  return cut ? cloneSize(value, most) : size
}

/** True for a leaf that structured clone has to copy: such a value must be posted before its owner can change it. */
export const isLive = (leaf: unknown): boolean => (typeof leaf === 'object' && leaf !== null) || typeof leaf === 'function'
