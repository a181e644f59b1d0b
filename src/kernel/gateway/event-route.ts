/**
 * The way of one pattern's events to a plugin: each leaves over the guest's line once, for all of its subscriptions there, and is in flight
 * until all have handled it.
 */
import type { Envelope } from '../../bus/event.js'
import type { QueueMemory } from '../../bus/queue-memory.js'
import { PENDING, Subscription } from '../../bus/subscription.js'
import type { Crowd } from '../../bus/subscription-options.js'
import type { PlugbayError } from '../../errors.js'
import type { EventIds } from '../../event-ids.js'
import type { Body } from '../../sandbox/conversation/frames.js'
import { Sizes } from '../../sandbox/conversation/sizes.js'
import type { KernelNotices } from '../../sandbox/protocol.js'
import type { Conversation } from '../../sandbox/rpc.js'
import { isPlatformObject } from '../../sandbox/values/platform-object.js'
import { uncloneablePart } from '../../sandbox/values/uncloneable-part.js'
import { bound } from '../../sandbox/values/unsendable.js'
import { fromWire, type WireError } from '../../wire-error.js'
import { packedEvent } from '../services/packed-event.js'
import type { Flight } from './flight.js'

export interface EventRouteOptions {
  plugin: string
  /** Of its first subscription: the guest's own for it. */
  number: number
  pattern: string
  capacity: number
  /** All routes to the plugin. */
  crowd: Crowd
  /** For what waits on all routes to the plugin. */
  memory: QueueMemory
  /** Events that may be under way. */
  inFlight: number
  /** What is under way on all routes to the plugin. */
  flight: Flight
  conversation: Conversation
  ids: EventIds
  /** A handler or filter threw. */
  failed(topic: string, error: unknown): void
  /** An event was taken that cannot go there, as it was not there that the plugin ran then. */
  lost(topic: string, error: unknown): void
}

/** What goes through one subscription of a plugin's. */
export interface SubscriptionTraffic {
  pattern: string
  queued: number
  inFlight: number
  delivered: number
  failed: number
}

interface Follower {
  /** What had been delivered when it came. */
  readonly since: number
  failed: number
}

export class EventRoute {
  readonly number: number
  readonly subscription: Subscription
  readonly #flight: Flight
  /** The subscriptions that follow it, by the guest's own numbers. */
  readonly #followers = new Map<number, Follower>()
  /** How many may still have in hand what is in flight: who has left, too. */
  #holders = 0
  /** What is in flight. */
  readonly #sizes = new Sizes()
  /** How many failures may still be told: with each event comes one for each follower. */
  #mayFail = 0
  /** Undoes it, and has the scope forget it. */
  release: () => unknown = () => {}

  /** Throws PATTERN_INVALID or SUBSCRIPTION_OPTIONS. */
  constructor(options: EventRouteOptions) {
    const { plugin, number, pattern, capacity, crowd, memory, inFlight, flight, conversation, ids, failed, lost } = options
    this.number = number
    this.#flight = flight
    const sizes = this.#sizes
    let metas: KernelNotices['event'] = [number, ids.prefix, '', '', '']
    const refusal = (envelope: Envelope): PlugbayError | undefined => {
      const { type, source, packed } = packedEvent(envelope, ids)
      const why = conversation.refusal(packed)
      if (why === undefined) return undefined
      const path = uncloneablePart(packed.open(), 'data', isPlatformObject)
      const about = { plugin: source, details: { topic: type, pattern, subscriber: plugin }, path }
      return bound(`The data of '${type}' from '${source}' to plugin '${plugin}'`, why, about)
    }
    const subscription: Subscription = new Subscription({
      id: `${plugin}/${number}`,
      pattern,
      owner: plugin,
      capacity,
      crowd,
      memory,
      concurrency: inFlight,
      consume: (envelope) => {
        const { serial, type, source, time, packed } = packedEvent(envelope, ids)
        // As long as nothing changes the writer knows it by this being the same array.
        if (time !== metas[4] || type !== metas[2] || source !== metas[3]) metas = [number, ids.prefix, type, source, time]
        try {
          conversation.forward('event', metas, packed, serial)
        } catch (error) {
          for (const follower of this.#followers.values()) follower.failed++
          lost(type, refusal(envelope) ?? error)
          return undefined
        }
        this.#mayFail += this.#followers.size
        sizes.add(packed.size)
        flight.add(packed.size)
        if (flight.stops(sizes.sum)) subscription.throttle(true)
        return PENDING
      },
      refusal: conversation.refuses ? refusal : undefined,
      keep: (envelope) => packedEvent(envelope, ids),
      onFailure: (_, { type }, error) => failed(type, error),
    })
    this.subscription = subscription
  }

  /** The numbers of those that follow it. */
  get followers(): Iterable<number> {
    return this.#followers.keys()
  }

  /** Events that were given to it and are not handled: one counts as often as there are followers. */
  get unhandled(): number {
    return this.subscription.stats.inFlight * this.#followers.size
  }

  get traffic(): SubscriptionTraffic[] {
    const { pattern, stats } = this.subscription
    const { queued, inFlight, delivered } = stats
    return Array.from(this.#followers.values(), ({ since, failed }) => ({
      pattern,
      queued,
      inFlight,
      delivered: delivered - since,
      failed,
    }))
  }

  /** Whether one more subscription would get from it what comes from now on, and nothing else: what waits here came before it. */
  get joinable(): boolean {
    return !this.subscription.closed && this.subscription.stats.queued === 0
  }

  /** Unsubscribed, and nothing of it is under way that may still fail. */
  get over(): boolean {
    return this.subscription.closed && this.subscription.stats.inFlight === 0
  }

  join(number: number): void {
    const { delivered, inFlight } = this.subscription.stats
    this.#followers.set(number, { since: delivered, failed: 0 })
    this.#holders = inFlight === 0 ? this.#followers.size : this.#holders + 1
  }

  /** A subscription has ended. Whether others are left: the last one is needed until it is {@link over}. */
  leave(number: number): boolean {
    if (this.#followers.size > 1) return this.#followers.delete(number)
    this.subscription.unsubscribe()
    return false
  }

  /** All followers in the guest have handled so many more. False when none was under way. */
  handled(count: number): boolean {
    this.#flight.take(this.#sizes.take(count))
    this.heed()
    return count > 0 && this.subscription.settle(count) > 0
  }

  /** Sends, or not for now, as {@link Flight} has it. */
  heed(): void {
    this.subscription.throttle(this.#flight.stops(this.#sizes.sum))
  }

  /**
   * The guest tells of a failure: one for each event and follower is an answer, as long as the event may be under way. Of what is more
   * nobody is told; then this is false.
   */
  failed(type: string, id: string, number: number, error: Body): boolean {
    this.#mayFail = Math.min(this.#mayFail, this.subscription.stats.inFlight * this.#holders)
    if (this.#mayFail === 0) return false
    this.#mayFail--
    const follower = this.#followers.get(number)
    if (follower !== undefined) follower.failed++
    this.subscription.fail({ type, id, source: '', time: '' }, fromWire(error.open() as WireError))
    return true
  }

  end(): void {
    this.subscription.unsubscribe()
    this.#flight.take(this.#sizes.take(Infinity))
    // Whoever waits for what was in flight waits no longer: nobody will settle it.
    this.subscription.abandon()
  }
}
