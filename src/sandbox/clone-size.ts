/** What a value that only structured clone can copy weighs, every part of it: for calls, whose arguments somebody else must have room for. */
import { LEAF_BYTES } from './codec.js'

/** What the platform's own form of a value weighs beside its parts. */
const LIVE_BYTES = 1_024

/**
 * Its size in bytes, roughly, without the objects in `moved`. Above `most` it is some size above it: the rest was not looked at. A walk, but one
 * that costs a fraction of the copy.
 */
export const cloneSize = (value: unknown, most: number, moved: readonly unknown[] = []): number => {
  const seen = new Set<unknown>(moved)
  const parts: unknown[] = [value]
  let size = LIVE_BYTES
  while (parts.length > 0 && size <= most) {
    const part = parts.pop()
    size += LEAF_BYTES
    if (typeof part === 'string') size += part.length
    else if (typeof part === 'object' && part !== null && !seen.has(part)) {
      seen.add(part)
      size += open(part, parts, most)
    }
  }
  return size
}

/** What an object weighs by itself. What it holds is added to `parts`, unless it alone is too much. */
const open = (object: object, parts: unknown[], most: number): number => {
  try {
    if (object instanceof ArrayBuffer) return object.byteLength
    if (ArrayBuffer.isView(object)) {
      // A view is copied with all of its buffer, and that once; shared memory is not.
      parts.push(object.buffer)
      return 0
    }
    if (object instanceof Map || object instanceof Set || Array.isArray(object)) {
      const weight = (Array.isArray(object) ? object.length : object.size) * LEAF_BYTES
      if (weight > most) return weight
      if (object instanceof Map) for (const pair of object) parts.push(pair[0], pair[1])
      else for (const part of object) parts.push(part)
      return 0
    }
    if (object instanceof Error) parts.push(object.message, object.stack, object.cause)
    let weight = 0
    for (const key of Object.keys(object)) {
      weight += key.length
      if (weight > most) break
      parts.push((object as Record<string, unknown>)[key])
    }
    return weight
  } catch {
    return 0 // one of its getters throws: structured clone will say so
  }
}
