/**
 * What brings something of a plugin up, or changes it, or waits to: it ends at once where that is to stop, or where its files have changed
 * again.
 */
export class Attempt {
  readonly #controller = new AbortController()
  readonly #began = performance.now()
  readonly #changedSince: ((began: number) => Promise<boolean>) | undefined
  #kept: boolean
  #outdated = false

  /**
   * `changedSince`: whether what it is made of is not any more what it was made for, or was another since it began, by `performance.now()`.
   * Without it, no save ends it.
   */
  constructor(changedSince?: (began: number) => Promise<boolean>) {
    this.#changedSince = changedSince
    this.#kept = changedSince === undefined
  }

  /** Aborted, with the reason, when it is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** A newer save can still end it. */
  get open(): boolean {
    return !this.#kept && !this.signal.aborted
  }

  /** It was ended as its files have changed again: those are tried next. */
  get outdated(): boolean {
    return this.#outdated
  }

  end(reason: string): void {
    this.#controller.abort(reason)
  }

  outdate(): void {
    if (!this.open) return
    this.#outdated = true
    this.end('its files changed again')
  }

  /** It has failed. Where its files have changed since it is outdated, and that is nobody's fault: it may have found one half written. */
  async judge(): Promise<void> {
    if (this.open && (await this.#changedSince?.(this.#began))) this.outdate()
  }

  /** Only a stop ends it from now on: it has come about, or others wait for what it starts. */
  keep(): void {
    this.#kept = true
  }
}
