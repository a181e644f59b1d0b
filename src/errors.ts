/** One class of errors, and one table of their codes. */

/** Every code plugbay throws or reports, with when it happens. `docs/errors.md` lists the same table. */
export const ERROR_CODES = {
  // manifest, options, configuration
  MANIFEST_INVALID:
    'A plugin.json is not valid JSON, breaks the manifest schema or its limits, or has a schema for the configuration that takes too long.',
  MANIFEST_MISSING: 'A plugin folder has neither a plugin.json nor an entry module.',
  OPTIONS_INVALID: 'The options or arguments given to createKernel or another function, or the configuration file, are not valid.',
  OPTIONS_TIMEOUT: 'A configuration file that is a module was not evaluated within its time limit.',
  CONFIG_INVALID: "A plugin's configuration breaks the schema its manifest declares.",
  CONFIG_ENV_MISSING: 'A configuration refers to an environment variable that is not set and has no default.',
  PATH_OUTSIDE_PLUGIN: 'A manifest names a file outside its plugin folder.',
  PLUGIN_DUPLICATE: "Two plugins have the same name, or a plugin has the kernel's.",
  PLUGIN_UNKNOWN: 'No plugin has that name.',
  // dependencies
  DEPENDENCY_MISSING: 'A required dependency is not there, or not in the range that is needed.',
  DEPENDENCY_CYCLE: 'Plugins depend on each other in a circle.',
  DEPENDENCY_CONFLICT: 'Two plugins that exclude each other are both present.',
  DEPENDENCY_FAILED: 'A plugin that this one needs did not start.',
  // lifecycle
  PLUGIN_STATE: 'The operation does not fit the state the plugin is in.',
  DATA_FOLDER: "The folder for a plugin's data cannot be made.",
  PLUGIN_LOAD: "The plugin's module cannot be found, parsed or evaluated.",
  PLUGIN_SHAPE: "The module's default export is not a plugin.",
  PLUGIN_INITIALIZE: "The plugin's initialize threw.",
  PLUGIN_START: "The plugin's start threw.",
  PLUGIN_STOP: "The plugin's stop threw.",
  PLUGIN_TIMEOUT: "A phase of the plugin's life took longer than its limit.",
  ISOLATION_UNAVAILABLE: 'A plugin asks for a kind of isolation that is not to be had here.',
  PLUGIN_CRASHED: 'The place the plugin ran in ended by itself: an uncaught error, or an exit.',
  PLUGIN_CRASH_LOOP: 'The plugin crashed more often than its restart policy allows.',
  PLUGIN_LIMIT:
    'The plugin went past one of its limits: memory, CPU, the time it may hang, or what it may ask of the kernel and have there.',
  PLUGIN_STOPPED: 'The plugin stopped while the operation was under way.',
  SYSTEM_LIMIT:
    'A plugin is not started, one of its tasks not run, or a file or folder of plugins, options or configurations, or a part of plugbay, not read, as the system gives the application no descriptor, process, thread or memory for it.',
  BOOT_FAILED: 'A plugin whose policy is to abort the boot did not start.',
  KERNEL_STATE: 'The operation does not fit the state the kernel is in.',
  PERMISSION_DENIED: 'A plugin tried what its permissions do not allow.',
  // bus
  TOPIC_INVALID: 'A topic breaks the topic grammar.',
  PATTERN_INVALID: 'A pattern breaks the pattern grammar.',
  PAYLOAD_NOT_CLONEABLE: 'A value cannot cross a thread: it holds a function, a socket or the like, or is nested too deep.',
  PUBLISH_OVERRUN: 'A publisher did not wait for its publishes and went past its window.',
  SUBSCRIPTION_OPTIONS: 'The options of a subscription are not valid.',
  HANDLER_FAILED: 'A handler or a filter of a subscription threw. The event counts as handled, and the next one comes.',
  // services
  SERVICE_NAME_INVALID: "A service's name is not valid.",
  SERVICE_VERSION_INVALID: "A service's version, or the range asked of it, is no semantic version or range.",
  SERVICE_SHAPE: 'What is provided as a service is no object with methods, or has a method that nobody could call, or too many.',
  SERVICE_OPTIONS: 'The options of provide, use, $with or watch are not valid.',
  SERVICE_DUPLICATE: 'A service of that name and version is already provided, or kept for a plugin that is being restarted.',
  SERVICE_UNKNOWN: 'No plugin provides a service of that name in that range.',
  SERVICE_METHOD_UNKNOWN: 'The service has no such method.',
  SERVICE_GONE: 'The provider of the service stopped or crashed.',
  CALL_TIMEOUT: 'A call was not answered within its deadline.',
  CALL_CANCELLED: 'The caller cancelled the call.',
  FILE_KIND: 'A plugin reads or writes by ctx.fs what is no file: a pipe, a socket or a device.',
  PAYLOAD_TOO_LARGE: 'A value, a file or a body is larger than it may be.',
  // tasks
  TASK_UNKNOWN: 'A plugin runs a task that its manifest does not declare.',
  TASK_FAILED: 'A task threw, or the thread it ran on ended.',
  // channel
  CHANNEL_CLOSED: 'The other end of the channel is gone.',
  PROTOCOL: 'A message does not follow the protocol.',
  VERB_UNKNOWN: 'The other end does not know the verb.',
  INTERNAL: 'Something in plugbay itself failed, and no plugin is to blame.',
  // command
  USAGE: 'The command was called with arguments it does not take.',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

const BRAND = Symbol.for('plugbay.error')

export interface PlugbayErrorOptions {
  /** The plugin the error is about or came from. */
  plugin?: string | undefined
  cause?: unknown
  /** Whatever a program may want to read: the limit, the observed value, the field, the path. Plain data. */
  details?: Record<string, unknown> | undefined
}

/**
 * The error every part of plugbay throws. `message` names the plugin, what happened, and the likely mend;
 * `code` is a key of {@link ERROR_CODES}.
 */
export class PlugbayError extends Error {
  override readonly name = 'PlugbayError'
  readonly code: ErrorCode
  readonly plugin: string | undefined
  readonly details: Record<string, unknown> | undefined

  constructor(code: ErrorCode, message: string, options: PlugbayErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.plugin = options.plugin
    this.details = options.details
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for a PlugbayError of this or another copy of the library, in this or another realm. */
  static is(value: unknown): value is PlugbayError {
    try {
      return typeof value === 'object' && value !== null && BRAND in value
    } catch {
      return false // a proxy whose trap throws
    }
  }
}

/** Whether a value is a key of {@link ERROR_CODES}. */
export const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
