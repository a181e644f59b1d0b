/** The ways of all events to a plugin: one for each pattern that it subscribes to, shared by its subscriptions to that pattern. */
import { QueueMemory } from '../../bus/queue-memory.js'
import type { Subscription } from '../../bus/subscription.js'
import type { Crowd } from '../../bus/subscription-options.js'
import { PlugbayError } from '../../errors.js'
import { Pace } from '../../pace.js'
import type { Body } from '../../sandbox/conversation/frames.js'
import type { LogLevel } from '../../sandbox/protocol.js'
import type { Conversation } from '../../sandbox/rpc.js'
import type { Scope } from '../../scope.js'
import { reasonOf, toWire } from '../../wire-error.js'
import type { Plane } from '../services/plane.js'
import { EventRoute, type SubscriptionTraffic } from './event-route.js'
import { Flight } from './flight.js'
import { handlerFailed } from './handler-failed.js'

export interface EventRoutesOptions {
  plugin: string
  plane: Plane
  scope: Scope
  /** Events that may be under way on one route. */
  inFlight: number
  /** How many events may wait where a subscription does not say otherwise. */
  capacity: number
  /** How many patterns may match one event. */
  overlap: number
  /** So many patterns matched that event: no route takes any more. */
  crowded(ways: number, topic: string): void
  /** It stands aside until it takes over: its routes get no events yet. */
  aside: boolean
  log(level: LogLevel, message: string, fields: unknown): void
}

export class EventRoutes {
  readonly #options: EventRoutesOptions
  readonly #crowd: Crowd
  readonly #memory = new QueueMemory()
  readonly #flight = new Flight(() => {
    for (const route of this.#routes.values()) route.heed()
  })
  /** By the numbers of their first subscriptions. */
  readonly #routes = new Map<number, EventRoute>()
  /** The route of each of the plugin's subscriptions, by the guest's own numbers. */
  readonly #followed = new Map<number, EventRoute>()
  /** The newest route of each pattern and capacity: a further subscription may follow it. */
  readonly #newest = new Map<string, EventRoute>()
  #aside: boolean
  /** They take no events any more, and are let go of. */
  #refusing = false

  constructor(options: EventRoutesOptions) {
    this.#options = options
    this.#aside = options.aside
    this.#crowd = { most: options.overlap, exceeded: options.crowded }
  }

  /** How many subscriptions follow them. */
  get size(): number {
    return this.#followed.size
  }

  /** One for each route: several of the plugin's subscriptions may follow it. */
  get subscriptions(): readonly Subscription[] {
    return Array.from(this.#routes.values(), ({ subscription }) => subscription)
  }

  /** What goes through each of the plugin's subscriptions. */
  get traffic(): SubscriptionTraffic[] {
    return [...this.#routes.values()].flatMap(({ traffic }) => traffic)
  }

  /** The subscription through which the events of that one come. */
  behind(number: number): Subscription | undefined {
    return this.#followed.get(number)?.subscription
  }

  // ── what the guest says ──────────────────────────────────────────────────────────────────────────────────────────

  /** Throws PROTOCOL for a number that another subscription has. */
  assertFree(number: number): void {
    if (this.#followed.has(number) || this.#routes.has(number))
      throw new PlugbayError('PROTOCOL', `it gave the number ${number} to two subscriptions`, { plugin: this.#options.plugin })
  }

  /** A free number follows the pattern from now on. Throws PATTERN_INVALID or SUBSCRIPTION_OPTIONS. */
  follow(conversation: Conversation, number: number, pattern: string, capacity: number | null): void {
    const kind = `${capacity} ${pattern}`
    let route = this.#newest.get(kind)
    if (route?.joinable) conversation.notify('joined', [number, route.number])
    else route = this.#open(conversation, kind, number, pattern, capacity ?? this.#options.capacity)
    route.join(number)
    this.#followed.set(number, route)
  }

  #open(conversation: Conversation, kind: string, number: number, pattern: string, capacity: number): EventRoute {
    const { plugin, plane, scope, inFlight, log } = this.#options
    const route = new EventRoute({
      plugin,
      number,
      pattern,
      capacity,
      crowd: this.#crowd,
      memory: this.#memory,
      inFlight,
      flight: this.#flight,
      conversation,
      ids: plane.stamp.ids,
      failed: (topic, error) => {
        const [fields, message] = handlerFailed(`plugin '${plugin}'`, topic, pattern, error)
        log('error', message, fields)
      },
      lost: (topic, error) =>
        log('error', `Event '${topic}' did not reach plugin '${plugin}': ${reasonOf(error)}`, { error: toWire(error) }),
    })
    this.#routes.set(number, route)
    this.#newest.set(kind, route)
    route.release = scope.own(`subscription to ${pattern}`, () => {
      this.#routes.delete(number)
      for (const follower of route.followers) this.#followed.delete(follower)
      if (this.#newest.get(kind) === route) this.#newest.delete(kind)
      plane.bus.detach(route.subscription)
      route.end()
    })
    if (this.#aside) route.subscription.stepAside()
    plane.bus.attach(route.subscription)
    return route
  }

  /** The last one of a route is forgotten when the last event that was under way to it is handled: until then it may still fail. */
  leave(number: number): void {
    const route = this.#followed.get(number)
    if (route?.leave(number)) this.#followed.delete(number)
    else if (route?.over) route.release()
  }

  /** Events of that route are handled, as many as `count`. False when it settles nothing. */
  handled(number: number, count: number): boolean {
    const route = this.#routes.get(number)
    const settled = route?.handled(count) === true
    if (route?.over) route.release()
    return settled
  }

  /** A handler failed at an event of that route. False when that answers to nothing. */
  failed(number: number, type: string, id: string, follower: number, error: Body): boolean {
    return this.#routes.get(number)?.failed(type, id, follower, error) === true
  }

  // ── endings and the take-over ────────────────────────────────────────────────────────────────────────────────────

  /** None takes an event any more: what waits goes at once, and the routes, which may be thousands, bit by bit. */
  refuse(): void {
    if (this.#refusing) return
    this.#refusing = true
    for (const { subscription } of this.#routes.values()) subscription.refuse()
    void this.#releaseAll()
  }

  async #releaseAll(): Promise<void> {
    const pace = new Pace()
    await pace.rest()
    for (const route of [...this.#routes.values()]) {
      if (pace.due) await pace.rest()
      route.release()
    }
  }

  /**
   * Steps in for a predecessor's, in one turn: their queues move here. `alive`: they still handle what they were given. Returns how many
   * events moved. They may be thousands: those here are attached by now, those there are detached when they are let go of, and of one at
   * rest there is nothing to hand over.
   */
  takeOver(predecessor: EventRoutes, alive: boolean): number {
    this.#aside = false
    const busy = new Set<string>()
    for (const { subscription: old } of predecessor.#routes.values()) {
      old.stepAside()
      if (!old.closed && !old.resting) busy.add(old.pattern)
    }
    for (const { subscription } of this.#routes.values()) subscription.stepIn()
    if (busy.size === 0) return 0
    let moved = 0
    const heirs = this.#following(busy)
    for (const [pattern, theirs] of predecessor.#following(busy)) {
      for (const old of theirs) {
        const heir = heirs.get(pattern)?.shift()
        if (heir !== undefined) {
          moved += old.stats.queued
          old.handOver(heir)
          // What only the predecessor listened to gets no more; what it had been promised it still handles.
        } else if (alive) old.resume()
      }
    }
    return moved
  }

  /** The subscriptions that are not closed, by those patterns, in the order they came. */
  #following(patterns: ReadonlySet<string>): Map<string, Subscription[]> {
    const following = new Map<string, Subscription[]>()
    for (const { subscription } of this.#routes.values()) {
      const { pattern } = subscription
      if (subscription.closed || !patterns.has(pattern)) continue
      const alike = following.get(pattern)
      if (alike === undefined) following.set(pattern, [subscription])
      else alike.push(subscription)
    }
    return following
  }

  /** Holds the events back: they queue. */
  pause(): void {
    for (const subscription of this.subscriptions) subscription.pause()
  }

  resume(): void {
    for (const subscription of this.subscriptions) subscription.resume()
  }

  /** No new event comes in, from now on. */
  async detach(): Promise<void> {
    const { subscriptions } = this
    if (subscriptions.length === 0) return
    for (const subscription of subscriptions) subscription.stepAside()
    const pace = new Pace()
    await pace.rest()
    for (const subscription of subscriptions) {
      this.#options.plane.bus.detach(subscription)
      if (pace.due) await pace.rest()
    }
  }

  /** Resolves when the events that were accepted are handled. */
  async drain(): Promise<void> {
    await Promise.all(this.subscriptions.map((subscription) => subscription.drain()))
  }

  /** The place is dead: what waits, waits for a successor. Returns how many events it had taken and not handled. */
  bury(): number {
    let lost = 0
    for (const { subscription, unhandled } of this.#routes.values()) {
      subscription.pause()
      lost += unhandled
      subscription.abandon()
    }
    return lost
  }
}
