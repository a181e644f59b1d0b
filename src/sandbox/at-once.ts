/** What a plugin may have the kernel do for it at once. Its own end lets the rest wait in order; the kernel's refuses what comes all the same. */

/** Verbs that take their time, and how many of each may be under way. */
export const AT_ONCE = {
  /** As much as keeps the threads that read and write busy: each may hold a whole file in the kernel's memory. */
  file: 16,
  fetch: 64,
  task: 1_024,
} as const
