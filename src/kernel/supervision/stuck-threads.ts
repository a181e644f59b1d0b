/**
 * Threads that were to end and are held by native code, of a plugin or of all. Node waits for them at the end of the process, so they are
 * counted.
 */
export class StuckThreads {
  #count = 0

  get count(): number {
    return this.#count
  }

  /** `gone`: one may end after all, and counts no longer then. */
  add(gone: Promise<unknown>): void {
    this.#count++
    void gone.then(() => this.#count--)
  }
}
