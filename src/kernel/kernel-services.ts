/** The kernel's own seat among the services: what its embedder provides and uses. */
import type { MessagePort } from 'node:worker_threads'
import { assertNoMore } from '../arguments.js'
import type { ServiceChange, ServiceRecord, ServiceRegistry } from '../bus/service-registry.js'
import type { ProviderOf, RemoteOf, Services, ServiceUseOptions } from '../bus/typed-services.js'
import { keepFollowed } from '../composite-signals.js'
import { PlugbayError } from '../errors.js'
import { Peers } from '../sandbox/lines/peers.js'
import { assertService, methodsOf, ProviderLine, USE_WAIT } from '../sandbox/lines/service-line.js'
import { UsedServices } from '../sandbox/lines/used-services.js'
import type { UseRequest } from '../sandbox/protocol.js'
import type { Scope } from '../scope.js'
import { assertListener, assertServiceName, assertServiceOptions, PROVIDE_OPTIONS, USE_OPTIONS } from '../service-options.js'
import { reasonOf } from '../wire-error.js'
import type { Plane } from './services/plane.js'
import type { OpenedUse, ServiceBroker, ServiceConsumer, ServiceProvider } from './services/service-broker.js'

export class KernelServices implements ServiceConsumer {
  readonly name: string
  readonly #registry: ServiceRegistry
  readonly #broker: ServiceBroker
  readonly #scope: Scope
  readonly #peers = new Peers()
  readonly #used = new UsedServices(this.#peers, (use, line, how) => this.#broker.broken(this, use, line, how))

  constructor(name: string, { registry, broker }: Plane, scope: Scope) {
    this.name = name
    this.#registry = registry
    this.#broker = broker
    this.#scope = scope
  }

  /**
   * Finds a service, and waits for it up to `wait` ms. Calls go straight to its provider, also when that is replaced. The same service
   * again, in the same range, is the same line. Rejects with SERVICE_UNKNOWN, CALL_CANCELLED once its signal is aborted,
   * SERVICE_NAME_INVALID, SERVICE_OPTIONS, SERVICE_VERSION_INVALID for a range that is none, or KERNEL_STATE once the kernel stops.
   */
  async use<Name extends (keyof Services & string) | (string & {})>(name: Name, options: ServiceUseOptions = {}): Promise<RemoteOf<Name>> {
    assertServiceName(name)
    assertServiceOptions(`The use of service '${name}'`, options, USE_OPTIONS)
    const { range = '*', wait = USE_WAIT, signal } = options
    keepFollowed(signal)
    this.#scope.signal.throwIfAborted()
    const opened = await this.#open({ name, range, wait }, signal)
    const { use, port } = opened
    if (port !== undefined)
      this.#scope.own(`use of service ${name}`, () => {
        this.#broker.release(use)
        this.#used.gone(use, new PlugbayError('KERNEL_STATE', `The kernel has stopped: service '${name}' can no longer be called.`), true)
      })
    return this.#used.opened(opened, options) as RemoteOf<Name>
  }

  async #open(request: UseRequest, signal: AbortSignal | undefined): Promise<OpenedUse> {
    if (signal === undefined) return this.#broker.open(this, request, this.#scope.signal)
    try {
      signal.throwIfAborted()
      return await this.#broker.open(this, request, AbortSignal.any([signal, this.#scope.signal]))
    } catch (error) {
      if (error !== signal.reason) throw error
      throw new PlugbayError('CALL_CANCELLED', `The use of service '${request.name}' was cancelled by its caller.`, { cause: error })
    }
  }

  /**
   * Provides a service of the embedder's own. Throws SERVICE_NAME_INVALID, SERVICE_VERSION_INVALID, SERVICE_OPTIONS, SERVICE_SHAPE,
   * SERVICE_DUPLICATE, or KERNEL_STATE once the kernel has stopped.
   */
  provide<Name extends (keyof Services & string) | (string & {})>(
    name: Name,
    service: ProviderOf<Name>,
    options: { version?: string | undefined } = {},
  ): { withdraw(): void } {
    assertServiceName(name)
    assertServiceOptions(`The provision of service '${name}'`, options, PROVIDE_OPTIONS)
    const { version = '1.0.0' } = options
    this.#scope.signal.throwIfAborted()
    assertService(service, name, this.name)
    const methods = methodsOf(service)
    const provided = { name, plugin: this.name, service, methods: new Set(methods) }
    const lines = new Set<ProviderLine>()
    const handle: ServiceProvider = {
      seat: this,
      connect: (consumer, port, allowed) => {
        const ended = ({ code, cause }: PlugbayError): void => {
          lines.delete(line)
          if (code === 'PROTOCOL') this.#broker.offended(record, this.name, consumer, reasonOf(cause))
        }
        const line: ProviderLine = new ProviderLine(port, provided, consumer, allowed, ended, this.#peers.of(consumer))
        lines.add(line)
      },
    }
    const record = this.#registry.provide({ name, version, methods, provider: this.name, handle })
    this.#broker.provided(record)
    const withdraw = this.#scope.own(`service ${name}`, () => {
      const error = new PlugbayError('SERVICE_GONE', `Service '${name}' is gone: '${this.name}' no longer provides it.`, {
        plugin: this.name,
      })
      record.withdraw()
      this.#broker.withdrawn(record, false, error)
    })
    return { withdraw: () => void withdraw() }
  }

  /** Tells of every change of a service. Returns the undo. Throws SERVICE_NAME_INVALID or SERVICE_OPTIONS. */
  watch(
    name: string,
    listener: (change: { change: ServiceChange['kind']; version: string; provider: string }) => unknown,
    ...more: readonly undefined[]
  ): () => void {
    assertServiceName(name)
    assertListener(name, listener)
    assertNoMore(`watch('${name}')`, 'a name and a listener', more)
    this.#scope.signal.throwIfAborted()
    const stop = this.#scope.own(
      `watch of service ${name}`,
      this.#registry.watch(name, ({ kind, record }) => listener({ change: kind, version: record.version, provider: record.provider })),
    )
    return () => void stop()
  }

  /** All services there are. */
  list(): { name: string; version: string; provider: string; methods: readonly string[] }[] {
    return this.#registry.list().map(({ name, version, provider, methods }) => ({ name, version, provider, methods }))
  }

  /** Nothing is closed to the embedder. */
  mayCall(): boolean {
    return true
  }

  rebind(use: number, record: ServiceRecord, port: MessagePort): void {
    this.#used.rebind(use, port, record)
  }

  /** What the application sends is its own. */
  offended(): void {}

  answers(): Promise<boolean> {
    return Promise.resolve(true)
  }

  gone(use: number, hard: boolean, error: PlugbayError): void {
    this.#used.gone(use, error, hard)
  }
}
