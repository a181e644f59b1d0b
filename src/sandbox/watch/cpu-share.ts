/**
 * The share of a processor that one place takes over seconds: who takes more than it may gets a lower priority, and who does so again has
 * broken the limit.
 */
import { SUSPECT_FOR } from './suspicion.js'

/** Over how long a share is taken, in ms. */
const WINDOW = 5_000

/** What follows for who takes more than its share. */
export interface CpuConsequences {
  /** Gives it a lower priority; false where that cannot be. */
  lower(): boolean
  /** It is about to break the limit, or was and did not. */
  suspect?(suspected: boolean): void
  breached(share: number): void
}

/** A system that tells it may fail to for a while: then nobody is blamed. What the place was busy may have been a wait. */
const between = (before: number | undefined, now: number | undefined): number =>
  before === undefined || now === undefined ? 0 : now - before

export class CpuShare {
  readonly #limit: number
  readonly #consequences: CpuConsequences
  #window: { since: number; busy: number; cpu: number | undefined }
  #lowered = false
  #suspected = false
  /** The system tells what it computes. */
  #told = false

  /** `at`: now, by the watchdog's clock. */
  constructor(limit: number, at: number, consequences: CpuConsequences) {
    this.#limit = limit
    this.#consequences = consequences
    this.#window = { since: at, busy: 0, cpu: undefined }
  }

  /** `busy`: ms it was busy in all, an upper bound of what it computed. `cpu`: ms it computed, where the system tells. */
  look(at: number, busy: number, cpu: () => number | undefined): void {
    const { since, busy: before, cpu: cpuBefore } = this.#window
    const elapsed = at - since
    if (elapsed < WINDOW && before > 0) {
      if (this.#lowered && elapsed >= WINDOW - SUSPECT_FOR && busy - before > this.#limit * elapsed) this.#suspect(true)
      return
    }
    const computed = cpu()
    this.#window = { since: at, busy, cpu: computed }
    this.#told ||= computed !== undefined
    const ms = this.#told ? between(cpuBefore, computed) : busy - before
    const share = ms / elapsed
    if (before === 0 || share <= this.#limit) this.#suspect(false)
    else if (!this.#lowered && this.#consequences.lower()) this.#lowered = true
    else this.#consequences.breached(Math.round(share * 100) / 100)
  }

  #suspect(suspected: boolean): void {
    if (suspected === this.#suspected) return
    this.#suspected = suspected
    this.#consequences.suspect?.(suspected)
  }
}
