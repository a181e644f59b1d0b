/**
 * Tells of a plugin that waits for itself: its publishes wait for room in its own queue, and its handlers, from the look of it, for these
 * publishes.
 */
import type { Subscription } from '../../bus/subscription.js'
import { matches } from '../../topic.js'

export interface SelfDeadlockOptions {
  plugin: string
  /** The plugin's own. */
  subscriptions(): readonly Subscription[]
  /** Whether events that it published wait for room. */
  waits(): boolean
  warn(message: string, fields: object): void
}

/** Nothing has moved at all between two looks that are so far apart, in ms. */
const STANDSTILL = 1_000

/** A queue of its own that was full at the last look, and how many events had left it by then. */
interface Full {
  subscription: Subscription
  delivered: number
}

export class SelfDeadlock {
  readonly #options: SelfDeadlockOptions
  /** What waited last for room. */
  #topic = ''
  #full: Full | undefined
  #next: NodeJS.Timeout | undefined
  /** The patterns it was told of. */
  readonly #told = new Set<string>()

  constructor(options: SelfDeadlockOptions) {
    this.#options = options
  }

  /** An event that it published on that topic waits for room. There may be any number of these: all else is seen at the next look. */
  waiting(topic: string): void {
    this.#topic = topic
    this.#next ??= this.#lookLater()
  }

  #lookLater(): NodeJS.Timeout {
    return setTimeout(() => this.#look(), STANDSTILL).unref()
  }

  #look(): void {
    const before = this.#full
    this.#full = undefined
    this.#next = undefined
    if (!this.#options.waits()) return
    this.#next = this.#lookLater()
    const subscription = this.#options
      .subscriptions()
      .find(({ stats, capacity, paused, pattern }) => !paused && stats.queued > capacity && matches(pattern, this.#topic))
    if (subscription === undefined || this.#told.has(subscription.pattern)) return
    const { delivered } = subscription.stats
    if (before?.subscription === subscription && before.delivered === delivered) this.#tell(subscription)
    else this.#full = { subscription, delivered }
  }

  #tell({ pattern, capacity, stats }: Subscription): void {
    const { plugin, warn } = this.#options
    const topic = this.#topic
    this.#told.add(pattern)
    warn(
      `Plugin '${plugin}' seems to wait for itself: what it publishes on '${topic}' waits for room in the queue of its own subscription to '${pattern}', and in ${STANDSTILL} ms its handler was done with none of the ${stats.inFlight} events that it has. ` +
        `Where the handler awaits publish(), neither ever goes on. Do not await it there, and catch what it rejects with, or give that subscription a capacity (now ${capacity}) that holds all that one event leads to.`,
      { topic, pattern, capacity, queued: stats.queued, inFlight: stats.inFlight },
    )
  }

  close(): void {
    clearTimeout(this.#next)
  }
}
