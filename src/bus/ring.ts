/** A double-ended queue in a circular array: both ends in constant time. */

const SMALLEST = 16
/** The slots of a ring that never held anything: most never do. */
const NONE: never[] = []

/** Items are counted from the front: `at(0)` leaves next. Grows by doubling and gives its memory back when it runs empty. */
export class Ring<T> {
  #slots: (T | undefined)[] = NONE
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(item: T): void {
    if (this.#size === this.#slots.length) this.#resize(Math.max(SMALLEST, this.#size * 2))
    this.#slots[(this.#head + this.#size++) & (this.#slots.length - 1)] = item
  }

  unshift(item: T): void {
    if (this.#size === this.#slots.length) this.#resize(Math.max(SMALLEST, this.#size * 2))
    this.#head = (this.#head - 1) & (this.#slots.length - 1)
    this.#slots[this.#head] = item
    this.#size++
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#slots[this.#head]
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    if (--this.#size === 0 && this.#slots.length > SMALLEST * 64) this.clear()
    return item
  }

  pop(): T | undefined {
    if (this.#size === 0) return undefined
    const last = (this.#head + --this.#size) & (this.#slots.length - 1)
    const item = this.#slots[last]
    this.#slots[last] = undefined
    return item
  }

  at(index: number): T | undefined {
    return index < this.#size ? this.#slots[(this.#head + index) & (this.#slots.length - 1)] : undefined
  }

  /** Replaces the item at `index`, which must be there. */
  set(index: number, item: T): void {
    if (index < this.#size) this.#slots[(this.#head + index) & (this.#slots.length - 1)] = item
  }

  clear(): void {
    this.#slots = NONE
    this.#head = 0
    this.#size = 0
  }

  #resize(length: number): void {
    const slots = new Array<T | undefined>(length)
    for (let i = 0; i < this.#size; i++) slots[i] = this.at(i)
    this.#slots = slots
    this.#head = 0
  }
}
