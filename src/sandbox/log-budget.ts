/** How much a plugin may write to the log: what is more is dropped, counted, and told of once a second. */
import { now } from './clock.js'

/** Characters per second, all of a plugin's lines together. */
export const LOG_RATE = 64 * 1024

/** What a line costs beside its text. */
const LINE = 32
const TELL_AFTER = 1_000

export class LogBudget {
  readonly #most: number
  readonly #tell: (message: string) => void
  #left: number
  #at = now()
  #lines = 0
  #dropped = 0

  /** `seconds`: for how long a plugin that wrote nothing may write at once. `tell` gets a line about what was dropped. */
  constructor(seconds: number, tell: (message: string) => void) {
    this.#most = seconds * LOG_RATE
    this.#left = this.#most
    this.#tell = tell
  }

  /** Whether a line of so many characters may be written. */
  takes(length: number): boolean {
    const at = now()
    this.#left = Math.min(this.#most, this.#left + ((at - this.#at) / 1e3) * LOG_RATE)
    this.#at = at
    // One line may be longer than what is left, once: a long stack is worth more than its budget.
    if (this.#left > 0) {
      this.#left -= length + LINE
      return true
    }
    if (this.#lines++ === 0) setTimeout(() => this.#told(), TELL_AFTER).unref()
    this.#dropped += length
    return false
  }

  #told(): void {
    this.#tell(
      `${this.#lines} lines with ${this.#dropped} characters were dropped: a plugin may write ${LOG_RATE / 1024} KiB a second to the log. Log less, or in pieces.`,
    )
    this.#lines = 0
    this.#dropped = 0
  }
}
