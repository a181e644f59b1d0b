/** The kernel: which plugins live, and the door to all they share. */
import { resolve } from 'node:path'
import { assertText } from '../arguments.js'
import type { EventBus, EventBusStats } from '../bus/event-bus.js'
import { PlugbayError } from '../errors.js'
import { commonFlags } from '../sandbox/host/permission-flags.js'
import { Standby } from '../sandbox/host/standby.js'
import type { HealthReport } from '../sandbox/protocol.js'
import { Scope } from '../scope.js'
import { Announcer } from './announcer.js'
import { AuditLog } from './audit/audit-log.js'
import { type Attribution, Audit } from './audit.js'
import type { BootReport } from './boot-report.js'
import { Configurations } from './configurations.js'
import { discover } from './discovery.js'
import { type Explanation, explain } from './explain.js'
import { GenerationFactory } from './generation-factory.js'
import { handlerFailed } from './handler-failed.js'
import type { HotReload } from './hot-reload.js'
import type { Inspection, InspectOptions } from './inspection.js'
import { bootReportOf, infoOf, type PluginInfo, type PluginTraffic, trafficOf } from './inventory.js'
import { placementOf } from './isolation.js'
import type { KernelEvents, KernelState } from './kernel-events.js'
import { KernelLifecycle } from './kernel-lifecycle.js'
import { KernelServices } from './kernel-services.js'
import type { Learning } from './learning.js'
import type { Learned } from './least-permissions.js'
import { readableLogger } from './log.js'
import type { PluginSource } from './manifest.js'
import type { Logger, ResolvedOptions } from './options.js'
import { makePlane } from './plane.js'
import type { PluginInstance } from './plugin-instance.js'
import { PluginOperations, type UnloadReport } from './plugin-operations.js'
import { PluginPermissions } from './plugin-permissions.js'
import { Reconciler } from './reconciler.js'
import { Roster } from './roster.js'
import { strangersIn } from './strangers.js'
import { StuckThreads } from './stuck-threads.js'
import { type Change, type Replacement, Supervisor } from './supervisor.js'
import { TaskPools } from './task-pools.js'

const BY_WATCHER: Attribution = { actor: 'watcher', reason: 'its files changed' }

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

export class Kernel implements AsyncDisposable {
  /** Publishes and subscribes as the embedder. */
  readonly bus: EventBus
  /** Provides and uses services as the embedder. */
  readonly services: KernelServices
  /** Where the kernel's lines go. */
  readonly log: Logger
  readonly #options: ResolvedOptions
  readonly #learning: Learning | undefined
  readonly #scope = new Scope('kernel')
  readonly #standby: Standby
  readonly #stuckThreads = new StuckThreads()
  readonly #audit: Audit | undefined
  readonly #announcer: Announcer
  readonly #lifecycle: KernelLifecycle
  readonly #permissions: PluginPermissions
  readonly #configurations: Configurations
  readonly #roster: Roster
  /** Plugins that their authors look into. */
  readonly #inspections = new Map<string, Inspection>()
  readonly #reconciler: Reconciler
  readonly #operations: PluginOperations
  #hotReload: HotReload | undefined
  #watching: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  /** Use {@link createKernel}. */
  constructor(options: ResolvedOptions, learning?: Learning) {
    this.#options = options
    this.#learning = learning
    this.log = options.logger ?? readableLogger(options.logLevel)
    const plane = makePlane(options.name, ({ owner, pattern }, { type }, error) => {
      // A plugin's generation tells of its own.
      if (owner === options.name) this.log.error(...handlerFailed('the application', type, pattern, error))
    })
    this.bus = plane.bus
    this.services = new KernelServices(options.name, plane, this.#scope)
    this.#roster = new Roster(options, (name, generation, transition) =>
      this.#announcer.tell('plugin:state', { name, generation, ...transition }),
    )
    this.#audit =
      options.audit &&
      new Audit({ log: new AuditLog({ ...options.audit, log: this.log }), errorOf: (name) => this.#roster.byName.get(name)?.error })
    this.#announcer = new Announcer(this.log, this.#audit, plane.bus)
    this.#lifecycle = new KernelLifecycle((transition) => this.#announcer.tell('kernel:state', transition))
    this.#permissions = new PluginPermissions(options, learning)
    this.#configurations = new Configurations(options)
    this.#standby = new Standby(options.standby)
    const shared = {
      plane,
      configurations: this.#configurations,
      audit: this.#audit,
      track: (source: PluginSource): Promise<void> | undefined => this.#hotReload?.track(source),
    }
    const generations = new GenerationFactory({
      ...shared,
      options,
      standby: this.#standby,
      tasks: new TaskPools(options.maxConcurrency),
      permissions: this.#permissions,
      inspections: this.#inspections,
      learning,
      log: this.log,
      announcer: this.#announcer,
      stuckThreads: this.#stuckThreads,
    })
    const supervisor = new Supervisor({
      make: (instance, change, aside, crashed) => generations.make(instance, change, aside, crashed),
      emit: (event, payload) => this.#announcer.tell(event, payload),
      adopt: (instance, change) => this.#adopt(instance, change),
      cameBack: ({ name, restart }) => void (restart.strategy === 'rest-for-one' && this.#reconciler.replaceDependents(name)),
      demotable: ({ source }) => {
        const { isolation, from } = placementOf(source, options)
        return isolation === 'thread' && from !== 'operator'
      },
      givenUp: ({ name, restart }) => void (restart.onGiveUp === 'stop' && this.#reconciler.stopDependents(name)),
    })
    this.#reconciler = new Reconciler(this.#roster.byName, supervisor, options.maxConcurrency, (service, version) =>
      plane.registry.list().some((each) => each.name === service && each.version === version),
    )
    this.#operations = new PluginOperations({
      ...shared,
      base: options.base,
      lifecycle: this.#lifecycle,
      roster: this.#roster,
      reconciler: this.#reconciler,
      supervisor,
      untrack: (plugin) => this.#hotReload?.untrack(plugin),
    })
  }

  get state(): KernelState {
    return this.#lifecycle.state
  }

  // ── start and stop ───────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Finds the plugins and starts them in the order of their dependencies. Resolves with a report of the boot; a plugin that
   * does not start is left out with its dependents, unless its manifest says `onFailure: "abort"`: then all is stopped again and
   * this rejects with BOOT_FAILED. Rejects with KERNEL_STATE when called twice.
   */
  start(by?: Attribution): Promise<BootReport> {
    return this.#act('start', undefined, by, () => this.#start())
  }

  async #start(): Promise<BootReport> {
    this.#lifecycle.assertCreated()
    this.#lifecycle.move('starting')
    if (this.#learning)
      this.log.warn({}, 'Permissions are recorded, not enforced: this kernel learns. Run code that you trust, and no production.')
    const began = performance.now()
    const { found, faults } = discover(this.#options.plugins, this.#options.base, this.#options.name)
    for (const { path, error } of faults) {
      this.log.error({ err: error, path }, error.message)
      this.#operations.leaveOut(path, error)
    }
    for (const source of found) this.#roster.add(source)
    this.#warnOfStrangers([...this.#roster.byName.keys(), ...faults.flatMap(({ error }) => error.plugin ?? [])])
    for (const name of this.#inspections.keys()) this.#roster.find(name)
    // Watched from before they are loaded: an edit made during the boot is seen.
    this.#watching = this.#options.watch && this.#watch(this.#options.watch.settle, [...found, ...faults])
    // Told below, after the plugins have started.
    this.#watching?.catch(() => {})
    await this.#reconciler.reconcile('the kernel starts')
    this.#lifecycle.assertStarting()
    this.#logExcluded()
    await this.#abortIfAsked()
    await this.#watching
    this.#lifecycle.assertStarting()
    this.#standby.open(commonFlags(this.#options.plugins))
    this.#lifecycle.move('running')
    const infos = this.#roster.all.map((instance) => ({ instance, info: this.#info(instance) }))
    return bootReportOf(performance.now() - began, this.#reconciler.plan, infos, faults)
  }

  #warnOfStrangers(names: readonly string[]): void {
    for (const sentence of strangersIn(this.#options, names)) this.log.warn({}, sentence)
  }

  /** What failed to start was told as a fault; what may not even start is told here, each root cause once. */
  #logExcluded(): void {
    for (const [name, error] of this.#reconciler.plan.excluded) {
      if (error.code !== 'DEPENDENCY_FAILED') this.log.error({ plugin: name, err: error }, error.message)
    }
  }

  async #abortIfAsked(): Promise<void> {
    const culprit = this.#roster.all.find(
      ({ enabled, running, source, error }) => enabled && !running && error !== undefined && source.manifest.onFailure === 'abort',
    )
    if (culprit === undefined) return
    await this.stop({ actor: 'kernel', reason: `'${culprit.name}' must run and did not start` })
    throw new PlugbayError(
      'BOOT_FAILED',
      `The system did not boot: plugin '${culprit.name}' must run (onFailure: "abort") and did not start. ${culprit.error?.message ?? ''}`,
      { plugin: culprit.name, cause: culprit.error },
    )
  }

  /** Stops all plugins in reverse order, each drained, each with a hard end. Idempotent; nothing of the kernel runs afterwards. */
  stop(by?: Attribution): Promise<void> {
    this.#stopped ??= this.#act('stop', undefined, by, () => this.#stop())
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#lifecycle.move('stopping')
    for (const { ending } of this.#inspections.values()) ending.abort()
    await this.#watching?.catch(() => {})
    await this.#hotReload?.close()
    const left = await this.#reconciler.stopAll('the kernel stops')
    for (const label of left) this.log.warn({}, `Left behind: ${label}`)
    await this.#scope.close(stopped())
    this.bus.close(stopped)
    await this.#standby.close()
    for (const inspection of this.#inspections.values()) inspection.close()
    this.#lifecycle.move('stopped')
    await this.#audit?.close()
  }

  /**
   * Stops the kernel and ends the process, for certain. `process.exit()` waits for all threads, so while one is stuck in native code it would hang: then the
   * process is ended by SIGKILL instead, and its code is 137.
   */
  async exit(code = 0): Promise<never> {
    await this.stop()
    if (this.#stuckThreads.count > 0) process.kill(process.pid, 'SIGKILL')
    process.exit(code)
  }

  /**
   * Opens an inspector for that plugin alone, in each of its generations, before its first line; a debugger finds the newest one at the port that this resolves with.
   * Called before `start()`, which rejects with PLUGIN_UNKNOWN where no plugin has that name. An inspected plugin has no limits but that of its stop, and is not
   * confined: for development. Rejects with OPTIONS_INVALID for a port that cannot be had, and with KERNEL_STATE once the kernel was started.
   */
  async inspect(plugin: string, options: InspectOptions = {}): Promise<number> {
    const { Inspection } = await import('./inspection.js')
    if (this.state !== 'created' || this.#inspections.has(plugin))
      throw new PlugbayError(
        'KERNEL_STATE',
        `Plugin '${plugin}' cannot be inspected now: inspect() is called once for it, before start().`,
        { plugin },
      )
    const inspection = await Inspection.open(plugin, options)
    this.#inspections.set(plugin, inspection)
    return inspection.port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  // ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All plugins the kernel knows, running or not, by name. */
  plugins(): PluginInfo[] {
    return this.#roster.all.map((instance) => this.#info(instance)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Takes in the plugin at `path` and starts it, and those that waited for it. Rejects with what keeps it from running, or with OPTIONS_INVALID for what is no path. */
  async load(path: string, by?: Attribution): Promise<PluginInfo> {
    assertText(path, 'kernel.load()', 'the path of a plugin')
    const attribution = { reason: resolve(this.#options.base, path), ...by }
    return this.#act('load', undefined, attribution, async () => this.#info(await this.#operations.load(path)))
  }

  /** Stops the plugin, and first those that depend on it, and forgets it. The report says what it left behind. Rejects with PLUGIN_UNKNOWN. */
  async unload(name: string, by?: Attribution): Promise<UnloadReport> {
    const instance = this.#roster.find(name)
    return this.#act('unload', instance, by, () => this.#operations.unload(instance))
  }

  /** Reads the plugin's files again and replaces it, or starts it if it does not run; it is stopped if its manifest now disables it. Rejects with what keeps the new one from running; the old one stays then. Rejects with PLUGIN_STATE for a plugin that is disabled, and stays so. */
  async reload(name: string, by?: Attribution): Promise<Replacement | undefined> {
    this.#lifecycle.assertRunning('reload')
    const instance = this.#roster.find(name)
    return this.#act('reload', instance, by, () => this.#operations.reload(instance, 'reload'))
  }

  /** Lets a disabled plugin run. Rejects with what keeps it from running. */
  async enable(name: string, by?: Attribution): Promise<void> {
    const instance = this.#roster.find(name)
    this.#lifecycle.assertRunning('enable')
    return this.#act('enable', instance, by, () => this.#operations.enable(instance))
  }

  /** Stops the plugin, and those that depend on it, and keeps it from running until it is enabled. */
  async disable(name: string, by?: Attribution): Promise<UnloadReport> {
    const instance = this.#roster.find(name)
    this.#lifecycle.assertRunning('disable')
    return this.#act('disable', instance, by, () => this.#operations.disable(instance))
  }

  /**
   * Gives the plugin a new configuration (what is left out comes from its file and its manifest). It is validated first: CONFIG_INVALID leaves
   * the old one in force. A plugin with `updateConfig` gets it live; another is replaced.
   */
  async updateConfig(name: string, config: object, by?: Attribution): Promise<void> {
    const instance = this.#roster.find(name)
    return this.#act('updateConfig', instance, by, () => this.#operations.configure(instance, config))
  }

  /** Asks the plugin how it is. A plugin that does not answer within `limits.healthTimeout` is not healthy. */
  async health(name: string): Promise<HealthReport> {
    const instance = this.#roster.find(name)
    if (!instance.generation?.alive || !instance.running) return { healthy: false, state: instance.state, reason: instance.error?.message }
    try {
      return await instance.generation.health()
    } catch (error) {
      return { healthy: false, state: instance.state, reason: (error as Error).message }
    }
  }

  /** Why the plugin does not run, or that it does. Rejects with PLUGIN_UNKNOWN. */
  explain(name: string): Explanation {
    return explain(this.#roster.find(name), this.#roster.byName, this.#reconciler.plan)
  }

  /**
   * The least permissions that allow what each plugin has used until now; also after `stop()`. Of a kernel with the option `learn`; another has learnt nothing.
   * What only a plugin's code tells (modules it imports, variables it reads) is read from there.
   */
  async learned(): Promise<Learned[]> {
    return this.#learning?.learned() ?? []
  }

  metrics(): KernelMetrics {
    const plugins = this.plugins().map(trafficOf)
    return {
      state: this.state,
      bus: this.bus.stats(),
      services: this.services.list().length,
      standby: this.#standby.waiting,
      stuckThreads: this.#stuckThreads.count,
      plugins,
    }
  }

  /** Listens to the kernel's own events. Returns the undo. A listener that throws harms nobody else. Throws OPTIONS_INVALID for another event, or a listener that is no function. */
  on<E extends keyof KernelEvents>(event: E, listener: (payload: KernelEvents[E]) => unknown): () => void {
    return this.#announcer.on(event, listener)
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Somebody does something: the audit log says who, before it is done. */
  #act<T>(action: string, plugin: PluginInstance | undefined, by: Attribution | undefined, run: () => Promise<T>): Promise<T> {
    return this.#audit ? this.#audit.act(action, plugin, by ?? {}, run) : run()
  }

  /** A change was carried out: it holds for later generations too. */
  #adopt(instance: PluginInstance, { source, config }: Change): void {
    if (source) this.#roster.adopt(instance, source)
    if (config) this.#configurations.give(instance.name, config)
  }

  async #watch(settle: number, known: readonly { path: string }[]): Promise<void> {
    const { HotReload } = await import('./hot-reload.js')
    this.#hotReload = new HotReload({
      settle,
      known: known.map(({ path }) => path),
      ignore: [this.#options.dataDir, ...(this.#options.audit ? [this.#options.audit.dir] : [])],
      places: this.#options.plugins,
      configDir: this.#options.configDir,
      instances: this.#roster.byName,
      log: this.log,
      order: () => this.#reconciler.plan.order,
      changed: (instance) => this.#act('reload', instance, BY_WATCHER, () => this.#operations.reload(instance, 'file change')),
      configured: ({ name }) => this.updateConfig(name, this.#configurations.given(name) ?? {}, BY_WATCHER),
      appeared: (path) => this.#act('load', undefined, { actor: 'watcher', reason: path }, () => this.#operations.dropIn(path)),
      vanished: (name) => {
        const instance = this.#roster.find(name)
        return this.#act('unload', instance, BY_WATCHER, () => this.#operations.vanished(instance))
      },
      fault: (name, error) => this.#announcer.tell('plugin:fault', { name, generation: this.#roster.byName.get(name)?.newest ?? 0, error }),
    })
    await this.#hotReload.open()
  }

  #info(instance: PluginInstance): PluginInfo {
    const { source } = instance
    const { granted } = this.#permissions.of(source)
    return infoOf(instance, placementOf(source, this.#options, instance.demotion.active), granted.permissions)
  }
}

const stopped = (): PlugbayError =>
  new PlugbayError('KERNEL_STATE', 'The kernel has stopped: it has no events and no services any more. Make a new one with createKernel().')
