/** What brings something of a plugin up, or changes it, or waits to: it ends at once where that is to stop, or where its files have changed again. */
export class Attempt {
  readonly #controller = new AbortController()
  #kept = false
  #outdated = false

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

  /** Only a stop ends it from now on: it has come about, or others wait for what it starts. */
  keep(): void {
    this.#kept = true
  }
}
