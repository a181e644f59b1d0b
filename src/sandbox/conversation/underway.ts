/**
 * What is under way, by number: numbers go up, so an item lies where its number falls in a ring, which is several times cheaper than a Map.
 */

const SMALLEST = 16
/** Numbers start again beyond this: they stay small integers, and one that comes back after so many is not mistaken for the old one. */
const LAST = 2 ** 30 - 1

export class Underway<T extends object> {
  #items: (T | undefined)[] = new Array<T | undefined>(SMALLEST).fill(undefined)
  #numbers: number[] = new Array<number>(SMALLEST).fill(0)
  #last = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Takes it in and returns its number, 1 or more. */
  add(item: T): number {
    if (this.#size * 2 >= this.#items.length) this.#grow()
    const mask = this.#items.length - 1
    let number = this.#last
    do number = number === LAST ? 1 : number + 1
    while (this.#items[number & mask] !== undefined)
    this.#last = number
    this.#items[number & mask] = item
    this.#numbers[number & mask] = number
    this.#size++
    return number
  }

  has(number: number): boolean {
    const at = number & (this.#items.length - 1)
    return this.#items[at] !== undefined && this.#numbers[at] === number
  }

  /** The item of that number, which is under way no longer. Undefined for a number that nothing has, and for what is no number. */
  take(number: number): T | undefined {
    const at = number & (this.#items.length - 1)
    const item = this.#items[at]
    if (item === undefined || this.#numbers[at] !== number) return undefined
    this.#items[at] = undefined
    this.#size--
    return item
  }

  /** All that is under way now, whatever becomes of it meanwhile. */
  entries(): [number, T][] {
    const entries: [number, T][] = []
    for (let at = 0; at < this.#items.length; at++) {
      const item = this.#items[at]
      if (item !== undefined) entries.push([this.#numbers[at] as number, item])
    }
    return entries.sort(([a], [b]) => a - b)
  }

  /** Two numbers that lie apart in a ring lie apart in one twice as large. */
  #grow(): void {
    const entries = this.entries()
    const length = this.#items.length * 2
    this.#items = new Array<T | undefined>(length).fill(undefined)
    this.#numbers = new Array<number>(length).fill(0)
    for (const [number, item] of entries) {
      this.#items[number & (length - 1)] = item
      this.#numbers[number & (length - 1)] = number
    }
  }
}
