/** Opens the direct lines between the users and the providers of services, and binds them anew when a provider is replaced. */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { ServiceRecord, ServiceRegistry } from '../bus/service-registry.js'
import { PlugbayError } from '../errors.js'
import type { UseRequest } from '../sandbox/protocol.js'
import { fits } from '../versions.js'

/** The provider's side of a service: told of every new line, and of the methods that may be called over it. */
export interface ServiceProvider {
  connect(consumer: string, port: MessagePort, methods: readonly string[]): void
}

/** A user of services: told when a line changes. */
export interface ServiceConsumer {
  readonly name: string
  mayCall(service: string, method: string): boolean
  rebind(use: number, version: string, port: MessagePort): void
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
}

export interface OpenedUse {
  use: number
  record: ServiceRecord
  port: MessagePort
}

export class ServiceBroker {
  readonly #registry: ServiceRegistry
  readonly #uses = new Map<number, Use>()
  #last = 0

  constructor(registry: ServiceRegistry) {
    this.#registry = registry
  }

  /** Finds the service, waiting for it if asked to, and opens a line. Rejects with SERVICE_UNKNOWN. */
  async open(consumer: ServiceConsumer, { name, range, wait }: UseRequest, signal: AbortSignal): Promise<OpenedUse> {
    const record = this.#registry.find(name, range) ?? (await this.#await(name, range, wait, signal))
    const use: Use = { number: ++this.#last, consumer, name, range, record }
    this.#uses.set(use.number, use)
    return { use: use.number, record, port: this.#connect(record, consumer) }
  }

  async #await(name: string, range: string, wait: number, signal: AbortSignal): Promise<ServiceRecord> {
    if (wait <= 0) throw this.#registry.explainMissing(name, range)
    const limit = AbortSignal.any([signal, AbortSignal.timeout(wait)])
    try {
      return await this.#registry.wait(name, range, limit)
    } catch {
      signal.throwIfAborted()
      const why = this.#registry.explainMissing(name, range)
      throw new PlugbayError(why.code, `${why.message} Waited ${wait} ms for it.`, { details: { ...why.details, waited: wait } })
    }
  }

  #connect(record: ServiceRecord, consumer: ServiceConsumer): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const provider = record.handle as ServiceProvider
    const methods = record.methods.filter((method) => consumer.mayCall(record.name, method))
    provider.connect(consumer.name, port2, methods)
    return port1
  }

  release(number: number): void {
    this.#uses.delete(number)
  }

  /** Forgets all that one consumer used. */
  releaseAll(consumer: ServiceConsumer): void {
    for (const use of this.#uses.values()) if (use.consumer === consumer) this.#uses.delete(use.number)
  }

  /** Lines that wait for a provider get the new one. */
  provided(record: ServiceRecord): void {
    for (const use of this.#uses.values()) {
      if (use.record === undefined && use.name === record.name && fits(record.version, use.range)) this.#bind(use, record)
    }
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

  /** The provider is gone. Users whose range another version fits go there. */
  withdrawn(record: ServiceRecord, hard: boolean, error: PlugbayError): void {
    for (const use of this.#uses.values()) {
      if (use.record !== record) continue
      this.#lose(use, hard, error)
      const other = this.#registry.find(use.name, use.range)
      if (other !== undefined && other !== record) this.#bind(use, other)
    }
  }

  #bind(use: Use, record: ServiceRecord): void {
    use.record = record
    use.consumer.rebind(use.number, record.version, this.#connect(record, use.consumer))
  }

  #lose(use: Use, hard: boolean, error: PlugbayError): void {
    use.record = undefined
    use.consumer.gone(use.number, hard, error)
  }

  /** How many lines a consumer of that name holds. */
  usesOf(consumer: string): number {
    let count = 0
    for (const use of this.#uses.values()) if (use.consumer.name === consumer) count++
    return count
  }
}
