/** Waits for a condition: looks often at first, as most are met within a millisecond, and for long, as the machine may be busy. */
import { setTimeout as rest } from 'node:timers/promises'

/** A look that fails costs as much as a millisecond: they are not to take the processor from what is waited for. */
const pauseAfter = (ms: number): number => Math.min(20, 2 + ms / 20)

/** `most`: after so many ms it fails. */
export const eventually = async <T>(check: () => T | Promise<T>, most = 10_000): Promise<T> => {
  const began = performance.now()
  for (;;) {
    try {
      return await check()
    } catch (error) {
      const waited = performance.now() - began
      if (waited > most) throw error
      await rest(pauseAfter(waited))
    }
  }
}
