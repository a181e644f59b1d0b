/**
 * The kernel: which plugins live, and the door to all they share. Of its parts it imports the types alone: the public entry loads this
 * file.
 */
import { asItIsNow, assertNoMore, assertText } from '../arguments.js'
import type { Bus, EventBusStats } from '../bus/event-bus.js'
import { PlugbayError } from '../errors.js'
import type { Standby } from '../sandbox/host/standby.js'
import type { HealthReport } from '../sandbox/protocol.js'
import type { Announcer } from './announcing/announcer.js'
import type { Attribution } from './audit/attribution.js'
import type { Act } from './audit/audit.js'
import type { KernelRun } from './kernel-run.js'
import type { KernelServices } from './kernel-services.js'
import type { KernelEvents, KernelState } from './lifecycle/kernel-events.js'
import type { KernelLifecycle } from './lifecycle/kernel-lifecycle.js'
import type { UnreadPlugin } from './manifest/unread-plugins.js'
import type { Logger } from './options/options.js'
import type { Learning } from './permissions/learning.js'
import type { Learned } from './permissions/least-permissions.js'
import type { PluginOperations, UnloadReport } from './plugins/plugin-operations.js'
import type { Roster } from './plugins/roster.js'
import type { BootReport } from './reports/boot-report.js'
import type { Explanation } from './reports/explain.js'
import type { Inventory, PluginInfo, PluginTraffic } from './reports/inventory.js'
import type { Inspection, InspectOptions } from './supervision/inspection.js'
import type { PluginInstance } from './supervision/plugin-instance.js'
import type { Replacement } from './supervision/replacer.js'
import type { StuckThreads } from './supervision/stuck-threads.js'

export interface KernelMetrics {
  state: KernelState
  bus: EventBusStats
  services: number
  /** Booted threads that wait for a plugin. */
  standby: number
  /** Threads that were to end and are held by native code. */
  stuckThreads: number
  plugins: PluginTraffic[]
}

/** What a kernel is made of: the composition root makes it. */
export interface KernelParts {
  log: Logger
  bus: Bus
  services: KernelServices
  lifecycle: KernelLifecycle
  run: KernelRun
  roster: Roster
  operations: PluginOperations
  inventory: Inventory
  announcer: Announcer
  act: Act
  /** Plugins that their authors look into. */
  inspections: Map<string, Inspection>
  standby: Standby
  stuckThreads: StuckThreads
  learning: Learning | undefined
  endProcess(code: number): never
}

export class Kernel implements AsyncDisposable {
  /** Publishes and subscribes as the embedder. */
  readonly bus: Bus
  /** Provides and uses services as the embedder. */
  readonly services: KernelServices
  /** Where the kernel's lines go. */
  readonly log: Logger
  readonly #parts: KernelParts

  /** Use {@link createKernel}. */
  constructor(parts: KernelParts) {
    this.bus = parts.bus
    this.services = parts.services
    this.log = parts.log
    this.#parts = parts
  }

  get state(): KernelState {
    return this.#parts.lifecycle.state
  }

  // ── start and stop ───────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Finds the plugins and starts them in the order of their dependencies. Resolves with a report of the boot; a plugin that
   * does not start is left out with its dependents, unless its manifest says `onFailure: "abort"`: then all is stopped again and
   * this rejects with BOOT_FAILED. Rejects with KERNEL_STATE when called twice, and when the kernel is stopped meanwhile.
   */
  start(by?: Attribution): Promise<BootReport> {
    return this.#parts.run.start(by)
  }

  /**
   * Stops all plugins in reverse order, each drained, each with a hard end; what is just starting or being replaced ends at once.
   * Idempotent; nothing of the kernel runs afterwards.
   */
  stop(by?: Attribution): Promise<void> {
    return this.#parts.run.stop(by)
  }

  /**
   * Stops the kernel and ends the process, for certain. All plugins together have as long to stop as the one with the longest
   * `limits.stopTimeout`, and a second more; those that are left then are ended. `stop()`, called before, gives each its own time.
   * `process.exit()` waits for all threads, so while one is stuck in native code it would hang: then the process is ended by SIGKILL
   * instead, and its code is 137; at once where the kernel knows of it, and else, as of a thread of Node's own that waits for a file, after
   * 5 s.
   */
  async exit(code = 0): Promise<never> {
    const last = this.#parts.run.hasten()
    await this.stop()
    clearTimeout(last)
    const { stuckThreads, endProcess } = this.#parts
    if (stuckThreads.count > 0) process.kill(process.pid, 'SIGKILL')
    return endProcess(code)
  }

  /**
   * Opens an inspector for that plugin alone, in each of its generations, before its first line; a debugger finds the newest one at the
   * port that this resolves with. Called before `start()`, which rejects with PLUGIN_UNKNOWN where no plugin has that name. An inspected
   * plugin has no limits but that of its stop, and is not confined: for development. Rejects with OPTIONS_INVALID for a port that cannot be
   * had, and with KERNEL_STATE once the kernel was started.
   */
  async inspect(plugin: string, options: InspectOptions = {}, by?: Attribution): Promise<number> {
    const { Inspection } = await import('./supervision/inspection.js')
    return this.#parts.act('inspect', { name: plugin, newest: 0 }, by, async () => {
      if (this.state !== 'created' || this.#parts.inspections.has(plugin))
        throw new PlugbayError(
          'KERNEL_STATE',
          `Plugin '${plugin}' cannot be inspected now: inspect() is called once for it, before start().`,
          { plugin },
        )
      const inspection = await Inspection.open(plugin, options)
      this.#parts.inspections.set(plugin, inspection)
      return inspection.port
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  // ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All plugins the kernel knows, running or not, by name. */
  plugins(): PluginInfo[] {
    return this.#parts.inventory.plugins()
  }

  /**
   * Takes in the plugin at `path` and starts it, and those that waited for it. Rejects with what keeps it from running, with PLUGIN_STOPPED
   * when it is stopped meanwhile, or with OPTIONS_INVALID for what is no path.
   */
  async load(path: string, by?: Attribution): Promise<PluginInfo> {
    assertText(path, 'kernel.load()', 'the path of a plugin')
    const { act, operations, inventory } = this.#parts
    const place = operations.placeOf(path)
    return act('load', undefined, { reason: place, ...by }, async () => inventory.plugin(await operations.load(place)))
  }

  /**
   * Stops the plugin, and first those that depend on it, and forgets it; what is coming up of it ends at once. The report says what it left
   * behind. Rejects with PLUGIN_UNKNOWN.
   */
  async unload(name: string, by?: Attribution): Promise<UnloadReport> {
    const instance = this.#find(name)
    return this.#parts.act('unload', instance, by, () => this.#parts.operations.unload(instance))
  }

  /**
   * Reads the plugin's files again and replaces it, or starts it if it does not run, or could not be read until now; it is stopped if its
   * manifest now disables it. Rejects with what keeps the new one from running; the old one stays then. Rejects with PLUGIN_STOPPED when
   * the plugin is stopped meanwhile, and with PLUGIN_STATE for a plugin that is disabled, and stays so.
   */
  async reload(name: string, by?: Attribution): Promise<Replacement | undefined> {
    this.#parts.lifecycle.assertRunning('reload')
    const known = this.#known(name)
    return this.#parts.act('reload', known, by, () => this.#parts.operations.reread(known))
  }

  /** Lets a disabled plugin run. Rejects with what keeps it from running. */
  async enable(name: string, by?: Attribution): Promise<void> {
    this.#parts.lifecycle.assertRunning('enable')
    const instance = this.#find(name)
    return this.#parts.act('enable', instance, by, () => this.#parts.operations.enable(instance))
  }

  /** Stops the plugin, and those that depend on it, and keeps it from running until it is enabled. */
  async disable(name: string, by?: Attribution): Promise<UnloadReport> {
    this.#parts.lifecycle.assertRunning('disable')
    const instance = this.#find(name)
    return this.#parts.act('disable', instance, by, () => this.#parts.operations.disable(instance))
  }

  /**
   * Gives the plugin a new configuration, as it is now (what is left out comes from its file and its manifest). It is validated first:
   * CONFIG_INVALID leaves the old one in force. A plugin with `updateConfig` gets it live; another is replaced, also one that waits for its
   * restart after a crash. Resolves when a generation runs with it, and rejects with why none does; the old one stays in force then. Of a
   * plugin that does not run it is kept for the next start: that comes at once, and this rejects with what it fails over, unless the plugin
   * is disabled or waits for another.
   */
  async updateConfig(name: string, config: object, by?: Attribution): Promise<void> {
    this.#parts.lifecycle.assertRunning('configure')
    const instance = this.#find(name)
    const given = asItIsNow(config)
    return this.#parts.act('updateConfig', instance, by, () => this.#parts.operations.configure(instance, given))
  }

  /**
   * Asks the plugin how it is. A plugin that does not answer within `limits.healthTimeout` is not healthy. Rejects with PLUGIN_UNKNOWN, or
   * KERNEL_STATE before `start()`.
   */
  async health(name: string): Promise<HealthReport> {
    const instance = this.#find(name)
    if (!instance.generation?.alive || !instance.running) return { healthy: false, state: instance.state, reason: instance.error?.message }
    try {
      return await instance.generation.health()
    } catch (error) {
      return { healthy: false, state: instance.state, reason: (error as Error).message }
    }
  }

  /**
   * Why the plugin does not run, or that it does; also of what could not be read as one, by its name or by its path. Throws PLUGIN_UNKNOWN,
   * or KERNEL_STATE before `start()`.
   */
  explain(name: string): Explanation {
    return this.#parts.inventory.explain(this.#known(name))
  }

  /**
   * The least permissions that allow what each plugin has used until now; also after `stop()`. Of a kernel with the option `learn`; another
   * has learnt nothing. Modules that a plugin imports and variables that it reads are taken from its code, too; of one that runs `inline`,
   * from there alone.
   */
  async learned(): Promise<Learned[]> {
    return this.#parts.learning?.learned() ?? []
  }

  /** Throws PLUGIN_UNKNOWN, OPTIONS_INVALID for what is no name, or KERNEL_STATE before there is any plugin. */
  #find(name: string): PluginInstance {
    return this.#rosterFor(name).find(name)
  }

  /** The same, also of what lies among the plugins and could not be read: by its name, or by the path that it is told of by. */
  #known(name: string): PluginInstance | UnreadPlugin {
    return this.#rosterFor(name).known(name)
  }

  #rosterFor(name: string): Roster {
    const { lifecycle, roster } = this.#parts
    assertText(name, 'The kernel', 'the name of a plugin')
    lifecycle.assertStarted()
    return roster
  }

  metrics(): KernelMetrics {
    const { standby, stuckThreads, inventory } = this.#parts
    return {
      state: this.state,
      bus: this.bus.stats(),
      services: this.services.list().length,
      standby: standby.waiting,
      stuckThreads: stuckThreads.count,
      plugins: inventory.traffic(),
    }
  }

  /**
   * Listens to the kernel's own events. Returns the undo. A listener that throws harms nobody else. Throws OPTIONS_INVALID for another
   * event, or a listener that is no function.
   */
  on<E extends keyof KernelEvents>(event: E, listener: (payload: KernelEvents[E]) => unknown, ...more: readonly undefined[]): () => void {
    assertNoMore('kernel.on()', 'an event and a listener', more)
    return this.#parts.announcer.on(event, listener)
  }
}
