/** What a subscription is made with: what its subscriber may ask for, and what the kernel adds. */
import type { PlugbayError } from '../errors.js'
import type { Envelope, Event, EventHead } from './event.js'
import type { QueueMemory } from './queue-memory.js'

/**
 * What happens when a queue is full. `block`: nothing is dropped, the publisher waits (its publish resolves when the event has
 * moved inside the capacity).
 */
export type OverflowPolicy = 'block'

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

/** Which subscription it is. */
export interface SubscriptionHead {
  readonly id: string
  readonly pattern: string
  /** The plugin that subscribed. */
  readonly owner: string
}

export interface SubscriptionOptions<E extends Event = Event> extends SubscribeOptions<E>, SubscriptionHead {
  /** Those it belongs to. */
  crowd?: Crowd | undefined
  /** What its queue shares with those of its owner's other subscriptions. Without it the capacity alone counts. */
  memory?: QueueMemory | undefined
  /** Takes the envelope as it came, closed. */
  consume?: ((envelope: Envelope) => unknown) | undefined
  /** Why an event cannot be consumed here: its publish is refused as a whole. */
  refusal?: ((envelope: Envelope) => PlugbayError | undefined) | undefined
  /**
   * What to queue of an envelope that cannot be consumed at once: one that holds what it was when it came. Throwing is a failure. Default:
   * itself.
   */
  keep?: ((envelope: Envelope) => Envelope) | undefined
  /** Takes the event: the envelope is opened first. With neither `consume` nor `handler` the subscription is iterated. */
  handler?: ((event: E) => unknown) | undefined
  onFailure?: FailureListener | undefined
}

export type FailureListener = (subscription: SubscriptionHead, event: EventHead, error: unknown) => void
