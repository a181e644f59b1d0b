/** A rate with a reserve: so much a second, and for a while more by whoever took less before. */
import { now } from './clock.js'

export class TokenBucket {
  readonly rate: number
  readonly #most: number
  #left: number
  #at = now()
  /** What was taken since the reserve was last whole. */
  taken = 0

  /** `rate`: a second. `seconds`: for how long one that took nothing may take its rate at once. */
  constructor(rate: number, seconds: number) {
    this.rate = rate
    this.#most = seconds * rate
    this.#left = this.#most
  }

  /** The part of the reserve that is left, from 1 down to 0, or below it after one that was larger than what was left. */
  get reserve(): number {
    return this.#left / this.#most
  }

  /** Takes so much, as long as anything is left: one may be larger than what is left, and those after it wait the longer. */
  take(amount: number): boolean {
    this.#fill()
    this.taken += amount
    if (this.#left <= 0) return false
    this.#left -= amount
    return true
  }

  /** Takes what is used in any case: who comes next waits the longer. */
  owe(amount: number): void {
    this.#fill()
    this.taken += amount
    this.#left -= amount
  }

  #fill(): void {
    const at = now()
    this.#left = Math.min(this.#most, this.#left + ((at - this.#at) / 1e3) * this.rate)
    this.#at = at
    if (this.#left === this.#most) this.taken = 0
  }
}
