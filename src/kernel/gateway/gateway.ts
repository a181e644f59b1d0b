/** What one generation of a plugin may do: the one place where the bus and the sandbox meet. All it acquires is in its scope. */
import type { MessagePort } from 'node:worker_threads'
import type { ServiceRecord } from '../../bus/service-registry.js'
import type { Subscription } from '../../bus/subscription.js'
import { Denials } from '../../denials.js'
import { PlugbayError } from '../../errors.js'
import { type PermissionSet, permissionDenied } from '../../permission-set.js'
import { isLarge } from '../../sandbox/conversation/at-once.js'
import type { Call } from '../../sandbox/conversation/call.js'
import type { Body, Meta } from '../../sandbox/conversation/frames.js'
import type { HeldVerb } from '../../sandbox/conversation/held-answer.js'
import { Boxed, type Party } from '../../sandbox/conversation/party.js'
import { LINE_LIMIT, omitted } from '../../sandbox/log/log-line.js'
import { entryThatOpens } from '../../sandbox/permissions/builtin-modules.js'
import type { Connection, KernelVerbs, LogLevel, TaskInput } from '../../sandbox/protocol.js'
import type { Conversation } from '../../sandbox/rpc.js'
import { WINDOW_BYTES } from '../../sandbox/values/call-window.js'
import type { Packed } from '../../sandbox/values/codec.js'
import { tooLarge } from '../../sandbox/values/unsendable.js'
import type { Scope } from '../../scope.js'
import { assertServiceName } from '../../service-options.js'
import { assertPattern, assertPluginTopic } from '../../topic.js'
import { reasonOf, toWire } from '../../wire-error.js'
import { costOfLines, type Excess, Quota, REQUEST } from '../limits/quota.js'
import { Room } from '../limits/room.js'
import { TurnShare } from '../limits/turn-share.js'
import type { EffectiveLimits } from '../options/options.js'
import { grantsOf } from '../permissions/permissions.js'
import { PackedEvent } from '../services/packed-event.js'
import type { Plane } from '../services/plane.js'
import type { OpenedUse, ServiceConsumer, ServiceProvider } from '../services/service-broker.js'
import type { Succession } from '../services/succession.js'
import type { TakenService } from '../services/taken-service.js'
import type { SubscriptionTraffic } from './event-route.js'
import { EventRoutes } from './event-routes.js'
import { FileAccess } from './file-access.js'
import { HeldLines } from './held-lines.js'
import { MAX_BODY, NetAccess } from './net-access.js'
import { Offers } from './offers.js'
import { SelfDeadlock } from './self-deadlock.js'

/** How a gateway reaches the rest of its generation. */
export interface GatewayOptions {
  plugin: string
  plane: Plane
  scope: Scope
  /** What the plugin may do. */
  permissions: PermissionSet
  /** Events that may be under way to one subscription of the plugin. */
  inFlight: number
  /** `queue`: where a subscription does not say otherwise. */
  limits: Pick<EffectiveLimits, 'cpu' | 'queue' | 'window' | 'message' | 'requests' | 'subscriptions' | 'overlap' | 'services'>
  /** Until it takes over, a successor's subscriptions and services stand aside. */
  succession: Succession | undefined
  log(level: LogLevel, message: string, fields: unknown): void
  runTask(name: string, given: TaskInput, signal: AbortSignal): Promise<unknown>
  /** The plugin did what it may not. Told at a bearable rate. */
  denied(error: PlugbayError): void
  /** It went past a limit of what it may ask and have here. Contained when this returns. */
  breached(excess: Excess): void
  /** While permissions are learnt: takes what the plugin did by one. */
  used?: ((resource: string, action: string) => void) | undefined
  /** The place ended or broke the protocol. */
  ended(reason: PlugbayError): void
}

const LOG_LEVELS: ReadonlySet<unknown> = new Set<LogLevel>(['debug', 'info', 'warn', 'error'])

const LINE = ['line'] as const

/** Bytes of events that it may have published and not been told the end of. Its own end lets a fourth of it go, and weighs on its own scale. */
const UNTOLD_BYTES = 4 * WINDOW_BYTES

/** Bytes of the bodies of answers: several of the longest, as one may come slowly. */
const FETCHED = 4 * MAX_BODY

/** Milliseconds in which a guest says that it is there. Nothing depends on those that say so later. */
const ANSWER = 1_000

/** Longer names of resources and actions are no guest's of ours. */
const MAX_TOLD = 4_096

export class Gateway implements Party, ServiceConsumer {
  readonly name: string
  readonly #options: GatewayOptions
  readonly #plane: Plane
  readonly #scope: Scope
  readonly #permissions: PermissionSet
  readonly #denials: Denials
  readonly #files: FileAccess
  readonly #net: NetAccess
  /** For what is read on the plugin's behalf. */
  readonly #rooms: Record<HeldVerb, Room>
  readonly #quota: Quota
  readonly #routes: EventRoutes
  readonly #selfDeadlock: SelfDeadlock
  readonly #offers: Offers
  /** What withdraws each service, and has the scope forget it. */
  readonly #releases = new Map<number, () => unknown>()
  readonly #watches = new Map<number, { name: string; stop: () => unknown }>()
  readonly #lines: HeldLines
  readonly #turns = new TurnShare()
  #conversation: Conversation | undefined
  #aside: boolean
  /** The topic it published on last, and may. */
  #topic: string | undefined
  /** Events that it published and has not been told the end of. */
  #untold = 0
  #untoldBytes = 0
  #accepted = 0
  #acceptedBytes = 0
  #telling = false
  #closed = false

  constructor(options: GatewayOptions) {
    this.name = options.plugin
    this.#options = options
    this.#plane = options.plane
    this.#scope = options.scope
    this.#permissions = options.permissions
    this.#denials = new Denials((resource, action, unsaid) =>
      options.denied(permissionDenied(options.plugin, resource, action, entryThatOpens(resource, action), unsaid)),
    )
    const denied = (resource: string, action: string): void => this.#denials.add(resource, action)
    const { root, dataDir } = options.permissions.granted
    const { fs, net } = grantsOf(options.permissions)
    const { used, limits, breached } = options
    this.#files = new FileAccess({ plugin: this.name, root, dataDir, grants: fs, denied, used })
    this.#net = new NetAccess({ plugin: this.name, hosts: net, cpu: limits.cpu, denied, used })
    this.#rooms = { file: new Room('file', WINDOW_BYTES), fetch: new Room('fetch', FETCHED) }
    this.#quota = new Quota({ plugin: this.name, limits, warn: (message) => options.log('warn', message, undefined), breached })
    this.#lines = new HeldLines(this.#quota)
    this.#offers = new Offers(this.name, this.#plane, options.succession)
    this.#aside = options.succession !== undefined
    this.#routes = new EventRoutes({
      plugin: this.name,
      plane: this.#plane,
      scope: this.#scope,
      inFlight: options.inFlight,
      capacity: limits.queue,
      overlap: limits.overlap,
      crowded: (ways, topic) => this.#crowded(ways, topic),
      aside: this.#aside,
      log: options.log,
    })
    this.#selfDeadlock = new SelfDeadlock({
      plugin: this.name,
      subscriptions: () => this.#routes.subscriptions,
      waits: () => this.#untold > 0,
      warn: (message, fields) => options.log('warn', message, fields),
    })
    this.#scope.own('look for a deadlock', () => this.#selfDeadlock.close())
    for (const [verb, room] of Object.entries(this.#rooms)) this.#scope.own(`room of ${verb}`, () => room.close())
    this.#scope.own('requests', () => this.#net.close())
    this.#scope.own('service lines', () => this.#plane.broker.releaseAll(this))
  }

  /** The conversation with the guest: set once, right after it was made with this party. */
  set conversation(conversation: Conversation) {
    this.#conversation = conversation
  }

  /** One for each route: several of the plugin's subscriptions may follow it. */
  get subscriptions(): readonly Subscription[] {
    return this.#routes.subscriptions
  }

  /** What goes through each of the plugin's subscriptions. */
  get traffic(): SubscriptionTraffic[] {
    return this.#routes.traffic
  }

  get provides(): string[] {
    return this.#offers.names
  }

  // ── what the guest says ──────────────────────────────────────────────────────────────────────────────────────────

  notice(verb: string, metas: readonly Meta[], body: Body): void {
    if (this.#closed) return
    switch (verb) {
      case 'publish':
        this.#publish(metas[0] as string, body.pack())
        break
      case 'handled':
        this.#handled(metas[0] as number, metas[1] as number)
        break
      case 'failure': {
        const [number, type, id, follower] = metas as [number, string, string, number]
        this.#failed(number, type, id, follower, body)
        break
      }
      case 'taken':
        // There are as many of these as large answers: one that answers to none is counted.
        if (!this.#taken(metas[0], metas[1] as number)) this.#quota.spend()
        break
      case 'log':
        // Its guest's end has measured them, on a finer scale: what is far beyond that is not built at all.
        this.#log(metas[0], metas[1], body.size > 2 * LINE_LIMIT ? omitted() : body.open())
        break
      default:
        if (this.#quota.spend()) this.#told(verb, metas)
    }
  }

  /** The logger is the embedder's: nothing but a line comes to it. */
  #log(level: unknown, message: unknown, fields: unknown): void {
    if (!LOG_LEVELS.has(level) || typeof message !== 'string')
      throw new PlugbayError('PROTOCOL', 'a line for the log has no message, or no level that there is', { plugin: this.name })
    this.#options.log(level as LogLevel, message, fields)
  }

  /** What it tells as often as it likes: it costs the kernel's thread, and nothing else bounds it. */
  #told(verb: string, metas: readonly Meta[]): void {
    switch (verb) {
      case 'subscribe':
        this.#subscribe(metas[0] as number, metas[1] as string, metas[2] as number | null)
        break
      case 'unsubscribe':
        this.#routes.leave(metas[0] as number)
        break
      case 'denied':
        this.deniedThere(String(metas[0]), String(metas[1]), Number(metas[2]))
        break
      case 'offended':
        this.#offers.offended(metas[0] as number, String(metas[1]), String(metas[2]))
        break
      case 'broken':
        this.#plane.broker.broken(this, metas[0] as number, metas[1] as number, metas[2] === null ? undefined : String(metas[2]))
        break
      case 'used':
        this.usedThere(String(metas[0]), String(metas[1]))
        break
      default:
    }
  }

  request(call: Call, body: unknown): unknown {
    switch (call.verb as keyof KernelVerbs) {
      case 'task':
        return this.#quota.underWay(
          'task',
          () => {
            const { name, ...given } = body as KernelVerbs['task']['asks']
            return this.#options.runTask(name, given, call.signal)
          },
          call.signal,
        )
      case 'file': {
        // A guest that goes round its own end may have sent anything.
        const asked = body as KernelVerbs['file']['asks'] | undefined
        const run = () => this.#rooms.file.hold(call, (claim) => this.#files.run(asked as KernelVerbs['file']['asks'], claim))
        return this.#quota.underWay('file', run, call.signal, isLarge(asked?.data))
      }
      case 'fetch': {
        const asked = body as KernelVerbs['fetch']['asks'] | undefined
        const fetch = () =>
          this.#rooms.fetch.hold(call, (claim) => this.#net.fetch(asked as KernelVerbs['fetch']['asks'], claim, call.signal))
        return this.#quota.underWay('fetch', fetch, call.signal, isLarge(asked?.body))
      }
      default:
        return this.#quota.spend(REQUEST) ? this.#turns.take(() => this.#asked(call, body)) : undefined
    }
  }

  #asked(call: Call, body: unknown): unknown {
    // It may have waited for its turn.
    if (this.#closed) return undefined
    switch (call.verb as keyof KernelVerbs) {
      case 'provide':
        this.#provide(body as KernelVerbs['provide']['asks'])
        return
      case 'withdraw':
        this.#releases.get((body as KernelVerbs['withdraw']['asks']).service)?.()
        return
      case 'use':
        return this.#use(body as KernelVerbs['use']['asks'], call.signal)
      case 'watch':
        this.#watch(body as KernelVerbs['watch']['asks'])
        return
      case 'unwatch':
        this.#watches.get((body as KernelVerbs['unwatch']['asks']).watch)?.stop()
        return
      case 'drain':
        return this.#routes.behind((body as KernelVerbs['drain']['asks']).subscription)?.drain()
      case 'sync':
        return
      default:
        throw new PlugbayError('VERB_UNKNOWN', `The kernel does not know the verb '${call.verb}' that plugin '${this.name}' asked for.`)
    }
  }

  #taken(verb: unknown, number: number): boolean {
    return (verb === 'file' || verb === 'fetch') && this.#rooms[verb].taken(number)
  }

  ended(reason: PlugbayError): void {
    this.#options.ended(reason)
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #publish(topic: string, packed: Packed): void {
    const { bus, stamp } = this.#plane
    const { window, message } = this.#options.limits
    const { size } = packed
    // Its own end waits before that, and refuses by itself what is refused here: what comes so far went round it.
    if (++this.#untold > window)
      throw new PlugbayError('PROTOCOL', `it published more than the ${window} events of its window`, { plugin: this.name })
    if ((this.#untoldBytes += size) > UNTOLD_BYTES + message)
      throw new PlugbayError('PROTOCOL', `it published more than the ${UNTOLD_BYTES} bytes of its window`, { plugin: this.name })
    // What is published goes on for a while: the same topic is not looked at twice.
    if (topic !== this.#topic) {
      assertPluginTopic(topic, this.name)
      if (!this.#permissions.mayPublish(topic)) {
        this.#denials.add(`bus:${topic}`, 'publish')
        if (this.#quota.spend()) this.#accept(size)
        return
      }
      this.#options.used?.(`bus:${topic}`, 'publish')
      this.#topic = topic
    }
    if (size > message) {
      if (this.#quota.spend(REQUEST)) this.#refused(topic, size, tooLarge(`The data of '${topic}'`, size, message, { plugin: this.name }))
      return
    }
    let room: Promise<void> | undefined
    try {
      room = bus.dispatch(new PackedEvent(stamp.ids, stamp.serial(), topic, this.name, stamp.time(), packed))
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
    this.#conversation?.notify('accepted', [this.#accepted])
    this.#untold -= this.#accepted
    this.#untoldBytes -= this.#acceptedBytes
    this.#accepted = 0
    this.#acceptedBytes = 0
  }

  #subscribe(number: number, pattern: string, capacity: number | null): void {
    assertPattern(pattern)
    if (!this.#permissions.maySubscribe(pattern)) {
      this.#denials.add(`bus:${pattern}`, 'subscribe')
      return
    }
    this.#routes.assertFree(number)
    if (!this.#quota.holdsSubscription(this.#routes.size)) return
    this.#options.used?.(`bus:${pattern}`, 'subscribe')
    this.#routes.follow(this.#conversation as Conversation, number, pattern, capacity)
  }

  /** Its queues go with it, as they are what was too many. */
  #crowded(observed: number, topic: string): void {
    this.#options.breached({ limit: 'overlap', allowed: this.#options.limits.overlap, observed, topic })
    if (this.#closed) this.#routes.refuse()
  }

  /** There are as many of these as events, and no more: one that settles nothing is counted. */
  #handled(number: number, count: number): void {
    if (!this.#routes.handled(number, count)) this.#quota.spend()
  }

  /** One that answers to nothing is counted. */
  #failed(number: number, type: string, id: string, follower: number, error: Body): void {
    if (!this.#routes.failed(number, type, id, follower, error)) this.#quota.spend()
  }

  // ── services ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #provide(asked: KernelVerbs['provide']['asks']): void {
    const { service, name } = asked
    assertServiceName(name)
    if (!this.#permissions.mayProvide(name)) throw this.#denied(`service:${name}`, 'provide')
    this.#quota.assertService(this.#offers.size, `provide the service '${name}'`, 'provides', 'Withdraw what nobody needs')
    this.#options.used?.(`service:${name}`, 'provide')
    const conversation = this.#conversation as Conversation
    const provider: ServiceProvider = {
      seat: this,
      connect: (consumer, port, methods) =>
        conversation.notify('connect', [service, consumer], { port, methods } satisfies Connection, [port]),
    }
    const bound = this.#offers.add(asked, provider, this.#aside)
    const release = this.#scope.own(`service ${name}`, () => {
      this.#releases.delete(service)
      this.#offers.withdraw(service)
    })
    this.#releases.set(service, release)
    this.#quota.spend(costOfLines(bound, asked.methods.length))
  }

  async #use(request: KernelVerbs['use']['asks'], signal: AbortSignal): Promise<Boxed> {
    assertServiceName(request.name)
    if (!this.#permissions.mayUse(request.name)) throw this.#denied(`service:${request.name}`, 'call')
    this.#lines.take(request)
    this.#options.used?.(`service:${request.name}`, 'call')
    const opened = await this.#open(request, signal).catch((error: unknown) => {
      this.#lines.giveBack(request)
      // To say what is there instead is more work than to find it.
      this.#quota.spend(REQUEST)
      throw error
    })
    const { use, port, methods } = opened
    this.#quota.spend(costOfLines(1, methods.length) - REQUEST)
    if (port === undefined) this.#lines.giveBack(request)
    else if (signal.aborted) {
      // Cancelled while it was opened: it would never be told of.
      this.#lines.giveBack(request)
      this.#plane.broker.release(use)
      port.close()
    }
    signal.throwIfAborted()
    const answer: KernelVerbs['use']['answers'] = { ...opened, methods: [...methods] }
    return new Boxed(answer, port === undefined ? [] : [port], LINE)
  }

  async #open(request: KernelVerbs['use']['asks'], signal: AbortSignal): Promise<OpenedUse> {
    const { broker } = this.#plane
    const aside = this.#aside ? this.#offers.standingAside(request.name, request.range) : undefined
    if (aside !== undefined) return broker.openAside(this, request.range, aside)
    return broker.open(this, request, AbortSignal.any([signal, this.#scope.signal]))
  }

  mayCall(service: string, method: string): boolean {
    return this.#permissions.mayCall(service, method)
  }

  rebind(use: number, { version, provider, methods }: ServiceRecord, port: MessagePort): void {
    this.#conversation?.notify('rebind', [use, version, provider], { port, methods: [...methods] } satisfies Connection, [port])
  }

  gone(use: number, hard: boolean, error: PlugbayError): void {
    this.#conversation?.notify('gone', [use, hard], toWire(error))
  }

  offended(error: PlugbayError): void {
    this.#options.denied(error)
  }

  async answers(): Promise<boolean> {
    try {
      await this.#conversation?.request('sync', undefined, { timeout: ANSWER })
      return true
    } catch {
      return false
    }
  }

  #watch({ watch, name }: KernelVerbs['watch']['asks']): void {
    assertServiceName(name)
    if (!this.#permissions.mayUse(name)) throw this.#denied(`service:${name}`, 'call')
    this.#quota.assertService(this.#watches.size, `watch the service '${name}'`, 'watches services,', 'Stop the watches that are done')
    const alike = [...this.#watches.values()].filter((other) => other.name === name).length
    this.#quota.assertOfOne(alike, `watch the service '${name}'`, 'watches it', 'Watch it once, and tell the others')
    this.#options.used?.(`service:${name}`, 'call')
    const stop = this.#plane.registry.watch(name, ({ kind, record }) =>
      this.#conversation?.notify('changed', [watch, kind, record.version]),
    )
    this.#watches.set(watch, {
      name,
      stop: this.#scope.own(`watch of service ${name}`, () => {
        this.#watches.delete(watch)
        stop()
      }),
    })
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
  usedThere(resource: string, action: string): void {
    if (resource.length > MAX_TOLD || action.length > MAX_TOLD || !this.#permissions.has(resource, action)) return
    this.#options.used?.(resource, action)
  }

  // ── endings and the take-over ────────────────────────────────────────────────────────────────────────────────────

  /** Which service that it was refused, as another has it, a failure of its guest's is over. */
  refusalIn(failure: unknown): Partial<TakenService> | undefined {
    return this.#offers.refusalIn(failure)
  }

  /** Throws SERVICE_DUPLICATE where {@link takeOver} would fail, as one that is not `leaving` has a service by now that this is to provide. */
  assertMayTakeOver(leaving: readonly Gateway[]): void {
    this.#offers.assertStillFree(leaving.map((gateway) => gateway.#offers))
  }

  /**
   * Steps in for `predecessor`, in one turn: its subscriptions' queues and its users' lines move here. Returns how many events moved. `leaving`: all that are
   * succeeded in that turn.
   */
  takeOver(predecessor: Gateway, leaving: readonly Gateway[]): number {
    this.#aside = false
    const moved = this.#routes.takeOver(predecessor.#routes, !predecessor.#closed)
    const offers = leaving.map((gateway) => gateway.#offers)
    this.#offers.takeOver(predecessor.#offers, offers)
    return moved
  }

  /** Holds the events back: they queue. */
  pause(): void {
    this.#routes.pause()
  }

  resume(): void {
    this.#routes.resume()
  }

  /** No new event and no new call comes in. Resolves when the events that had been accepted for it are handled. */
  async detach(): Promise<void> {
    await this.#routes.detach()
    this.#offers.withdrawAll()
    await this.#routes.drain()
  }

  /** The place is dead: calls to it fail now, its events wait for a successor. Returns how many it had taken and not handled. */
  bury(why: PlugbayError): number {
    this.#closed = true
    this.#offers.withdrawAll(why)
    return this.#routes.bury()
  }
}
