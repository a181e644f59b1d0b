/** How long `kill` waits for a place to go: `terminate()` waits for native calls, which nothing interrupts. */
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds. */
export const PATIENCE = 2_000

/** Whether what was ended is still there after that time. */
export const outlasts = async (exited: Promise<unknown>, ms = PATIENCE): Promise<boolean> => {
  const patience = new AbortController()
  const late = delay(ms, true, { ref: false, signal: patience.signal }).catch(() => false)
  const still = await Promise.race([exited.then(() => false), late])
  patience.abort()
  return still
}
