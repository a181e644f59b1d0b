/** The seat of one generation among the services: what it provides, uses and watches, as its permissions and its quota let it. */
import type { MessagePort } from 'node:worker_threads'
import type { ServiceRecord } from '../../bus/service-registry.js'
import type { PlugbayError } from '../../errors.js'
import { Boxed } from '../../sandbox/conversation/party.js'
import type { Connection, KernelVerbs } from '../../sandbox/protocol.js'
import type { Conversation } from '../../sandbox/rpc.js'
import type { Scope } from '../../scope.js'
import { assertServiceName } from '../../service-options.js'
import { toWire } from '../../wire-error.js'
import { costOfLines, type Quota, REQUEST } from '../limits/quota.js'
import type { Plane } from '../services/plane.js'
import type { OpenedUse, ServiceConsumer, ServiceProvider } from '../services/service-broker.js'
import type { Succession } from '../services/succession.js'
import type { TakenService } from '../services/taken-service.js'
import { HeldLines } from './held-lines.js'
import { Offers } from './offers.js'
import type { Rights } from './rights.js'

const LINE = ['line'] as const

/** Milliseconds in which a guest says that it is there. Nothing depends on those that say so later. */
const ANSWER = 1_000

export interface ServiceSeatOptions {
  plugin: string
  plane: Plane
  scope: Scope
  rights: Rights
  quota: Quota
  /** Until it takes over, what a successor provides stands aside. */
  succession: Succession | undefined
  /** The plugin broke the protocol on a line. */
  offended(error: PlugbayError): void
}

export class ServiceSeat implements ServiceConsumer {
  readonly name: string
  /** With the guest: set once, before that asks for anything. */
  conversation: Conversation | undefined
  readonly #plane: Plane
  readonly #scope: Scope
  readonly #rights: Rights
  readonly #quota: Quota
  readonly #offended: (error: PlugbayError) => void
  readonly #offers: Offers
  /** What withdraws each service, and has the scope forget it. */
  readonly #releases = new Map<number, () => unknown>()
  readonly #watches = new Map<number, { name: string; stop: () => unknown }>()
  readonly #lines: HeldLines
  #aside: boolean

  constructor({ plugin, plane, scope, rights, quota, succession, offended }: ServiceSeatOptions) {
    this.name = plugin
    this.#plane = plane
    this.#scope = scope
    this.#rights = rights
    this.#quota = quota
    this.#offended = offended
    this.#offers = new Offers(plugin, plane, succession)
    this.#lines = new HeldLines(quota)
    this.#aside = succession !== undefined
    scope.own('service lines', () => plane.broker.releaseAll(this))
  }

  /** As name@version. */
  get provides(): string[] {
    return this.#offers.names
  }

  // ── what its guest asks ──────────────────────────────────────────────────────────────────────────────────────────

  provide(asked: KernelVerbs['provide']['asks']): void {
    const { service, name } = asked
    assertServiceName(name)
    if (!this.#rights.permissions.mayProvide(name)) throw this.#rights.denied(`service:${name}`, 'provide')
    this.#quota.assertService(this.#offers.size, `provide the service '${name}'`, 'provides', 'Withdraw what nobody needs')
    this.#rights.use(`service:${name}`, 'provide')
    const conversation = this.conversation as Conversation
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

  withdraw(service: number): void {
    this.#releases.get(service)?.()
  }

  async use(request: KernelVerbs['use']['asks'], signal: AbortSignal): Promise<Boxed> {
    assertServiceName(request.name)
    if (!this.#rights.permissions.mayUse(request.name)) throw this.#rights.denied(`service:${request.name}`, 'call')
    this.#lines.take(request)
    this.#rights.use(`service:${request.name}`, 'call')
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

  watch({ watch, name }: KernelVerbs['watch']['asks']): void {
    assertServiceName(name)
    if (!this.#rights.permissions.mayUse(name)) throw this.#rights.denied(`service:${name}`, 'call')
    this.#quota.assertService(this.#watches.size, `watch the service '${name}'`, 'watches services,', 'Stop the watches that are done')
    const alike = [...this.#watches.values()].filter((other) => other.name === name).length
    this.#quota.assertOfOne(alike, `watch the service '${name}'`, 'watches it', 'Watch it once, and tell the others')
    this.#rights.use(`service:${name}`, 'call')
    const stop = this.#plane.registry.watch(name, ({ kind, record }) => this.conversation?.notify('changed', [watch, kind, record.version]))
    this.#watches.set(watch, {
      name,
      stop: this.#scope.own(`watch of service ${name}`, () => {
        this.#watches.delete(watch)
        stop()
      }),
    })
  }

  unwatch(watch: number): void {
    this.#watches.get(watch)?.stop()
  }

  /** A consumer broke the protocol on its line, as the guest says. */
  tellOffended(service: number, consumer: string, how: string): void {
    this.#offers.offended(service, consumer, how)
  }

  /** A line that it uses is broken, as the guest says. */
  tellBroken(use: number, line: number, how: string | undefined): void {
    this.#plane.broker.broken(this, use, line, how)
  }

  // ── what the broker asks ─────────────────────────────────────────────────────────────────────────────────────────

  mayCall(service: string, method: string): boolean {
    return this.#rights.permissions.mayCall(service, method)
  }

  rebind(use: number, { version, provider, methods }: ServiceRecord, port: MessagePort): void {
    this.conversation?.notify('rebind', [use, version, provider], { port, methods: [...methods] } satisfies Connection, [port])
  }

  gone(use: number, hard: boolean, error: PlugbayError): void {
    this.conversation?.notify('gone', [use, hard], toWire(error))
  }

  offended(error: PlugbayError): void {
    this.#offended(error)
  }

  async answers(): Promise<boolean> {
    try {
      await this.conversation?.request('sync', undefined, { timeout: ANSWER })
      return true
    } catch {
      return false
    }
  }

  // ── endings and the take-over ────────────────────────────────────────────────────────────────────────────────────

  /** Which service that it was refused, as another has it, a failure of its guest's is over. */
  refusalIn(failure: unknown): Partial<TakenService> | undefined {
    return this.#offers.refusalIn(failure)
  }

  /**
   * Throws SERVICE_DUPLICATE where {@link takeOver} would fail, as one that is not `leaving` has a service by now that this is to provide.
   */
  assertMayTakeOver(leaving: readonly ServiceSeat[]): void {
    this.#offers.assertStillFree(leaving.map((seat) => seat.#offers))
  }

  /** Its users' lines move here. `leaving`: all that are succeeded in that turn. */
  takeOver(predecessor: ServiceSeat, leaving: readonly ServiceSeat[]): void {
    this.#aside = false
    this.#offers.takeOver(
      predecessor.#offers,
      leaving.map((seat) => seat.#offers),
    )
  }

  /** `why`: the provider died of it. */
  withdrawAll(why?: PlugbayError): void {
    this.#offers.withdrawAll(why)
  }
}
