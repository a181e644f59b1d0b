/** What can be done to the plugins of a kernel that runs: load, unload, reload, enable, disable, configure. Each brings all that depends on it in line. */
import { resolve } from 'node:path'
import { PlugbayError } from '../errors.js'
import type { Audit } from './audit.js'
import type { Configurations } from './configurations.js'
import type { KernelLifecycle } from './kernel-lifecycle.js'
import { type PluginSource, readPlugin } from './manifest.js'
import { leftOf, type Plane } from './plane.js'
import type { PluginInstance } from './plugin-instance.js'
import type { Reconciler } from './reconciler.js'
import type { Roster } from './roster.js'
import type { Replacement, ReplaceReason, Supervisor } from './supervisor.js'

/** What an unloaded plugin left behind: nothing, if all is well. */
export interface UnloadReport {
  name: string
  left: string[]
}

export interface PluginOperationsOptions {
  /** The folder that relative paths are relative to. */
  base: string
  lifecycle: KernelLifecycle
  roster: Roster
  reconciler: Reconciler
  supervisor: Supervisor
  configurations: Configurations
  plane: Plane
  audit: Audit | undefined
  /** Watches the plugin's files, from what they are now on. */
  track(source: PluginSource): Promise<void> | undefined
  untrack(plugin: string): void
}

export class PluginOperations {
  readonly #options: PluginOperationsOptions
  /** Where plugins lie that were unloaded on purpose. */
  readonly #unloaded = new Set<string>()

  constructor(options: PluginOperationsOptions) {
    this.#options = options
  }

  /** Where that is: an absolute path. */
  placeOf(path: string): string {
    return resolve(this.#options.base, path)
  }

  /** `path` is absolute. Rejects with what keeps the plugin from running: then it is not known any more. */
  async load(path: string): Promise<PluginInstance> {
    const instance = await this.#enter(path)
    if (instance.enabled && !instance.running) {
      const { name, state, error } = instance
      this.#options.roster.forget(instance)
      throw error ?? new PlugbayError('PLUGIN_STATE', `Plugin '${name}' was loaded and is ${state}.`, { plugin: name })
    }
    return instance
  }

  /** One that came in by its files and does not run stays known, as at the boot: its next save may mend it. */
  async dropIn(path: string): Promise<void> {
    // A save of a plugin that was unloaded on purpose does not bring it back.
    if (this.#unloaded.has(path)) return
    const instance = await this.#enter(path)
    await this.#options.track(instance.source)
    if (instance.enabled && !instance.running && instance.error) throw instance.error
  }

  /** Takes in the plugin at `path`, whether it comes to run or not. */
  async #enter(path: string): Promise<PluginInstance> {
    const { lifecycle, roster, reconciler } = this.#options
    lifecycle.assertRunning('load')
    const source = readPlugin(path)
    const instance = roster.add(source)
    this.#unloaded.delete(source.path)
    await reconciler.reconcile(`'${source.name}' was loaded`).catch((error: unknown) => {
      roster.forget(instance)
      throw error
    })
    return instance
  }

  /** Its files do not bring it back. */
  unload(instance: PluginInstance): Promise<UnloadReport> {
    this.#unloaded.add(instance.source.path)
    return this.remove(instance)
  }

  /** Stops the plugin, and first those that depend on it, and forgets it. */
  async remove({ name }: PluginInstance): Promise<UnloadReport> {
    const { roster, reconciler, plane, untrack } = this.#options
    untrack(name)
    const left = await reconciler.remove(name, `'${name}' was unloaded`, () => roster.remove(name))
    return { name, left: [...left, ...leftOf(name, plane)] }
  }

  /** Reads the plugin anew and puts it in the place of what is there, if the dependencies allow it. */
  async reload(instance: PluginInstance, reason: ReplaceReason): Promise<Replacement | undefined> {
    const { reconciler, supervisor } = this.#options
    const source = readPlugin(instance.source.path)
    if (source.name !== instance.name) {
      throw new PlugbayError(
        'MANIFEST_INVALID',
        `The plugin at ${source.path} is now named '${source.name}' instead of '${instance.name}'. Unload it and load it again.`,
        { plugin: instance.name },
      )
    }
    const excluded = reconciler
      .planWith({ ...source.manifest, name: source.name, version: source.version, enabled: instance.enabled })
      .excluded.get(source.name)
    if (excluded && instance.running) throw excluded
    const replacement = await supervisor.replace(instance, reason, { source })
    // Its version, or what it depends on, may be another now; and it may not have run, or its start may just have failed.
    await reconciler.reconcile(reason, instance)
    if (replacement === undefined && !instance.running && instance.enabled && instance.error) throw instance.error
    return replacement
  }

  /** Rejects with what keeps the plugin from running. */
  async enable(instance: PluginInstance): Promise<void> {
    instance.enabled = true
    instance.rest('resolved', 'it was enabled')
    await this.#options.reconciler.reconcile(`'${instance.name}' was enabled`, instance)
    this.#options.roster.assertStill(instance)
    if (instance.enabled && !instance.running && instance.error) throw instance.error
  }

  async disable(instance: PluginInstance): Promise<UnloadReport> {
    const { name } = instance
    instance.enabled = false
    await this.#options.reconciler.reconcile(`'${name}' was disabled`)
    this.#options.roster.assertStill(instance)
    if (!instance.enabled) instance.rest('disabled', 'it was disabled')
    return { name, left: leftOf(name, this.#options.plane) }
  }

  /** A plugin with `updateConfig` gets it live; another is replaced. */
  async configure(instance: PluginInstance, config: object): Promise<void> {
    const { lifecycle, reconciler, supervisor, configurations } = this.#options
    const { name } = instance
    if ((await this.#configureLive(instance, config)) || !instance.running) configurations.give(name, config)
    else await supervisor.replace(instance, 'configuration', { config })
    // It may have been its configuration that kept it from running.
    if (instance.generation !== undefined || !instance.enabled || lifecycle.state !== 'running') return
    await reconciler.reconcile(`'${name}' was configured`, instance)
  }

  /** Whether its generation took the configuration as it runs. */
  async #configureLive(instance: PluginInstance, config: object): Promise<boolean> {
    const resolved = await this.#options.configurations.resolve(instance.source, config)
    return instance.inTurn(async () => {
      const { generation } = instance
      if (!generation?.alive || !generation.has('updateConfig')) return false
      const { config: before } = generation
      await generation.updateConfig(resolved)
      this.#options.audit?.configured(instance.name, generation.number, before, resolved)
      return true
    })
  }
}
