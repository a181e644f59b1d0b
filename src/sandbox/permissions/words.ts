/** A list of names, written as words. */

// What only tests and the kernel read is left out of a thread's bundle.
/* @__NO_SIDE_EFFECTS__ */
export function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}
