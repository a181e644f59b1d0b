/**
 * How often a plugin is restarted at most, whatever its policy says, or its files changed: one that allows itself endless crashes, or
 * writes itself anew, is to fill neither the log nor a processor.
 */

/** So many restarts come as soon as the policy has them, … */
const AT_ONCE = 20
/** … and after these one in so many milliseconds; who crashes less often has them again, one by one. */
const EVERY = 1_000

export class RestartPace {
  /** When all that it had is due again. */
  #due = Number.NEGATIVE_INFINITY

  /** Milliseconds that the next restart has to wait for at least. */
  next(): number {
    const now = performance.now()
    this.#due = Math.max(this.#due, now - AT_ONCE * EVERY) + EVERY
    return Math.max(0, this.#due - now)
  }
}
