/** What the author of a plugin sees. No imports at run time: a plugin's thread pays for nothing it does not use. */
// Brings 'plugbay' into every program that knows a plugin, so that `declare module 'plugbay'` finds what it extends.
export type {} from './index.js'

import type { Event } from './bus/event.js'
import type { DataOf, EventOf } from './bus/typed-events.js'
import type { ProviderOf, RemoteOf, Services, ServiceUseOptions } from './bus/typed-services.js'

export { byReference, transfer } from './passing.js'
export type { DataOf, Event, EventOf }

export interface PluginSubscribeOptions<E> {
  /** Events it does not accept are skipped. */
  filter?: (event: E) => unknown
  /** Unsubscribes after the first event. */
  once?: boolean
  /** Unsubscribes when aborted. */
  signal?: AbortSignal
  /**
   * How many events may wait in the kernel's queue before their publishers have to; default: the plugin's `limits.queue`. Up to 1024 more
   * are on their way to the handler, so publishers wait from `capacity` + 1024 events on.
   */
  capacity?: number
  /** What happens when the queue is full; default and only policy so far: `block`, the publishers wait. */
  policy?: 'block'
  /** How many events may be in the handler's hands at a time when it returns promises; default 1: one after the other. */
  concurrency?: number
}

/** A subscription of a plugin; it ends with the generation, at the latest. */
export interface PluginSubscription<E> extends AsyncIterable<E> {
  readonly pattern: string
  /** Takes no more events. Idempotent. */
  unsubscribe(): void
  /**
   * Resolves when nothing is left: what waits in the kernel and what is under way is handled. A handler that waits for its own subscription
   * waits for ever. Rejects with CHANNEL_CLOSED when the plugin ends.
   */
  drain(): Promise<void>
}

export interface PluginBus {
  /**
   * Publishes an event. Resolves when it has left within the plugin's window, that is at once unless subscribers are slow.
   * Rejects with TOPIC_INVALID, PERMISSION_DENIED, PAYLOAD_NOT_CLONEABLE or PUBLISH_OVERRUN.
   */
  publish<const Name extends string>(topic: Name, data?: DataOf<Name>): Promise<void>
  /**
   * Subscribes to a pattern: `*` is one segment, `**` any number. Without a handler: `for await (const event of subscription)`. Throws
   * PATTERN_INVALID, SUBSCRIPTION_OPTIONS or PERMISSION_DENIED.
   */
  subscribe<const Pattern extends string>(
    pattern: Pattern,
    handler: (event: EventOf<Pattern>) => unknown,
    options?: PluginSubscribeOptions<EventOf<Pattern>>,
  ): PluginSubscription<EventOf<Pattern>>
  subscribe<const Pattern extends string>(
    pattern: Pattern,
    options?: PluginSubscribeOptions<EventOf<Pattern>>,
  ): PluginSubscription<EventOf<Pattern>>
}

export interface PluginServices {
  /**
   * Provides a service: an object whose methods others call. Functions and async iterables may be passed and returned.
   * Rejects with SERVICE_NAME_INVALID, SERVICE_VERSION_INVALID, SERVICE_OPTIONS, SERVICE_SHAPE, SERVICE_DUPLICATE or PERMISSION_DENIED.
   */
  provide<Name extends (keyof Services & string) | (string & {})>(
    name: Name,
    service: ProviderOf<Name>,
    options?: { version?: string },
  ): Promise<{ withdraw(): Promise<void> }>
  /**
   * Finds a service, and waits for it up to `wait` ms. Calls go straight to its provider, also when that is replaced. Rejects with
   * SERVICE_UNKNOWN, SERVICE_NAME_INVALID, SERVICE_VERSION_INVALID, SERVICE_OPTIONS or PERMISSION_DENIED.
   */
  use<Name extends (keyof Services & string) | (string & {})>(name: Name, options?: ServiceUseOptions): Promise<RemoteOf<Name>>
  /** Tells of every change of a service. Rejects with SERVICE_NAME_INVALID, SERVICE_OPTIONS or PERMISSION_DENIED. */
  watch(
    name: string,
    listener: (change: { change: 'provided' | 'withdrawn' | 'replaced'; version: string }) => unknown,
  ): Promise<{ stop(): Promise<void> }>
}

/**
 * Files that the plugin may reach: its own folder to read, its data folder, and what its permissions name. Paths are relative to the data
 * folder.
 */
export interface PluginFiles {
  /** Without `'utf8'`: the bytes. At most 64 MiB. */
  readFile(path: string): Promise<Uint8Array>
  readFile(path: string, encoding: 'utf8'): Promise<string>
  readdir(path: string): Promise<{ name: string; kind: 'file' | 'folder' | 'other' }[]>
  stat(path: string): Promise<{ kind: 'file' | 'folder' | 'other'; size: number; modified: Date }>
  /** Replaces what is there. */
  writeFile(path: string, data: string | Uint8Array): Promise<void>
  appendFile(path: string, data: string | Uint8Array): Promise<void>
  /** With all folders on the way; it may be there already. */
  mkdir(path: string): Promise<void>
  /** With all in it; it need not be there. */
  rm(path: string): Promise<void>
  rename(path: string, to: string): Promise<void>
}

type LogMethod = (message: string, fields?: object) => void

/** What a plugin is given. All that is acquired through it is undone when the generation ends. */
export interface PluginContext<Config = any> {
  readonly name: string
  readonly version: string
  /** Number of this run of the plugin, from 1. */
  readonly generation: number
  /** Validated, with defaults; frozen. */
  readonly config: Config
  /** Aborted when the events and calls in hand are finished, right before `stop`. */
  readonly signal: AbortSignal
  /** A folder of the plugin's own for what it keeps. */
  readonly dataDir: string
  readonly log: { debug: LogMethod; info: LogMethod; warn: LogMethod; error: LogMethod }
  readonly bus: PluginBus
  readonly services: PluginServices
  /** Files, through the kernel. Each call rejects with PERMISSION_DENIED, PAYLOAD_TOO_LARGE, or as the file system does. */
  readonly fs: PluginFiles
  /**
   * HTTP requests, through the kernel, to hosts that the permissions name. Bodies are held whole: at most 16 MiB. Rejects with
   * PERMISSION_DENIED, PAYLOAD_TOO_LARGE, PLUGIN_LIMIT, CALL_CANCELLED, or as `fetch` does.
   */
  readonly fetch: typeof fetch
  readonly permissions: {
    /**
     * Whether the plugin may do that on all that the resource names, in the words of the manifest: `has('bus:user.*', 'subscribe')`,
     * `has('service:users', 'call:findById')`, `has('fs:data', 'write')`. Throws OPTIONS_INVALID for what is no resource or action.
     */
    has(resource: string, action: string): boolean
  }
  readonly tasks: {
    /** The tasks the manifest declares. */
    readonly names: readonly string[]
    /** Runs one on the plugin's pool of threads. Rejects with TASK_UNKNOWN, TASK_FAILED, CALL_TIMEOUT or CALL_CANCELLED. */
    run<Output = any>(task: string, input?: unknown, options?: { timeout?: number; signal?: AbortSignal }): Promise<Output>
  }
}

/** A plugin: at least one of these functions. Each has a time limit (`limits` in the manifest). */
export interface PluginDefinition<Config = any, State = any> {
  /** Validate and prepare; no events and no calls yet. */
  initialize?(ctx: PluginContext<Config>, config: Config): unknown
  /** Subscribe, provide, begin. The plugin runs when this resolves. */
  start?(ctx: PluginContext<Config>): unknown
  /** Undo what is not acquired through `ctx`. Events and calls in hand have been finished before. */
  stop?(ctx: PluginContext<Config>): unknown
  health?(ctx: PluginContext<Config>): { healthy: boolean } | Promise<{ healthy: boolean }>
  /** Takes a new configuration live. Throw to refuse it. Absent: the plugin is replaced instead. */
  updateConfig?(ctx: PluginContext<Config>, config: Config): unknown
  /** The state to hand to the next generation: what structuredClone accepts. */
  snapshot?(ctx: PluginContext<Config>): State | Promise<State>
  restore?(ctx: PluginContext<Config>, state: State): unknown
}

/** Gives a plugin its types. It returns what it is given: a plain object as default export works too. */
export const definePlugin = <Config = any, State = any>(plugin: PluginDefinition<Config, State>): PluginDefinition<Config, State> => plugin
