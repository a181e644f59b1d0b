/**
 * What one generation of a plugin may do: the one way from its sandbox to the bus, the services and all else of the kernel. All it acquires
 * is in its scope.
 */
import type { Subscription } from '../../bus/subscription.js'
import { PlugbayError } from '../../errors.js'
import type { PermissionSet } from '../../permission-set.js'
import { isLarge } from '../../sandbox/conversation/at-once.js'
import type { Call } from '../../sandbox/conversation/call.js'
import type { Body, Meta } from '../../sandbox/conversation/frames.js'
import { HELD_VERBS, type HeldVerb } from '../../sandbox/conversation/held-answer.js'
import type { Party } from '../../sandbox/conversation/party.js'
import { WORTH_SEALING } from '../../sandbox/conversation/sealed.js'
import { LINE_LIMIT, omitted } from '../../sandbox/log/log-line.js'
import type { KernelVerbs, LogLevel, TaskInput } from '../../sandbox/protocol.js'
import type { Conversation } from '../../sandbox/rpc.js'
import { CALL_LIMIT, WINDOW_BYTES } from '../../sandbox/values/call-window.js'
import { cloneSize } from '../../sandbox/values/clone-size.js'
import type { Scope } from '../../scope.js'
import { assertPattern } from '../../topic.js'
import { type Excess, Quota, REQUEST } from '../limits/quota.js'
import { type Claim, Room } from '../limits/room.js'
import { TurnShare } from '../limits/turn-share.js'
import type { EffectiveLimits } from '../options/options.js'
import { grantsOf } from '../permissions/permissions.js'
import type { Plane } from '../services/plane.js'
import type { Succession } from '../services/succession.js'
import type { TakenService } from '../services/taken-service.js'
import type { SubscriptionTraffic } from './event-route.js'
import { EventRoutes } from './event-routes.js'
import { FileAccess } from './file-access.js'
import { MAX_BODY, NetAccess } from './net-access.js'
import { Publisher } from './publisher.js'
import { Rights } from './rights.js'
import { ServiceSeat } from './service-seat.js'

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
  /** `claim`: of what it answers. */
  runTask(name: string, given: TaskInput, signal: AbortSignal, claim: Claim): Promise<unknown>
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

/** Bytes of the bodies of answers: several of the longest, as one may come slowly. */
const FETCHED = 4 * MAX_BODY
/** Bytes of what tasks answer to a plugin in a process. */
const ANSWERED = 2 * CALL_LIMIT

const isSealedInput = (asked: unknown): boolean => typeof asked === 'object' && asked !== null && 'sealed' in asked

export class Gateway implements Party {
  /** What it may do, and so may the threads of its tasks. */
  readonly rights: Rights
  readonly #plugin: string
  readonly #options: GatewayOptions
  readonly #files: FileAccess
  readonly #net: NetAccess
  /** For what is read on the plugin's behalf. */
  readonly #rooms: Record<HeldVerb, Room>
  readonly #quota: Quota
  readonly #routes: EventRoutes
  readonly #publisher: Publisher
  readonly #services: ServiceSeat
  readonly #turns = new TurnShare()
  #conversation: Conversation | undefined
  #closed = false

  constructor(options: GatewayOptions) {
    const { plugin, plane, scope, permissions, limits, succession, log, breached } = options
    this.#plugin = plugin
    this.#options = options
    const rights = new Rights(options)
    this.rights = rights
    const quota = new Quota({ plugin, limits, warn: (message) => log('warn', message, undefined), breached })
    this.#quota = quota
    const { root, dataDir } = permissions.granted
    const { fs, net } = grantsOf(permissions)
    const told = { denied: (resource: string, action: string): void => rights.deny(resource, action), used: options.used }
    this.#files = new FileAccess({ plugin, root, dataDir, grants: fs, ...told })
    this.#net = new NetAccess({ plugin, hosts: net, cpu: limits.cpu, ...told })
    this.#rooms = { file: new Room('file', WINDOW_BYTES), fetch: new Room('fetch', FETCHED), task: new Room('task', ANSWERED) }
    this.#routes = new EventRoutes({
      plugin,
      plane,
      scope,
      inFlight: options.inFlight,
      capacity: limits.queue,
      overlap: limits.overlap,
      crowded: (ways, topic) => this.#crowded(ways, topic),
      aside: succession !== undefined,
      log,
    })
    this.#publisher = new Publisher({
      plugin,
      plane,
      rights,
      quota,
      limits,
      subscriptions: () => this.#routes.subscriptions,
      log,
      accepted: (count) => this.#conversation?.notify('accepted', [count]),
    })
    scope.own('look for a deadlock', () => this.#publisher.close())
    for (const [verb, room] of Object.entries(this.#rooms)) scope.own(`room of ${verb}`, () => room.close())
    scope.own('requests', () => this.#net.close())
    this.#services = new ServiceSeat({ plugin, plane, scope, rights, quota, succession, offended: options.denied })
  }

  /** The conversation with the guest: set once, right after it was made with this party. */
  set conversation(conversation: Conversation) {
    this.#conversation = conversation
    this.#services.conversation = conversation
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
    return this.#services.provides
  }

  // ── what the guest says ──────────────────────────────────────────────────────────────────────────────────────────

  notice(verb: string, metas: readonly Meta[], body: Body): void {
    if (this.#closed) return
    switch (verb) {
      case 'publish':
        this.#publisher.publish(metas[0] as string, body.pack())
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
      throw new PlugbayError('PROTOCOL', 'a line for the log has no message, or no level that there is', { plugin: this.#plugin })
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
        this.rights.deniedThere(String(metas[0]), String(metas[1]), Number(metas[2]))
        break
      case 'offended':
        this.#services.tellOffended(metas[0] as number, String(metas[1]), String(metas[2]))
        break
      case 'broken':
        this.#services.tellBroken(metas[0] as number, metas[1] as number, metas[2] === null ? undefined : String(metas[2]))
        break
      case 'used':
        this.rights.usedThere(String(metas[0]), String(metas[1]))
        break
      default:
    }
  }

  request(call: Call, body: unknown): unknown {
    switch (call.verb as keyof KernelVerbs) {
      case 'task':
        return this.#quota.underWay(
          'task',
          () =>
            this.#rooms.task.hold(call, (claim) => {
              const { name, ...given } = body as KernelVerbs['task']['asks']
              return this.#options.runTask(name, given, call.signal, claim)
            }),
          call.signal,
          // A guest that goes round its own end may not have sealed what it should.
          isSealedInput(body) || cloneSize(body, WORTH_SEALING) >= WORTH_SEALING,
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
        this.#services.provide(body as KernelVerbs['provide']['asks'])
        return
      case 'withdraw':
        this.#services.withdraw((body as KernelVerbs['withdraw']['asks']).service)
        return
      case 'use':
        return this.#services.use(body as KernelVerbs['use']['asks'], call.signal)
      case 'watch':
        this.#services.watch(body as KernelVerbs['watch']['asks'])
        return
      case 'unwatch':
        this.#services.unwatch((body as KernelVerbs['unwatch']['asks']).watch)
        return
      case 'drain':
        return this.#routes.behind((body as KernelVerbs['drain']['asks']).subscription)?.drain()
      case 'sync':
        return
      default:
        throw new PlugbayError('VERB_UNKNOWN', `The kernel does not know the verb '${call.verb}' that plugin '${this.#plugin}' asked for.`)
    }
  }

  #taken(verb: unknown, number: number): boolean {
    const held = HELD_VERBS.find((each) => each === verb)
    return held !== undefined && this.#rooms[held].taken(number)
  }

  ended(reason: PlugbayError): void {
    this.#options.ended(reason)
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #subscribe(number: number, pattern: string, capacity: number | null): void {
    assertPattern(pattern)
    if (!this.rights.permissions.maySubscribe(pattern)) return this.rights.deny(`bus:${pattern}`, 'subscribe')
    this.#routes.assertFree(number)
    if (!this.#quota.holdsSubscription(this.#routes.size)) return
    this.rights.use(`bus:${pattern}`, 'subscribe')
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

  // ── endings and the take-over ────────────────────────────────────────────────────────────────────────────────────

  /** Which service that it was refused, as another has it, a failure of its guest's is over. */
  refusalIn(failure: unknown): Partial<TakenService> | undefined {
    return this.#services.refusalIn(failure)
  }

  /**
   * Throws SERVICE_DUPLICATE where {@link takeOver} would fail, as one that is not `leaving` has a service by now that this is to provide.
   */
  assertMayTakeOver(leaving: readonly Gateway[]): void {
    this.#services.assertMayTakeOver(leaving.map((gateway) => gateway.#services))
  }

  /**
   * Steps in for `predecessor`, in one turn: its subscriptions' queues and its users' lines move here. Returns how many events moved.
   * `leaving`: all that are succeeded in that turn.
   */
  takeOver(predecessor: Gateway, leaving: readonly Gateway[]): number {
    const moved = this.#routes.takeOver(predecessor.#routes, !predecessor.#closed)
    this.#services.takeOver(
      predecessor.#services,
      leaving.map((gateway) => gateway.#services),
    )
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
    this.#services.withdrawAll()
    await this.#routes.drain()
  }

  /** The place is dead: calls to it fail now, its events wait for a successor. Returns how many it had taken and not handled. */
  bury(why: PlugbayError): number {
    this.#closed = true
    this.#services.withdrawAll(why)
    return this.#routes.bury()
  }
}
