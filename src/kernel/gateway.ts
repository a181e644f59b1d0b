/** What one generation of a plugin may do: the one place where the bus and the sandbox meet. All it acquires is in its scope. */
import type { MessagePort } from 'node:worker_threads'
import type { Stamp } from '../bus/event.js'
import type { EventBus } from '../bus/event-bus.js'
import type { ServiceRecord, ServiceRegistry } from '../bus/service-registry.js'
import { PENDING, Subscription } from '../bus/subscription.js'
import { Denials } from '../denials.js'
import { fromWire, PlugbayError, reasonOf, toWire, type WireError } from '../errors.js'
import { type PermissionSet, permissionDenied } from '../permission-set.js'
import type { Packed } from '../sandbox/codec.js'
import type { Connection, KernelNotices, KernelVerbs, LogLevel } from '../sandbox/protocol.js'
import { type Body, Boxed, type Call, type Conversation, type Meta, type Party } from '../sandbox/rpc.js'
import { Sizes } from '../sandbox/sizes.js'
import { tooLarge } from '../sandbox/unsendable.js'
import type { Scope } from '../scope.js'
import { assertPattern, assertTopic } from '../topic.js'
import { FileAccess } from './file-access.js'
import { NetAccess } from './net-access.js'
import type { EffectiveLimits } from './options.js'
import { PackedEvent, packedEvent } from './packed-event.js'
import { grantsOf } from './permissions.js'
import { type Excess, Quota, REQUEST } from './quota.js'
import type { ServiceBroker, ServiceConsumer, ServiceProvider } from './service-broker.js'

/** What the gateways of one kernel share. */
export interface Plane {
  bus: EventBus
  stamp: Stamp
  registry: ServiceRegistry
  broker: ServiceBroker
}

/** Bytes of events that may be under way to one subscription of the plugin, however few they are. */
const IN_FLIGHT_BYTES = 4 * 1_024 * 1_024

/** How a gateway reaches the rest of its generation. */
export interface GatewayOptions {
  plugin: string
  plane: Plane
  scope: Scope
  /** What the plugin may do. */
  permissions: PermissionSet
  /** Events that may be under way to one subscription of the plugin. */
  inFlight: number
  /** `queue`: where a subscription does not say otherwise. `window` is told back in quarters. */
  limits: Pick<EffectiveLimits, 'queue' | 'window' | 'message' | 'requests' | 'subscriptions' | 'services'>
  /** A successor's subscriptions and services stand aside until it takes over. */
  aside: boolean
  log(level: LogLevel, message: string, fields: unknown): void
  runTask(name: string, input: unknown, signal: AbortSignal): Promise<unknown>
  /** The plugin did what it may not. Told at a bearable rate. */
  denied(error: PlugbayError): void
  /** It went past a limit of what it may ask and have here. Contained when this returns. */
  breached(excess: Excess): void
  /** While permissions are learnt: takes what the plugin did by one. */
  used?: ((resource: string, action: string) => void) | undefined
  /** The place ended or broke the protocol. */
  ended(reason: PlugbayError): void
}

type EventMetas = KernelNotices['event']

/** Longer names of resources and actions are no guest's of ours. */
const MAX_TOLD = 4_096

/** One service of the plugin. */
interface Offer extends ServiceProvider {
  name: string
  version: string
  methods: string[]
  record: ServiceRecord | undefined
  /** Withdraws it, and has the scope forget it. */
  release: () => unknown
}

export class Gateway implements Party, ServiceConsumer {
  readonly name: string
  readonly #options: GatewayOptions
  readonly #plane: Plane
  readonly #scope: Scope
  readonly #permissions: PermissionSet
  readonly #denials: Denials
  readonly #files: FileAccess
  readonly #net: NetAccess
  readonly #quota: Quota
  readonly #subscriptions = new Map<number, Subscription>()
  /** What is in flight to each of them. */
  readonly #sizes = new Map<number, Sizes>()
  readonly #forget = new Map<number, () => unknown>()
  readonly #offers = new Map<number, Offer>()
  readonly #watches = new Map<number, () => unknown>()
  /** Lines to services, with those that are waited for. */
  #uses = 0
  /** Failures told of events that are still under way, by subscription. */
  readonly #failures = new Map<number, number>()
  #conversation: Conversation | undefined
  #aside: boolean
  /** The topic it published on last, and may. */
  #topic: string | undefined
  #accepted = 0
  #telling = false
  #closed = false

  constructor(options: GatewayOptions) {
    this.name = options.plugin
    this.#options = options
    this.#plane = options.plane
    this.#scope = options.scope
    this.#permissions = options.permissions
    this.#denials = new Denials((resource, action, unsaid) => options.denied(permissionDenied(options.plugin, resource, action, unsaid)))
    const denied = (resource: string, action: string): void => this.#denials.add(resource, action)
    const { root, dataDir } = options.permissions.granted
    const { fs, net } = grantsOf(options.permissions)
    const { used, limits, breached } = options
    this.#files = new FileAccess({ plugin: this.name, root, dataDir, grants: fs, denied, used })
    this.#net = new NetAccess({ plugin: this.name, hosts: net, denied, used })
    this.#quota = new Quota({ plugin: this.name, limits, warn: (message) => options.log('warn', message, undefined), breached })
    this.#aside = options.aside
    this.#scope.own('service lines', () => this.#plane.broker.releaseAll(this))
  }

  /** The conversation with the guest: set once, right after it was made with this party. */
  set conversation(conversation: Conversation) {
    this.#conversation = conversation
  }

  get subscriptions(): readonly Subscription[] {
    return [...this.#subscriptions.values()]
  }

  get provides(): string[] {
    return Array.from(this.#offers.values(), ({ name, version }) => `${name}@${version}`)
  }

  // ── what the guest says ──────────────────────────────────────────────────────────────────────────────────────────

  notice(verb: string, metas: readonly Meta[], body: Body): void {
    if (this.#closed) return
    switch (verb) {
      case 'publish':
        this.#publish(metas[0] as string, body.pack())
        break
      case 'handled':
        this.#handled(metas[0] as number, metas[1] as number, metas[2] as number)
        break
      case 'failure': {
        const [number, type, id] = metas as [number, string, string]
        this.#failed(number, type, id, body)
        break
      }
      case 'log':
        this.#options.log(metas[0] as LogLevel, metas[1] as string, body.open())
        break
      default:
        if (this.#quota.spend()) this.#told(verb, metas)
    }
  }

  /** What it tells as often as it likes: it costs the kernel's thread, and nothing else bounds it. */
  #told(verb: string, metas: readonly Meta[]): void {
    switch (verb) {
      case 'subscribe':
        this.#subscribe(metas[0] as number, metas[1] as string, metas[2] as number | null)
        break
      case 'unsubscribe':
        this.#subscriptions.get(metas[0] as number)?.unsubscribe()
        this.#forgetEnded(metas[0] as number)
        break
      case 'denied':
        this.deniedThere(String(metas[0]), String(metas[1]), Number(metas[2]))
        break
      case 'used':
        this.#usedThere(String(metas[0]), String(metas[1]))
        break
      default:
    }
  }

  request(call: Call, body: unknown): unknown {
    switch (call.verb as keyof KernelVerbs) {
      case 'task': {
        const { name, input } = body as KernelVerbs['task']['asks']
        return this.#quota.underWay('task', () => this.#options.runTask(name, input, call.signal))
      }
      case 'file':
        return this.#quota.underWay('file', () => this.#files.run(body as KernelVerbs['file']['asks']))
      case 'fetch':
        return this.#quota.underWay('fetch', () => this.#net.fetch(body as KernelVerbs['fetch']['asks'], call.signal))
      default:
        return this.#quota.spend(REQUEST) ? this.#asked(call, body) : undefined
    }
  }

  #asked(call: Call, body: unknown): unknown {
    switch (call.verb as keyof KernelVerbs) {
      case 'provide':
        this.#provide(body as KernelVerbs['provide']['asks'])
        return
      case 'withdraw':
        this.#offers.get((body as KernelVerbs['withdraw']['asks']).service)?.release()
        return
      case 'use':
        return this.#use(body as KernelVerbs['use']['asks'], call.signal)
      case 'watch':
        this.#watch(body as KernelVerbs['watch']['asks'])
        return
      case 'unwatch':
        this.#watches.get((body as KernelVerbs['unwatch']['asks']).watch)?.()
        return
      default:
        throw new PlugbayError('VERB_UNKNOWN', `The kernel does not know the verb '${call.verb}' that plugin '${this.name}' asked for.`)
    }
  }

  ended(reason: PlugbayError): void {
    this.#options.ended(reason)
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #publish(topic: string, packed: Packed): void {
    const { bus, stamp } = this.#plane
    let room: Promise<void> | undefined
    try {
      // What is published goes on for a while: the same topic is not looked at twice.
      if (topic !== this.#topic) {
        assertPublic(topic, this.name)
        if (!this.#permissions.mayPublish(topic)) {
          this.#denials.add(`bus:${topic}`, 'publish')
          this.#accept()
          return
        }
        this.#options.used?.(`bus:${topic}`, 'publish')
        this.#topic = topic
      }
      // The guest refuses by itself what follows: one that comes here went round it.
      if (packed.size > this.#options.limits.message)
        throw tooLarge(`The data of '${topic}'`, packed.size, this.#options.limits.message, { plugin: this.name })
      room = bus.dispatch(new PackedEvent(stamp.ids, stamp.serial(), topic, this.name, stamp.time(), packed))
    } catch (error) {
      this.#refused(topic, error)
      return
    }
    if (room === undefined) this.#accept()
    else room.then(this.#accept, (error: unknown) => this.#refused(topic, error))
  }

  #refused(topic: string, error: unknown): void {
    this.#options.log('error', `Event '${topic}' was refused: ${reasonOf(error)}`, { error: toWire(error) })
    this.#accept()
  }

  /** Opens the publisher's window again, told in quarters of it or at the end of the turn in which somebody had to wait. */
  readonly #accept = (): void => {
    this.#accepted++
    if (this.#accepted >= this.#options.limits.window >> 2) this.#tellAccepted()
    else if (!this.#telling) {
      this.#telling = true
      setImmediate(this.#tellAccepted)
    }
  }

  readonly #tellAccepted = (): void => {
    this.#telling = false
    if (this.#accepted === 0) return
    this.#conversation?.notify('accepted', [this.#accepted])
    this.#accepted = 0
  }

  #subscribe(number: number, pattern: string, capacity: number | null): void {
    assertPattern(pattern)
    if (!this.#permissions.maySubscribe(pattern)) {
      this.#denials.add(`bus:${pattern}`, 'subscribe')
      return
    }
    if (!this.#quota.holdsSubscription(this.#subscriptions.size)) return
    this.#options.used?.(`bus:${pattern}`, 'subscribe')
    const conversation = this.#conversation as Conversation
    const { ids } = this.#plane.stamp
    const sizes = new Sizes()
    let metas: EventMetas = [number, ids.prefix, '', '', '']
    const subscription: Subscription = new Subscription({
      id: `${this.name}/${number}`,
      pattern,
      owner: this.name,
      capacity: capacity ?? this.#options.limits.queue,
      concurrency: this.#options.inFlight,
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
    })
    this.#subscriptions.set(number, subscription)
    this.#sizes.set(number, sizes)
    const forget = this.#scope.own(`subscription to ${pattern}`, () => {
      this.#subscriptions.delete(number)
      this.#sizes.delete(number)
      this.#forget.delete(number)
      this.#failures.delete(number)
      subscription.unsubscribe()
      // Whoever waits for what was in flight waits no longer: nobody will settle it.
      subscription.abandon()
    })
    this.#forget.set(number, forget)
    if (!this.#aside) this.#plane.bus.attach(subscription)
  }

  #handled(number: number, count: number, failed: number): void {
    const subscription = this.#subscriptions.get(number)
    const sizes = this.#sizes.get(number)
    sizes?.take(count)
    if (sizes !== undefined && sizes.sum < IN_FLIGHT_BYTES) subscription?.throttle(false)
    // There are as many of these as events, and no more: one that settles nothing is counted.
    if (!(count > 0 && subscription?.settle(count)) && !this.#quota.spend()) return
    if (failed > 0) this.#failures.set(number, Math.max(0, (this.#failures.get(number) ?? 0) - Math.min(failed, count)))
    if (subscription?.closed) this.#forgetEnded(number)
  }

  /** An unsubscribed one is forgotten when the last event that was under way to it is handled: until then it may still fail. */
  #forgetEnded(number: number): void {
    const subscription = this.#subscriptions.get(number)
    if (subscription?.closed && subscription.stats.inFlight === 0) this.#forget.get(number)?.()
  }

  /** One for each event that is under way is an answer to it. Of what is more nobody is told, and it is counted. */
  #failed(number: number, type: string, id: string, body: Body): void {
    const subscription = this.#subscriptions.get(number)
    const failures = (this.#failures.get(number) ?? 0) + 1
    if (subscription === undefined || failures > subscription.stats.inFlight) {
      this.#quota.spend()
      return
    }
    this.#failures.set(number, failures)
    subscription.fail({ type, id, source: '', time: '' }, fromWire(body.open() as WireError))
  }

  // ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #provide({ service, name, version, methods }: KernelVerbs['provide']['asks']): void {
    if (!this.#permissions.mayProvide(name)) throw this.#denied(`service:${name}`, 'provide')
    this.#quota.assertService(this.#offers.size, `provide the service '${name}'`, 'provides', 'Withdraw what nobody needs')
    this.#options.used?.(`service:${name}`, 'provide')
    const conversation = this.#conversation as Conversation
    const offer: Offer = {
      name,
      version,
      methods,
      record: undefined,
      release: () => {},
      connect: (consumer, port, allowed) =>
        conversation.notify('connect', [service, consumer], { port, methods: allowed } satisfies Connection, [port]),
    }
    if (this.#aside) this.#assertFree(offer)
    else this.#announce(offer)
    this.#offers.set(service, offer)
    offer.release = this.#scope.own(`service ${name}`, () => this.#withdraw(service))
  }

  /** What providing it now would say, for one that stands aside: the take-over must not fail half way. */
  #assertFree(offer: Offer): void {
    const { name, version, methods } = offer
    this.#plane.registry.check({ name, version, methods, provider: this.name, handle: offer })
    if (![...this.#offers.values()].some((other) => other.name === name && other.version === version)) return
    throw new PlugbayError(
      'SERVICE_DUPLICATE',
      `The plugin '${this.name}' cannot provide the service '${name}' ${version}: it already provides that version itself. Withdraw one, or give it another version.`,
      { plugin: this.name, details: { name, version, provider: this.name } },
    )
  }

  #announce(offer: Offer): void {
    const { registry, broker } = this.#plane
    const { name, version, methods } = offer
    offer.record = registry.provide({ name, version, methods, provider: this.name, handle: offer })
    broker.provided(offer.record)
  }

  /** `why`: the provider died of it. */
  #withdraw(service: number, why?: PlugbayError): void {
    const offer = this.#offers.get(service)
    if (offer === undefined) return
    this.#offers.delete(service)
    const { record, name } = offer
    if (record === undefined) return
    offer.record = undefined
    record.withdraw()
    const reason = why === undefined ? `plugin '${this.name}' no longer provides it.` : why.message
    const gone = new PlugbayError('SERVICE_GONE', `Service '${name}' is gone: ${reason}`, {
      plugin: this.name,
      ...(why === undefined ? {} : { cause: why }),
    })
    this.#plane.broker.withdrawn(record, why !== undefined, gone)
  }

  async #use(request: KernelVerbs['use']['asks'], signal: AbortSignal): Promise<Boxed> {
    if (!this.#permissions.mayUse(request.name)) throw this.#denied(`service:${request.name}`, 'call')
    this.#quota.assertService(this.#uses, `use the service '${request.name}'`, 'has lines to services,', 'Keep what the first use() gave')
    this.#options.used?.(`service:${request.name}`, 'call')
    this.#uses++
    const opened = this.#plane.broker.open(this, request, AbortSignal.any([signal, this.#scope.signal]))
    const { use, record, port } = await opened.catch((error: unknown) => {
      this.#uses--
      throw error
    })
    const { name, version, provider, methods } = record
    const answer: KernelVerbs['use']['answers'] = { use, name, version, provider, methods: [...methods], port }
    return new Boxed(answer, [port])
  }

  mayCall(service: string, method: string): boolean {
    return this.#permissions.mayCall(service, method)
  }

  rebind(use: number, version: string, port: MessagePort): void {
    this.#conversation?.notify('rebind', [use, version], port, [port])
  }

  gone(use: number, hard: boolean, error: PlugbayError): void {
    this.#conversation?.notify('gone', [use, hard], toWire(error))
  }

  #watch({ watch, name }: KernelVerbs['watch']['asks']): void {
    if (!this.#permissions.mayUse(name)) throw this.#denied(`service:${name}`, 'call')
    this.#quota.assertService(this.#watches.size, `watch the service '${name}'`, 'watches services,', 'Stop the watches that are done')
    this.#options.used?.(`service:${name}`, 'call')
    const stop = this.#plane.registry.watch(name, ({ kind, record }) =>
      this.#conversation?.notify('changed', [watch, kind, record.version]),
    )
    this.#watches.set(
      watch,
      this.#scope.own(`watch of service ${name}`, () => {
        this.#watches.delete(watch)
        stop()
      }),
    )
  }

  // ── permissions ──────────────────────────────────────────────────────────────────────────────────────────────────

  #denied(resource: string, action: string): PlugbayError {
    this.#denials.add(resource, action)
    return permissionDenied(this.name, resource, action)
  }

  /** What a guest of the plugin says that it refused; what it may do was not refused. */
  deniedThere(resource: string, action: string, times: number): void {
    if (resource.length > MAX_TOLD || action.length > MAX_TOLD || !(times > 0) || this.#permissions.has(resource, action)) return
    this.#denials.add(resource, action, times)
  }

  /** What the guest says that its plugin used, as far as it could. */
  #usedThere(resource: string, action: string): void {
    if (resource.length > MAX_TOLD || action.length > MAX_TOLD || !this.#permissions.has(resource, action)) return
    this.#options.used?.(resource, action)
  }

  // ── endings and the take-over ────────────────────────────────────────────────────────────────────────────────────

  /** Steps in for `predecessor`, in one turn: its subscriptions' queues and its users' lines move here. Returns how many events moved. */
  takeOver(predecessor: Gateway): number {
    const { bus, registry, broker } = this.#plane
    this.#aside = false
    let moved = 0
    const theirs = predecessor.subscriptions.filter((subscription) => !subscription.closed)
    for (const subscription of this.#subscriptions.values()) {
      const at = theirs.findIndex(({ pattern }) => pattern === subscription.pattern)
      const old = at >= 0 ? theirs.splice(at, 1)[0] : undefined
      bus.attach(subscription)
      if (old === undefined) continue
      bus.detach(old)
      moved += old.stats.queued
      old.handOver(subscription)
    }
    // What only the predecessor listened to gets no more; what it had been promised it still handles.
    for (const old of theirs) {
      bus.detach(old)
      if (!predecessor.#closed) old.resume()
    }
    const offers = [...predecessor.#offers.values()]
    for (const offer of this.#offers.values()) {
      const old =
        offers.find(({ name, version, record }) => record !== undefined && name === offer.name && version === offer.version) ??
        offers.find(({ name, record }) => record !== undefined && name === offer.name)
      if (old?.record === undefined) {
        this.#announce(offer)
        continue
      }
      const { name, version, methods } = offer
      const before = old.record
      old.record = undefined
      offer.record = registry.replace(before, { name, version, methods, provider: this.name, handle: offer })
      broker.replaced(before, offer.record)
    }
    return moved
  }

  /** Holds the events back: they queue. */
  pause(): void {
    for (const subscription of this.#subscriptions.values()) subscription.pause()
  }

  resume(): void {
    for (const subscription of this.#subscriptions.values()) subscription.resume()
  }

  /** No new event and no new call comes in. Resolves when the events that had been accepted for it are handled. */
  async detach(): Promise<void> {
    for (const subscription of this.#subscriptions.values()) this.#plane.bus.detach(subscription)
    for (const service of [...this.#offers.keys()]) this.#withdraw(service)
    await Promise.all(Array.from(this.#subscriptions.values(), (subscription) => subscription.drain()))
  }

  /** The place is dead: calls to it fail now, its events wait for a successor. Returns how many it had taken and not handled. */
  bury(why: PlugbayError): number {
    this.#closed = true
    let lost = 0
    for (const service of [...this.#offers.keys()]) this.#withdraw(service, why)
    for (const subscription of this.#subscriptions.values()) {
      subscription.pause()
      lost += subscription.stats.inFlight
      subscription.abandon()
    }
    return lost
  }
}

/** Only the kernel speaks of itself. */
const assertPublic = (topic: string, plugin: string): void => {
  assertTopic(topic)
  if (topic === 'kernel' || topic.startsWith('kernel.')) {
    throw new PlugbayError(
      'TOPIC_INVALID',
      `Plugin '${plugin}' may not publish '${topic}': topics under 'kernel.' are the kernel's own. Choose another first segment.`,
      { plugin },
    )
  }
}
