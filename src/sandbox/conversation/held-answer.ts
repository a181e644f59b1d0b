/** An answer that the kernel counts as held in its memory until its guest says that it has it: while the guest does not read, no more is read for it. */
import type { Meta } from './frames.js'

/** What is answered like that. */
export type HeldVerb = 'file' | 'fetch'

/** What is smaller is not counted: as few answers as may be under way hold little, and to tell of each would cost more. */
export const SMALL = 64 * 1_024

/** A reply with metas that begin with it is one: `[HELD, verb, number]`. */
export const HELD = 'held'

/** What the guest tells of it: the metas of `taken`. Undefined: the reply is none. */
export const takenOf = (metas: readonly Meta[]): readonly Meta[] | undefined => (metas[0] === HELD ? metas.slice(1) : undefined)
