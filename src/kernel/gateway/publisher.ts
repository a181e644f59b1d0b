/** What one generation publishes: as its permissions and its window let it, until each event has found room in every queue. */
import type { Subscription } from '../../bus/subscription.js'
import { PlugbayError } from '../../errors.js'
import type { LogLevel } from '../../sandbox/protocol.js'
import { WINDOW_BYTES } from '../../sandbox/values/call-window.js'
import type { Packed } from '../../sandbox/values/codec.js'
import { tooLarge } from '../../sandbox/values/unsendable.js'
import { assertPluginTopic } from '../../topic.js'
import { reasonOf, toWire } from '../../wire-error.js'
import { type Quota, REQUEST } from '../limits/quota.js'
import type { EffectiveLimits } from '../options/options.js'
import { PackedEvent } from '../services/packed-event.js'
import type { Plane } from '../services/plane.js'
import type { Rights } from './rights.js'
import { SelfDeadlock } from './self-deadlock.js'

/**
 * Bytes of events that it may have published and not been told the end of. Its own end lets a fourth of it go, and weighs on its own scale.
 */
const UNTOLD_BYTES = 4 * WINDOW_BYTES

export interface PublisherOptions {
  plugin: string
  plane: Plane
  rights: Rights
  quota: Quota
  limits: Pick<EffectiveLimits, 'window' | 'message'>
  /** The plugin's own. */
  subscriptions(): readonly Subscription[]
  log(level: LogLevel, message: string, fields: unknown): void
  /** So many events are over, and as many may come. */
  accepted(count: number): void
}

export class Publisher {
  readonly #options: PublisherOptions
  readonly #selfDeadlock: SelfDeadlock
  /** The topic it published on last, and may. */
  #topic: string | undefined
  /** Events that it published and has not been told the end of. */
  #untold = 0
  #untoldBytes = 0
  #accepted = 0
  #acceptedBytes = 0
  #telling = false

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#selfDeadlock = new SelfDeadlock({
      plugin: options.plugin,
      subscriptions: options.subscriptions,
      waits: () => this.#untold > 0,
      warn: (message, fields) => options.log('warn', message, fields),
    })
  }

  publish(topic: string, packed: Packed): void {
    const { plugin, plane, rights, quota, limits } = this.#options
    const { size } = packed
    // Its own end waits before that, and refuses by itself what is refused here: what comes so far went round it.
    if (++this.#untold > limits.window)
      throw new PlugbayError('PROTOCOL', `it published more than the ${limits.window} events of its window`, { plugin })
    if ((this.#untoldBytes += size) > UNTOLD_BYTES + limits.message)
      throw new PlugbayError('PROTOCOL', `it published more than the ${UNTOLD_BYTES} bytes of its window`, { plugin })
    // What is published goes on for a while: the same topic is not looked at twice.
    if (topic !== this.#topic) {
      assertPluginTopic(topic, plugin)
      if (!rights.permissions.mayPublish(topic)) {
        rights.deny(`bus:${topic}`, 'publish')
        if (quota.spend()) this.#accept(size)
        return
      }
      rights.use(`bus:${topic}`, 'publish')
      this.#topic = topic
    }
    if (size > limits.message) {
      if (quota.spend(REQUEST)) this.#refused(topic, size, tooLarge(`The data of '${topic}'`, size, limits.message, { plugin }))
      return
    }
    const { bus, stamp } = plane
    let room: Promise<void> | undefined
    try {
      room = bus.dispatch(new PackedEvent(stamp.ids, stamp.serial(), topic, plugin, stamp.time(), packed))
    } catch (error) {
      this.#refused(topic, size, error)
      return
    }
    if (room === undefined) return this.#accept(size)
    this.#selfDeadlock.waiting(topic)
    room.then(
      () => this.#accept(size),
      (error: unknown) => this.#refused(topic, size, error),
    )
  }

  #refused(topic: string, size: number, error: unknown): void {
    this.#options.log('error', `Event '${topic}' was refused: ${reasonOf(error)}`, { error: toWire(error) })
    this.#accept(size)
  }

  /** Opens the publisher's window again, told at the end of the turn: within one, no more than the window may come. */
  #accept(size: number): void {
    this.#accepted++
    this.#acceptedBytes += size
    if (this.#telling) return
    this.#telling = true
    setImmediate(this.#tellAccepted)
  }

  readonly #tellAccepted = (): void => {
    this.#telling = false
    if (this.#accepted === 0) return
    this.#options.accepted(this.#accepted)
    this.#untold -= this.#accepted
    this.#untoldBytes -= this.#acceptedBytes
    this.#accepted = 0
    this.#acceptedBytes = 0
  }

  close(): void {
    this.#selfDeadlock.close()
  }
}
