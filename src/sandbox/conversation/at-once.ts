/**
 * What a plugin may have the kernel do for it at once. Its own end lets the rest wait in order; the kernel's refuses what comes all the
 * same.
 */

/** Verbs that take their time, and how many of each may be under way. */
export const AT_ONCE = {
  /** As much as keeps the threads that read and write busy. */
  file: 16,
  fetch: 64,
  /** Of these, those that bring as much as {@link LARGE}: the kernel holds it until it is written, or sent. */
  'large file': 1,
  'large fetch': 4,
  task: 1_024,
  /** Of these, those whose input is passed on unread: it lies in the kernel's process until a thread has it. */
  'large task': 8,
} as const

export type AtOnce = keyof typeof AT_ONCE

/**
 * What is brought in one piece of this many bytes or more is moved to the kernel: its thread has nothing to read then, however much it is.
 */
const LARGE = 1_024 * 1_024

export const isLarge = (brought: unknown): boolean =>
  (typeof brought === 'string' || brought instanceof Uint8Array) && brought.length >= LARGE
