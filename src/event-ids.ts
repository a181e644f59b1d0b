/** The ids of one kernel's events: a random prefix and a serial number, which alone needs to travel with each. */

const BASE = 36
const LOW = BASE * BASE

/** The two-digit numbers in base 36 that have come to be needed: the fast-changing end of an id. */
const lowDigits: string[] = []

export class EventIds {
  readonly prefix: string
  /** The serial at which the present high digits begin, and the text up to them. */
  #base = -LOW
  #high = ''

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** The id with that serial, an integer from 0: `<prefix>-<serial in base 36, two digits at least>`. */
  of(serial: number): string {
    const low = serial - this.#base
    return low >= 0 && low < lowDigits.length ? this.#high + lowDigits[low] : this.#ofAnother(serial)
  }

  #ofAnother(serial: number): string {
    const low = serial % LOW
    this.#base = serial - low
    const round = this.#base / LOW
    this.#high = round === 0 ? `${this.prefix}-` : `${this.prefix}-${round.toString(BASE)}`
    while (lowDigits.length <= low) lowDigits.push(lowDigits.length.toString(BASE).padStart(2, '0'))
    return this.#high + lowDigits[low]
  }

  /** The serial of one of these ids. */
  serialOf(id: string): number {
    return Number.parseInt(id.slice(this.prefix.length + 1), BASE)
  }
}
