/** One subscription: a bounded queue in front of one consumer. */
import { PlugbayError } from '../errors.js'
import { assertSubscribeOptions } from '../subscribe-options.js'
import { isThenable } from '../thenable.js'
import { assertPattern } from '../topic.js'
import { BoundedQueue } from './bounded-queue.js'
import type { Envelope, Event, EventHead } from './event.js'
import { type Give, iterationOf } from './iteration.js'
import { Ring } from './ring.js'

/** What `consume` returns to say: in flight until somebody calls `settle`. */
export const PENDING: unique symbol = Symbol('plugbay.pending')

/**
 * What happens when a queue is full. `block`: nothing is dropped, the publisher waits (its publish resolves when the event has
 * moved inside the capacity).
 */
export type OverflowPolicy = 'block'

export const DEFAULT_CAPACITY = 1024

/** What a subscriber may ask for. */
export interface SubscribeOptions<E extends Event = Event> {
  /** Events the queue holds before publishers have to wait. An integer from 1. Default 1024. */
  capacity?: number | undefined
  /** Events in the consumer's hands at a time. An integer from 1, or Infinity. Default 1. */
  concurrency?: number | undefined
  /** What happens when the queue is full. Default and only policy so far: `block`. */
  policy?: OverflowPolicy | undefined
  /** Only events it says yes to are delivered. Throwing counts as a failure and as no. */
  filter?: ((event: E) => unknown) | undefined
  /** Ends after one event. */
  once?: boolean | undefined
  /** Unsubscribes when aborted. */
  signal?: AbortSignal | undefined
}

/** Subscriptions that belong together, and in how many ways their patterns may match one event, or its beginning. */
export interface Crowd {
  readonly most: number
  /** They match it in more. Called before that event is delivered: whoever is closed by then does not get it. */
  exceeded(ways: number, topic: string): void
}

export interface SubscriptionOptions<E extends Event = Event> extends SubscribeOptions<E> {
  id: string
  pattern: string
  /** The plugin that subscribed. */
  owner: string
  /** Those it belongs to. */
  crowd?: Crowd | undefined
  /** Takes the envelope as it came, closed. */
  consume?: ((envelope: Envelope) => unknown) | undefined
  /** What to queue of an envelope that cannot be consumed at once: one that holds what it was when it came. Throwing is a failure. Default: itself. */
  keep?: ((envelope: Envelope) => Envelope) | undefined
  /** Takes the event: the envelope is opened first. With neither `consume` nor `handler` the subscription is iterated. */
  handler?: ((event: E) => unknown) | undefined
  onFailure?: FailureListener | undefined
}

export type FailureListener = (subscription: Subscription, event: EventHead, error: unknown) => void

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
export interface SubscriptionHome {
  /** No further event is wanted. */
  leave(subscription: Subscription): void
  /** It is closed, and nothing of it is in flight. */
  ended(subscription: Subscription): void
  /** It came to be overrun, or no longer is. */
  overran(subscription: Subscription, overrun: boolean): void
  failed(subscription: Subscription, event: EventHead, error: unknown): void
}

// Why an event that arrives cannot simply be run. No flag at all is the fast path: idle, with an empty queue.
/** consume is on the stack. */
const ACTIVE = 1
const PAUSED = 2
/** A predecessor still has events in flight. */
const GATED = 4
/** `concurrency` events are in flight. */
const FULL = 8
/** It is iterated, and nobody waits in `next`. */
const NO_DEMAND = 16
/** The consumer died. */
const ABANDONED = 32
const CLOSED = 64
/** Takes no further event, though it still has some. */
const SHUT = 128
/** Has a filter, or is for one event only. */
const PICKY = 256
/** Its consumer takes the envelope closed. */
const SEALED = 1024
/** Something is queued: whoever comes off the stack has to look. */
const QUEUED = 2048
/** Somebody waits for it to be drained. */
const WATCHED = 512
/** What is in flight is too large together. */
const THROTTLED = 4096
/** Takes no event for now, wherever it is attached. */
const ASIDE = 8192
const BLOCKING = ACTIVE | PAUSED | GATED | FULL | THROTTLED | NO_DEMAND | ABANDONED | CLOSED

/**
 * All of a subscription that a delivery on the fast path does not touch. It stands apart so that the subscriptions themselves are
 * small: thousands of them then stay in the processor's cache.
 */
class Ledger {
  readonly id: string
  readonly pattern: string
  readonly owner: string
  readonly concurrency: number
  readonly policy: OverflowPolicy
  readonly once: boolean
  readonly filter: ((event: never) => unknown) | undefined
  readonly keep: ((envelope: Envelope) => Envelope) | undefined
  readonly onFailure: FailureListener | undefined
  readonly crowd: Crowd | undefined
  readonly signal: AbortSignal | undefined
  readonly iterated: boolean
  aborted: (() => void) | undefined

  readonly capacity: number
  /** Made when the first event has to wait: most subscriptions never hold one. */
  #queue: BoundedQueue | undefined
  /** What the bus was told of it last. */
  overrun = false
  inFlight = 0
  /** Of these, how many wait for credit rather than for a promise. */
  credits = 0
  /** Credit that came while consume was still on the stack. */
  early = false
  /** Moves on when in-flight events are written off, so that late promises are not counted twice. */
  era = 0
  /** Predecessors that still have events in flight. */
  gates = 0
  successor: Subscription | undefined
  home: SubscriptionHome | undefined
  ended = false
  /** Who waits for it to be drained. */
  drained: (() => void)[] | undefined
  /** Who waits for the next event of one that is iterated. */
  readonly readers: Ring<Give<never>> | undefined

  failed = 0
  filtered = 0
  dropped = 0
  lost = 0

  constructor(options: SubscriptionOptions<never>) {
    this.id = options.id
    this.pattern = options.pattern
    this.owner = options.owner
    this.capacity = options.capacity ?? DEFAULT_CAPACITY
    this.policy = options.policy ?? 'block'
    this.once = options.once ?? false
    this.iterated = options.consume === undefined && options.handler === undefined
    // An iterated subscription is held back by its readers: each has one event at a time.
    this.concurrency = this.iterated ? Number.POSITIVE_INFINITY : (options.concurrency ?? 1)
    this.filter = options.filter
    this.keep = options.keep
    this.onFailure = options.onFailure
    this.crowd = options.crowd
    this.signal = options.signal
    if (this.iterated) this.readers = new Ring()
  }

  get queue(): BoundedQueue {
    this.#queue ??= new BoundedQueue(this.capacity)
    return this.#queue
  }

  /** How many events wait. */
  get queued(): number {
    return this.#queue?.size ?? 0
  }
}

/**
 * A bounded queue in front of one consumer. An idle subscription consumes synchronously, on the publisher's stack; while
 * `concurrency` events are in flight (promises not settled, or {@link PENDING} not settled by credit), while it is paused, or while
 * the consumer itself is on the stack, events wait in order. A consumer that fails is counted and reported, and stops nothing.
 *
 * A subscription without a consumer is iterated with `for await`; the event in the loop's body counts as in flight, and leaving
 * the loop unsubscribes.
 */
export class Subscription<E extends Event = Event> implements AsyncIterable<E>, Disposable {
  #flags = 0
  #delivered = 0
  readonly #consume: (argument: never) => unknown
  readonly #ledger: Ledger

  /** Throws `PATTERN_INVALID` or `SUBSCRIPTION_OPTIONS`. */
  constructor(options: SubscriptionOptions<E>) {
    assertPattern(options.pattern)
    assertSubscribeOptions(options, options.pattern)
    this.#consume = options.consume ?? options.handler ?? ((event: never) => this.#hand(event))
    this.#ledger = new Ledger(options)
    const { filter, once, iterated, signal } = this.#ledger
    if (filter !== undefined || once) this.#flags |= PICKY
    if (iterated) this.#flags |= NO_DEMAND
    if (options.consume !== undefined) this.#flags |= SEALED
    if (signal?.aborted) this.#flags |= CLOSED
    else if (signal !== undefined) {
      this.#ledger.aborted = () => this.unsubscribe()
      signal.addEventListener('abort', this.#ledger.aborted)
    }
  }

  get id(): string {
    return this.#ledger.id
  }

  /** Whether its consumer takes envelopes as they come, closed. */
  get sealed(): boolean {
    return (this.#flags & SEALED) !== 0
  }

  get pattern(): string {
    return this.#ledger.pattern
  }

  /** The plugin that subscribed. */
  get owner(): string {
    return this.#ledger.owner
  }

  get crowd(): Crowd | undefined {
    return this.#ledger.crowd
  }

  get capacity(): number {
    return this.#ledger.capacity
  }

  get concurrency(): number {
    return this.#ledger.concurrency
  }

  get policy(): OverflowPolicy {
    return this.#ledger.policy
  }

  get once(): boolean {
    return this.#ledger.once
  }

  /** It takes no further event: unsubscribed, aborted, handed over, or, for `once`, the one event has come. */
  get closed(): boolean {
    return (this.#flags & (CLOSED | SHUT)) !== 0
  }

  /** So much waits beyond the capacity that a publish has to be refused as a whole. */
  get overrun(): boolean {
    return this.#ledger.overrun
  }

  get paused(): boolean {
    return (this.#flags & PAUSED) !== 0
  }

  /** It takes no event, yet or any more, though it may be attached. */
  get aside(): boolean {
    return (this.#flags & ASIDE) !== 0
  }

  get stats(): SubscriptionStats {
    return {
      delivered: this.#delivered,
      failed: this.#ledger.failed,
      filtered: this.#ledger.filtered,
      dropped: this.#ledger.dropped,
      lost: this.#ledger.lost,
      queued: this.#ledger.queued,
      inFlight: this.#ledger.inFlight,
    }
  }

  /** Tells it where it is attached. */
  join(home: SubscriptionHome): void {
    this.#ledger.home = home
  }

  /**
   * Takes an event. Returns undefined when it was consumed or queued within the capacity (or is not wanted), else a promise that
   * resolves when it has moved inside the capacity, or is discarded.
   */
  deliver(envelope: Envelope): Promise<void> | undefined {
    if (this.#flags !== 0) return this.#admit(envelope)
    // What #run does, once more: here it is the whole of the fast path.
    this.#flags = ACTIVE
    this.#delivered++
    // Called bare, so that a handler's "this" is not the subscription.
    const consume = this.#consume
    try {
      const result = consume(envelope.open() as never)
      if (result !== undefined) this.#track(envelope, result)
    } catch (error) {
      this.fail(envelope, error)
    }
    if (this.#flags === ACTIVE) this.#flags = 0
    else this.#unwind()
    return undefined
  }

  /** Gives back credit for `count` events that `consume` answered with {@link PENDING}, and returns for how many it did: more than are out is ignored. */
  settle(count = 1): number {
    const taken = Math.min(count, this.#ledger.credits)
    this.#ledger.credits -= taken
    if (taken < count && (this.#flags & ACTIVE) !== 0) this.#ledger.early = true
    if (taken > 0) this.#release(taken)
    return taken
  }

  /** Counts and reports a failure of the consumer that it learned of elsewhere, in another thread for one. */
  fail(event: EventHead, error: unknown): void {
    this.#ledger.failed++
    // A listener for failures that fails itself has nobody left to tell; the other subscribers still get their event.
    try {
      this.#ledger.onFailure?.(this, event, error)
    } catch {}
    try {
      this.#ledger.home?.failed(this, event, error)
    } catch {}
  }

  /** Holds further events back, or no longer, though fewer than `concurrency` are in flight: `consume` finds them too large together. */
  throttle(on: boolean): void {
    if (on) this.#flags |= THROTTLED
    else if ((this.#flags & THROTTLED) !== 0) {
      this.#flags &= ~THROTTLED
      this.#pump()
    }
  }

  /** Nothing is queued and nothing in flight. */
  get resting(): boolean {
    return this.#idle && this.#ledger.queued === 0
  }

  /** Takes no event until it is to {@link stepIn}; what it has it handles. To attach and detach thousands takes its time: this is what makes of it one moment. */
  stepAside(): void {
    this.#flags |= ASIDE
  }

  stepIn(): void {
    this.#flags &= ~ASIDE
  }

  /** Queues from now on. */
  pause(): void {
    this.#flags |= PAUSED
  }

  /** Consumes again, beginning with what is queued. */
  resume(): void {
    this.#flags &= ~PAUSED
    this.#pump()
  }

  /**
   * Resolves when nothing is queued and nothing in flight. Deliveries go on. Waits for a paused subscription to be resumed; a
   * handler that waits for its own subscription waits for ever.
   */
  drain(): Promise<void> {
    if (this.resting) return Promise.resolve()
    this.#flags |= WATCHED
    return new Promise((resolve) => {
      this.#ledger.drained ??= []
      this.#ledger.drained.push(resolve)
    })
  }

  /** Takes no further event, lets every waiting publisher go, and ends when what it has is handled: a loop over it then ends too. Idempotent. */
  finish(): void {
    if ((this.#flags & CLOSED) !== 0) return
    if ((this.#flags & SHUT) === 0) this.#shut()
    if (this.#ledger.queued > 0) this.#ledger.queue.admit(true)
    this.#rest()
  }

  /** Takes no further event, discards the queue, and lets every waiting publisher go. What is in flight ends by itself. Idempotent. */
  unsubscribe(): void {
    if ((this.#flags & CLOSED) !== 0) return
    this.#flags |= CLOSED
    this.#depart()
    if (this.#ledger.queued > 0) this.#ledger.dropped += this.#ledger.queue.cut(0)
    this.#measure()
    this.#endReaders()
    this.#rest()
  }

  /** Takes no event from now on, and discards the queue: what is left to {@link unsubscribe} may take its time. */
  refuse(): void {
    this.#flags |= SHUT
    if (this.#ledger.queued > 0) this.#ledger.dropped += this.#ledger.queue.cut(0)
    this.#measure()
  }

  /** The same as {@link unsubscribe}. */
  close(): void {
    this.unsubscribe()
  }

  [Symbol.dispose](): void {
    this.unsubscribe()
  }

  /**
   * The consumer is dead: what is in flight counts as lost, and nothing more is given to it. Events still queue, until the
   * subscription is handed over or closed.
   */
  abandon(): void {
    this.#flags |= ABANDONED
    this.#ledger.lost += this.#ledger.inFlight
    this.#ledger.inFlight = 0
    this.#ledger.credits = 0
    this.#ledger.era++
    this.#flags &= ~FULL
    this.#rest()
  }

  /**
   * Closes this subscription in favour of its replacement: all that is queued here, with the publishers that wait, moves in order to
   * the front of the successor's queue, and the successor begins only when what is in flight here has settled (or was
   * {@link abandon}ed). If the successor is closed, the queue is discarded. Who attached this one is still to detach it.
   */
  handOver(successor: Subscription): void {
    const heir = successor
    if (heir === this || (this.#flags & CLOSED) !== 0) return
    if ((heir.#flags & (CLOSED | SHUT)) !== 0) {
      this.unsubscribe()
      return
    }
    this.#flags |= CLOSED
    this.#unheed()
    if (this.#ledger.queued > 0) {
      heir.#flags |= QUEUED
      heir.#ledger.queue.takeOver(this.#ledger.queue)
    }
    this.#measure()
    this.#endReaders()
    if (!this.#idle) {
      heir.#ledger.gates++
      heir.#flags |= GATED
      this.#ledger.successor = heir
    }
    heir.#adopted()
    this.#rest()
  }

  /** Reads events one at a time. Asking for the next says that the last one is done. Leaving the loop unsubscribes. */
  [Symbol.asyncIterator](): AsyncIterableIterator<E, undefined> {
    if (!this.#ledger.iterated) {
      throw new PlugbayError(
        'SUBSCRIPTION_OPTIONS',
        `The subscription to '${this.pattern}' has a handler and cannot be iterated. Subscribe without a handler to iterate.`,
        {
          details: { pattern: this.pattern },
        },
      )
    }
    return iterationOf<E>({
      ask: (give) => this.#ask(give),
      done: () => void this.settle(1),
      end: () => this.unsubscribe(),
    })
  }

  /** Nothing in flight, nothing on the stack, no predecessor to wait for. */
  get #idle(): boolean {
    return this.#ledger.inFlight === 0 && (this.#flags & (ACTIVE | GATED)) === 0
  }

  /** The way in when something stands in the way of the fast path. */
  #admit(envelope: Envelope): Promise<void> | undefined {
    if ((this.#flags & (CLOSED | SHUT | ASIDE)) !== 0) return undefined
    if ((this.#flags & PICKY) !== 0) {
      // The filter may publish or unsubscribe: look again after it.
      if (!this.#wants(envelope) || (this.#flags & (CLOSED | SHUT | ASIDE)) !== 0) return undefined
      if (this.once) this.#shut()
    }
    if ((this.#flags & BLOCKING) === 0) {
      this.#run(envelope)
      this.#pump()
      return undefined
    }
    const kept = this.#kept(envelope)
    if (kept === undefined) return undefined
    this.#flags |= QUEUED
    const room = this.#ledger.queue.push(kept)
    if (room !== undefined) this.#measure()
    return room
  }

  #kept(envelope: Envelope): Envelope | undefined {
    const { keep } = this.#ledger
    if (keep === undefined) return envelope
    try {
      return keep(envelope)
    } catch (error) {
      this.fail(envelope, error)
      return undefined
    }
  }

  #wants(envelope: Envelope): boolean {
    const { filter } = this.#ledger
    if (filter === undefined) return true
    try {
      if (filter(envelope.open() as never)) return true
      this.#ledger.filtered++
    } catch (error) {
      this.fail(envelope, error)
    }
    return false
  }

  #run(envelope: Envelope): void {
    this.#flags |= ACTIVE
    this.#delivered++
    const consume = this.#consume
    try {
      const result = consume(((this.#flags & SEALED) === 0 ? envelope.open() : envelope) as never)
      if (result !== undefined) this.#track(envelope, result)
    } catch (error) {
      this.fail(envelope, error)
    }
    this.#flags &= ~ACTIVE
  }

  /** Comes off the stack and sees to what was asked of it meanwhile. */
  #unwind(): void {
    this.#flags &= ~ACTIVE
    this.#pump()
  }

  #track(envelope: Envelope, result: unknown): void {
    if ((this.#flags & ABANDONED) !== 0) {
      if (result === PENDING || isThenable(result)) this.#ledger.lost++
      return
    }
    if (result === PENDING) {
      if (this.#ledger.early) {
        this.#ledger.early = false
        return
      }
      this.#ledger.credits++
    } else if (isThenable(result)) {
      const era = this.#ledger.era
      Promise.resolve(result).then(
        () => {
          if (era === this.#ledger.era) this.#release(1)
        },
        (error: unknown) => {
          if (era !== this.#ledger.era) return
          this.fail(envelope, error)
          this.#release(1)
        },
      )
    } else return
    if (++this.#ledger.inFlight >= this.concurrency) this.#flags |= FULL
  }

  #release(count: number): void {
    this.#ledger.inFlight -= count
    if (this.#ledger.inFlight < this.concurrency) this.#flags &= ~FULL
    this.#pump()
  }

  /** Consumes what is queued, as far as it may. Whoever is called while consume is on the stack leaves it to the loop below. */
  #pump(): void {
    if ((this.#flags & ACTIVE) !== 0) return
    while (this.#ledger.queued > 0 && (this.#flags & BLOCKING) === 0) this.#run(this.#take())
    this.#rest()
  }

  #take(): Envelope {
    const front = this.#ledger.queue.shift()
    if (this.#ledger.overrun) this.#measure()
    return front
  }

  #measure(): void {
    const overrun = this.#ledger.queued > 0 && this.#ledger.queue.overrun
    if (overrun === this.#ledger.overrun) return
    this.#ledger.overrun = overrun
    this.#ledger.home?.overran(this, overrun)
  }

  /** Settles down after a predecessor's events came in at the front. */
  #adopted(): void {
    if (this.once && this.#ledger.queued > 0) {
      this.#ledger.dropped += this.#ledger.queue.cut(1)
      this.#shut()
    }
    if (this.#ledger.queued > 0) this.#ledger.queue.admit()
    this.#measure()
    this.#pump()
  }

  #depart(): void {
    this.#unheed()
    this.#ledger.home?.leave(this)
  }

  #unheed(): void {
    const { aborted, signal } = this.#ledger
    if (aborted !== undefined) signal?.removeEventListener('abort', aborted)
  }

  #shut(): void {
    this.#flags |= SHUT
    this.#ledger.home?.leave(this)
  }

  /** Looks whether there is somebody to tell that nothing is left to do. */
  #rest(): void {
    if (this.#ledger.queued > 0) return
    this.#flags &= ~QUEUED
    if (!this.#idle) return
    if ((this.#flags & (SHUT | CLOSED)) === SHUT) {
      this.unsubscribe()
      return
    }
    if ((this.#flags & WATCHED) !== 0) {
      this.#flags &= ~WATCHED
      const waiting = this.#ledger.drained
      this.#ledger.drained = undefined
      for (const resolve of waiting ?? []) resolve()
    }
    if ((this.#flags & CLOSED) === 0) return
    const successor = this.#ledger.successor
    this.#ledger.successor = undefined
    if (successor !== undefined) successor.#ungate()
    if (!this.#ledger.ended) {
      this.#ledger.ended = true
      this.#ledger.home?.ended(this)
    }
  }

  #ungate(): void {
    if (--this.#ledger.gates > 0) return
    this.#flags &= ~GATED
    this.#pump()
  }

  /** Has a reader wait for the next event. */
  #ask(give: Give<E>): void {
    if ((this.#flags & CLOSED) !== 0) {
      give({ value: undefined, done: true })
      return
    }
    this.#ledger.readers?.push(give)
    this.#flags &= ~NO_DEMAND
    this.#pump()
  }

  /** The consumer of an iterated subscription: gives the event to the reader that waits longest. */
  #hand(event: never): unknown {
    const { readers } = this.#ledger
    const give = readers?.shift()
    if (readers?.size === 0) this.#flags |= NO_DEMAND
    give?.({ value: event, done: false })
    return PENDING
  }

  #endReaders(): void {
    const { readers } = this.#ledger
    if (readers === undefined) return
    for (let give = readers.shift(); give !== undefined; give = readers.shift()) give({ value: undefined, done: true })
    this.#flags |= NO_DEMAND
  }
}
