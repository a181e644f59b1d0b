/** The kernel: which plugins live, and the door to all they share. */
import { join, resolve } from 'node:path'
import { Stamp } from '../bus/event.js'
import { EventBus, type EventBusStats } from '../bus/event-bus.js'
import { ServiceRegistry } from '../bus/service-registry.js'
import { PlugbayError, toWire } from '../errors.js'
import { didYouMean } from '../nearest.js'
import type { PermissionSet } from '../permission-set.js'
import { commonFlags } from '../sandbox/host/permission-flags.js'
import { Standby } from '../sandbox/host/standby.js'
import type { Exit } from '../sandbox/plugin-host.js'
import type { HealthReport, LogLevel } from '../sandbox/protocol.js'
import { Scope } from '../scope.js'
import { AuditLog } from './audit/audit-log.js'
import { type Attribution, Audit } from './audit.js'
import type { BootReport } from './boot-report.js'
import { discover } from './discovery.js'
import { type Explanation, explain } from './explain.js'
import type { Plane } from './gateway.js'
import { Generation } from './generation.js'
import type { HotReload } from './hot-reload.js'
import type { Inspection, InspectOptions } from './inspection.js'
import { bootReportOf, infoOf, type PluginInfo, type PluginTraffic, trafficOf } from './inventory.js'
import { type Placement, placementOf } from './isolation.js'
import { KernelEmitter, type KernelEvents, type KernelState } from './kernel-events.js'
import { KernelServices } from './kernel-services.js'
import type { Learning } from './learning.js'
import type { Learned } from './least-permissions.js'
import { readableLogger } from './log.js'
import { type PluginSource, readPlugin } from './manifest.js'
import { needsModuleHooks, PLUGIN_MODULE } from './module-access.js'
import { effectiveLimits, effectiveRestart, type Logger, type ResolvedOptions } from './options.js'
import { packedEvent } from './packed-event.js'
import { assertRoles, grantsOf, permissionsOf } from './permissions.js'
import { placeFor } from './placement.js'
import { resolvePluginConfig } from './plugin-config.js'
import { PluginInstance } from './plugin-instance.js'
import { Reconciler } from './reconciler.js'
import { ServiceBroker } from './service-broker.js'
import { type Change, type Replacement, type ReplaceReason, Supervisor } from './supervisor.js'
import { TaskPools } from './task-pools.js'

const BY_WATCHER: Attribution = { actor: 'watcher', reason: 'its files changed' }

/** What an unloaded plugin left behind: nothing, if all is well. */
export interface UnloadReport {
  name: string
  left: string[]
}

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
  readonly #plane: Plane
  readonly #standby: Standby
  readonly #tasks: TaskPools
  readonly #emitter: KernelEmitter
  readonly #audit: Audit | undefined
  readonly #instances = new Map<string, PluginInstance>()
  readonly #config = new Map<string, object>()
  /** Where plugins lie that the embedder unloaded. */
  readonly #unloaded = new Set<string>()
  /** Faults that have been told. */
  readonly #told = new WeakSet<Error>()
  /** Plugins that their authors look into. */
  readonly #inspections = new Map<string, Inspection>()
  readonly #supervisor: Supervisor
  readonly #reconciler: Reconciler
  #state: KernelState = 'created'
  #stuckThreads = 0
  #hotReload: HotReload | undefined
  #watching: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  /** Use {@link createKernel}. */
  constructor(options: ResolvedOptions, learning?: Learning) {
    this.#options = options
    this.#learning = learning
    this.log = options.logger ?? readableLogger(options.logLevel)
    const stamp = new Stamp()
    const registry = new ServiceRegistry()
    const broker = new ServiceBroker(registry)
    this.bus = new EventBus({
      source: options.name,
      stamp,
      seal: (event) => packedEvent(event, stamp.ids),
      onFailure: (subscription, event, error) =>
        this.log.error(
          { plugin: subscription.owner, topic: event.type, pattern: subscription.pattern, err: error },
          `A handler of '${subscription.owner}' failed.`,
        ),
    })
    this.services = new KernelServices(options.name, registry, broker, this.#scope)
    this.#plane = { bus: this.bus, stamp, registry, broker }
    this.#standby = new Standby(options.standby)
    this.#tasks = new TaskPools(options.maxConcurrency)
    this.#emitter = new KernelEmitter((event, error) => this.log.error({ err: error }, `A listener of '${event}' threw.`))
    this.#audit =
      options.audit &&
      new Audit({
        log: new AuditLog({ ...options.audit, log: this.log }),
        errorOf: (name) => this.#instances.get(name)?.error,
      })
    this.#supervisor = new Supervisor({
      make: (instance, change, aside, crashed) => this.#make(instance, change, aside, crashed),
      emit: (event, payload) => this.#tell(event, payload),
      adopt: (instance, change) => this.#adopt(instance, change),
      cameBack: ({ name, restart }) => void (restart.strategy === 'rest-for-one' && this.#reconciler.replaceDependents(name)),
      demotable: ({ source }) => {
        const { isolation, from } = placementOf(source, this.#options)
        return isolation === 'thread' && from !== 'operator'
      },
      givenUp: ({ name, restart }) => void (restart.onGiveUp === 'stop' && this.#reconciler.stopDependents(name)),
    })
    this.#reconciler = new Reconciler(this.#instances, this.#supervisor, options.maxConcurrency)
    for (const [name, config] of Object.entries(options.config)) this.#config.set(name, config)
  }

  get state(): KernelState {
    return this.#state
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
    if (this.#state !== 'created')
      throw new PlugbayError('KERNEL_STATE', `The kernel is ${this.#state}: it is started once. Make a new one with createKernel().`)
    this.#move('starting')
    if (this.#learning)
      this.log.warn({}, 'Permissions are recorded, not enforced: this kernel learns. Run code that you trust, and no production.')
    const began = performance.now()
    const { found, faults } = await discover(this.#options.plugins, this.#options.base)
    this.#assertStarting()
    for (const { path, error } of faults) this.log.error({ err: error, path }, error.message)
    for (const source of found) this.#take(source)
    for (const name of this.#inspections.keys()) this.#find(name)
    // Watched from before they are loaded: an edit made during the boot is seen.
    this.#watching = this.#options.watch && this.#watch(this.#options.watch.settle, [...found, ...faults])
    // Told below, after the plugins have started.
    this.#watching?.catch(() => {})
    await this.#reconciler.reconcile('the kernel starts')
    this.#assertStarting()
    this.#logExcluded()
    await this.#abortIfAsked()
    await this.#watching
    this.#assertStarting()
    this.#standby.open(commonFlags(this.#options.plugins))
    this.#move('running')
    const infos = [...this.#instances.values()].map((instance) => ({ instance, info: this.#info(instance) }))
    return bootReportOf(performance.now() - began, this.#reconciler.plan, infos, faults)
  }

  #assertStarting(): void {
    if (this.#state !== 'starting') throw new PlugbayError('KERNEL_STATE', 'The kernel was stopped while it was starting.')
  }

  /** What failed to start was told as a fault; what may not even start is told here, each root cause once. */
  #logExcluded(): void {
    for (const [name, error] of this.#reconciler.plan.excluded) {
      if (error.code !== 'DEPENDENCY_FAILED') this.log.error({ plugin: name, err: error }, error.message)
    }
  }

  async #abortIfAsked(): Promise<void> {
    const culprit = [...this.#instances.values()].find(
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
    this.#move('stopping')
    for (const { ending } of this.#inspections.values()) ending.abort()
    await this.#watching?.catch(() => {})
    await this.#hotReload?.close()
    const left = await this.#reconciler.stopAll('the kernel stops')
    for (const label of left) this.log.warn({}, `Left behind: ${label}`)
    await this.#scope.close()
    await this.#standby.close()
    for (const inspection of this.#inspections.values()) inspection.close()
    this.#move('stopped')
    await this.#audit?.close()
  }

  /**
   * Stops the kernel and ends the process, for certain. `process.exit()` waits for all threads, so while one is stuck in native code it would hang: then the
   * process is ended by SIGKILL instead, and its code is 137.
   */
  async exit(code = 0): Promise<never> {
    await this.stop()
    if (this.#stuckThreads > 0) process.kill(process.pid, 'SIGKILL')
    process.exit(code)
  }

  /**
   * Opens an inspector for that plugin alone, in each of its generations, before its first line; a debugger finds the newest one at the port that this resolves with.
   * Called before `start()`, which rejects with PLUGIN_UNKNOWN where no plugin has that name. An inspected plugin has no limits but that of its stop, and is not
   * confined: for development. Rejects with OPTIONS_INVALID for a port that cannot be had, and with KERNEL_STATE once the kernel was started.
   */
  async inspect(plugin: string, options: InspectOptions = {}): Promise<number> {
    const { Inspection } = await import('./inspection.js')
    if (this.#state !== 'created' || this.#inspections.has(plugin))
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
    return [...this.#instances.values()].map((instance) => this.#info(instance)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Takes in the plugin at `path` and starts it, and those that waited for it. Rejects with what keeps it from running. */
  load(path: string, by?: Attribution): Promise<PluginInfo> {
    return this.#act('load', undefined, { reason: resolve(this.#options.base, path), ...by }, () => this.#load(path))
  }

  async #load(path: string): Promise<PluginInfo> {
    const instance = await this.#enter(path)
    if (instance.enabled && !instance.running) {
      const { name, state, error } = instance
      this.#forget(instance)
      throw error ?? new PlugbayError('PLUGIN_STATE', `Plugin '${name}' was loaded and is ${state}.`, { plugin: name })
    }
    return this.#info(instance)
  }

  /** Takes in the plugin at `path`, whether it comes to run or not. */
  async #enter(path: string): Promise<PluginInstance> {
    this.#assertRunning('load')
    const source = await readPlugin(resolve(this.#options.base, path))
    this.#assertRunning('load')
    const there = this.#instances.get(source.name)
    if (there) {
      throw new PlugbayError(
        'PLUGIN_DUPLICATE',
        `A plugin named '${source.name}' is already loaded from ${there.source.path}; the one at ${source.path} was left out. Rename one, or unload the other first.`,
        { plugin: source.name, details: { paths: [there.source.path, source.path] } },
      )
    }
    this.#unloaded.delete(source.path)
    const instance = this.#take(source)
    await this.#reconciler.reconcile(`'${source.name}' was loaded`).catch((error: unknown) => {
      this.#forget(instance)
      throw error
    })
    return instance
  }

  /** One that does not run and is still the one of its name. */
  #forget(instance: PluginInstance): void {
    if (instance.generation === undefined && this.#instances.get(instance.name) === instance) this.#instances.delete(instance.name)
  }

  /** Stops the plugin, and first those that depend on it, and forgets it. The report says what it left behind. Rejects with PLUGIN_UNKNOWN. */
  async unload(name: string, by?: Attribution): Promise<UnloadReport> {
    const instance = this.#find(name)
    return this.#act('unload', instance, by, () => {
      this.#unloaded.add(instance.source.path)
      return this.#remove(instance)
    })
  }

  async #remove({ name }: PluginInstance): Promise<UnloadReport> {
    this.#hotReload?.untrack(name)
    const left = await this.#reconciler.remove(name, `'${name}' was unloaded`, () => this.#instances.delete(name))
    return { name, left: [...left, ...this.#leftOf(name)] }
  }

  /** Reads the plugin's files again and replaces it, or starts it if it does not run. Rejects with what keeps the new one from running; the old one stays then. */
  async reload(name: string, by?: Attribution): Promise<Replacement | undefined> {
    this.#assertRunning('reload')
    const instance = this.#find(name)
    return this.#act('reload', instance, by, () => this.#renew(instance, 'reload'))
  }

  /** Lets a disabled plugin run. Rejects with what keeps it from running. */
  async enable(name: string, by?: Attribution): Promise<void> {
    const instance = this.#find(name)
    this.#assertRunning('enable')
    return this.#act('enable', instance, by, () => this.#enable(instance))
  }

  async #enable(instance: PluginInstance): Promise<void> {
    const { name } = instance
    instance.enabled = true
    instance.rest('resolved', 'it was enabled')
    await this.#reconciler.reconcile(`'${name}' was enabled`, instance)
    this.#assertStill(instance)
    if (instance.enabled && !instance.running && instance.error) throw instance.error
  }

  /** Stops the plugin, and those that depend on it, and keeps it from running until it is enabled. */
  async disable(name: string, by?: Attribution): Promise<UnloadReport> {
    const instance = this.#find(name)
    this.#assertRunning('disable')
    return this.#act('disable', instance, by, () => this.#disable(instance))
  }

  async #disable(instance: PluginInstance): Promise<UnloadReport> {
    const { name } = instance
    instance.enabled = false
    await this.#reconciler.reconcile(`'${name}' was disabled`)
    this.#assertStill(instance)
    if (!instance.enabled) instance.rest('disabled', 'it was disabled')
    return { name, left: this.#leftOf(name) }
  }

  /**
   * Gives the plugin a new configuration (what is left out comes from its file and its manifest). It is validated first: CONFIG_INVALID leaves
   * the old one in force. A plugin with `updateConfig` gets it live; another is replaced.
   */
  async updateConfig(name: string, config: object, by?: Attribution): Promise<void> {
    const instance = this.#find(name)
    return this.#act('updateConfig', instance, by, () => this.#updateConfig(instance, config))
  }

  async #updateConfig(instance: PluginInstance, config: object): Promise<void> {
    const { name } = instance
    const resolved = await this.#resolveConfig(instance.source, config)
    const live = await instance.inTurn(async () => {
      const { generation } = instance
      if (!generation?.alive || !generation.has('updateConfig')) return false
      const { config: before } = generation
      await generation.updateConfig(resolved)
      this.#audit?.configured(name, generation.number, before, resolved)
      return true
    })
    if (live || !instance.running) this.#config.set(name, config)
    else await this.#supervisor.replace(instance, 'configuration', { config })
    // It may have been its configuration that kept it from running.
    if (instance.generation !== undefined || !instance.enabled || this.#state !== 'running') return
    await this.#reconciler.reconcile(`'${name}' was configured`, instance)
  }

  /** Asks the plugin how it is. A plugin that does not answer within `limits.healthTimeout` is not healthy. */
  async health(name: string): Promise<HealthReport> {
    const instance = this.#find(name)
    if (!instance.generation?.alive || !instance.running) return { healthy: false, state: instance.state, reason: instance.error?.message }
    try {
      return await instance.generation.health()
    } catch (error) {
      return { healthy: false, state: instance.state, reason: (error as Error).message }
    }
  }

  /** Why the plugin does not run, or that it does. Rejects with PLUGIN_UNKNOWN. */
  explain(name: string): Explanation {
    return explain(this.#find(name), this.#instances, this.#reconciler.plan)
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
      state: this.#state,
      bus: this.bus.stats(),
      services: this.services.list().length,
      standby: this.#standby.waiting,
      stuckThreads: this.#stuckThreads,
      plugins,
    }
  }

  /** Listens to the kernel's own events. Returns the undo. A listener that throws harms nobody else. */
  on<E extends keyof KernelEvents>(event: E, listener: (payload: KernelEvents[E]) => unknown): () => void {
    return this.#emitter.on(event, listener)
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Somebody does something: the audit log says who, before it is done. */
  #act<T>(action: string, plugin: PluginInstance | undefined, by: Attribution | undefined, run: () => Promise<T>): Promise<T> {
    return this.#audit ? this.#audit.act(action, plugin, by ?? {}, run) : run()
  }

  #move(to: KernelState): void {
    const from = this.#state
    this.#state = to
    this.#audit?.told('kernel:state', { from, to })
    this.#emitter.emit('kernel:state', { from, to })
  }

  #assertRunning(act: string): void {
    if (this.#state !== 'running' && this.#state !== 'starting') {
      throw new PlugbayError('KERNEL_STATE', `The kernel is ${this.#state}: it cannot ${act} a plugin now. Start it first.`)
    }
  }

  /** It was not unloaded while something was done to it: another plugin may have its name by now. */
  #assertStill(instance: PluginInstance): void {
    if (this.#instances.get(instance.name) !== instance) {
      throw new PlugbayError('PLUGIN_UNKNOWN', `Plugin '${instance.name}' was unloaded meanwhile.`, { plugin: instance.name })
    }
  }

  #find(name: string): PluginInstance {
    const instance = this.#instances.get(name)
    if (instance) return instance
    throw new PlugbayError('PLUGIN_UNKNOWN', `There is no plugin '${name}'.${didYouMean(name, this.#instances.keys())}`, { plugin: name })
  }

  #take(source: PluginSource): PluginInstance {
    const restart = effectiveRestart(source.manifest, this.#options.defaults)
    const instance: PluginInstance = new PluginInstance(source, restart, (generation, transition) =>
      this.#tell('plugin:state', { name: source.name, generation, ...transition }),
    )
    if (!instance.enabled) instance.rest('disabled', 'its manifest says so')
    this.#instances.set(source.name, instance)
    return instance
  }

  /** Lifecycle events are told to the embedder and, under `kernel.`, to whoever listens on the bus. */
  #tell<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    if (event === 'plugin:fault') {
      const { name, generation, error } = payload as KernelEvents['plugin:fault']
      // Whoever meets a failure on its way up may tell it: it is told once.
      if (this.#told.has(error)) return
      this.#told.add(error)
      this.log.error({ plugin: name, generation, err: error }, error.message)
    }
    if (event === 'plugin:replaced') {
      const { name, from, to, reason, ms } = payload as KernelEvents['plugin:replaced']
      this.log.info({ plugin: name, generation: to }, `Replaced generation ${from} by ${to} in ${ms.toFixed(1)} ms: ${reason}.`)
    }
    if (event === 'plugin:demoted') {
      const { name, generation, reason } = payload as KernelEvents['plugin:demoted']
      this.log.warn({ plugin: name, generation }, reason)
    }
    this.#audit?.told(event, payload)
    this.#emitter.emit(event, payload)
    const data = 'error' in payload ? { ...payload, error: toWire(payload.error) } : payload
    void this.bus.publish(`kernel.${event.replace(':', '.')}`, data as never).catch(() => {})
  }

  #resolveConfig(source: PluginSource, override: object | undefined): Promise<Record<string, unknown>> {
    return resolvePluginConfig({
      name: source.name,
      declaration: source.manifest.config,
      manifestPath: source.manifestPath,
      configDir: this.#options.configDir,
      override,
      env: this.#options.env,
    })
  }

  async #make(
    instance: PluginInstance,
    change: Change,
    aside: boolean,
    crashed: (generation: Generation, exit: Exit, lost: number) => void,
  ): Promise<Generation> {
    const source = change.source ?? instance.source
    assertRoles(source, this.#options)
    const { defaults } = this.#options
    // What it did in a thread says nothing about new code.
    const chosen = placementOf(source, this.#options, change.source === undefined && instance.demotion.active)
    const dataDir = join(this.#options.dataDir, source.name)
    const inspection = this.#inspections.get(source.name)
    inspection?.assertOwnPlace(chosen.isolation)
    // To end a thread that has an inspector crashes Node now and then, and does not end it while a debugger is on it.
    const placement: Placement = inspection ? { ...chosen, isolation: 'process' } : chosen
    const manifestLimits = effectiveLimits(source.manifest, defaults)
    const limits = inspection?.unhurried(manifestLimits) ?? manifestLimits
    const permissions = this.#permissionsOf(source)
    const grants = grantsOf(permissions)
    const reach = { root: source.root, places: this.#options.plugins }
    const host = await placeFor(source, placement, this.#standby, { reach, dataDir, limits, grants, inspected: inspection !== undefined })
    const [config, needsHooks] = await Promise.all([
      this.#resolveConfig(source, change.config ?? this.#config.get(source.name)),
      placement.isolation !== 'thread' && needsModuleHooks(source),
      // What it is now is known before its code is read: a save made meanwhile is seen.
      this.#hotReload?.track(source),
    ]).catch(async (error: unknown) => {
      await host.kill('its generation was not made')
      throw error
    })
    const number = ++instance.newest
    this.#audit?.granted(source, number, placement, permissions.granted.permissions)
    this.#audit?.configured(source.name, number, instance.generation?.config, config)
    const generation: Generation = new Generation({
      source,
      number,
      config,
      limits,
      dataDir,
      inspection,
      // No plugin can be named so.
      profiles: join(this.#options.dataDir, '.profiles'),
      permissions,
      host,
      plane: this.#plane,
      tasks: this.#tasks,
      aside,
      pluginModule: PLUGIN_MODULE,
      needsHooks,
      grants,
      moved: (transition) => {
        if (transition.to === 'running') this.#learning?.ran(source)
        this.#tell('plugin:state', { name: source.name, generation: number, ...transition })
      },
      used: this.#learning?.recorderFor(source.name),
      log: (level, message, fields) => this.#logFor(source.name, number, level, message, fields),
      denied: (error) => this.#tell('plugin:fault', { name: source.name, generation: number, error }),
      crashed: (exit, lost) => crashed(generation, exit, lost),
      stuck: (gone) => this.#stuck(instance, number, gone),
    })
    return generation
  }

  /** Node waits for such a thread at the end of the process, so the application must know: see {@link Kernel.exit}. */
  #stuck(instance: PluginInstance, number: number, gone: Promise<unknown>): void {
    const { name } = instance
    instance.stuckThreads++
    this.#stuckThreads++
    void gone.then(() => {
      instance.stuckThreads--
      this.#stuckThreads--
    })
    this.log.error(
      { plugin: name, generation: number },
      `A thread of plugin '${name}' does not end: a native call holds it, which nothing can interrupt. It has no part in the system any more; end the process with kernel.exit().`,
    )
    this.#tell('plugin:stuck', { name, generation: number })
  }

  #logFor(plugin: string, generation: number, level: LogLevel, message: string, fields: unknown): void {
    const extra = typeof fields === 'object' && fields !== null ? fields : fields === undefined ? {} : { value: fields }
    this.log[level]({ ...extra, plugin, generation }, message)
  }

  #adopt(instance: PluginInstance, { source, config }: Change): void {
    if (source) {
      instance.source = source
      instance.restart = effectiveRestart(source.manifest, this.#options.defaults)
      instance.demotion.lift()
    }
    if (config) this.#config.set(instance.name, config)
  }

  /** Reads the plugin anew and puts it in the place of what is there, if the dependencies allow it. */
  async #renew(instance: PluginInstance, reason: ReplaceReason): Promise<Replacement | undefined> {
    const source = await readPlugin(instance.source.path)
    if (source.name !== instance.name) {
      throw new PlugbayError(
        'MANIFEST_INVALID',
        `The plugin at ${source.path} is now named '${source.name}' instead of '${instance.name}'. Unload it and load it again.`,
        {
          plugin: instance.name,
        },
      )
    }
    const excluded = this.#reconciler
      .planWith({ ...source.manifest, name: source.name, version: source.version, enabled: instance.enabled })
      .excluded.get(source.name)
    if (excluded && instance.running) throw excluded
    const replacement = await this.#supervisor.replace(instance, reason, { source })
    // Its version, or what it depends on, may be another now; and it may not have run, or its start may just have failed.
    await this.#reconciler.reconcile(reason, instance)
    if (replacement === undefined && !instance.running && instance.enabled && instance.error) throw instance.error
    return replacement
  }

  async #watch(settle: number, known: readonly { path: string }[]): Promise<void> {
    const { HotReload } = await import('./hot-reload.js')
    this.#hotReload = new HotReload({
      settle,
      known: known.map(({ path }) => path),
      ignore: [this.#options.dataDir, ...(this.#options.audit ? [this.#options.audit.dir] : [])],
      places: this.#options.plugins,
      configDir: this.#options.configDir,
      instances: this.#instances,
      log: this.log,
      order: () => this.#reconciler.plan.order,
      changed: (instance) => this.#act('reload', instance, BY_WATCHER, () => this.#renew(instance, 'file change')),
      configured: (instance) => this.updateConfig(instance.name, this.#config.get(instance.name) ?? {}, BY_WATCHER),
      appeared: (path) => this.#act('load', undefined, { actor: 'watcher', reason: path }, () => this.#dropIn(path)),
      vanished: (name) => this.#act('unload', this.#find(name), BY_WATCHER, () => this.#remove(this.#find(name))),
      fault: (name, error) => this.#tell('plugin:fault', { name, generation: this.#instances.get(name)?.newest ?? 0, error }),
    })
    await this.#hotReload.open()
  }

  /** One that came in by its files and does not run stays known, as at the boot: its next save may mend it. */
  async #dropIn(path: string): Promise<void> {
    // A save of a plugin that was unloaded on purpose does not bring it back.
    if (this.#unloaded.has(path)) return
    const instance = await this.#enter(path)
    await this.#hotReload?.track(instance.source)
    if (instance.enabled && !instance.running && instance.error) throw instance.error
  }

  /** What is still registered under a plugin's name. */
  #leftOf(name: string): string[] {
    const { registry, broker } = this.#plane
    const services = registry.list().filter(({ provider }) => provider === name)
    const subscriptions = this.bus.subscriptionsOf(name)
    const uses = broker.usesOf(name)
    return [
      ...services.map((record) => `service ${record.name}@${record.version}`),
      ...subscriptions.map(({ pattern }) => `subscription to ${pattern}`),
      ...(uses > 0 ? [`${uses} used services`] : []),
    ]
  }

  #permissionsOf(source: PluginSource): PermissionSet {
    return this.#learning?.permissionsOf(source) ?? permissionsOf(source, this.#options)
  }

  #info(instance: PluginInstance): PluginInfo {
    const { source } = instance
    const { granted } = this.#permissionsOf(source)
    return infoOf(instance, placementOf(source, this.#options, instance.demotion.active), granted.permissions)
  }
}
