/**
 * Makes generations: gathers what the next run of a plugin is to have (its place, limits, permissions, configuration), as the kernel
 * decides it now.
 */
import { join } from 'node:path'
import { linkedPackages } from '../../sandbox/host/linked-packages.js'
import { real } from '../../sandbox/host/readable.js'
import type { Standby } from '../../sandbox/host/standby.js'
import type { PluginHost } from '../../sandbox/plugin-host.js'
import type { Stripped } from '../../strip-types.js'
import type { Announcer } from '../announcing/announcer.js'
import type { Audit } from '../audit/audit.js'
import type { Configurations } from '../config/configurations.js'
import { pluginFields } from '../log/plugin-fields.js'
import { inspectedPlacement, type Placement, placementOf } from '../manifest/isolation.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { needsModuleHooks, PLUGIN_MODULE } from '../modules/module-access.js'
import { strippedSources } from '../modules/stripped-sources.js'
import { effectiveLimits, type Logger, type ResolvedOptions } from '../options/options.js'
import type { Learning } from '../permissions/learning.js'
import { assertRoles, grantsOf } from '../permissions/permissions.js'
import type { PluginPermissions } from '../permissions/plugin-permissions.js'
import type { Plane } from '../services/plane.js'
import type { TaskPools } from '../tasks/task-pools.js'
import { explainShortage } from '../text/system-limit.js'
import { Generation, type GenerationOptions } from './generation.js'
import type { Inspection } from './inspection.js'
import { placeFor } from './placement.js'
import type { PluginInstance } from './plugin-instance.js'
import { type Birth, beginsAnew, type Change } from './replacer.js'
import { endsWell } from './restart-record.js'
import type { StuckThreads } from './stuck-threads.js'
import type { Crashed } from './supervisor.js'

/** What the generations of one kernel are made of. */
export interface GenerationParts {
  options: ResolvedOptions
  plane: Plane
  standby: Standby
  tasks: TaskPools
  permissions: PluginPermissions
  configurations: Configurations
  /** Plugins that their authors look into. */
  inspections: ReadonlyMap<string, Inspection>
  learning: Learning | undefined
  log: Logger
  audit: Audit | undefined
  announcer: Announcer
  stuckThreads: StuckThreads
  /** Watches the plugin's files, from what they are now on. */
  track(source: PluginSource): Promise<void> | undefined
}

export class GenerationFactory {
  readonly #parts: GenerationParts

  constructor(parts: GenerationParts) {
    this.#parts = parts
  }

  /** The next generation, not started. Rejects when its permissions, its configuration or its place are not to be had. */
  make(instance: PluginInstance, change: Change, birth: Birth, crashed: Crashed): Promise<Generation> {
    return this.#make(instance, change, birth, crashed).catch(explainShortage(instance.name))
  }

  async #make(instance: PluginInstance, change: Change, { reason, succession }: Birth, crashed: Crashed): Promise<Generation> {
    const { options, plane, tasks, inspections, audit } = this.#parts
    const source = change.source ?? instance.source
    const { name } = source
    assertRoles(source, options)
    const inspection = inspections.get(name)
    // What it did in a thread says nothing about new code.
    const demoted = instance.restarts.demoted && (change.source === undefined || !beginsAnew(instance.restarts, reason))
    const placement = this.#placementOf(source, demoted, inspection)
    const declared = effectiveLimits(source.manifest, options)
    const limits = inspection?.unhurried(declared) ?? declared
    const permissions = this.#parts.permissions.of(source)
    const grants = grantsOf(permissions)
    const dataDir = join(options.dataDir, name)
    const packages =
      placement.isolation === 'inline' ? [] : this.#packagesOf(source, permissions.granted.learning ? [] : [dataDir, ...grants.fs.write])
    const reach = { root: source.root, packages, application: { base: options.base, places: options.plugins } }
    const needs = { reach, dataDir, limits, grants, inspected: inspection !== undefined }
    const host = await placeFor(source, placement, this.#parts.standby, needs)
    const [config, needsHooks, stripped] = await this.#readFor(source, placement, change.config, host, [...grants.fs.read, ...packages])
    const number = instance.nextNumber()
    audit?.granted(source, number, { ...placement, tier: host.tier }, permissions.granted.permissions, reason, change.after)
    audit?.configured(name, number, instance.generation?.config, config, reason)
    const generation: Generation = new Generation({
      source,
      number,
      config,
      limits,
      dataDir,
      inspection,
      // No plugin can be named so.
      profiles: join(options.dataDir, '.profiles'),
      permissions,
      host,
      plane,
      tasks,
      succession,
      pluginModule: PLUGIN_MODULE,
      needsHooks,
      stripped,
      grants,
      packages,
      ...this.#reports(source, number),
      endsWell: (exit) => endsWell(instance.restarts.policy, exit),
      crashed: (exit, lost) => crashed(generation, exit, lost),
      stuck: (gone) => this.#stuck(instance, number, gone),
    })
    return generation
  }

  #placementOf(source: PluginSource, demoted: boolean, inspection: Inspection | undefined): Placement {
    const chosen = placementOf(source, this.#parts.options, demoted)
    inspection?.assertOwnPlace(chosen.isolation)
    return inspection ? inspectedPlacement(chosen) : chosen
  }

  #packagesOf({ root }: PluginSource, writable: string[]): string[] {
    const { base, plugins } = this.#parts.options
    return linkedPackages({ root, closed: [base, ...plugins].map(real), writable })
  }

  /** What is read from files for it: its configuration, whether its modules need hooks, and what they are without types. */
  #readFor(
    source: PluginSource,
    { isolation }: Placement,
    given: object | undefined,
    host: PluginHost,
    readable: string[],
  ): Promise<[object, boolean, Stripped, void]> {
    const { configurations, track } = this.#parts
    return Promise.all([
      configurations.resolve(source, given ?? configurations.given(source.name)),
      isolation !== 'thread' && needsModuleHooks(source),
      strippedSources(source, isolation === 'inline' ? undefined : readable),
      // What it is now is known before its code is read: a save made meanwhile is seen.
      track(source),
    ]).catch(async (error: unknown) => {
      await host.kill('its generation was not made')
      throw error
    })
  }

  /** Where it tells what it does. */
  #reports(source: PluginSource, generation: number): Pick<GenerationOptions, 'moved' | 'used' | 'log' | 'denied'> {
    const { announcer, learning, log } = this.#parts
    const { name } = source
    return {
      moved: (transition) => {
        if (transition.to === 'running') learning?.ran(source)
        announcer.tell('plugin:state', { name, generation, ...transition })
      },
      used: learning?.recorderFor(name),
      log: (level, message, fields) => log[level](pluginFields(fields, name, generation), message),
      denied: (error) => announcer.tell('plugin:fault', { name, generation, error }),
    }
  }

  #stuck(instance: PluginInstance, generation: number, gone: Promise<unknown>): void {
    for (const threads of [instance.stuckThreads, this.#parts.stuckThreads]) threads.add(gone)
    this.#parts.announcer.tell('plugin:stuck', { name: instance.name, generation })
  }
}
