/** What of events is on its way to one plugin, on all routes together: a place that reads none holds no more than this. */

/** Bytes, however few events they are; on one route, and on all of them. */
const ROUTE_BYTES = 4 * 1_024 * 1_024
const PLUGIN_BYTES = 4 * ROUTE_BYTES

export class Flight {
  readonly #changed: () => void
  #bytes = 0
  #full = false

  /** `changed`: whether a route may send may be otherwise now. */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  /** Whether a route on which so many bytes are under way may send no more. */
  stops(bytes: number): boolean {
    return this.#full || bytes >= ROUTE_BYTES
  }

  add(bytes: number): void {
    this.#bytes += bytes
    if (this.#full || this.#bytes < PLUGIN_BYTES) return
    this.#full = true
    this.#changed()
  }

  /** They have arrived. The routes may be thousands: they are told again when half is free. */
  take(bytes: number): void {
    this.#bytes -= bytes
    if (!this.#full || this.#bytes > PLUGIN_BYTES / 2) return
    this.#full = false
    this.#changed()
  }
}
