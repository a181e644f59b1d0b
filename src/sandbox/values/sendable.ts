/**
 * What may be sent as a part of a call, and what is said of a value that may not: too large, nested too deep, or holding what no thread can
 * copy.
 */
import type { PlugbayError } from '../../errors.js'
import { isTooDeep, tooDeep } from '../../nesting.js'
import { CALL_LIMIT } from './call-window.js'
import { cloneSize } from './clone-size.js'
import { uncloneablePart } from './uncloneable-part.js'
import { type About, notCloneable, tooLargeForCall } from './unsendable.js'

/** What a value is to whoever reads of it. */
export interface Sent {
  /** As the beginning of a sentence: `The result of 'list' of 'users'`. */
  name: string
  /** It is several: `The arguments of 'add' of 'users'`. */
  plural?: boolean
  /** What the path to a part of it begins with: `result`, `arguments`. */
  root: string
  about?: About
}

/**
 * What it weighs without what is `moved`. Throws PAYLOAD_TOO_LARGE, or PAYLOAD_NOT_CLONEABLE for one that its reader may have less stack to
 * read than its sender had to write.
 */
export const weighed = (value: unknown, sent: () => Sent, moved: readonly unknown[] = []): number => {
  const size = cloneSize(value, CALL_LIMIT, moved)
  if (size > CALL_LIMIT) {
    const { name, plural, about } = sent()
    throw tooLargeForCall(`${name} ${plural ? 'are' : 'is'}`, size, CALL_LIMIT, about)
  }
  if (isTooDeep(value)) throw uncloneable(value, sent(), tooDeep())
  return size
}

/** The error of one that the platform refused to copy, for that reason. */
export const uncloneable = (value: unknown, { name, root, about }: Sent, reason: unknown): PlugbayError =>
  notCloneable(name, reason, { ...about, path: uncloneablePart(value, root) })
