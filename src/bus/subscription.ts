/** One subscription: when an event may go to its consumer, and who follows it when it ends. Its ledger has what waits. */
import { keepFollowed } from '../composite-signals.js'
import { assertReadable, type Give, type Iteration, iterationOf } from '../iteration.js'
import { assertSubscribeOptions } from '../subscribe-options.js'
import { isThenable } from '../thenable.js'
import { assertPattern } from '../topic.js'
import type { Envelope, Event, EventHead } from './event.js'
import { Ledger, type SubscriptionHome, type SubscriptionStats } from './ledger.js'
import type { Crowd, OverflowPolicy, SubscriptionOptions } from './subscription-options.js'

/** What `consume` returns to say: in flight until somebody calls `settle`. */
export const PENDING: unique symbol = Symbol('plugbay.pending')

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
  readonly #ledger: Ledger<Subscription>

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
    keepFollowed(signal)
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

  /** See {@link SubscriptionOptions.refusal}. */
  get refusal(): SubscriptionOptions['refusal'] {
    return this.#ledger.refusal
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
    return this.#ledger.statsWith(this.#delivered)
  }

  /** Tells it where it is attached. */
  join(home: SubscriptionHome<Subscription>): void {
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

  /**
   * Gives back credit for `count` events that `consume` answered with {@link PENDING}, and returns for how many it did: more than are out
   * is ignored.
   */
  settle(count = 1): number {
    const taken = this.#ledger.redeem(count, (this.#flags & ACTIVE) !== 0)
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

  /**
   * Takes no event until it is to {@link stepIn}; what it has it handles. To attach and detach thousands takes its time: this is what makes
   * of it one moment.
   */
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

  /**
   * Takes no further event, lets every waiting publisher go, and ends when what it has is handled: a loop over it then ends too.
   * Idempotent.
   */
  finish(): void {
    if ((this.#flags & CLOSED) !== 0) return
    if ((this.#flags & SHUT) === 0) this.#shut()
    if (this.#ledger.queued > 0) this.#ledger.queue.admitAll()
    this.#rest()
  }

  /**
   * Takes no further event, discards the queue, and lets every waiting publisher go. What a handler has in flight ends by itself; for
   * what an iterator has given nobody waits any more: whoever got it need not ask for the next. Idempotent.
   */
  unsubscribe(): void {
    if ((this.#flags & CLOSED) !== 0) return
    this.#flags |= CLOSED
    this.#depart()
    this.#ledger.cut(0)
    this.#measure()
    this.#endReaders()
    if (this.#ledger.iterated) this.settle(this.#ledger.inFlight)
    this.#rest()
  }

  /** Takes no event from now on, and discards the queue: what is left to {@link unsubscribe} may take its time. */
  refuse(): void {
    this.#flags |= SHUT
    this.#ledger.cut(0)
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
    this.#ledger.writeOff()
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

  /** Reads events one at a time: asking for one more says that one is done. Leaving the loop unsubscribes. */
  [Symbol.asyncIterator](): Iteration<E> {
    assertReadable(this.#ledger.readers, this.pattern)
    return iterationOf<E>({
      ask: (give) => this.#ask(give),
      done: (count) => void this.settle(count),
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
      if (!this.#ledger.lend()) return
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
      this.#ledger.cut(1)
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
    this.#ledger.readers?.add(give)
    this.#flags &= ~NO_DEMAND
    this.#pump()
  }

  /** The consumer of an iterated subscription. */
  #hand(event: never): unknown {
    const { readers } = this.#ledger
    readers?.give(event)
    if (readers?.none) this.#flags |= NO_DEMAND
    // Of one event there is no next to ask for: nobody would say that it is done with.
    return this.once ? undefined : PENDING
  }

  #endReaders(): void {
    if (!this.#ledger.iterated) return
    this.#ledger.readers?.end()
    this.#flags |= NO_DEMAND
  }
}
