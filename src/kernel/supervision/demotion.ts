/** When a plugin in a thread has failed so often that it is moved to a process: what it does there harms nobody else. */
import type { EffectiveRestart } from '../options/options.js'

export class Demotion {
  /** Times of the faults within the policy's window. */
  #faults: number[] = []
  #active = false

  /** It runs in a process until it is lifted. */
  get active(): boolean {
    return this.#active
  }

  /** A fault of one that runs in a thread. True for the one that was too many. */
  fault({ demote }: EffectiveRestart): boolean {
    if (demote === undefined || this.#active) return false
    const now = performance.now()
    this.#faults = [...this.#faults.filter((at) => now - at < demote.within), now]
    this.#active = this.#faults.length >= demote.after
    return this.#active
  }

  /** It has other code now. */
  lift(): void {
    this.#faults = []
    this.#active = false
  }
}
