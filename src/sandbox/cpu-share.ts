/** The share of a processor that one place takes over seconds: who takes more than it may gets a lower priority, and who does so again has broken the limit. */

/** Over how long a share is taken, in ms. */
const WINDOW = 5_000
/** The priority of what takes more than its share. */
export const LOW_PRIORITY = 10

export class CpuShare {
  readonly #limit: number
  readonly #lower: () => boolean
  readonly #breached: (share: number) => void
  #window: { since: number; busy: number; cpu: number | undefined }
  #lowered = false

  /** `at`: now, by the watchdog's clock. `lower` gives it a lower priority; false where that cannot be. */
  constructor(limit: number, at: number, lower: () => boolean, breached: (share: number) => void) {
    this.#limit = limit
    this.#lower = lower
    this.#breached = breached
    this.#window = { since: at, busy: 0, cpu: undefined }
  }

  /** `busy`: ms it was busy in all, an upper bound of what it computed. `cpu`: ms it computed, where the system tells. */
  look(at: number, busy: number, cpu: () => number | undefined): void {
    const { since, busy: before, cpu: cpuBefore } = this.#window
    const elapsed = at - since
    if (elapsed < WINDOW && before > 0) return
    const computed = cpu()
    this.#window = { since: at, busy, cpu: computed }
    const ms = computed === undefined || cpuBefore === undefined ? busy - before : computed - cpuBefore
    const share = ms / elapsed
    if (before === 0 || share <= this.#limit) return
    if (!this.#lowered && this.#lower()) this.#lowered = true
    else this.#breached(Math.round(share * 100) / 100)
  }
}
