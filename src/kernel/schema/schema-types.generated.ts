/** What the schemas in schemas/ accept, as types. Written by scripts/schema-types.mjs: change the schema, not this file. */

/** A plugbay plugin manifest (plugin.json): what the kernel knows about a plugin before any of its code runs. */
export interface ManifestFile {
  /** Where an editor finds this schema. */
  '$schema'?: string | undefined
  /** The plugin's name, unique within a kernel. It is the `source` of its events and the key of its configuration. */
  name: string
  /** The plugin's semantic version, which other plugins' ranges are held against. Default: "0.0.0". */
  version?: string | undefined
  /** One sentence for people: what the plugin does. */
  description?: string | undefined
  /** The plugin's ES module, relative to this file. Left out: the first of index, plugin, main that is there. */
  main?: string | undefined
  /** False leaves the plugin out until it is enabled. Default: true. */
  enabled?: boolean | undefined
  /** Where the plugin runs. Left out: what the kernel's options say. */
  isolation?: Isolation | undefined
  /** Plugins that must run before this one starts, each with a semver range. */
  dependencies?: Ranges | undefined
  /** Plugins that start before this one where they are there and in range. */
  optionalDependencies?: Ranges | undefined
  /** Plugins that cannot run beside this one. */
  conflicts?: Ranges | undefined
  /** What a failed boot of this plugin does: abort the whole start, or leave it out with those that depend on it. Default: "continue". */
  onFailure?: 'abort' | 'continue' | undefined
  /** What the plugin may take. Left out: what the kernel's options say. */
  limits?: Limits | undefined
  /** When a plugin that ended by itself is started again. */
  restart?: RestartPolicy | undefined
  /** What the plugin may do. Events and services are free until one of their kind is named here, then only those named. Files but its own folder, network, environment, child processes, workers and addons are closed until named. Tasks need no word: declaring them is one. At most 1,000 actions, all entries together. */
  permissions?: Permission[] | undefined
  /** Named sets of permissions, defined in the kernel's options, that the plugin is given. */
  roles?: string[] | undefined
  /** The configuration the plugin takes. */
  config?: ConfigDeclaration | undefined
  /** When the plugin is started: with the kernel, or (reserved, not built yet) at the first event that fits one of these patterns. Default: "startup". */
  activation?: string | string[] | undefined
  /** Names of the services the plugin provides, for people and tools. */
  provides?: string[] | undefined
  /** Topics the plugin publishes, for people and tools. */
  publishes?: string[] | undefined
  /** Patterns the plugin subscribes to, for people and tools. */
  subscribes?: string[] | undefined
  /** Modules whose functions run in the plugin's pool of task threads, by name: `ctx.tasks.run(name, input)`. */
  tasks?: Record<string, TaskDeclaration> | undefined
  /** Settings of a plugin that runs out of process (reserved, not built yet). */
  grpc?: Record<string, unknown> | undefined
}

/** inline: in the kernel's own thread. thread: in a worker thread of its own. process: in a process of its own. grpc: reserved, not built yet. */
export type Isolation = 'inline' | 'thread' | 'process' | 'grpc'

/** Semver ranges by plugin name. */
export type Ranges = Record<string, string>

/** What one plugin may take. */
export interface Limits {
  /** Memory in MB: heap and buffers together. Default: 256. */
  memory?: number | undefined
  /** Share of one core over some seconds, above 0 and up to 1. Default: 1. */
  cpu?: number | undefined
  /** How long the plugin's thread may get nothing done while it has something to do, in ms. Default: 1000. */
  hang?: number | undefined
  /** How long evaluating the plugin's module may take, in ms. Default: 5000. */
  loadTimeout?: number | undefined
  /** How long `initialize` may take, in ms. Default: 5000. */
  initializeTimeout?: number | undefined
  /** How long `start` may take, in ms. Default: 5000. */
  startTimeout?: number | undefined
  /** How long `stop` may take before the plugin is ended hard, in ms. Default: 2000. */
  stopTimeout?: number | undefined
  /** How long `health` may take, in ms. Default: 1000. */
  healthTimeout?: number | undefined
  /** Events that wait in one subscription of the plugin before its policy applies. Default: 1024. */
  queue?: number | undefined
  /** Events the plugin may have under way before its publishes wait. Default: 512. */
  window?: number | undefined
  /** Bytes of the data of one event that the plugin publishes. Default: 1048576. */
  message?: number | undefined
  /** Subscriptions the plugin may have at a time. Default: 10000. */
  subscriptions?: number | undefined
  /** Patterns of the plugin that may match one event, each with its own capacity: so often an event crosses to it. Default: 100. */
  overlap?: number | undefined
  /** Services the plugin may provide at a time, lines to services it may have, and services it may watch: so many of each. Default: 1000. */
  services?: number | undefined
  /** What the plugin may ask of the kernel's thread in a second, and four times as much at once: subscribing and unsubscribing, providing, using and watching services. Events, calls and lines of the log do not count. Default: 10000. */
  requests?: number | undefined
}

/** When a plugin that ended by itself is started again. */
export interface RestartPolicy {
  /** permanent: always. transient: after a fault only. temporary: never. Under the last two an exit with code 0 is no fault. Default: "permanent". */
  policy?: 'permanent' | 'transient' | 'temporary' | undefined
  /** Restarts allowed within the window; one more is a crash loop. Default: 5. */
  max?: number | undefined
  /** The window in which restarts are counted, in ms. Default: 60000. */
  within?: number | undefined
  /** How long to wait before each restart. */
  backoff?: Backoff | undefined
  /** one-for-one: this plugin alone is restarted. rest-for-one: those that depend on it are replaced after it, in start order. Default: "one-for-one". */
  strategy?: 'one-for-one' | 'rest-for-one' | undefined
  /** What becomes of those that depend on it when it failed and is not restarted: they are stopped, or left running. Default: "stop". */
  onGiveUp?: 'stop' | 'leave' | undefined
  /** Move the plugin from its thread to a process of its own after so many faults. Left out: never. */
  demote?: Demote | undefined
}

/** Waits that grow from one attempt to the next, with jitter. */
export interface Backoff {
  /** The first wait, in ms. Default: 100. */
  initial?: number | undefined
  /** The longest wait, in ms. Default: 30000. */
  max?: number | undefined
  /** What each wait is multiplied by to give the next. Default: 2. */
  factor?: number | undefined
}

/** How many faults in which time move a plugin from its thread to a process. */
export interface Demote {
  /** The fault after which it is moved. Default: 3. */
  after?: number | undefined
  /** The window in which faults are counted, in ms. Default: 60000. */
  within?: number | undefined
}

/** Actions allowed on a resource. */
export interface Permission {
  /** What may be acted on: bus:<pattern>, service:<name>, fs:<path> (relative to the plugin's folder; data: its data folder; *: all), net:<host[:port]>, env:<NAME>, builtin:<module>, child, worker, addons or tasks. A * at the end of a service or variable stands for the rest of the name. */
  resource: string
  /** What may be done with it. bus: publish, subscribe. service: provide, call, or call:<method> for one method. fs: read, write. net: connect, listen. env: read. builtin: import. child, worker, addons, tasks: use. *: all of these. */
  actions: string[]
}

/** The configuration a plugin takes. */
export interface ConfigDeclaration {
  /** JSON Schema (draft-06, draft-07, 2019-09 or 2020-12) the configuration is validated against. */
  schema?: Record<string, unknown> | undefined
  /** The configuration where nothing else is said. Strings may hold ${VAR} and ${VAR:-default} of variables that the plugin's permissions cover (env:<NAME>); $${ stands for ${. */
  defaults?: Record<string, unknown> | undefined
}

/** A task: its module, or the module with its settings. */
export type TaskDeclaration = string | {
  /** The task's module, relative to this file; its default export is the function. */
  file: string
  /** How many of this task run at once at most. */
  concurrency?: number | undefined
}

/** Options of a plugbay kernel, as a configuration file (plugbay.config.json or .yaml) can hold them. */
export interface OptionsFile {
  /** Where an editor finds this schema. */
  '$schema'?: string | undefined
  /** The kernel's name, which is the `source` of its own events. Default: "plugbay". */
  name?: string | undefined
  /** The folder that every relative path is relative to. Left out: the folder of the configuration file, or the current folder. */
  base?: string | undefined
  /** Folders to scan for plugins, or paths of single plugins. */
  plugins?: string | string[] | undefined
  /** Configuration of plugins, by plugin name. Strings may hold ${VAR} and ${VAR:-default}; $${ stands for ${. */
  config?: Record<string, Record<string, unknown>> | undefined
  /** A folder of <plugin name>.yaml, .yml or .json files, each the configuration of one plugin. */
  configDir?: string | undefined
  /** Replace a plugin when its files change, take in plugins that are dropped into a plugin folder, unload those that are removed. Default: false. */
  watch?: boolean | {
    /** How long a file written in place must stay the same before it counts as saved, in ms. Default: 20. */
    settle?: number | undefined
  } | undefined
  /** Where each plugin gets a folder of its own to write to. Default: "./data". */
  dataDir?: string | undefined
  /** Keep an audit log: a hash-chained record of what was done to which plugin, by whom, and what came of it. `plugbay start` keeps one unless this is false. Default: false. */
  audit?: boolean | {
    /** The log's folder, for one kernel alone. Left out: .audit in dataDir. */
    dir?: string | undefined
    /** How large a file of the log grows before the next begins, in bytes. Default: 10485760. */
    maxBytes?: number | undefined
    /** How many files of the log are kept. Default: 10. */
    keep?: number | undefined
  } | undefined
  /** What holds for a plugin whose manifest does not say otherwise. */
  defaults?: PluginDefaults | undefined
  /** The most that any plugin may take, whatever its manifest or the defaults say. */
  ceiling?: Limits | undefined
  /** How many plugins start at once, and how many threads a pool of tasks has that does not say. Left out: one more than the number of cores for plugins, the number of cores for tasks, at least 2. */
  maxConcurrency?: number | undefined
  /** Worker threads kept booted and waiting, so that a start costs the plugin's own import alone. Default: 1. */
  standby?: number | undefined
  /** The least severe level that is logged. Default: "info". */
  logLevel?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent' | undefined
  /** Variables for ${VAR} in configurations. Left out: the environment of the process. */
  env?: Record<string, string> | undefined
  /** Named sets of permissions, which manifests refer to in `roles`. */
  roles?: Record<string, Permission[]> | undefined
  /** What plugins may do, by plugin name. An entry takes the place of what the plugin's manifest asks for, and is all that it may do. */
  grants?: Record<string, PluginGrants> | undefined
  /** Where plugins run, by plugin name, whatever their manifests say. */
  isolation?: Record<string, 'inline' | 'thread' | 'process'> | undefined
}

/** What holds for a plugin whose manifest does not say otherwise. */
export interface PluginDefaults {
  /** Where plugins run. Default: "thread". */
  isolation?: 'inline' | 'thread' | 'process' | undefined
  /** What each plugin may take. */
  limits?: Limits | undefined
  /** When a plugin that ended by itself is started again. */
  restart?: RestartPolicy | undefined
}

/** All that one plugin may do. */
export interface PluginGrants {
  /** Names of roles. */
  roles?: string[] | undefined
  /** What it may do beside what its roles allow. */
  permissions?: Permission[] | undefined
}
