/** The queue of a subscription: events within its capacity, and beyond it events whose publishers wait until they are inside. */
import type { Envelope } from './event.js'
import { Ring } from './ring.js'

/** How many events may wait beyond the capacity of one queue before a publish is refused. */
export const MAX_WAITING = 65_536

/** An envelope beyond the capacity, and the publisher that waits for it. */
class Parked {
  readonly envelope: Envelope
  readonly promise: Promise<void>
  release: () => void = () => {}

  constructor(envelope: Envelope) {
    this.envelope = envelope
    this.promise = new Promise((resolve) => {
      this.release = resolve
    })
  }
}

export class BoundedQueue {
  readonly capacity: number
  readonly #entries = new Ring<Envelope | Parked>()

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  /** So much waits beyond the capacity that a publish has to be refused. */
  get overrun(): boolean {
    return this.#entries.size >= this.capacity + MAX_WAITING
  }

  /** Returns undefined when there is room within the capacity, else a promise that resolves when there is, or when the event is discarded. */
  push(envelope: Envelope): Promise<void> | undefined {
    if (this.#entries.size < this.capacity) {
      this.#entries.push(envelope)
      return undefined
    }
    const parked = new Parked(envelope)
    this.#entries.push(parked)
    return parked.promise
  }

  /** The front of a queue that is not empty. It was inside the capacity, so nobody is parked there. */
  shift(): Envelope {
    const front = this.#entries.shift()
    this.#admitAt(this.capacity - 1)
    return front as Envelope
  }

  /** Discards all but the first `count`, and lets their publishers go. Returns how many it discarded. */
  cut(count: number): number {
    const surplus = Math.max(0, this.#entries.size - count)
    for (let i = count; i < this.#entries.size; i++) {
      const entry = this.#entries.at(i)
      if (entry instanceof Parked) entry.release()
    }
    while (this.#entries.size > count) this.#entries.pop()
    return surplus
  }

  /** All that is in `other`, with the publishers that wait, moves in order to the front. {@link admit} has to follow. */
  takeOver(other: BoundedQueue): void {
    for (let i = other.#entries.size - 1; i >= 0; i--) {
      const entry = other.#entries.at(i)
      if (entry !== undefined) this.#entries.unshift(entry)
    }
    other.#entries.clear()
  }

  /** Lets go the publishers of what came to lie inside the capacity, or of all there is. */
  admit(all = false): void {
    const end = all ? this.#entries.size : Math.min(this.capacity, this.#entries.size)
    for (let i = end - 1; i >= 0; i--) this.#admitAt(i)
  }

  /** The publisher of the event at `index` need not wait any more. */
  #admitAt(index: number): void {
    const entry = this.#entries.at(index)
    if (!(entry instanceof Parked)) return
    this.#entries.set(index, entry.envelope)
    entry.release()
  }
}
