/** The services that one generation provides, by the number its guest has for each. */
import type { ServiceDeclaration, ServiceRecord } from '../../bus/service-registry.js'
import { PlugbayError } from '../../errors.js'
import type { KernelVerbs } from '../../sandbox/protocol.js'
import { descending, fits } from '../../versions.js'
import { codeOf } from '../../wire-error.js'
import type { Plane } from '../services/plane.js'
import type { ServiceProvider, StandingAside } from '../services/service-broker.js'
import type { Brought, Succession } from '../services/succession.js'
import type { TakenService } from '../services/taken-service.js'

interface Offer extends StandingAside {
  /** Undefined while it stands aside, and once it was withdrawn or taken over. */
  record: ServiceRecord | undefined
}

export class Offers implements Brought {
  readonly plugin: string
  readonly #plane: Plane
  readonly #succession: Succession | undefined
  readonly #offers = new Map<number, Offer>()
  /** What it was refused, as another had it, by name@version: there are no more of these than services. */
  readonly #refused = new Map<string, Partial<TakenService>>()

  /** `succession`: what its generation takes over with, unless it has no predecessor. */
  constructor(plugin: string, plane: Plane, succession: Succession | undefined) {
    this.plugin = plugin
    this.#plane = plane
    this.#succession = succession
    succession?.add(this)
  }

  get size(): number {
    return this.#offers.size
  }

  /** As name@version. */
  get names(): string[] {
    return Array.from(this.#offers.values(), ({ name, version }) => `${name}@${version}`)
  }

  /**
   * Returns how many lines that waited were bound to it. `aside`: it is announced by {@link takeOver}. Throws SERVICE_NAME_INVALID,
   * SERVICE_VERSION_INVALID or SERVICE_DUPLICATE.
   */
  add({ service, name, version, methods }: KernelVerbs['provide']['asks'], provider: ServiceProvider, aside: boolean): number {
    const offer: Offer = { name, version, methods, record: undefined, ...provider }
    let bound = 0
    try {
      if (aside) this.#assertFree(offer)
      else bound = this.#announce(offer)
    } catch (error) {
      if (codeOf(error) === 'SERVICE_DUPLICATE') this.#refused.set(`${name}@${version}`, (error as PlugbayError).details ?? {})
      throw error
    }
    this.#offers.set(service, offer)
    return bound
  }

  /** Which of what it was refused its guest's failure is over, as that says; undefined for what was never refused. */
  refusalIn(failure: unknown): Partial<TakenService> | undefined {
    for (let each = failure; each instanceof Error; each = each.cause) {
      if (codeOf(each) !== 'SERVICE_DUPLICATE') continue
      const { name, version } = (each as PlugbayError).details ?? {}
      return typeof name === 'string' && typeof version === 'string' ? this.#refused.get(`${name}@${version}`) : undefined
    }
    return undefined
  }

  /**
   * What its own plugin would find under a name had all that stands aside been announced: undefined where that is another's. A start would
   * else wait for what is announced when it is done, or reach a predecessor's.
   */
  standingAside(name: string, range: string): StandingAside | undefined {
    let best: StandingAside | undefined
    for (const { asides } of this.#succession?.brought ?? []) {
      for (const offer of asides) {
        if (offer.name !== name || !fits(offer.version, range)) continue
        if (best === undefined || descending(offer.version, best.version) < 0) best = offer
      }
    }
    if (best === undefined) return undefined
    const announced = this.#plane.registry.find(name, range)
    const stays = announced !== undefined && !this.#succession?.includes(announced.provider)
    return stays && descending(announced.version, best.version) < 0 ? undefined : best
  }

  get asides(): readonly Offer[] {
    return [...this.#offers.values()].filter(({ record }) => record === undefined)
  }

  #declarationOf(offer: Offer): ServiceDeclaration {
    const { name, version, methods } = offer
    return { name, version, methods, provider: this.plugin, handle: offer }
  }

  /**
   * Throws SERVICE_DUPLICATE where one that is not `leaving` has taken meanwhile what was free when it was asked for. For right before
   * {@link takeOver}, which must not fail half way.
   */
  assertStillFree(leaving: readonly Offers[]): void {
    const yields = (provider: string): boolean => leaving.some(({ plugin }) => plugin === provider)
    for (const offer of this.asides) this.#plane.registry.check(this.#declarationOf(offer), yields)
  }

  /** What providing it now would say, for one that stands aside: it may be long until it takes over. */
  #assertFree(offer: Offer): void {
    const { name, version } = offer
    this.#plane.registry.check(this.#declarationOf(offer), (provider) => this.#succession?.mayTakeFrom(provider) === true)
    const other = this.#succession?.brought.find(({ asides }) => asides.some((each) => each.name === name && each.version === version))
    if (other === undefined) return
    const what = `The plugin '${this.plugin}' cannot provide the service '${name}' ${version}:`
    if (other.plugin === this.plugin) {
      throw new PlugbayError(
        'SERVICE_DUPLICATE',
        `${what} it already provides that version itself. Withdraw one, or give it another version.`,
        { plugin: this.plugin, details: { name, version, provider: this.plugin } },
      )
    }
    throw new PlugbayError(
      'SERVICE_DUPLICATE',
      `${what} '${other.plugin}' provides it as well, by a change that goes together with this one. Provide it in one of the two alone.`,
      { plugin: this.plugin, details: { name, version, together: other.plugin } },
    )
  }

  #announce(offer: Offer): number {
    const { registry, broker } = this.#plane
    offer.record = registry.provide(this.#declarationOf(offer))
    return broker.provided(offer.record)
  }

  /** `why`: the provider died of it. */
  withdraw(service: number, why?: PlugbayError): void {
    const offer = this.#offers.get(service)
    if (offer === undefined) return
    this.#offers.delete(service)
    const { record, name } = offer
    offer.record = undefined
    record?.withdraw()
    const reason = why === undefined ? `plugin '${this.plugin}' no longer provides it.` : why.message
    const gone = new PlugbayError('SERVICE_GONE', `Service '${name}' is gone: ${reason}`, {
      plugin: this.plugin,
      ...(why === undefined ? {} : { cause: why }),
    })
    this.#plane.broker.withdrawn(record ?? offer, why !== undefined, gone)
  }

  /** A consumer broke the protocol on its line, as the provider's guest says. */
  offended(service: number, consumer: string, how: string): void {
    const offer = this.#offers.get(service)
    if (offer !== undefined) this.#plane.broker.offended(offer.record ?? offer, this.plugin, consumer, how)
  }

  withdrawAll(why?: PlugbayError): void {
    for (const service of [...this.#offers.keys()]) this.withdraw(service, why)
  }

  /**
   * Those that stood aside step in for what is there: of their own name and version, whichever of the `leaving` has it, or else for the
   * predecessor's of their name; the others are announced.
   */
  takeOver(predecessor: Offers, leaving: readonly Offers[]): void {
    const { registry, broker } = this.#plane
    const theirs = leaving.flatMap((offers) => [...offers.#offers.values()])
    const own = [...predecessor.#offers.values()]
    for (const offer of this.#offers.values()) {
      const old =
        theirs.find(({ name, version, record }) => record !== undefined && name === offer.name && version === offer.version) ??
        own.find(({ name, record }) => record !== undefined && name === offer.name)
      if (old?.record === undefined) {
        this.#announce(offer)
        continue
      }
      const before = old.record
      old.record = undefined
      offer.record = registry.replace(before, this.#declarationOf(offer))
      broker.replaced(before, offer.record)
    }
  }
}
