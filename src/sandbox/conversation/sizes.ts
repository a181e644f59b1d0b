/** Sizes of what is on its way, in the order it left: how much it is together. */

const SMALLEST = 64
/** The ring of what never held anything: most never do. */
const NONE: number[] = []

export class Sizes {
  #ring: number[] = NONE
  #first = 0
  #count = 0
  #sum = 0

  /** Bytes in all. */
  get sum(): number {
    return this.#sum
  }

  add(size: number): void {
    if (this.#count === this.#ring.length) this.#grow()
    this.#ring[(this.#first + this.#count++) & (this.#ring.length - 1)] = size
    this.#sum += size
  }

  /**
   * The `count` that left first have arrived. More than there are is ignored: it is the other end that counts. Returns how many bytes these
   * were.
   */
  take(count: number): number {
    const before = this.#sum
    for (let left = Math.min(count, this.#count); left > 0; left--) {
      this.#sum -= this.#ring[this.#first] as number
      this.#first = (this.#first + 1) & (this.#ring.length - 1)
      this.#count--
    }
    return before - this.#sum
  }

  #grow(): void {
    const { length } = this.#ring
    const ring = new Array<number>(Math.max(SMALLEST, length * 2)).fill(0)
    for (let i = 0; i < length; i++) ring[i] = this.#ring[(this.#first + i) & (length - 1)] as number
    this.#ring = ring
    this.#first = 0
  }
}
