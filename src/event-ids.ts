/** The ids of one kernel's events: a random prefix and a serial number, which alone needs to travel with each. */

const BASE = 36
const LOW = BASE * BASE

/** Two-digit numbers in base 36, as they come to be needed: the fast-changing end of an id. */
const lowDigits: string[] = []

export class EventIds {
  readonly prefix: string
  #round = -1
  #high = ''

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** The id with that serial, an integer from 0: `<prefix>-<serial in base 36, two digits at least>`. */
  of(serial: number): string {
    const low = serial % LOW
    const round = (serial - low) / LOW
    if (round !== this.#round) {
      this.#round = round
      this.#high = round === 0 ? `${this.prefix}-` : `${this.prefix}-${round.toString(BASE)}`
    }
    return this.#high + (lowDigits[low] ??= low.toString(BASE).padStart(2, '0'))
  }

  /** The serial of one of these ids. */
  serialOf(id: string): number {
    return Number.parseInt(id.slice(this.prefix.length + 1), BASE)
  }
}
