/** A plugin's own end of the services: what it provides, uses and watches. */
import type { MessagePort } from 'node:worker_threads'
import { assertNoMore } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import {
  assertListener,
  assertMethods,
  assertServiceName,
  assertServiceOptions,
  PROVIDE_OPTIONS,
  USE_OPTIONS,
} from '../../service-options.js'
import { isThenable } from '../../thenable.js'
import { fromWire, reasonOf, toWire, type WireError } from '../../wire-error.js'
import { Peers } from '../lines/peers.js'
import {
  type Access,
  assertService,
  type CallOptions,
  methodsOf,
  type Provided,
  ProviderLine,
  type ServiceProxy,
  USE_WAIT,
} from '../lines/service-line.js'
import { type Opened, UsedServices } from '../lines/used-services.js'
import type { Connection, GuestNotices, KernelVerbs, ServiceChange } from '../protocol.js'
import type { Conversation } from '../rpc.js'
import type { GuestBus } from './guest-bus.js'
import type { GuestPermissions } from './guest-permissions.js'
import { HeededPromise } from './heeded-promise.js'

export interface UseOptions extends CallOptions {
  /** Which versions will do, as a semver range; default any. */
  range?: string | undefined
  /** Milliseconds to wait for the service to appear; default 3000. 0: not at all. */
  wait?: number | undefined
}

type ChangeListener = (change: { change: ServiceChange; version: string }) => unknown

export class GuestServices {
  readonly #conversation: Conversation
  readonly #plugin: string
  readonly #permissions: GuestPermissions
  readonly #before: () => Promise<unknown> | undefined
  readonly #provided = new Map<number, Provided>()
  readonly #lines = new Set<ProviderLine>()
  readonly #peers = new Peers()
  readonly #used = new UsedServices(this.#peers, (use, line, how) => this.#tell('broken', [use, line, how ?? null]))
  readonly #watching = new Map<number, ChangeListener>()
  /** Until the plugin has started: what it announced by then. */
  #announced: HeededPromise<unknown>[] | undefined = []
  #last = 0
  #drained: (() => void) | undefined

  constructor(conversation: Conversation, plugin: string, permissions: GuestPermissions, bus: GuestBus) {
    this.#conversation = conversation
    // An answer goes to its caller, not by way of the kernel: what a method has subscribed to is to be in force when its caller hears of
    // it.
    this.#before = () => bus.heard()
    this.#plugin = plugin
    this.#permissions = permissions
  }

  #ask<V extends keyof KernelVerbs>(verb: V, body: KernelVerbs[V]['asks'], signal?: AbortSignal): Promise<KernelVerbs[V]['answers']> {
    return this.#conversation.request(verb, body, { signal })
  }

  /** A start is not done before what it announced is, and fails with what was refused and heeded by nobody. */
  #announce<T>(work: Promise<T>): Promise<T> {
    if (this.#announced === undefined) return work
    const answer = HeededPromise.of(work)
    this.#announced.push(answer)
    return answer
  }

  /**
   * Makes a service known to all. Resolves when it is; rejects with SERVICE_NAME_INVALID, SERVICE_VERSION_INVALID, SERVICE_OPTIONS,
   * SERVICE_SHAPE, SERVICE_DUPLICATE or PERMISSION_DENIED.
   */
  provide(name: string, service: object, options: { version?: string | undefined } = {}): Promise<{ withdraw(): Promise<void> }> {
    return this.#announce(this.#provide(name, service, options))
  }

  async #provide(name: string, service: object, options: { version?: string | undefined }): Promise<{ withdraw(): Promise<void> }> {
    assertServiceName(name)
    assertServiceOptions(`The provision of service '${name}'`, options, PROVIDE_OPTIONS)
    const { version = '1.0.0' } = options
    assertService(service, name, this.#plugin)
    const number = ++this.#last
    const methods = methodsOf(service)
    assertMethods(methods, name, this.#plugin)
    this.#provided.set(number, { name, plugin: this.#plugin, service, methods: new Set(methods), before: this.#before })
    try {
      await this.#ask('provide', { service: number, name, version, methods })
    } catch (error) {
      this.#provided.delete(number)
      throw error
    }
    return {
      withdraw: () => this.#announce(this.#withdraw(number)),
    }
  }

  async #withdraw(number: number): Promise<void> {
    if (this.#provided.delete(number)) await this.#ask('withdraw', { service: number })
  }

  /**
   * Finds a service; the same one again, in the same range, is the same line. Rejects with SERVICE_UNKNOWN when none is there in time, as
   * {@link provide} for what is not valid, or with PERMISSION_DENIED.
   */
  async use(name: string, asked: UseOptions = {}): Promise<ServiceProxy> {
    assertServiceName(name)
    assertServiceOptions(`The use of service '${name}'`, asked, USE_OPTIONS)
    const { range = '*', wait = USE_WAIT, ...options } = asked
    const found = await this.#ask('use', { name, range, wait }, options.signal)
    return this.#used.opened(found as Opened, options, this.#accessTo(name))
  }

  /** A line that came when its use had been cancelled: the next use has it. */
  keep(found: Opened): void {
    this.#used.keep(found, this.#accessTo(found.name))
  }

  #accessTo(name: string): Access {
    return {
      denied: (methods) => this.#permissions.deniedMethods(name, methods),
      record: this.#permissions.recordCalls(name),
    }
  }

  /**
   * Tells of every change of a service: provided, withdrawn, replaced. Rejects with SERVICE_NAME_INVALID, SERVICE_OPTIONS or
   * PERMISSION_DENIED.
   */
  watch(name: string, listener: ChangeListener, ...more: readonly undefined[]): Promise<{ stop(): Promise<void> }> {
    return this.#announce(this.#watch(name, listener, more))
  }

  async #watch(name: string, listener: ChangeListener, more: readonly undefined[]): Promise<{ stop(): Promise<void> }> {
    assertServiceName(name)
    assertListener(name, listener)
    assertNoMore(`watch('${name}')`, 'a name and a listener', more)
    const number = ++this.#last
    this.#watching.set(number, listener)
    await this.#ask('watch', { watch: number, name })
    return {
      stop: async () => {
        if (this.#watching.delete(number)) await this.#ask('unwatch', { watch: number })
      },
    }
  }

  /** The plugin has started. Resolves when nothing that it announced is open; rejects with the first refusal that nobody heeded. */
  async settled(): Promise<void> {
    const announced = this.#announced ?? []
    this.#announced = undefined
    await Promise.all(announced.map((answer) => answer.unheeded()))
  }

  connect(number: number, consumer: string, { port: sent, methods }: Connection): void {
    const port = sent as MessagePort
    const provided = this.#provided.get(number)
    if (provided === undefined) {
      port.close()
      return
    }
    const ended = ({ code, cause }: PlugbayError): void => {
      this.#lines.delete(line)
      if (code === 'PROTOCOL') this.#tell('offended', [number, consumer, reasonOf(cause)])
      if (this.#lines.size === 0) this.#drained?.()
    }
    const line: ProviderLine = new ProviderLine(port, provided, consumer, methods, ended, this.#peers.of(consumer))
    this.#lines.add(line)
  }

  rebind(use: number, provider: string, { port, methods }: Connection): void {
    this.#used.rebind(use, port as MessagePort, { provider, methods })
  }

  gone(use: number, hard: boolean, error: WireError): void {
    this.#used.gone(use, fromWire(error) as PlugbayError, hard)
  }

  changed(watch: number, change: ServiceChange, version: string): void {
    const listener = this.#watching.get(watch)
    try {
      const told = listener?.({ change, version })
      if (isThenable(told)) told.then(undefined, this.#listenerFailed)
    } catch (error) {
      this.#listenerFailed(error)
    }
  }

  /**
   * Tells of a line that ends, before its other end finds it closed and goes on: what waits for the kernel then, such as the end of a
   * generation, comes after this.
   */
  #tell<V extends 'broken' | 'offended'>(verb: V, metas: GuestNotices[V]): void {
    this.#conversation.notify(verb, metas)
    this.#conversation.flush()
  }

  /** It was told by the kernel, which is in the middle of something. */
  readonly #listenerFailed = (error: unknown): void => {
    const line = `A listener of ctx.services.watch failed: ${reasonOf(error)}`
    this.#conversation.notify('log', ['error', line], { err: toWire(error, this.#plugin) })
  }

  /** Resolves when every consumer has closed its line, which it does when its calls are answered. */
  drain(): Promise<void> {
    return this.#lines.size === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve))
  }

  close(): void {
    this.#used.release()
    const error = new PlugbayError('SERVICE_GONE', `Plugin '${this.#plugin}' has stopped.`, { plugin: this.#plugin })
    for (const line of [...this.#lines]) line.close(error)
  }
}
