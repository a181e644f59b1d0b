/** What the kernel tells of its plugins: what each is, its traffic, why it does not run, and the report of the boot. */
import type { PlugbayError } from '../../errors.js'
import type { Permission } from '../../permission-set.js'
import type { Tier } from '../../sandbox/plugin-host.js'
import { codeOf } from '../../wire-error.js'
import type { SubscriptionTraffic } from '../gateway/event-route.js'
import { type IsolationSource, inspectedPlacement, type Placement, placementOf } from '../manifest/isolation.js'
import type { Isolation } from '../manifest/manifest.js'
import type { UnreadPlugin } from '../manifest/unread-plugins.js'
import type { ResolvedOptions } from '../options/options.js'
import type { PluginPermissions } from '../permissions/plugin-permissions.js'
import type { Reconciler } from '../plugins/reconciler.js'
import type { Roster } from '../plugins/roster.js'
import type { Inspection } from '../supervision/inspection.js'
import { type FaultRecord, type LastExit, PluginInstance } from '../supervision/plugin-instance.js'
import type { BootedPlugin, BootReport } from './boot-report.js'
import { type Explanation, explain, explainUnread } from './explain.js'

/** A plugin as `kernel.plugins()` tells it. */
export interface PluginInfo {
  name: string
  version: string
  state: string
  isolation: Isolation
  /**
   * Who chose that: `inspected` (somebody looks into it), `operator` (the kernel's options, by name), `demoted` (too many faults),
   * `manifest`, or `default`.
   */
  isolationFrom: IsolationSource
  /** How strongly its place really holds it here and now; undefined while it has none. */
  tier: Tier | undefined
  /**
   * Which of its limits of memory, processor and hanging are held from outside here and now; none of one that is inspected, undefined while
   * it has no place.
   */
  holds: readonly ('memory' | 'cpu' | 'hang')[] | undefined
  /** Number of the generation that serves; 0 before the first. */
  generation: number
  /** Where it was found. */
  path: string
  /** The group of plugins it starts together with, from 0. */
  wave: number | undefined
  /** Restarts after crashes. */
  restarts: number
  /** What last ended it or kept it from running: like `lastExit`, it stays when the plugin runs again. */
  lastError: { code: string | undefined; message: string } | undefined
  lastExit: LastExit | undefined
  /** Threads of earlier generations that were to end and are held by native code. */
  stuckThreads: number
  /** Its newest faults, at most 20, the oldest first. */
  history: FaultRecord[]
  /** Services it provides, as name@version. */
  provides: string[]
  /** All that it may do; paths are absolute. */
  permissions: readonly Permission[]
  subscriptions: SubscriptionTraffic[]
}

/** What goes through a plugin's subscriptions, all together. */
export interface PluginTraffic {
  name: string
  state: string
  generation: number
  restarts: number
  delivered: number
  failed: number
  queued: number
  inFlight: number
}

export interface InventoryOptions {
  options: Pick<ResolvedOptions, 'isolation' | 'defaults'>
  roster: Roster
  reconciler: Reconciler
  permissions: PluginPermissions
  /** Plugins that their authors look into. */
  inspections: ReadonlyMap<string, Inspection>
}

export class Inventory {
  readonly #options: InventoryOptions

  constructor(options: InventoryOptions) {
    this.#options = options
  }

  plugin(instance: PluginInstance): PluginInfo {
    const { options, permissions, inspections } = this.#options
    const { name, source, restarts } = instance
    const chosen = placementOf(source, options, restarts.demoted)
    return infoOf(instance, inspections.has(name) ? inspectedPlacement(chosen) : chosen, permissions.of(source).granted.permissions)
  }

  /** All there are, by name. */
  plugins(): PluginInfo[] {
    return this.#options.roster.all.map((instance) => this.plugin(instance)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Of all there are, by name. */
  traffic(): PluginTraffic[] {
    return this.plugins().map(trafficOf)
  }

  /** Why the plugin does not run, or that it does. */
  explain(known: PluginInstance | UnreadPlugin): Explanation {
    const { roster, reconciler } = this.#options
    return known instanceof PluginInstance ? explain(known, roster.byName, reconciler) : explainUnread(known, roster.all)
  }

  /** `faults`: paths that were to be plugins and are none. */
  bootReport(ms: number, faults: readonly { path: string; error: PlugbayError }[]): BootReport {
    const { roster, reconciler } = this.#options
    const { waves, order } = reconciler.plan
    const wave = (name: string): number => waves.findIndex((names) => names.includes(name))
    const plugins = roster.all.map((instance) => booted(instance, this.plugin(instance), wave(instance.name)))
    return { ms, waves, order, plugins: [...plugins, ...faults.map(unusable)] }
  }
}

const infoOf = (instance: PluginInstance, { isolation, from }: Placement, permissions: readonly Permission[]): PluginInfo => {
  const { name, source, generation, lastError } = instance
  return {
    name,
    version: source.version,
    state: instance.state,
    isolation,
    isolationFrom: from,
    tier: generation?.host.tier,
    holds: generation && (from === 'inspected' ? [] : generation.host.holds),
    generation: generation?.number ?? instance.newest,
    path: source.path,
    wave: instance.wave,
    restarts: instance.restarts.count,
    lastError: lastError && { code: codeOf(lastError), message: lastError.message },
    lastExit: instance.lastExit,
    stuckThreads: instance.stuckThreads.count,
    history: [...instance.history],
    provides: generation?.gateway.provides ?? [],
    // The kernel decides by its own.
    permissions: permissions.map(({ resource, actions }) => ({ resource, actions: [...actions] })),
    subscriptions: generation?.gateway.traffic ?? [],
  }
}

const trafficOf = ({ name, state, generation, restarts, subscriptions }: PluginInfo): PluginTraffic => {
  const sum = (key: 'delivered' | 'failed' | 'queued' | 'inFlight'): number => subscriptions.reduce((total, stats) => total + stats[key], 0)
  return {
    name,
    state,
    generation,
    restarts,
    delivered: sum('delivered'),
    failed: sum('failed'),
    queued: sum('queued'),
    inFlight: sum('inFlight'),
  }
}

const booted = ({ source, generation, error, startMs = 0 }: PluginInstance, info: PluginInfo, wave: number): BootedPlugin => {
  const { load = 0, initialize = 0, start = 0 } = generation?.phases ?? {}
  const { name, version, state, isolation, provides, subscriptions } = info
  return {
    name,
    version,
    state,
    isolation,
    generation: info.generation,
    wave,
    ms: startMs,
    phases: { load, initialize, start },
    provides,
    publishes: source.manifest.publishes ?? [],
    subscribes: subscriptions.map(({ pattern }) => pattern),
    ...(error ? { error: { code: codeOf(error) ?? 'ERROR', message: error.message } } : {}),
  }
}

/** A path that was to be a plugin and is none. */
const unusable = ({ path, error }: { path: string; error: PlugbayError }): BootedPlugin => ({
  name: error.plugin ?? path,
  version: '',
  state: 'failed',
  isolation: '',
  generation: 0,
  wave: -1,
  ms: 0,
  phases: { load: 0, initialize: 0, start: 0 },
  provides: [],
  publishes: [],
  subscribes: [],
  error: { code: error.code, message: error.message },
})
