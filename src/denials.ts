/** Tells of what was denied without a flood: each denial once a second, and how many were kept back since the last that was told. */

const WINDOW = 1_000
/** Different denials that are told within one window. */
const MAX_TOLD = 16

export class Denials {
  readonly #tell: (resource: string, action: string, unsaid: number) => void
  readonly #told = new Set<string>()
  #since = Number.NEGATIVE_INFINITY
  #unsaid = 0

  constructor(tell: (resource: string, action: string, unsaid: number) => void) {
    this.#tell = tell
  }

  /** `times`: how often it happened. */
  add(resource: string, action: string, times = 1): void {
    const now = performance.now()
    if (now - this.#since >= WINDOW) {
      this.#since = now
      this.#told.clear()
    }
    const key = `${action} ${resource}`
    if (this.#told.has(key) || this.#told.size >= MAX_TOLD) {
      this.#unsaid += times
      return
    }
    this.#told.add(key)
    const unsaid = this.#unsaid + times - 1
    this.#unsaid = 0
    this.#tell(resource, action, unsaid)
  }
}
