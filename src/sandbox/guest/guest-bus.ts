/** A plugin's own end of the bus: publishing within a window, and subscriptions whose handlers run here. */
import { assertNoMore } from '../../arguments.js'
import { keepFollowed } from '../../composite-signals.js'
import { PlugbayError } from '../../errors.js'
import { assertReadable, type Give, type Iteration, iterationOf, Readers } from '../../iteration.js'
import { readSubscriber } from '../../subscribe-options.js'
import { assertPattern, assertPluginTopic } from '../../topic.js'
import { toWire } from '../../wire-error.js'
import type { Body } from '../conversation/frames.js'
import { overLimit } from '../conversation/over-limit.js'
import { Sizes } from '../conversation/sizes.js'
import type { Conversation } from '../rpc.js'
import { type Packed, pack } from '../values/codec.js'
import { uncloneablePart } from '../values/uncloneable-part.js'
import { notCloneable, tooLarge } from '../values/unsendable.js'
import type { GuestPermissions } from './guest-permissions.js'
import { type Follower, type GuestEvent, GuestRoute } from './guest-route.js'

export type GuestHandler = (event: GuestEvent) => unknown

export interface GuestSubscribeOptions {
  /** Events it does not accept are skipped. */
  filter?: ((event: GuestEvent) => unknown) | undefined
  /** Unsubscribes after the first event. */
  once?: boolean | undefined
  /** Unsubscribes when aborted. */
  signal?: AbortSignal | undefined
  /**
   * How many events may wait in the kernel's queue, beside the 1024 under way to here, before publishers have to; default: the plugin's
   * `limits.queue`.
   */
  capacity?: number | undefined
  /** How many events may be handled at a time, for handlers that return promises; default 1. */
  concurrency?: number | undefined
}

interface Waiting {
  topic: string
  body: Packed
  resolve: () => void
  reject: (error: unknown) => void
}

/** Throws PAYLOAD_NOT_CLONEABLE. */
const packed = (data: unknown): Packed => {
  try {
    return pack(data)
  } catch (error) {
    throw notCloneable('', error, { path: uncloneablePart(data, 'data') })
  }
}

const ACCEPTED = Promise.resolve()
/** Bytes of events that may be on their way before publishes wait, however few they are. */
const WINDOW_BYTES = 8 * 1_024 * 1_024
/** Publishes that may wait for the window to open before further ones are refused. */
const MAX_WAITING = 65_536

export class GuestBus {
  readonly #conversation: Conversation
  readonly #subscriptions = new Map<number, GuestSubscription>()
  /** By their numbers: what the kernel names when an event comes. */
  readonly #routes = new Map<number, GuestRoute>()
  /** Handlers that still run of subscriptions that have ended. */
  readonly #finishing = new Set<Promise<void>>()
  readonly #plugin: string
  readonly #permissions: GuestPermissions
  #lastSubscription = 0
  #credits: number
  /** Largest event, in bytes. */
  readonly #limit: number
  readonly #maxSubscriptions: number
  /** Sizes of the events that have not found room yet, as far as the kernel has told. */
  readonly #sizes = new Sizes()
  /** There is a subscription that the kernel may not have heard of, and nobody has asked. */
  #unheard = false
  #hearing: Promise<unknown> | undefined
  /** What was published on last, and may be. */
  #topic: readonly string[] = []
  #waiting: Waiting[] = []
  #first = 0

  constructor(
    conversation: Conversation,
    plugin: string,
    { window, message, subscriptions }: { window: number; message: number; subscriptions: number },
    permissions: GuestPermissions,
  ) {
    this.#conversation = conversation
    this.#permissions = permissions
    this.#plugin = plugin
    this.#credits = window
    this.#limit = message
    this.#maxSubscriptions = subscriptions
  }

  /**
   * Resolves when the event has left within the plugin's window; when the window is used up, that is when earlier events have
   * found room in every queue. Rejects with TOPIC_INVALID, PERMISSION_DENIED, PAYLOAD_NOT_CLONEABLE, PAYLOAD_TOO_LARGE, PUBLISH_OVERRUN,
   * OPTIONS_INVALID or CHANNEL_CLOSED.
   */
  publish(topic: string, data?: unknown, options?: undefined): Promise<void> {
    try {
      // The embedder's bus has options for it. A plugin has none: the kernel says who published.
      if (options !== undefined) assertNoMore(`publish('${topic}') of a plugin`, 'a topic and data', [options])
      // What is published goes on for a while: the same topic is not looked at twice.
      if (topic !== this.#topic[0]) {
        assertPluginTopic(topic, this.#plugin)
        this.#permissions.assertPublish(topic)
        this.#topic = [topic]
      }
      if (this.#conversation.over)
        throw new PlugbayError('CHANNEL_CLOSED', `Plugin '${this.#plugin}' has ended: '${topic}' was not published.`)
      if (this.#open) {
        this.#sizes.add(this.#conversation.notify('publish', this.#topic, data, undefined, this.#limit))
        this.#credits--
        return ACCEPTED
      }
      return this.#wait(topic, data)
    } catch (error) {
      return Promise.reject(this.#refusal(topic, error))
    }
  }

  get #open(): boolean {
    return this.#credits > 0 && this.#sizes.sum < WINDOW_BYTES
  }

  #wait(topic: string, data: unknown): Promise<void> {
    if (this.#waiting.length - this.#first >= MAX_WAITING) {
      throw new PlugbayError(
        'PUBLISH_OVERRUN',
        `Plugin '${this.#plugin}' has ${MAX_WAITING} publishes waiting for slow subscribers, and '${topic}' is one too many. Await publish().`,
        { plugin: this.#plugin, details: { topic, limit: MAX_WAITING } },
      )
    }
    const body = packed(data)
    if (body.size > this.#limit) throw tooLarge('', body.size, this.#limit)
    return new Promise((resolve, reject) => this.#waiting.push({ topic, body, resolve, reject }))
  }

  /** What a publish was refused for, told of the event rather than of the wire. */
  #refusal(topic: string, error: unknown): unknown {
    const what = `The data that plugin '${this.#plugin}' published on '${topic}'`
    const about = { plugin: this.#plugin, details: { topic } }
    if (!PlugbayError.is(error)) return error
    if (error.code === 'PAYLOAD_NOT_CLONEABLE') {
      return notCloneable(what, error.cause, { ...about, path: error.details?.['path'] as string | undefined })
    }
    if (error.code === 'PAYLOAD_TOO_LARGE') return tooLarge(what, error.details?.['size'] as number, this.#limit, about)
    return error
  }

  /** The kernel has found room for so many. */
  accepted(count: number): void {
    this.#credits += count
    this.#sizes.take(count)
    while (this.#open && this.#first < this.#waiting.length) {
      const { topic, body, resolve } = this.#waiting[this.#first++] as Waiting
      this.#credits--
      this.#sizes.add(body.size)
      this.#conversation.forward('publish', [topic], body)
      resolve()
    }
    if (this.#first === this.#waiting.length) {
      this.#waiting = []
      this.#first = 0
    } else if (this.#first > 1_024) {
      this.#waiting.splice(0, this.#first)
      this.#first = 0
    }
  }

  /** Takes a handler and options, or options alone. Throws PATTERN_INVALID, SUBSCRIPTION_OPTIONS, PERMISSION_DENIED or PLUGIN_LIMIT. */
  subscribe(pattern: string, ...given: readonly unknown[]): GuestSubscription {
    assertPattern(pattern)
    this.#permissions.assertSubscribe(pattern)
    const { handler, options } = readSubscriber<GuestHandler, GuestSubscribeOptions>(pattern, given)
    const most = this.#maxSubscriptions
    if (this.#subscriptions.size >= most) {
      const mend = 'Unsubscribe what it no longer needs, subscribe to a pattern with wildcards, or raise the limit.'
      throw overLimit(this.#plugin, `subscribe to '${pattern}'`, 'limits.subscriptions', most, `has ${most} subscriptions already`, mend)
    }
    const number = ++this.#lastSubscription
    const route = this.#route(number)
    const subscription = new GuestSubscription(this.#conversation, route, pattern, handler, options, (ended) => {
      this.#subscriptions.delete(number)
      const finished = ended.settled().then(() => void this.#finishing.delete(finished))
      this.#finishing.add(finished)
    })
    if (options.signal?.aborted) return subscription
    this.#subscriptions.set(number, subscription)
    this.#routes.set(number, route)
    route.add(subscription)
    this.#conversation.notify('subscribe', [number, pattern, options.capacity ?? null])
    this.#unheard = true
    return subscription
  }

  /** Resolves when the kernel has heard of all subscriptions; undefined when it has. */
  heard(): Promise<unknown> | undefined {
    if (this.#unheard) {
      this.#unheard = false
      const hearing: Promise<unknown> = this.#conversation.request('sync').finally(() => {
        if (this.#hearing === hearing) this.#hearing = undefined
      })
      this.#hearing = hearing
    }
    return this.#hearing
  }

  /** From now on the events of that route are that subscription's too: both have the same pattern. */
  joined(number: number, at: number): void {
    const subscription = this.#subscriptions.get(number)
    // It has ended meanwhile, which the kernel is about to hear.
    if (subscription === undefined) return
    const route = this.#routes.get(at) ?? this.#route(at)
    this.#routes.set(at, route)
    subscription.follow(route)
  }

  #route(number: number): GuestRoute {
    return new GuestRoute(this.#conversation, number, () => this.#routes.delete(number))
  }

  received(number: number, id: string, type: string, source: string, time: string, body: Body): void {
    const route = this.#routes.get(number)
    if (route !== undefined) route.receive(id, type, source, time, body)
    // All that followed it have ended meanwhile. The kernel still counts the event as under way.
    else this.#conversation.notify('handled', [number, 1])
  }

  /** Resolves when every event that has arrived is handled. */
  async drain(): Promise<void> {
    await Promise.all([...Array.from(this.#subscriptions.values(), (subscription) => subscription.settled()), ...this.#finishing])
  }

  close(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.unsubscribe()
    const error = new PlugbayError('CHANNEL_CLOSED', `Plugin '${this.#plugin}' has ended before its events found room.`, {
      plugin: this.#plugin,
    })
    for (const { reject } of this.#waiting.splice(this.#first)) reject(error)
  }
}

/**
 * A plugin's subscription. The events wait in the kernel's queue; a window of them is here. Handlers run one at a time in
 * order (`concurrency` at a time when more are allowed). Iterable: `for await (const event of subscription)`.
 */
export class GuestSubscription implements AsyncIterable<GuestEvent>, Follower {
  readonly pattern: string
  ahead = 0
  readonly #conversation: Conversation
  readonly #number: number
  #route: GuestRoute
  readonly #filter: ((event: GuestEvent) => unknown) | undefined
  readonly #once: boolean
  readonly #concurrency: number
  readonly #onEnd: (ended: GuestSubscription) => void
  readonly #unlisten: () => void
  #handler: GuestHandler | undefined
  /** Who waits for the next event, where there is no handler. */
  readonly #readers: Readers | undefined
  #queue: GuestEvent[] = []
  /** Events in the hands of the handler, or of iterators. */
  #running = 0
  #closed: boolean
  #idle: (() => void)[] = []

  constructor(
    conversation: Conversation,
    route: GuestRoute,
    pattern: string,
    handler: GuestHandler | undefined,
    options: GuestSubscribeOptions,
    onEnd: (ended: GuestSubscription) => void,
  ) {
    this.#conversation = conversation
    this.#number = route.number
    this.#route = route
    this.pattern = pattern
    this.#handler = handler
    this.#readers = handler === undefined ? new Readers() : undefined
    this.#filter = options.filter
    this.#once = options.once ?? false
    this.#concurrency = options.concurrency ?? 1
    this.#onEnd = onEnd
    const { signal } = options
    keepFollowed(signal)
    this.#closed = signal?.aborted ?? false
    const abort = (): void => this.unsubscribe()
    signal?.addEventListener('abort', abort, { once: true })
    this.#unlisten = () => signal?.removeEventListener('abort', abort)
  }

  /** Its events come by this route from now on. */
  follow(route: GuestRoute): void {
    this.#route.remove(this)
    this.#route = route
    route.add(this)
  }

  receive(event: GuestEvent): void {
    if (this.#closed) this.#done()
    else if (this.#queue.length > 0 || !this.#free) this.#queue.push(event)
    else this.#run(event)
  }

  /** Whether there is a hand for one more event. */
  get #free(): boolean {
    return this.#readers === undefined ? this.#running < this.#concurrency : !this.#readers.none
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#free && !this.#closed) this.#run(this.#queue.shift() as GuestEvent)
  }

  #run(event: GuestEvent): void {
    this.#running++
    // The filter may unsubscribe.
    if (this.#filter !== undefined && (!this.#passes(event) || this.#closed)) {
      this.#finished(1)
      return
    }
    this.#readers?.give(event as never)
    if (this.#once) this.#end()
    if (this.#readers !== undefined) {
      // Of one event there is no next to ask for: nobody would say that it is done with.
      if (this.#once) this.#finished(1)
      return
    }
    let result: unknown
    try {
      result = this.#handler?.(event)
    } catch (error) {
      this.#fail(event, error)
      this.#finished(1)
      return
    }
    if (typeof result === 'object' && result !== null && 'then' in result) {
      Promise.resolve(result).then(this.#settled, (error: unknown) => {
        this.#fail(event, error)
        this.#settled()
      })
    } else this.#finished(1)
  }

  #passes(event: GuestEvent): boolean {
    try {
      return Boolean(this.#filter?.(event))
    } catch (error) {
      this.#fail(event, error)
      return false
    }
  }

  /** So many are handled. More than are in hand is ignored: who unsubscribes has let go of what iterators hold. */
  #finished(count: number): void {
    const handled = Math.min(count, this.#running)
    this.#running -= handled
    if (handled > 0) this.#done(handled)
    this.#quiet()
  }

  readonly #settled = (): void => {
    this.#running--
    this.#done()
    this.#pump()
    this.#quiet()
  }

  #done(count = 1): void {
    this.#route.handled(this, count)
  }

  /** Looks whether there is somebody to tell that nothing is left in hand. */
  #quiet(): void {
    if (this.#queue.length > 0 || this.#running > 0) return
    if (this.#idle.length > 0) for (const resolve of this.#idle.splice(0)) resolve()
    if (this.#closed) this.#route.remove(this)
  }

  #fail(event: GuestEvent, error: unknown): void {
    this.#conversation.notify('failure', [this.#route.number, event.type, event.id, this.#number], toWire(error))
  }

  /** Resolves when what waits in the kernel and what has arrived is handled. */
  async drain(): Promise<void> {
    if (!this.#closed) await this.#conversation.request('drain', { subscription: this.#number })
    await this.settled()
  }

  /** Resolves when what has arrived is handled. */
  settled(): Promise<void> {
    if ((this.#queue.length === 0 && this.#running === 0) || this.#readers !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unlisten()
    this.#conversation.notify('unsubscribe', [this.#number])
    const discarded = this.#queue.splice(0).length
    if (discarded > 0) this.#done(discarded)
    this.#readers?.end()
    this.#onEnd(this)
  }

  /** Takes no more events, and waits for nothing that an iterator has given. Idempotent. */
  unsubscribe(): void {
    this.#end()
    this.#finished(this.#readers === undefined ? 0 : this.#running)
  }

  [Symbol.asyncIterator](): Iteration<GuestEvent> {
    assertReadable(this.#readers, this.pattern)
    return iterationOf<GuestEvent>({
      ask: (give) => this.#ask(give),
      done: (count) => this.#finished(count),
      end: () => this.unsubscribe(),
    })
  }

  /** Has a reader wait for the next event. */
  #ask(give: Give<GuestEvent>): void {
    this.#readers?.add(give)
    if (this.#closed) this.#readers?.end()
    else this.#pump()
  }
}
