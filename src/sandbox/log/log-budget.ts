/** How much a plugin may write to the log: what is more is dropped, counted, and told of once a second. */
import { TokenBucket } from '../token-bucket.js'

/** Characters per second, all of a plugin's lines together. */
export const LOG_RATE = 64 * 1024

/** What a line costs beside its text. */
const LINE = 32
const TELL_AFTER = 1_000

export class LogBudget {
  readonly #bucket: TokenBucket
  readonly #tell: (message: string) => void
  #lines = 0
  #dropped = 0

  /** `seconds`: for how long a plugin that wrote nothing may write at once. `tell` gets a line about what was dropped. */
  constructor(seconds: number, tell: (message: string) => void) {
    this.#bucket = new TokenBucket(LOG_RATE, seconds)
    this.#tell = tell
  }

  /** Whether a line of so many characters may be written. A long stack is worth more than its budget. */
  takes(length: number): boolean {
    return this.#bucket.take(length + LINE) || !this.#drop(length)
  }

  /** Whether nothing is left: then a line of at least so many characters is dropped, and need not be measured. */
  drops(length: number): boolean {
    return !this.#bucket.take(0) && this.#drop(length)
  }

  #drop(length: number): true {
    if (this.#lines++ === 0) setTimeout(() => this.#told(), TELL_AFTER).unref()
    this.#dropped += length
    return true
  }

  #told(): void {
    this.#tell(
      `${this.#lines} lines with ${this.#dropped} characters were dropped: a plugin may write ${LOG_RATE / 1024} KiB a second to the log. Log less, or in pieces.`,
    )
    this.#lines = 0
    this.#dropped = 0
  }
}
