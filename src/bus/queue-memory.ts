/** The memory that the queues of one subscriber may take together: beyond it publishers wait, as they do beyond the capacity of one. */

/** Bytes. */
const MOST = 64 * 1_024 * 1_024

/** A queue in which publishers wait for memory. */
export interface Waiting {
  /** Lets in what there is room for by now. */
  admit(): void
}

export class QueueMemory {
  readonly #most: number
  #held = 0
  /** In the order in which they came to wait. */
  readonly #waiting = new Set<Waiting>()

  constructor(most = MOST) {
    this.#most = most
  }

  /** Bytes that are held. */
  get held(): number {
    return this.#held
  }

  /** Takes so many bytes; a queue that finds no room waits for it. One event has room in any case, however large. */
  take(weight: number, queue: Waiting): boolean {
    if (this.#held > 0 && this.#held + weight > this.#most) {
      this.#waiting.add(queue)
      return false
    }
    this.#held += weight
    return true
  }

  /** Takes them, be there room or not: they are there already. */
  hold(weight: number): void {
    this.#held += weight
  }

  /** Gives them back. Who has waited longest is let in first, until one finds no room. */
  give(weight: number): void {
    this.#held -= weight
    for (const queue of this.#waiting) {
      this.#waiting.delete(queue)
      queue.admit()
      if (this.#waiting.has(queue)) return
    }
  }

  /** That queue does not wait any more. */
  forget(queue: Waiting): void {
    this.#waiting.delete(queue)
  }
}
