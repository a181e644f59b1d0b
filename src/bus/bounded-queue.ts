/**
 * The queue of a subscription: events within its capacity and memory, and beyond these events whose publishers wait until they are inside.
 */
import type { Envelope } from './event.js'
import type { QueueMemory } from './queue-memory.js'
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
  readonly #memory: QueueMemory | undefined
  /** What is inside lies here as it came, and its weight is held; all else is parked. */
  readonly #entries = new Ring<Envelope | Parked>()
  /** Nobody before this one is parked. */
  #parkedFrom = 0

  /** `memory`: what it shares with other queues. */
  constructor(capacity: number, memory?: QueueMemory) {
    this.capacity = capacity
    this.#memory = memory
  }

  get size(): number {
    return this.#entries.size
  }

  /** So much waits beyond the capacity that a publish has to be refused. */
  get overrun(): boolean {
    return this.#entries.size >= this.capacity + MAX_WAITING
  }

  /**
   * Returns undefined when there is room, within the capacity and in memory, else a promise that resolves when there is, or when the event
   * is discarded.
   */
  push(envelope: Envelope): Promise<void> | undefined {
    const { size } = this.#entries
    if (this.#parkedFrom === size && size < this.capacity && this.#take(envelope)) {
      this.#entries.push(envelope)
      this.#parkedFrom++
      return undefined
    }
    const parked = new Parked(envelope)
    this.#entries.push(parked)
    return parked.promise
  }

  #take({ weight }: Envelope): boolean {
    return this.#memory?.take(weight, this) !== false
  }

  /** The front of a queue that is not empty. */
  shift(): Envelope {
    const front = this.#entries.shift() as Envelope | Parked
    if (front instanceof Parked) front.release()
    else {
      this.#parkedFrom--
      this.#memory?.give(front.weight)
    }
    this.admit()
    return front instanceof Parked ? front.envelope : front
  }

  /** Discards all but the first `count`, and lets their publishers go. Returns how many it discarded. */
  cut(count: number): number {
    const surplus = Math.max(0, this.#entries.size - count)
    let freed = 0
    for (let i = count; i < this.#entries.size; i++) {
      const entry = this.#entries.at(i)
      if (entry instanceof Parked) entry.release()
      else freed += entry?.weight ?? 0
    }
    while (this.#entries.size > count) this.#entries.pop()
    this.#parkedFrom = Math.min(this.#parkedFrom, count)
    this.#memory?.give(freed)
    this.admit()
    return surplus
  }

  /** All that is in `other`, with the publishers that wait, moves in order to the front. {@link admit} has to follow. */
  takeOver(other: BoundedQueue): void {
    let moved = 0
    for (let i = other.#entries.size - 1; i >= 0; i--) {
      const entry = other.#entries.at(i)
      if (entry === undefined) continue
      if (!(entry instanceof Parked)) moved += entry.weight
      this.#entries.unshift(entry)
    }
    this.#parkedFrom = 0
    this.#memory?.hold(moved)
    other.#entries.clear()
    other.#parkedFrom = 0
    other.#memory?.forget(other)
    other.#memory?.give(moved)
  }

  /** Lets go the publishers of what there is room for by now. */
  admit(): void {
    const end = Math.min(this.capacity, this.#entries.size)
    while (this.#parkedFrom < end) {
      const entry = this.#entries.at(this.#parkedFrom)
      if (entry instanceof Parked) {
        if (!this.#take(entry.envelope)) return
        this.#enter(this.#parkedFrom, entry)
      }
      this.#parkedFrom++
    }
    this.#memory?.forget(this)
  }

  /** Lets all publishers go: nothing comes after what is here. */
  admitAll(): void {
    for (let i = this.#parkedFrom; i < this.#entries.size; i++) {
      const entry = this.#entries.at(i)
      if (!(entry instanceof Parked)) continue
      this.#memory?.hold(entry.envelope.weight)
      this.#enter(i, entry)
    }
    this.#parkedFrom = this.#entries.size
    this.#memory?.forget(this)
  }

  #enter(index: number, { envelope, release }: Parked): void {
    this.#entries.set(index, envelope)
    release()
  }
}
