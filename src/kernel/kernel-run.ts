/** The one run of a kernel: its plugins started, their files watched, all of it stopped. */
import { LONGEST_WAIT } from '../arguments.js'
import { PlugbayError } from '../errors.js'
import { commonFlags } from '../sandbox/host/permission-flags.js'
import type { Standby } from '../sandbox/host/standby.js'
import type { Scope } from '../scope.js'
import type { Announcer } from './announcing/announcer.js'
import type { Attribution } from './audit/attribution.js'
import type { Act, Audit } from './audit/audit.js'
import type { Configurations } from './config/configurations.js'
import { strangersIn } from './config/strangers.js'
import { Attempt } from './lifecycle/attempt.js'
import type { KernelLifecycle } from './lifecycle/kernel-lifecycle.js'
import { type DiscoveryFault, discover } from './manifest/discovery.js'
import type { PluginSource } from './manifest/plugin-source.js'
import type { Logger, ResolvedOptions } from './options/options.js'
import type { PluginPermissions } from './permissions/plugin-permissions.js'
import type { JointChanges } from './plugins/joint-changes.js'
import type { PluginOperations } from './plugins/plugin-operations.js'
import type { Reconciler } from './plugins/reconciler.js'
import type { Roster } from './plugins/roster.js'
import type { Whereabouts } from './plugins/whereabouts.js'
import type { HotReload } from './reload/hot-reload.js'
import type { BootReport } from './reports/boot-report.js'
import type { Inventory } from './reports/inventory.js'
import type { Plane } from './services/plane.js'
import type { Inspection } from './supervision/inspection.js'

const BY_WATCHER: Attribution = { actor: 'watcher', reason: 'its files changed' }

/** Milliseconds for those that stop after one that took all its time. */
const STOP_MARGIN = 1_000

export interface KernelRunParts {
  options: ResolvedOptions
  log: Logger
  plane: Plane
  /** What the embedder has of the kernel: it ends with the run. */
  scope: Scope
  lifecycle: KernelLifecycle
  roster: Roster
  whereabouts: Whereabouts
  jointChanges: JointChanges
  reconciler: Reconciler
  operations: PluginOperations
  inventory: Inventory
  configurations: Configurations
  permissions: PluginPermissions
  announcer: Announcer
  audit: Audit | undefined
  act: Act
  /** Plugins that their authors look into. */
  inspections: ReadonlyMap<string, Inspection>
  standby: Standby
  /** Whether permissions are recorded instead of enforced. */
  learns: boolean
}

export class KernelRun {
  readonly #parts: KernelRunParts
  #hotReload: HotReload | undefined
  /** Has it as soon as it is made: what is to be seen by it waits for that. */
  #making: Promise<HotReload> | undefined
  #watching: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(parts: KernelRunParts) {
    this.#parts = parts
  }

  // ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Rejects with KERNEL_STATE when called twice, and with BOOT_FAILED. */
  start(by?: Attribution): Promise<BootReport> {
    return this.#parts.act('start', undefined, by, () => this.#start())
  }

  async #start(): Promise<BootReport> {
    const { options, log, lifecycle, roster, whereabouts, reconciler, inspections, standby, inventory } = this.#parts
    lifecycle.assertCreated()
    lifecycle.move('starting')
    if (this.#parts.learns)
      log.warn({}, 'Permissions are recorded, not enforced: this kernel learns. Run code that you trust, and no production.')
    const began = performance.now()
    standby.prepare(commonFlags({ base: options.base, places: options.plugins }))
    const { found, faults, passedOver } = discover(options.plugins, options.base, options.name)
    for (const { path, error } of faults) {
      log.error({ err: error, path }, error.message)
      whereabouts.leaveOut(path, error)
    }
    for (const error of passedOver) log.warn({ path: error.details?.['path'] }, error.message)
    for (const source of found) roster.add(source)
    this.#warnOfStrangers([...roster.byName.keys(), ...faults.flatMap(({ error }) => error.plugin ?? [])])
    for (const name of inspections.keys()) roster.find(name)
    // Watched from before they are loaded: an edit made during the boot is seen.
    this.#making = options.watch && this.#makeHotReload(options.watch.settle, [...found, ...faults])
    this.#watching = this.#making?.then((hotReload) => hotReload.open())
    // Told below, after the plugins have started.
    this.#watching?.catch(() => {})
    await reconciler.reconcile('the kernel starts', undefined, new Attempt())
    // A plugin whose start was ended by a newer save of it is judged by that.
    await reconciler.settled()
    lifecycle.assertStarting()
    this.#logExcluded()
    await this.#abortIfAsked(faults)
    await this.#watching
    lifecycle.assertStarting()
    standby.open()
    lifecycle.move('running')
    return inventory.bootReport(performance.now() - began, faults)
  }

  #warnOfStrangers(names: readonly string[]): void {
    for (const sentence of strangersIn(this.#parts.options, names)) this.#parts.log.warn({}, sentence)
  }

  /** What failed to start was told as a fault; what may not even start is told here, each root cause once. */
  #logExcluded(): void {
    const { reconciler, log } = this.#parts
    // The members of a circle share one.
    const told = new Set<string>()
    for (const [name, error] of reconciler.plan.excluded) {
      if (error.code === 'DEPENDENCY_FAILED' || told.has(error.message)) continue
      told.add(error.message)
      log.error({ plugin: name, err: error }, error.message)
    }
  }

  async #abortIfAsked(faults: readonly DiscoveryFault[]): Promise<void> {
    const stopped = this.#parts.roster.all.find(
      ({ enabled, running, source, error }) => enabled && !running && error !== undefined && source.manifest.onFailure === 'abort',
    )
    const unread = faults.find(({ mustRun }) => mustRun)
    const error = stopped?.error ?? unread?.error
    if (error === undefined) return
    const plugin = stopped?.name ?? unread?.error.plugin
    const who = plugin === undefined ? `the plugin at ${unread?.path}` : `plugin '${plugin}'`
    await this.stop({ actor: 'kernel', reason: `${who} must run and did not start` })
    throw new PlugbayError(
      'BOOT_FAILED',
      `The system did not boot: ${who} must run (onFailure: "abort") and did not start. ${error.message}`,
      {
        plugin,
        cause: error,
      },
    )
  }

  // ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Idempotent; nothing of the kernel runs afterwards. */
  stop(by?: Attribution): Promise<void> {
    this.#stopped ??= this.#parts.act('stop', undefined, by, () => this.#stop())
    return this.#stopped
  }

  /**
   * From now on all plugins together have as long to stop as the one with the longest `stopTimeout`, and a second more: those that are left
   * then are ended. For the end of the process, which should not take as long as a chain of plugins of which each uses up its time. To be
   * cleared.
   */
  hasten(): NodeJS.Timeout {
    const { roster } = this.#parts
    const longest = Math.max(0, ...roster.all.map(({ generation }) => generation?.limits.stopTimeout ?? 0))
    return setTimeout(
      () => {
        for (const { generation, retiring } of roster.all)
          for (const each of [generation, ...retiring]) void each?.close('the process ends')
      },
      Math.min(longest + STOP_MARGIN, LONGEST_WAIT),
    )
  }

  async #stop(): Promise<void> {
    const { lifecycle, inspections, reconciler, log, scope, plane, standby, audit } = this.#parts
    lifecycle.move('stopping')
    // First of all: the watcher waits for what it has under way, and so does a round of starts.
    reconciler.close('the kernel stops')
    await this.#watching?.catch(() => {})
    await this.#hotReload?.close()
    const left = await reconciler.stopAll('the kernel stops')
    for (const label of left) log.warn({}, `Left behind: ${label}`)
    await scope.close(stopped())
    plane.bus.close(stopped)
    await standby.close()
    for (const inspection of inspections.values()) inspection.close()
    lifecycle.move('stopped')
    await audit?.close()
  }

  // ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Watches the plugin's files, from what they are now on, where files are watched. */
  track(source: PluginSource): Promise<void> | undefined {
    return this.#making?.then((hotReload) => hotReload.track(source))
  }

  untrack(plugin: string): void {
    this.#hotReload?.untrack(plugin)
  }

  /** What has the plugin's name lies elsewhere by now. */
  astray(plugin: string): void {
    this.#hotReload?.astray(plugin)
  }

  async #makeHotReload(settle: number, known: readonly { path: string }[]): Promise<HotReload> {
    this.#parts.reconciler.changedSince = async (plugin, began) => (await this.#hotReload?.stir(new Set([plugin]), began)) ?? false
    const [{ HotReload }, { ManifestGuard }] = await Promise.all([import('./reload/hot-reload.js'), import('./reload/manifest-guard.js')])
    const { options, log, roster, whereabouts, jointChanges, reconciler, operations, inventory, configurations, announcer, act, plane } =
      this.#parts
    const guard = new ManifestGuard(options, this.#parts.permissions, roster.byName)
    whereabouts.heed = (source, instance) => guard.assertMayBecome(source, instance)
    const hotReload = new HotReload({
      settle,
      known: known.map(({ path }) => path),
      ignore: [options.dataDir, ...(options.audit ? [options.audit.dir] : [])],
      places: options.plugins,
      configDir: options.configDir,
      instances: roster.byName,
      registry: plane.registry,
      log,
      inOrder: (names) => jointChanges.orderOf(names),
      isInline: (instance) => inventory.plugin(instance).isolation === 'inline',
      isAllowed: (instance, waiting) => jointChanges.isAllowed(instance, waiting),
      changed: (instance, waiting, attempt) =>
        act('reload', instance, BY_WATCHER, () => operations.reload(instance, 'file change', waiting, attempt)),
      configured: (instance) =>
        act('updateConfig', instance, BY_WATCHER, () => operations.configure(instance, configurations.given(instance.name) ?? {})),
      isThere: (instance) => whereabouts.isThere(instance),
      stillSays: (source) => whereabouts.stillSays(source),
      formerPlaces: (path) => whereabouts.formerPlaces(path),
      appeared: (path, attempt) => act('load', undefined, { actor: 'watcher', reason: path }, () => operations.dropIn(path, attempt)),
      vanished: async (name) => {
        const instance = roster.find(name)
        return act('unload', instance, BY_WATCHER, () => operations.vanished(instance))
      },
      refused: (instance, error) => void reconciler.refuse(instance, error),
      fault: (what, error) => {
        const known = PlugbayError.is(error) && error.plugin !== undefined && roster.byName.get(error.plugin)
        const name = known && known.source.path === what ? known.name : what
        announcer.tell('plugin:fault', { name, generation: roster.byName.get(name)?.newest ?? 0, error })
      },
    })
    reconciler.onRound = () => hotReload.reconsider()
    announcer.on('plugin:state', ({ name, to }) => {
      if (to === 'starting') hotReload.loaded(name)
    })
    this.#hotReload = hotReload
    return hotReload
  }
}

const stopped = (): PlugbayError =>
  new PlugbayError('KERNEL_STATE', 'The kernel has stopped: it has no events and no services any more. Make a new one with createKernel().')
