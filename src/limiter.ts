/** Lets a number of acts run at a time; the others wait their turn, in the order they came. */
import { keepFollowed } from './composite-signals.js'

/** One whose `signal` is aborted while it waits acts at once and takes no place: an act that is given the same signal fails by it. */
export type Limiter = <T>(act: () => Promise<T>, signal?: AbortSignal) => Promise<T>

export const limiter = (most: number): Limiter => {
  let running = 0
  const waiting = new Set<() => void>()
  /** Resolves with true for a place, with false when it is cancelled first. */
  const turn = (signal: AbortSignal | undefined): Promise<boolean> =>
    new Promise((resolve) => {
      const called = (): void => {
        signal?.removeEventListener('abort', cancelled)
        resolve(true)
      }
      const cancelled = (): void => {
        waiting.delete(called)
        resolve(false)
      }
      waiting.add(called)
      keepFollowed(signal)
      signal?.addEventListener('abort', cancelled, { once: true })
    })
  const leave = (): void => {
    const [next] = waiting
    // Whoever waits gets this very place: nobody who comes meanwhile can take it.
    if (next === undefined) running--
    else {
      waiting.delete(next)
      next()
    }
  }
  return async (act, signal) => {
    if (running < most) running++
    else if (!(await turn(signal))) return act()
    try {
      return await act()
    } finally {
      leave()
    }
  }
}
