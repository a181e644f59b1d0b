/**
 * What can be done to the plugins of a kernel that runs: load, unload, reload, enable, disable, configure. Each brings all that depends on
 * it in line.
 */
import { resolve } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { reasonOf } from '../../wire-error.js'
import type { Audit } from '../audit/audit.js'
import type { Configurations } from '../config/configurations.js'
import type { Attempt } from '../lifecycle/attempt.js'
import type { KernelLifecycle } from '../lifecycle/kernel-lifecycle.js'
import { looksLikePlugin } from '../manifest/discovery.js'
import { type PluginSource, readPlugin } from '../manifest/plugin-source.js'
import type { UnreadPlugin } from '../manifest/unread-plugins.js'
import { problemsError } from '../schema/schema-problems.js'
import { leftOf, type Plane } from '../services/plane.js'
import { PluginInstance } from '../supervision/plugin-instance.js'
import type { Replacement, ReplaceReason } from '../supervision/replacer.js'
import type { Supervisor } from '../supervision/supervisor.js'
import type { JointChanges, Waiting } from './joint-changes.js'
import type { Reconciler } from './reconciler.js'
import type { Roster } from './roster.js'
import type { Whereabouts } from './whereabouts.js'

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
  whereabouts: Whereabouts
  jointChanges: JointChanges
  reconciler: Reconciler
  supervisor: Supervisor
  configurations: Configurations
  plane: Plane
  audit: Audit | undefined
  /** Watches the plugin's files, from what they are now on. */
  track(source: PluginSource): Promise<void> | undefined
  untrack(plugin: string): void
  /** Has it looked for where its files are: they are not any more where they were. */
  astray(plugin: string): void
}

/** Throws what keeps it from running. */
const assertRuns = ({ enabled, running, error }: PluginInstance): void => {
  if (enabled && !running && error) throw error
}

export class PluginOperations {
  readonly #options: PluginOperationsOptions

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
    if (!instance.enabled || instance.running) return instance
    const { name, error } = instance
    // Somebody who came since may be about to start it.
    await this.#remove(instance, `'${name}' could not be loaded`)
    throw error ?? new PlugbayError('PLUGIN_STOPPED', `Plugin '${name}' was stopped before it was started.`, { plugin: name })
  }

  /** One that came in by its files and does not run stays known, as at the boot: its next save may mend it. */
  async dropIn(path: string, attempt?: Attempt): Promise<void> {
    const { whereabouts } = this.#options
    try {
      const there = await this.#at(path, attempt)
      // A save of a plugin that was unloaded on purpose does not bring it back.
      if (whereabouts.staysUnloaded(path)) return
      // It changed before it was watched, as it waited for its turn.
      if (there !== undefined) {
        await this.reload(there, 'file change', undefined, attempt)
        return
      }
      await this.#comeIn(path, whereabouts.heed, attempt)
    } catch (error) {
      // It was removed before it could be read. One that was taken in by then is told to have vanished.
      if (!looksLikePlugin(path)) return
      const holder = whereabouts.leaveOut(path, error)
      // It came in meanwhile.
      if (holder?.source.path === path) return
      if (holder === undefined || whereabouts.isThere(holder)) throw error
      // It was moved, most likely.
      this.#options.astray(holder.name)
    }
  }

  /** The plugin of that place, once what was asked for before is done: it may be on its way out. */
  async #at(path: string, attempt?: Attempt): Promise<PluginInstance | undefined> {
    const { roster, reconciler } = this.#options
    return roster.at(path) && reconciler.inTurn(async () => roster.at(path), attempt)
  }

  /** Takes in what stays known whether it comes to run or not, and rejects where it does not. */
  async #comeIn(path: string, heed?: (source: PluginSource) => void, attempt?: Attempt): Promise<void> {
    const instance = await this.#enter(path, heed, attempt)
    await this.#options.track(instance.source)
    // Its next save has it in hand.
    if (attempt?.outdated) return
    assertRuns(instance)
  }

  /** Its files are gone: it runs on from where they were moved, or it is unloaded. */
  async vanished(instance: PluginInstance): Promise<void> {
    const { whereabouts } = this.#options
    const { path } = instance.source
    if (whereabouts.successorOf(instance)) {
      try {
        await this.reload(instance, 'file change')
        return
      } catch (error) {
        if (instance.source.path !== path) throw error
        // What it was is gone, and what it is now does not run: its next save may mend it.
      }
    }
    await this.#leaves(instance)
  }

  /** It is unloaded, and what has its name elsewhere comes in. */
  async #leaves(instance: PluginInstance): Promise<void> {
    await this.#remove(instance)
    const next = this.#options.whereabouts.successorOf(instance)
    if (next) await this.dropIn(next.path)
  }

  /** Takes in the plugin at `path`, whether it comes to run or not. */
  async #enter(path: string, heed?: (source: PluginSource) => void, attempt?: Attempt): Promise<PluginInstance> {
    const { lifecycle, roster, whereabouts, reconciler, supervisor } = this.#options
    lifecycle.assertRunning('load')
    const source = readPlugin(path)
    heed?.(source)
    whereabouts.entered(source.path)
    // Whether a name that is taken now is free then is judged when what was asked for before is done: the other may be on its way out.
    const added = roster.byName.has(source.name) ? undefined : roster.add(source)
    return reconciler.inTurn(async (round) => {
      const instance = added ?? roster.add(source)
      await round(`'${source.name}' was loaded`, 'all', attempt && { instance, attempt }).catch(async (error: unknown) => {
        // The round of another may have started it: then it is stopped with all others.
        if (instance.running) throw error
        await supervisor.stop(instance, reasonOf(error))
        roster.forget(instance)
        throw error
      })
      return instance
    }, attempt)
  }

  /** Stops the plugin that has the name when its turn comes. Its files do not bring it back. */
  async unload({ name, source }: PluginInstance): Promise<UnloadReport> {
    const { whereabouts, plane } = this.#options
    whereabouts.unloaded(source.path)
    const left = await this.#forget(name, () => true)
    return { name, left: [...left, ...leftOf(name, plane)] }
  }

  /** The same to that plugin alone: another may have its name when its turn comes. */
  async #remove(instance: PluginInstance, reason?: string): Promise<void> {
    await this.#forget(instance.name, (other) => other === instance, reason)
  }

  /** Stops a plugin, and first those that depend on it, and forgets it. Returns what could not be undone. */
  #forget(name: string, isMeant: (instance: PluginInstance) => boolean, reason = `'${name}' was unloaded`): Promise<string[]> {
    const { roster, reconciler, untrack } = this.#options
    // What comes to where it lies is news from here on.
    untrack(name)
    return reconciler.remove(name, reason, isMeant, (instance) => {
      roster.forget(instance)
      // It was watched anew, where something was tried with it until now.
      untrack(name)
    })
  }

  /**
   * Reads the plugin anew and puts it in the place of what is there, if the dependencies allow it; together with others that wait, where it
   * cannot be without them.
   */
  async reload(instance: PluginInstance, reason: ReplaceReason, waiting?: Waiting, attempt?: Attempt): Promise<Replacement | undefined> {
    const { whereabouts, jointChanges, reconciler, supervisor } = this.#options
    const source = reason === 'file change' ? whereabouts.changed(instance) : whereabouts.read(instance)
    const { path } = instance.source
    if (source.name !== instance.name) return this.#rename(instance, source, reason)
    if (!instance.enabledAs(source)) return this.#rest(instance, source, reason)
    const replacement = await supervisor.replace(instance, reason, { source }, jointChanges.partnersOf(source, waiting), attempt)
    // Its version, or what it depends on, may be another now; and it may not have run, or its start may just have failed.
    await reconciler.reconcile(reason, instance, attempt)
    await this.#settled(instance, path, source, reason)
    if (replacement === undefined) assertRuns(instance)
    return replacement
  }

  /**
   * A plugin is what its files say now, or comes in anew by them, where it was forgotten meanwhile. What lies where it lay before comes in,
   * if that is new.
   */
  async #settled(instance: PluginInstance, before: string, source: PluginSource, reason: ReplaceReason): Promise<void> {
    const { roster, whereabouts } = this.#options
    const { path } = source
    if (!roster.holds(instance)) return reason === 'file change' ? this.dropIn(path) : undefined
    const next = before === path ? undefined : whereabouts.leftAt(before)
    if (next) await this.dropIn(next.path)
  }

  /** The same for one that could not be read: it comes in as soon as it can. */
  async reread(known: PluginInstance | UnreadPlugin): Promise<Replacement | undefined> {
    if (known instanceof PluginInstance) return this.reload(known, 'reload')
    try {
      await this.#comeIn(known.path)
    } catch (error) {
      this.#options.whereabouts.leaveOut(known.path, error)
      throw error
    }
    return undefined
  }

  /** Its files name another plugin now: that comes in when this one has left, or runs on from there if it was moved. */
  async #rename(instance: PluginInstance, source: PluginSource, reason: ReplaceReason): Promise<undefined> {
    const { roster, whereabouts } = this.#options
    if (reason !== 'file change') {
      throw new PlugbayError(
        'MANIFEST_INVALID',
        `The plugin at ${source.path} is now named '${source.name}' instead of '${instance.name}'. Unload it and load it again.`,
        { plugin: instance.name },
      )
    }
    const holder = roster.byName.get(source.name)
    const moved = holder !== undefined && !whereabouts.isThere(holder)
    if (!moved && holder?.source.path !== source.path) roster.assertFree(source)
    await this.#leaves(instance)
    // Who has the name may have left meanwhile.
    const now = roster.byName.get(source.name)
    if (now !== undefined && !whereabouts.isThere(now)) await this.reload(now, reason)
    else if (now?.source.path !== source.path) await this.dropIn(source.path)
  }

  /** It is not enabled, as what it was or as what it is now: it is that from here on, and does not run. */
  async #rest(instance: PluginInstance, source: PluginSource, reason: ReplaceReason): Promise<undefined> {
    const { name, enabled } = instance
    const { path } = instance.source
    if (!enabled && reason === 'reload') {
      throw new PlugbayError(
        'PLUGIN_STATE',
        `Plugin '${name}' is disabled: there is nothing to replace. Enable it with kernel.enable('${name}'), which starts it; reload it then if its manifest has changed.`,
        { plugin: name },
      )
    }
    const { reconciler, roster, track } = this.#options
    await reconciler.inTurnEnding(name, `the manifest of '${name}' disables it`, async () => {
      if (reason === 'reload') roster.assertStill(instance)
      if (!roster.holds(instance)) return
      roster.adopt(instance, source)
      instance.rest('disabled', 'its manifest says so')
    })
    await track(source)
    await this.#settled(instance, path, source, reason)
  }

  /** Rejects with what keeps the plugin from running. */
  async enable(instance: PluginInstance): Promise<void> {
    const { reconciler, roster } = this.#options
    await reconciler.inTurn(async (round) => {
      roster.assertStill(instance)
      instance.enable()
      instance.rest('resolved', 'it was enabled')
      await round(`'${instance.name}' was enabled`)
    })
    roster.assertStill(instance)
    assertRuns(instance)
  }

  async disable(instance: PluginInstance): Promise<UnloadReport> {
    const { lifecycle, reconciler, roster, plane } = this.#options
    const { name } = instance
    await reconciler.inTurnEnding(name, `'${name}' was disabled`, async () => {
      roster.assertStill(instance)
      instance.disable()
      instance.rest('disabled', 'it was disabled')
    })
    // It runs to its end with all others then.
    lifecycle.assertRunning('disable')
    return { name, left: leftOf(name, plane) }
  }

  /**
   * A plugin with `updateConfig` gets it live; another is replaced. One that does not run keeps it for its next start, which comes now
   * where it can: rejects with what it fails over.
   */
  async configure(instance: PluginInstance, config: object): Promise<void> {
    const { lifecycle, reconciler, supervisor, configurations } = this.#options
    const { name } = instance
    const given: unknown = config
    if (given === undefined || given === null) {
      const problem = { path: '', value: given, message: `must be an object, not ${String(given)}; {} takes back what was given before` }
      throw problemsError('CONFIG_INVALID', `What updateConfig was given for plugin '${name}'`, [problem], { plugin: name })
    }
    if (await this.#configureLive(instance, config)) configurations.give(name, config)
    // One that crashed and waits for its restart is replaced now, as it is by a reload: else nobody would hear what came of this.
    else await supervisor.replace(instance, 'configuration', { config })
    // It may have been its configuration that kept it from running.
    if (instance.generation !== undefined || !instance.enabled || lifecycle.state !== 'running') return
    const { newest } = instance
    await reconciler.reconcile(`'${name}' was configured`, instance)
    // Where it was not even tried, it waits for something else, and the configuration with it.
    if (instance.newest > newest) assertRuns(instance)
  }

  /** Whether its generation took the configuration as it runs. */
  async #configureLive(instance: PluginInstance, config: object): Promise<boolean> {
    const resolved = await this.#options.configurations.resolve(instance.source, config)
    return instance.attempt(({ signal }) =>
      instance.inTurn(async () => {
        const { generation } = instance
        if (!generation?.alive || !generation.has('updateConfig')) return false
        const { config: before } = generation
        await generation.updateConfig(resolved, signal)
        this.#options.audit?.configured(instance.name, generation.number, before, resolved, 'configuration')
        return true
      }),
    )
  }
}
