/** A subscription of a plugin's, at the kernel's end: its events leave over the guest's line, and are in flight until the guest says that they are handled. */
import { PENDING, Subscription } from '../bus/subscription.js'
import type { EventIds } from '../event-ids.js'
import type { Body } from '../sandbox/frames.js'
import type { KernelNotices } from '../sandbox/protocol.js'
import type { Conversation } from '../sandbox/rpc.js'
import { Sizes } from '../sandbox/sizes.js'
import { fromWire, type WireError } from '../wire-error.js'
import { packedEvent } from './packed-event.js'

/** Bytes of events that may be under way to one subscription, however few they are. */
const IN_FLIGHT_BYTES = 4 * 1_024 * 1_024

export interface PluginSubscriptionOptions {
  plugin: string
  /** The guest's own for it. */
  number: number
  pattern: string
  capacity: number
  /** Events that may be under way. */
  inFlight: number
  conversation: Conversation
  ids: EventIds
  /** A handler or filter threw. */
  failed(topic: string, error: unknown): void
}

export class PluginSubscription {
  readonly subscription: Subscription
  /** What is in flight. */
  readonly #sizes = new Sizes()
  /** Failures told of events that are still under way. */
  #failures = 0
  /** Undoes it, and has the scope forget it. */
  release: () => unknown = () => {}

  /** Throws PATTERN_INVALID or SUBSCRIPTION_OPTIONS. */
  constructor({ plugin, number, pattern, capacity, inFlight, conversation, ids, failed }: PluginSubscriptionOptions) {
    const sizes = this.#sizes
    let metas: KernelNotices['event'] = [number, ids.prefix, '', '', '']
    const subscription: Subscription = new Subscription({
      id: `${plugin}/${number}`,
      pattern,
      owner: plugin,
      capacity,
      concurrency: inFlight,
      consume: (envelope) => {
        const { serial, type, source, time, packed } = packedEvent(envelope, ids)
        // As long as nothing changes the writer knows it by this being the same array.
        if (time !== metas[4] || type !== metas[2] || source !== metas[3]) metas = [number, ids.prefix, type, source, time]
        conversation.forward('event', metas, packed, serial)
        sizes.add(packed.size)
        if (sizes.sum >= IN_FLIGHT_BYTES) subscription.throttle(true)
        return PENDING
      },
      keep: (envelope) => packedEvent(envelope, ids),
      onFailure: (_, { type }, error) => failed(type, error),
    })
    this.subscription = subscription
  }

  /** Unsubscribed, and nothing of it is under way that may still fail. */
  get over(): boolean {
    return this.subscription.closed && this.subscription.stats.inFlight === 0
  }

  /** The guest has handled so many more, and told of so many failures among them. False when none was under way. */
  handled(count: number, failed: number): boolean {
    this.#sizes.take(count)
    if (this.#sizes.sum < IN_FLIGHT_BYTES) this.subscription.throttle(false)
    const settled = count > 0 && this.subscription.settle(count) > 0
    if (failed > 0) this.#failures = Math.max(0, this.#failures - Math.min(failed, count))
    return settled
  }

  /** The guest tells of a failure: one for each event that is under way is an answer to it. Of what is more nobody is told; then this is false. */
  failed(type: string, id: string, error: Body): boolean {
    if (this.#failures >= this.subscription.stats.inFlight) return false
    this.#failures++
    this.subscription.fail({ type, id, source: '', time: '' }, fromWire(error.open() as WireError))
    return true
  }

  end(): void {
    this.subscription.unsubscribe()
    // Whoever waits for what was in flight waits no longer: nobody will settle it.
    this.subscription.abandon()
  }
}
