/**
 * An answer that the kernel counts as held in its memory until its guest says that it has it: while the guest does not read, no more is
 * read for it.
 */
import type { Meta } from './frames.js'

/** What is answered like that. */
export const HELD_VERBS = ['file', 'fetch', 'task'] as const

export type HeldVerb = (typeof HELD_VERBS)[number]

/** What is smaller is not counted: as few answers as may be under way hold little, and to tell of each would cost more. */
export const SMALL = 64 * 1_024

/** A reply with metas that begin with it is one: `[HELD, verb, number]`, and after these what else is said of it. */
export const HELD = 'held'

/** What the guest tells of it, the metas of `taken`, and what else is said of it. Undefined: the reply is none. */
export const takenOf = (metas: readonly Meta[]): { taken: readonly Meta[]; rest: readonly Meta[] } | undefined =>
  metas[0] === HELD ? { taken: metas.slice(1, 3), rest: metas.slice(3) } : undefined
