/** A line of a plugin's log, measured and held to a size: where it is written, before it crosses, and again where it arrives. */

import { cut } from '../../cut.js'

/** Characters of a line's message, and bytes of its fields, roughly; of a longer one the rest is left out. */
export const LINE_LIMIT = 128 * 1_024
/** What a part of the fields weighs beside its text. */
const PART = 8
/** Fields nested deeper than this count as too large. */
const DEEP = 64

export interface Line {
  message: string
  fields: unknown
  /** What it costs of the budget. */
  size: number
}

/** The message, without what is too much of it. */
export const cutMessage = (message: string): string => cut(message, LINE_LIMIT)

/** What stands for fields that are too large. */
export const omitted = (): unknown => ({ omitted: `more than ${LINE_LIMIT} bytes of fields` })

/**
 * The line within its limits. The fields are data: they have crossed, or were cloned, so that no getter answers differently when they
 * cross.
 */
export const lineOf = (message: string, fields: unknown): Line => {
  const size = weigh(fields)
  return {
    message: cutMessage(message),
    fields: size > LINE_LIMIT ? omitted() : fields,
    size: Math.min(message.length, LINE_LIMIT) + Math.min(size, LINE_LIMIT),
  }
}

/** Bytes that fields would be written in, roughly: more than the limit when they are too large or too deep. */
const weigh = (fields: unknown): number => {
  if (fields === undefined) return 0
  const scale = new Scale()
  scale.add(fields)
  return scale.bytes
}

/**
 * Adds up parts until they are too much. What is met twice counts twice, as it would be written twice; what holds itself is not followed.
 */
class Scale {
  bytes = 0
  readonly #open: object[] = []

  add(part: unknown): void {
    this.bytes += PART
    if (typeof part === 'string') this.bytes += part.length
    else if (typeof part === 'bigint') this.bytes += part.toString(16).length
    else if (typeof part === 'object' && part !== null && !this.#open.includes(part)) {
      if (this.#open.length === DEEP) this.bytes = Infinity
      this.#open.push(part)
      this.#addParts(part)
      this.#open.pop()
    }
  }

  #addAll(parts: Iterable<unknown>): void {
    for (const part of parts) {
      if (this.bytes > LINE_LIMIT) return
      this.add(part)
    }
  }

  #addParts(object: object): void {
    // Written byte by byte, each with its index; and a view crosses with all of its buffer.
    if (ArrayBuffer.isView(object)) this.bytes += object.buffer.byteLength * PART
    else if (object instanceof ArrayBuffer) this.bytes += object.byteLength
    else if (object instanceof RegExp) this.bytes += object.source.length
    else if (object instanceof Map) for (const pair of object) this.#addAll(pair)
    else if (object instanceof Set) this.#addAll(object)
    // One of four thousand million holes is small until it is written.
    else if (Array.isArray(object) && object.length * PART > LINE_LIMIT) this.bytes = Infinity
    else if (Array.isArray(object)) this.#addAll(object)
    else {
      if (object instanceof Error) this.#addAll([object.message, object.stack, object.cause])
      for (const key of Object.keys(object)) {
        if (this.bytes > LINE_LIMIT) return
        this.bytes += key.length
        this.add((object as Record<string, unknown>)[key])
      }
    }
  }
}
