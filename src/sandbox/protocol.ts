/** The words that kernel and guest say to each other: types only, no platform. `rpc.ts` carries them, whatever the place. */
import type { Granted } from '../permission-set.js'
import type { Stripped } from '../strip-types.js'
import type { WireError } from '../wire-error.js'
import type { HeldVerb } from './conversation/held-answer.js'
import type { Sealed } from './conversation/sealed.js'
import type { ToldHeap } from './heap-report.js'
import type { Grants } from './permissions/grants.js'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a guest may ask of the kernel. Name of the verb → what is asked, what is answered. */
export interface KernelVerbs {
  /** Makes the service known. `service` is the guest's own number for it: `connect` names it. */
  provide: { asks: { service: number; name: string; version: string; methods: string[] }; answers: undefined }
  withdraw: { asks: { service: number }; answers: undefined }
  /**
   * Finds a service, waiting for it up to `wait` ms, and opens a direct line to its provider: the line's port travels with the answer.
   * Without a port it is the line of that number, which the guest has.
   */
  use: { asks: UseRequest; answers: { use: number; name: string; version: string; provider: string; methods: string[]; port: unknown } }
  watch: { asks: { watch: number; name: string }; answers: undefined }
  /** Answered when nothing waits for the subscription of that number, and nothing is under way to it. */
  drain: { asks: { subscription: number }; answers: undefined }
  /** Answered when all that was said before has been heard. */
  sync: { asks: undefined; answers: undefined }
  unwatch: { asks: { watch: number }; answers: undefined }
  /** Runs one of the plugin's declared tasks on its pool. */
  task: { asks: { name: string } & TaskInput; answers: unknown }
  /** Does something with a file on the plugin's behalf. */
  file: {
    asks: {
      act: 'readFile' | 'readdir' | 'stat' | 'writeFile' | 'appendFile' | 'mkdir' | 'rm' | 'rename'
      path: string
      to?: string
      data?: string | Uint8Array
    }
    answers: unknown
  }
  /** Makes an HTTP request on the plugin's behalf. */
  fetch: {
    asks: {
      url: string
      method: string
      headers: [string, string][]
      redirect: 'follow' | 'error' | 'manual'
      body: Bytes | null
    }
    answers: {
      status: number
      statusText: string
      headers: [string, string][]
      /** The last one, when there were redirects. */
      url: string
      redirected: boolean
      body: Bytes | null
    }
  }
}

/** Bytes in a buffer that can be moved: `Uint8Array<ArrayBuffer>`, which has no parameter before TypeScript 5.7. */
type Bytes = ReturnType<Uint8ArrayConstructor['of']>

export type FileKind = 'file' | 'folder' | 'other'

export interface UseRequest {
  name: string
  /** A semver range; default any. */
  range: string
  /** Milliseconds to wait for the service to appear; 0: not at all. */
  wait: number
}

/** What a task is given: as it is, or sealed where it is large. */
export type TaskInput = { input: unknown } | { sealed: Sealed }

/** What the kernel may ask of a guest. */
export interface GuestVerbs {
  /** Opens the inspector of its place. */
  inspect: { asks: undefined; answers: { url: string } }
  /** Imports the plugin's module and makes its context. */
  load: { asks: LoadRequest; answers: { hooks: Hook[] } }
  initialize: { asks: undefined; answers: undefined }
  start: { asks: undefined; answers: undefined }
  /**
   * Waits for the events that have arrived to be handled; with `lines`, also for its callers to close their lines, as they do once their
   * calls are answered.
   */
  drain: { asks: { lines: boolean }; answers: undefined }
  stop: { asks: undefined; answers: undefined }
  health: { asks: undefined; answers: HealthReport }
  updateConfig: { asks: { config: unknown }; answers: undefined }
  snapshot: { asks: undefined; answers: unknown }
  restore: { asks: { state: unknown }; answers: undefined }
  /** Answered when all that was said before has been heard. */
  sync: { asks: undefined; answers: undefined }
}

/** What a guest tells the kernel, without an answer. After the colon: the metas, then the body. */
export interface GuestNotices {
  /** `[topic]`, the data. */
  publish: [topic: string]
  /** `[subscription, pattern, capacity]`: subscriptions are numbered by the guest; null: the plugin's `limits.queue`. */
  subscribe: [subscription: number, pattern: string, capacity: number | null]
  unsubscribe: [subscription: number]
  /** So many events of that route have been handled by all who follow it. */
  handled: [route: number, count: number]
  /** A handler failed: `[route, topic, event id, subscription]`, the WireError. */
  failure: [route: number, topic: string, event: string, subscription: number]
  /** The guest refused by itself what its plugin has no permission for: `[resource, action, times]`. */
  denied: [resource: string, action: string, times: number]
  /** While permissions are learnt: the plugin used what the kernel does not see, told once: `[resource, action]`. */
  used: [resource: string, action: string]
  /** A consumer broke the protocol on its line to a service of the plugin, which has let go of the line: `[service, consumer, how]`. */
  offended: [service: number, consumer: string, how: string]
  /**
   * The provider of a used service broke the protocol on that line to it, counted from 1, which has been let go of: `[use, line, how]`;
   * null: it closed the line.
   */
  broken: [use: number, line: number, how: string | null]
  /** It has the answer of that number, which the kernel held for it: `[verb, number]`. */
  taken: [verb: HeldVerb, number: number]
  /** `[level, message]`, the fields. */
  log: [level: LogLevel, message: string]
}

/** What the kernel tells a guest. */
export interface KernelNotices {
  /**
   * `[route, prefix of the id, type, source, time]`, the data. The notice is numbered: with the serial of the id. A route has the number of
   * the subscription that it was opened for.
   */
  event: [route: number, prefix: string, type: string, source: string, time: string]
  /** The subscription follows that route from now on: one to the same pattern was there before it. */
  joined: [subscription: number, route: number]
  /** So many publishes have found room everywhere: the publisher's window opens by as much. */
  accepted: [count: number]
  /** A consumer's line to one of the guest's services: `[service, consumer]`, a {@link Connection}. */
  connect: [service: number, consumer: string]
  /** A used service has a new provider: `[use, version, provider]`, a {@link Connection}. */
  rebind: [use: number, version: string, provider: string]
  /** A used service is gone: `[use, hard]`, the WireError. `hard`: calls under way fail too. */
  gone: [use: number, hard: boolean]
  /** A watched service changed: `[watch, change, version]`. */
  changed: [watch: number, change: ServiceChange, version: string]
}

/** One end of a line, and the methods: those the consumer may call, for its provider; all there are, for its consumer. */
export interface Connection {
  port: unknown
  methods: readonly string[]
}

export type ServiceChange = 'provided' | 'withdrawn' | 'replaced'

/** The functions a plugin may define beside `start`. */
export type Hook = 'initialize' | 'start' | 'stop' | 'health' | 'updateConfig' | 'snapshot' | 'restore'

export interface LoadRequest {
  name: string
  version: string
  generation: number
  /** file: URL of the entry module. */
  entry: string
  /** The plugin's folder, absolute. */
  root: string
  /** Real paths of folders beside it, outside of every node_modules, that are packages to the plugin: links lead to them. */
  packages?: readonly string[] | undefined
  /** The plugin shares the module cache of the kernel's thread. */
  inline: boolean
  /**
   * Its imports need hooks that this Node can only run in a thread of their own: TypeScript, or a folder from which `plugbay/plugin` is not
   * found.
   */
  needsHooks: boolean
  /** Sources of its modules, and what they are without their types. */
  stripped?: Stripped
  /** What its gate opens; undefined: it has none. */
  grants?: Grants | undefined
  /** It has no network, whatever it tries. */
  offline?: boolean
  /** It stops at its first line, once a debugger is there. */
  waitForDebugger?: boolean
  config: unknown
  dataDir: string
  /** All that the plugin may do. */
  permissions: Granted
  tasks: string[]
  /** How many events the plugin may have published that have not found room yet. */
  window: number
  /** Bytes of the largest event it may publish. */
  message: number
  /** How many subscriptions it may have. */
  subscriptions: number
  /** The kernel's own copy of `plugbay/plugin`, as a file: URL. */
  pluginModule: string
}

export interface HealthReport {
  healthy: boolean
  [detail: string]: unknown
}

/** What a process says beside the conversation of an error that nobody caught. */
export interface Uncaught {
  error: WireError
  /** It listens for such errors: this one ends it only if its listener throws. */
  heard: boolean
}

/** What a process is asked beside the conversation: for a beat, whose number is the answer, or what its memory is. */
export type Asked = number | 'weigh'

/** What it says then. */
export interface Weighed {
  holds: ToldHeap
}

/** What a process says last, beside the conversation: that it exits, with this code. */
export interface Leaving {
  exits: number
}
