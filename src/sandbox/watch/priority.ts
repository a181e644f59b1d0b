/** The priority of a thread or process in the operating system. */
import { getPriority, setPriority } from 'node:os'

/** By so much it gets worse; 19 is the worst there is. */
const STEP = 10
const WORST = 19

/** Gives a lower priority to a process, or on Linux to a thread, never a higher one; false where that cannot be. */
export const lowerPriority = (number: number): boolean => {
  try {
    const before = getPriority(number)
    if (before >= WORST) return false
    setPriority(number, Math.min(WORST, before + STEP))
    return true
  } catch {
    return false // it has ended, or the system does not allow it
  }
}
