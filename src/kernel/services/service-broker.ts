/** Opens the direct lines between the users and the providers of services, and binds them anew when a provider is replaced. */

// By name from the module: a clock that is faked for a test does not stop it.
import { clearTimeout, setTimeout } from 'node:timers'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { ServiceRecord, ServiceRegistry } from '../../bus/service-registry.js'
import { PlugbayError } from '../../errors.js'
import type { UseRequest } from '../../sandbox/protocol.js'
import { unended } from '../../sentence.js'
import { fits } from '../../versions.js'

/** Who has lines: a generation of a plugin, or the application. */
export interface Seat {
  readonly name: string
  /** It broke the protocol on one of its lines. */
  offended(error: PlugbayError): void
  /** Whether it is there and says so. What it told before has been heard then. */
  answers(): Promise<boolean>
}

/** The provider's side of a service: told of every new line, and of the methods that may be called over it. */
export interface ServiceProvider {
  readonly seat: Seat
  connect(consumer: string, port: MessagePort, methods: readonly string[]): void
}

/** A user of services: told when a line changes. */
export interface ServiceConsumer extends Seat {
  mayCall(service: string, method: string): boolean
  rebind(use: number, record: ServiceRecord, port: MessagePort): void
  /** `hard`: the provider died, calls under way fail too. */
  gone(use: number, hard: boolean, error: PlugbayError): void
}

interface Use {
  number: number
  consumer: ServiceConsumer
  name: string
  range: string
  /** Undefined while nobody provides it. */
  record: ServiceRecord | undefined
  /** What it leads to as long as that stands aside: it is announced when the user takes over. */
  aside: ServiceProvider | undefined
  /** How many lines it has had. */
  lines: number
  /** Where they led, by their numbers, as long as that generation is there and the line was not said to be broken. */
  readonly ledTo: Map<number, ServiceProvider>
  /** Its line is: the next use has another. */
  broken?: boolean
  /** Whether its provider is there is being asked, as it closed the line. */
  asked?: Promise<void> | undefined
  /** It was told, once, that its consumer broke the protocol on it. */
  offended?: true
  /** Of whom it was told last, once, that it broke the protocol on it as its provider. */
  offender?: ServiceProvider
}

/** A service that its provider has not announced yet. */
export interface StandingAside extends ServiceProvider {
  readonly name: string
  readonly version: string
  readonly methods: readonly string[]
}

/** A line to a service; without a port when it is one that its user has already. */
export interface OpenedUse extends Pick<ServiceRecord, 'name' | 'version' | 'provider' | 'methods'> {
  use: number
  port: MessagePort | undefined
}

export class ServiceBroker {
  readonly #registry: ServiceRegistry
  readonly #uses = new Map<number, Use>()
  #last = 0

  constructor(registry: ServiceRegistry) {
    this.#registry = registry
  }

  /**
   * Finds the service, waiting for it if asked to, and opens a line, or finds the one that this consumer has. Rejects with SERVICE_UNKNOWN.
   */
  async open(consumer: ServiceConsumer, { name, range, wait }: UseRequest, signal: AbortSignal): Promise<OpenedUse> {
    const record = this.#registry.find(name, range) ?? (await this.#await(consumer.name, { name, range, wait }, signal))
    const known = this.#known(consumer, name, range, record)
    if (known?.asked !== undefined) {
      await known.asked
      return this.open(consumer, { name, range, wait }, signal)
    }
    if (known !== undefined) {
      if (known.record === undefined || known.broken) this.#bind(known, record)
      return { ...headOf(record), use: known.number, port: undefined }
    }
    const use = this.#remember({ consumer, name, range, record, aside: undefined }, record.handle as ServiceProvider)
    return { ...headOf(record), use, port: this.#connect(record, consumer) }
  }

  /** Opens a line to a service that stands aside, and is announced when the consumer takes over. */
  openAside(consumer: ServiceConsumer, range: string, offer: StandingAside): OpenedUse {
    const use = this.#remember({ consumer, name: offer.name, range, record: undefined, aside: offer }, offer)
    return { ...headOf({ ...offer, provider: offer.seat.name }), use, port: this.#connect({ ...offer, handle: offer }, consumer) }
  }

  /** The consumer's line to this provider, or one of its lines that has lost its own. */
  #known(consumer: ServiceConsumer, name: string, range: string, record: ServiceRecord): Use | undefined {
    let lost: Use | undefined
    for (const use of this.#uses.values()) {
      if (use.consumer !== consumer || use.name !== name || use.range !== range || use.aside !== undefined) continue
      if (use.record === record) return use
      if (use.record === undefined || use.broken) lost ??= use
    }
    return lost
  }

  #remember(use: Omit<Use, 'number' | 'lines' | 'ledTo'>, provider: ServiceProvider): number {
    this.#uses.set(++this.#last, { number: this.#last, lines: 1, ledTo: new Map([[1, provider]]), ...use })
    return this.#last
  }

  async #await(consumer: string, { name, range, wait }: UseRequest, signal: AbortSignal): Promise<ServiceRecord> {
    if (wait <= 0) throw this.#registry.explainMissing(name, range, consumer)
    // Not AbortSignal.timeout(): that lets the process end, and Node 20 may forget one that is part of another signal.
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), Math.ceil(wait))
    try {
      return await this.#registry.wait(name, range, AbortSignal.any([signal, late.signal]))
    } catch {
      signal.throwIfAborted()
      const why = this.#registry.explainMissing(name, range, consumer)
      throw new PlugbayError(why.code, `${why.message} Waited ${wait} ms for it.`, { details: { ...why.details, waited: wait } })
    } finally {
      clearTimeout(timer)
    }
  }

  #connect(record: Pick<ServiceRecord, 'name' | 'methods' | 'handle'>, consumer: ServiceConsumer): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const provider = record.handle as ServiceProvider
    const methods = record.methods.filter((method) => consumer.mayCall(record.name, method))
    provider.connect(consumer.name, port2, methods)
    return port1
  }

  release(number: number): void {
    this.#uses.delete(number)
  }

  /**
   * A consumer of what `provider` provides broke the protocol, as the provider says. It is told of, once for each use, and hears why its
   * line, which is closed already, is of no use any more: when it uses the service again it has another. No more is done: a provider may
   * say what it likes.
   */
  offended(record: ServiceRecord | StandingAside, provider: string, consumer: string, how: string): void {
    for (const use of this.#uses.values()) {
      if (use.consumer.name !== consumer || (use.record !== record && use.aside !== record)) continue
      const { offended } = use
      use.offended = true
      this.#lose(use, true, lineClosed(consumer, use.name, provider, how))
      if (!offended) use.consumer.offended(offence(consumer, use.name, provider, how))
      return
    }
  }

  /**
   * Who provided what `consumer` uses over that line of it broke the protocol there, as the consumer says, which has closed it; or, where
   * `how` is undefined, closed the line. That is told of, once for each use and provider; when the consumer uses the service again it has
   * another line, and no sooner: on that the provider may do the same.
   */
  broken(consumer: ServiceConsumer, number: number, line: number, how: string | undefined): void {
    const use = this.#uses.get(number)
    if (use === undefined || use.consumer !== consumer) return
    const provider = use.ledTo.get(line)
    if (provider === undefined) return
    const serves = line === use.lines && providerOf(use) === provider
    // One that is not to serve the line any more closes it when it stops.
    if (how === undefined && !serves) return
    use.ledTo.delete(line)
    if (serves) use.broken = true
    if (how === undefined) use.asked = this.#closedBy(provider, use)
    else this.#offends(provider, use, how)
  }

  /**
   * A place that ends closes its lines, too, and so does one that has let go of its service: it is told only of one that is there and still
   * to serve the line.
   */
  async #closedBy(provider: ServiceProvider, use: Use): Promise<void> {
    const answers = await provider.seat.answers()
    use.asked = undefined
    if (answers && providerOf(use) === provider) this.#offends(provider, use, undefined)
  }

  #offends(provider: ServiceProvider, use: Use, how: string | undefined): void {
    if (use.offender === provider) return
    use.offender = provider
    const { seat } = provider
    seat.offended(how === undefined ? closing(seat.name, use.name, use.consumer.name) : breach(seat.name, use.name, use.consumer.name, how))
  }

  /** Forgets all that one used, and which lines led to it. */
  releaseAll(seat: Seat): void {
    for (const use of this.#uses.values()) {
      if (use.consumer === seat) this.#uses.delete(use.number)
      else for (const [line, provider] of use.ledTo) if (provider.seat === seat) use.ledTo.delete(line)
    }
  }

  /** Lines that wait for a provider get the new one; those that led to it while it stood aside stay. Returns how many were bound. */
  provided(record: ServiceRecord): number {
    let bound = 0
    for (const use of this.#uses.values()) {
      if (use.aside !== undefined) {
        if (use.aside === record.handle) [use.record, use.aside] = [record, undefined]
      } else if (use.record === undefined && use.name === record.name && fits(record.version, use.range)) {
        this.#bind(use, record)
        bound++
      }
    }
    return bound
  }

  /** Lines to the old provider go to its successor, where it is in their range. */
  replaced(old: ServiceRecord, record: ServiceRecord): void {
    for (const use of this.#uses.values()) {
      if (use.record !== old) continue
      if (fits(record.version, use.range)) this.#bind(use, record)
      else
        this.#lose(
          use,
          false,
          new PlugbayError(
            'SERVICE_GONE',
            `Service '${use.name}' is now ${record.version}, out of the range '${use.range}' that '${use.consumer.name}' needs.`,
          ),
        )
    }
    this.provided(record)
  }

  /** The provider is gone, or, for one that stood aside, will not be there. Users whose range another version fits go there. */
  withdrawn(record: ServiceRecord | StandingAside, hard: boolean, error: PlugbayError): void {
    for (const use of this.#uses.values()) {
      if (use.record !== record && use.aside !== record) continue
      this.#lose(use, hard, error)
      const other = this.#registry.find(use.name, use.range)
      if (other !== undefined && other !== record) this.#bind(use, other)
    }
  }

  #bind(use: Use, record: ServiceRecord): void {
    use.record = record
    use.broken = false
    use.ledTo.set(++use.lines, record.handle as ServiceProvider)
    use.consumer.rebind(use.number, record, this.#connect(record, use.consumer))
  }

  #lose(use: Use, hard: boolean, error: PlugbayError): void {
    use.record = use.aside = undefined
    use.consumer.gone(use.number, hard, error)
  }

  /** How many lines a consumer of that name holds. */
  usesOf(consumer: string): number {
    let count = 0
    for (const use of this.#uses.values()) if (use.consumer.name === consumer) count++
    return count
  }
}

/** Who is to serve what is called over it. */
const providerOf = ({ record, aside }: Use): ServiceProvider | undefined => aside ?? (record?.handle as ServiceProvider | undefined)

/** More of how it was done says no more. */
const MAX_TOLD = 200

const told = (how: string): string => unended(how.slice(0, MAX_TOLD))

const lineClosed = (consumer: string, service: string, provider: string, how: string): PlugbayError =>
  new PlugbayError(
    'SERVICE_GONE',
    `The line of '${consumer}' to service '${service}' is closed, and its provider '${provider}' runs: it says that a message broke the protocol: ${told(how)}. Use the service again for another line.`,
    { plugin: provider, details: { service } },
  )

const offence = (consumer: string, service: string, provider: string, how: string): PlugbayError =>
  new PlugbayError(
    'PROTOCOL',
    `Plugin '${consumer}' sent a message to service '${service}' that breaks the protocol, as its provider '${provider}' says, which has closed the line: ${told(how)}. ` +
      'Look for arguments with getters that give another value each time, and for code that reaches for the wire itself.',
    { plugin: consumer, details: { service, provider } },
  )

const breach = (provider: string, service: string, consumer: string, how: string): PlugbayError =>
  new PlugbayError(
    'PROTOCOL',
    `Plugin '${provider}' sent a message over a line to its service '${service}' that breaks the protocol, as its consumer '${consumer}' says, which has closed the line: ${told(how)}. ` +
      'Look for results with getters that give another value each time, and for code that reaches for the wire itself.',
    { plugin: provider, details: { service, consumer } },
  )

const closing = (provider: string, service: string, consumer: string): PlugbayError =>
  new PlugbayError(
    'PROTOCOL',
    `Plugin '${provider}' closed a line to its service '${service}', which it still provides, as its consumer '${consumer}' says. ` +
      'Look for code that reaches for the wire itself.',
    { plugin: provider, details: { service, consumer } },
  )

const headOf = ({ name, version, provider, methods }: Omit<OpenedUse, 'use' | 'port'>): Omit<OpenedUse, 'use' | 'port'> => ({
  name,
  version,
  provider,
  methods,
})
