/** The two ends of a direct line from a caller to a provider of a service: calls go over it without the kernel. */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { shown } from '../../arguments.js'
import { keepFollowed } from '../../composite-signals.js'
import { PlugbayError } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import { permissionDenied } from '../../permission-set.js'
import { assertServiceOptions, CALL_OPTIONS } from '../../service-options.js'
import { reasonOf } from '../../wire-error.js'
import type { Call } from '../conversation/call.js'
import { Boxed, type Party } from '../conversation/party.js'
import { Conversation, type RequestOptions } from '../rpc.js'
import { CALL_LIMIT, WINDOW_CALLS } from '../values/call-window.js'
import { BOXED, type Box, box, boxAll, drop, Holdings, needsBox, unbox } from './boxing.js'
import { isAskedOfAll, labelled, unwaited } from './faraway.js'
import { lineChannel } from './line-channel.js'
import { Peer, Peers } from './peers.js'

/** Milliseconds a call may take unless its caller says otherwise. */
export const CALL_TIMEOUT = 5_000

/** Milliseconds a user waits for a service to appear: less than a start may take, so that it is told what is missing. */
export const USE_WAIT = 3_000

/** How a caller wants its calls made. */
export interface CallOptions {
  /** Milliseconds until a call fails with CALL_TIMEOUT; 0: never. Default 5000. */
  timeout?: number | undefined
  /** Cancels the calls made with it, and ends the streams they were answered with. */
  signal?: AbortSignal | undefined
}

/** Members of every used service: a method of that name could not be called. */
const TAKEN = ['then', '$with'] as const

/** Throws SERVICE_SHAPE for something that cannot have methods, or has one that nobody could call. */
export function assertService(service: unknown, name: string, plugin: string): asserts service is object {
  const refuse = (what: string): never => {
    throw new PlugbayError('SERVICE_SHAPE', `Service '${name}' of plugin '${plugin}' ${what}`, { plugin, details: { service: name } })
  }
  if (typeof service !== 'object' || service === null) {
    return refuse(`is ${shown(service)}, no object with methods. Give an object that has a function for each method.`)
  }
  for (const method of TAKEN) {
    if (typeof (service as Record<string, unknown>)[method] !== 'function') continue
    const why = method === 'then' ? 'whoever awaited the service would wait for it' : 'a used service has one that sets call options'
    refuse(`has a method '${method}': ${why}. Give it another name${service instanceof Promise ? ', or await the promise first' : ''}.`)
  }
}

/** The methods a provider offers: its own functions, and those of its class. */
export const methodsOf = (service: object): string[] => {
  const names = new Set<string>()
  for (
    let level: object | null = service;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level) as object | null
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (name !== 'constructor' && typeof property.value === 'function') names.add(name)
    }
  }
  return [...names]
}

/** More of them tell nobody more. */
const TOLD = 20

const unknownMethod = (service: string, method: string, methods: readonly string[]): PlugbayError => {
  const there = methods.length > TOLD ? `${methods.slice(0, TOLD).join(', ')}, …` : methods.join(', ') || 'none'
  return new PlugbayError(
    'SERVICE_METHOD_UNKNOWN',
    `Service '${service}' has no method ${shown(method)}.${didYouMean(method, methods)} It has: ${there}.`,
    { details: { service, method, methods: [...methods] } },
  )
}

// ── the provider's end ─────────────────────────────────────────────────────────────────────────────────────────────

/** A service as its provider gave it. */
export interface Provided {
  name: string
  plugin: string
  service: object
  methods: ReadonlySet<string>
  /** What has to be done before an answer leaves; undefined when nothing has. */
  before?: (() => Promise<unknown> | undefined) | undefined
}

type Method = (...args: unknown[]) => unknown

/**
 * Answers the calls that come over `port` to the methods its consumer may call. Returns the line's end: closed by its consumer, or by the
 * provider.
 */
export class ProviderLine implements Party {
  readonly plugin: string
  readonly #provided: Provided
  readonly #holdings: Holdings
  readonly #conversation: Conversation
  readonly #allowed: ReadonlyMap<string, string>
  readonly #consumer: string
  readonly #onEnd: (reason: PlugbayError) => void

  /** `peer`: the consumer. */
  constructor(
    port: MessagePort,
    provided: Provided,
    consumer: string,
    allowed: readonly string[],
    onEnd: (reason: PlugbayError) => void,
    peer: Peer = new Peer(),
  ) {
    const label = `consumer '${consumer}' of service '${provided.name}'`
    this.#holdings = new Holdings(peer, label, consumer)
    this.plugin = provided.plugin
    this.#provided = provided
    // The name that came over the wire is a text of its own: to find a property by it costs more than by the one that the code knows.
    this.#allowed = new Map(allowed.map((method) => [method, method]))
    this.#consumer = consumer
    this.#onEnd = onEnd
    this.#conversation = new Conversation(lineChannel(port), this, label, { limit: CALL_LIMIT, atOnce: WINDOW_CALLS })
  }

  request(call: Call, args: unknown): unknown {
    const { service, methods, name } = this.#provided
    const known = this.#allowed.get(call.verb)
    if (known === undefined) {
      if (!methods.has(call.verb)) throw unknownMethod(name, call.verb, [...methods])
      throw permissionDenied(this.#consumer, `service:${name}`, `call:${call.verb}`)
    }
    const method = (service as Record<string, Method>)[known] as Method
    if (call.metas.length > 0) return this.#requestBoxed(method, args as Box[])
    const result = Reflect.apply(method, service, args as unknown[])
    return result instanceof Promise ? result.then(this.#finish) : this.#finish(result)
  }

  async #requestBoxed(method: Method, boxes: Box[]): Promise<unknown> {
    const label = `the caller of service '${this.#provided.name}'`
    const args = await Promise.all(boxes.map((item) => unbox(item, this.#holdings, label)))
    return this.#finish(await Reflect.apply(method, this.#provided.service, args))
  }

  readonly #finish = (result: unknown): unknown => {
    const before = this.#provided.before?.()
    if (before !== undefined) return before.then(() => this.#finish(result))
    return needsBox(result) ? this.#boxResult(result) : result
  }

  async #boxResult(result: unknown): Promise<Boxed> {
    const moved: Transferable[] = []
    const boxed = await box(result, this.#holdings, moved, this.plugin)
    return new Boxed(boxed, moved, BOXED)
  }

  ended(reason: PlugbayError): void {
    this.#holdings.end()
    this.#onEnd(reason)
  }

  close(reason: PlugbayError): void {
    this.#conversation.close(reason)
  }
}

// ── the consumer's end ─────────────────────────────────────────────────────────────────────────────────────────────

/** The service as its consumer sees it; `$with` gives it other call options. */
export type ServiceProxy = Record<string, (...args: unknown[]) => Promise<unknown>> & { $with(options: CallOptions): ServiceProxy }

/** What is known of a service that is used. */
export interface Used {
  name: string
  /** The plugin that provides it. */
  provider: string
  methods: readonly string[]
}

/** What the user of a service may do with it. */
export interface Access {
  /** Of these methods, those that it may not call, with what each call is answered. */
  denied(methods: readonly string[]): ReadonlyMap<string, () => PlugbayError>
  /** Takes each method that is called. */
  record: ((method: string) => void) | undefined
}

const ALL: Access = { denied: () => new Map(), record: undefined }

/**
 * A used service. Its line may be bound anew (the provider was replaced) without the user noticing; when the provider is
 * gone, calls fail at once with SERVICE_GONE, until it is bound again.
 */
export class ServiceClient {
  readonly #name: string
  readonly #access: Access
  readonly #peers: Peers
  readonly #broken: (line: number, how: string | undefined) => void
  #methods: ReadonlySet<string> = new Set()
  #denied: ReadonlyMap<string, () => PlugbayError> = new Map()
  #line: ConsumerLine | undefined
  /** How many lines it has had. */
  #lines = 0
  #gone: PlugbayError

  /**
   * `broken`: the provider broke the protocol on that line, counted from 1, which is let go of; how is undefined where it merely closed the
   * line that it is to serve.
   */
  constructor(
    { name, ...provided }: Used,
    port: MessagePort,
    access: Access = ALL,
    peers: Peers = new Peers(),
    broken: (line: number, how: string | undefined) => void = () => {},
  ) {
    this.#name = name
    this.#access = access
    this.#peers = peers
    this.#broken = broken
    this.#gone = new PlugbayError('SERVICE_GONE', `Service '${name}' was released: use it again to call it.`)
    this.rebind(port, provided)
  }

  /** The service as its user sees it. Throws SERVICE_OPTIONS from its `$with`. */
  proxy(options: CallOptions): ServiceProxy {
    const timeout = options.timeout ?? CALL_TIMEOUT
    // Unknown methods are found on the prototype alone, so that known ones are plain properties.
    const unknown = new Proxy(labelled(`[service ${this.#name}]`), {
      get: (shown, key) => {
        if (typeof key === 'string') {
          const denied = this.#denied.get(key)
          if (denied !== undefined) {
            const refused = (): Promise<never> => Promise.reject(denied())
            return isAskedOfAll(key) ? unwaited(refused) : refused
          }
          // It came with a later version of the service.
          if (this.#methods.has(key)) return methodFor(key)
        }
        if (key in shown) return Reflect.get(shown, key)
        return isAskedOfAll(key) ? undefined : () => Promise.reject(unknownMethod(this.#name, key as string, [...this.#methods]))
      },
    })
    keepFollowed(options.signal, true)
    const made: RequestOptions = options.signal === undefined ? { timeout } : { timeout, signal: options.signal }
    const { record } = this.#access
    const methodFor = (method: string): ServiceProxy[string] => {
      const call: ServiceProxy[string] =
        record === undefined
          ? (...args) => this.#call(method, args, made)
          : (...args) => {
              record(method)
              return this.#call(method, args, made)
            }
      return isAskedOfAll(method) ? unwaited(call) : call
    }
    const proxy = Object.create(unknown) as ServiceProxy
    for (const method of this.#methods) proxy[method] = methodFor(method)
    const chosen = (more: CallOptions): ServiceProxy => {
      assertServiceOptions(`$with of service '${this.#name}'`, more, CALL_OPTIONS)
      return this.proxy({ ...options, ...more })
    }
    Object.defineProperty(proxy, '$with', { value: chosen })
    return proxy
  }

  #call(method: string, args: unknown[], options: RequestOptions): Promise<unknown> {
    const line = this.#line
    if (line === undefined) return Promise.reject(this.#gone)
    for (let i = 0; i < args.length; i++) if (needsBox(args[i])) return line.callBoxed(method, args, options)
    return line.call(method, args, options)
  }

  /** From now on calls go over `port` to who provides it now; those under way end on the old line. */
  rebind(port: MessagePort, { provider, methods }: Omit<Used, 'name'>): void {
    void this.#line?.retire()
    this.#denied = this.#access.denied(methods)
    // Whoever says what it provides may not be the code above.
    this.#methods = new Set(methods.filter((method) => !this.#denied.has(method) && !TAKEN.some((taken) => taken === method)))
    const number = ++this.#lines
    const line: ConsumerLine = new ConsumerLine(port, this.#name, provider, this.#peers.of(provider), ({ code, cause }) => {
      const how = code === 'PROTOCOL' ? reasonOf(cause) : undefined
      if (this.#line === line) this.#letGo(provider, how)
      // One that is on its way out may be closed at either end.
      else if (how === undefined) return
      this.#broken(number, how)
    })
    this.#line = line
  }

  /** The provider ended the line that it has. It may do so with the next one: so that one is there for whom asks for it. */
  #letGo(provider: string, how: string | undefined): void {
    const what = how === undefined ? 'closed it' : `sent a message that breaks the protocol: ${how}`
    this.#line = undefined
    this.#gone = new PlugbayError(
      'SERVICE_GONE',
      `The line to service '${this.#name}' is closed: its provider '${provider}' ${what}. Use the service again for another line.`,
      { plugin: provider, details: { service: this.#name } },
    )
  }

  /** No provider any more. `hard`: calls under way fail too; otherwise they may still be answered. */
  gone(error: PlugbayError, hard: boolean): void {
    const line = this.#line
    this.#gone = error
    this.#line = undefined
    if (hard) line?.close(error)
    else void line?.retire()
  }

  release(): void {
    void this.#line?.retire()
    this.#line = undefined
  }
}

class ConsumerLine implements Party {
  /** The provider. */
  readonly other: string
  readonly #holdings: Holdings
  readonly #conversation: Conversation
  readonly #label: string
  readonly #onEnd: (reason: PlugbayError) => void

  constructor(port: MessagePort, service: string, provider: string, peer: Peer, onEnd: (reason: PlugbayError) => void) {
    this.other = provider
    this.#onEnd = onEnd
    this.#label = `service '${service}' of '${provider}'`
    this.#holdings = new Holdings(peer, this.#label, provider)
    this.#conversation = new Conversation(lineChannel(port), this, this.#label, { limit: CALL_LIMIT, window: peer.calls })
  }

  call(method: string, args: unknown[], options: RequestOptions): Promise<unknown> {
    return this.#conversation.request(method, args, options)
  }

  async callBoxed(method: string, args: unknown[], options: RequestOptions): Promise<unknown> {
    const moved: Transferable[] = []
    const boxes = await boxAll(args, this.#holdings, moved)
    try {
      return await this.#conversation.request(method, boxes, { ...options, metas: BOXED, transfer: moved })
    } catch (error) {
      // Of what has left, the ports are not here any more.
      for (const each of boxes) drop(each)
      throw error
    }
  }

  request(): unknown {
    return undefined
  }

  lost(): PlugbayError {
    return new PlugbayError(
      'SERVICE_GONE',
      `The line to ${this.#label} was closed at the other end: its provider stopped or crashed, and calls work again if it comes back; or it closed this line alone, as when a message broke the protocol, and the service has to be used again.`,
    )
  }

  unbox(_metas: readonly unknown[], body: unknown, signal: AbortSignal | undefined): unknown {
    return unbox(body as Box, this.#holdings, this.#label, signal)
  }

  dropped(_metas: readonly unknown[], body: unknown): void {
    drop(body as Box)
  }

  ended(reason: PlugbayError): void {
    this.#holdings.end()
    this.#onEnd(reason)
  }

  /** Ends when the calls under way have been answered and the streams they opened have ended. */
  async retire(): Promise<void> {
    await this.#conversation.drain()
    await this.#holdings.drain()
    this.#conversation.close()
  }

  close(error: PlugbayError): void {
    this.#conversation.close(error)
  }
}
