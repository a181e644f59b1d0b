/** How much text a plugin may write past its console: what is more is counted, not kept. */

/** Bytes a second, of each stream. */
export const OUTPUT_RATE = 64 * 1_024

/** Hands on what is within the rate; the first text of a new second is preceded by what was dropped in the one before. */
export const capped = (hand: (text: string) => void): ((text: string) => void) => {
  let second = 0
  let left = OUTPUT_RATE
  let dropped = 0
  return (text) => {
    const now = Math.floor(performance.now() / 1_000)
    if (now !== second) {
      second = now
      left = OUTPUT_RATE
    }
    if (dropped > 0 && left === OUTPUT_RATE) {
      hand(`(${dropped} bytes were dropped: more than ${OUTPUT_RATE} in one second)`)
      dropped = 0
    }
    const taken = text.slice(0, left)
    left -= taken.length
    dropped += text.length - taken.length
    if (taken !== '') hand(taken)
  }
}
