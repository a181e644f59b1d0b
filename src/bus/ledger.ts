/** The books of a subscription: what was asked of it, what waits in its queue, what is in flight, and what became of the rest. */
import { Readers } from '../iteration.js'
import { BoundedQueue } from './bounded-queue.js'
import type { Envelope, EventHead } from './event.js'
import type { QueueMemory } from './queue-memory.js'
import type { Crowd, FailureListener, OverflowPolicy, SubscriptionOptions } from './subscription-options.js'

const DEFAULT_CAPACITY = 1024

export interface SubscriptionStats {
  /** Handed to the consumer. */
  delivered: number
  /** Of these (or in the filter), thrown or rejected. */
  failed: number
  /** Refused by the filter. */
  filtered: number
  /** Discarded from the queue by unsubscribing. */
  dropped: number
  /** In flight when the consumer died. */
  lost: number
  queued: number
  inFlight: number
}

/** Where a subscription is attached; what it tells the bus. */
export interface SubscriptionHome<Owner> {
  /** No further event is wanted. */
  leave(subscription: Owner): void
  /** It is closed, and nothing of it is in flight. */
  ended(subscription: Owner): void
  /** It came to be overrun, or no longer is. */
  overran(subscription: Owner, overrun: boolean): void
  failed(subscription: Owner, event: EventHead, error: unknown): void
}

/**
 * All of a subscription that a delivery on the fast path does not touch. It stands apart so that the subscriptions themselves are
 * small: thousands of them then stay in the processor's cache. `Owner`: what it is the ledger of.
 */
export class Ledger<Owner> {
  readonly id: string
  readonly pattern: string
  readonly owner: string
  readonly concurrency: number
  readonly policy: OverflowPolicy
  readonly once: boolean
  readonly filter: ((event: never) => unknown) | undefined
  readonly refusal: SubscriptionOptions['refusal']
  readonly keep: ((envelope: Envelope) => Envelope) | undefined
  readonly onFailure: FailureListener | undefined
  readonly crowd: Crowd | undefined
  readonly signal: AbortSignal | undefined
  readonly iterated: boolean
  aborted: (() => void) | undefined

  readonly capacity: number
  readonly memory: QueueMemory | undefined
  /** Made when the first event has to wait: most subscriptions never hold one. */
  #queue: BoundedQueue | undefined
  /** What the bus was told of it last. */
  overrun = false
  inFlight = 0
  /** Of these, how many wait for credit rather than for a promise. */
  #credits = 0
  /** Credit that came while consume was still on the stack. */
  #early = false
  /** Moves on when in-flight events are written off, so that late promises are not counted twice. */
  era = 0
  /** Predecessors that still have events in flight. */
  gates = 0
  successor: Owner | undefined
  home: SubscriptionHome<Owner> | undefined
  ended = false
  /** Who waits for it to be drained. */
  drained: (() => void)[] | undefined
  /** Who waits for the next event of one that is iterated. */
  readonly readers: Readers | undefined

  failed = 0
  filtered = 0
  dropped = 0
  lost = 0

  constructor(options: SubscriptionOptions<never>) {
    this.id = options.id
    this.pattern = options.pattern
    this.owner = options.owner
    this.capacity = options.capacity ?? DEFAULT_CAPACITY
    this.memory = options.memory
    this.policy = options.policy ?? 'block'
    this.once = options.once ?? false
    this.iterated = options.consume === undefined && options.handler === undefined
    // An iterated subscription is held back by its readers: each has one event at a time.
    this.concurrency = this.iterated ? Number.POSITIVE_INFINITY : (options.concurrency ?? 1)
    this.filter = options.filter
    this.refusal = options.refusal
    this.keep = options.keep
    this.onFailure = options.onFailure
    this.crowd = options.crowd
    this.signal = options.signal
    if (this.iterated) this.readers = new Readers()
  }

  /** All but the count on the fast path is kept here. */
  statsWith(delivered: number): SubscriptionStats {
    const { failed, filtered, dropped, lost, queued, inFlight } = this
    return { delivered, failed, filtered, dropped, lost, queued, inFlight }
  }

  // ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

  get queue(): BoundedQueue {
    this.#queue ??= new BoundedQueue(this.capacity, this.memory)
    return this.#queue
  }

  /** How many events wait. */
  get queued(): number {
    return this.#queue?.size ?? 0
  }

  /** Drops all that waits but the first `count`. */
  cut(count: number): void {
    if (this.queued > count) this.dropped += this.queue.cut(count)
  }

  // ── what is in flight ────────────────────────────────────────────────────────────────────────────────────────────

  /** An event is to be in flight until there is credit for it. False when that came already. */
  lend(): boolean {
    if (this.#early) {
      this.#early = false
      return false
    }
    this.#credits++
    return true
  }

  /**
   * Credit for `count` comes back. Returns for how many it did: more than are out is ignored, unless one of them is `onStack` and not lent
   * yet.
   */
  redeem(count: number, onStack: boolean): number {
    const taken = Math.min(count, this.#credits)
    this.#credits -= taken
    if (taken < count && onStack) this.#early = true
    return taken
  }

  /** What is in flight is lost: nobody will answer for it. */
  writeOff(): void {
    this.lost += this.inFlight
    this.inFlight = 0
    this.#credits = 0
    this.era++
  }
}
