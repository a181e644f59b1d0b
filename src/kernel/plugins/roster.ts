/** The plugins that the kernel knows, running or not: one of each name. */
import { assertText } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import type { Transition } from '../lifecycle/lifecycle.js'
import { kernelNameFault } from '../manifest/kernel-names.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { reservedIn } from '../manifest/reserved-fields.js'
import { type UnreadPlugin, UnreadPlugins } from '../manifest/unread-plugins.js'
import { effectiveRestart, type ResolvedOptions } from '../options/options.js'
import { PluginInstance } from '../supervision/plugin-instance.js'

/** So many names can be read where one was meant. */
const LISTED = 12

type Moved = (plugin: string, generation: number, transition: Transition) => void

export class Roster {
  readonly #options: Pick<ResolvedOptions, 'name' | 'defaults'>
  readonly #moved: Moved
  readonly #remark: (plugin: string, sentence: string) => void
  readonly #instances = new Map<string, PluginInstance>()
  /** Those that are none yet. */
  readonly unread = new UnreadPlugins()

  /** `remark`: takes what is worth a look in a manifest, and keeps nothing from starting. */
  constructor(options: Pick<ResolvedOptions, 'name' | 'defaults'>, moved: Moved, remark: (plugin: string, sentence: string) => void) {
    this.#options = options
    this.#moved = moved
    this.#remark = remark
  }

  get byName(): ReadonlyMap<string, PluginInstance> {
    return this.#instances
  }

  get all(): PluginInstance[] {
    return [...this.#instances.values()]
  }

  /** The plugin that lies there. */
  at(path: string): PluginInstance | undefined {
    return this.all.find(({ source }) => source.path === path)
  }

  /** Throws PLUGIN_UNKNOWN, or OPTIONS_INVALID for what is no name. */
  find(name: string): PluginInstance {
    const instance = this.#instances.get(name)
    if (instance) return instance
    assertText(name, 'The kernel', 'the name of a plugin')
    const unread = this.unread.find(name)
    if (unread) {
      throw new PlugbayError(
        'PLUGIN_UNKNOWN',
        `There is no plugin '${name}' yet: what lies at ${unread.path} could not be read as one. ${unread.error.message} Mend it, and have it read again with kernel.reload('${name}').`,
        { plugin: name, cause: unread.error },
      )
    }
    const names = [...this.#instances.keys()]
    const there = names.length > 0 && names.length <= LISTED ? ` There are: ${names.join(', ')}.` : ''
    throw new PlugbayError('PLUGIN_UNKNOWN', `There is no plugin '${name}'.${didYouMean(name, names) || there}`, { plugin: name })
  }

  /** The same, also where it could not be read. */
  known(name: string): PluginInstance | UnreadPlugin {
    return this.#instances.get(name) ?? this.unread.find(name) ?? this.find(name)
  }

  /** Throws PLUGIN_DUPLICATE. */
  assertFree(source: PluginSource): void {
    const { name, path } = source
    const taken = kernelNameFault(source, this.#options.name)
    if (taken) throw taken
    const there = this.#instances.get(name)
    if (there) {
      throw new PlugbayError(
        'PLUGIN_DUPLICATE',
        there.source.path === path
          ? `Plugin '${name}' at ${path} is loaded already. To read it again, reload it with kernel.reload('${name}').`
          : `A plugin named '${name}' is already loaded from ${there.source.path}; the one at ${path} was left out. Rename one, or unload the other first.`,
        { plugin: name, details: { paths: [there.source.path, path] } },
      )
    }
  }

  /** Throws PLUGIN_DUPLICATE. */
  add(source: PluginSource): PluginInstance {
    this.assertFree(source)
    const { name, manifest } = source
    const restart = effectiveRestart(manifest, this.#options.defaults)
    const instance = new PluginInstance(source, restart, (generation, transition) => this.#moved(name, generation, transition))
    if (!instance.enabled) instance.rest('disabled', 'its manifest says so')
    this.#instances.set(name, instance)
    this.unread.forget(source.path)
    this.#lookAt(source)
    return instance
  }

  /** From now on the plugin is what it was read as last. */
  adopt(instance: PluginInstance, source: PluginSource): void {
    this.#lookAt(source, instance.source)
    instance.become(source, effectiveRestart(source.manifest, this.#options.defaults))
    this.unread.forget(source.path)
  }

  #lookAt(source: PluginSource, former?: PluginSource): void {
    const reserved = reservedIn(source)
    if (reserved !== undefined && (former === undefined || reservedIn(former) === undefined)) this.#remark(source.name, reserved)
  }

  /** Whether it is one of them still: another plugin may have its name by now. */
  holds(instance: PluginInstance): boolean {
    return this.#instances.get(instance.name) === instance
  }

  /** Unless another plugin has its name by now. Only once it is stopped, in the turn in which that was done: nobody can start it then. */
  forget(instance: PluginInstance): void {
    if (this.holds(instance)) this.#instances.delete(instance.name)
  }

  /** Throws PLUGIN_UNKNOWN for one that was unloaded while something was done to it: another plugin may have its name by now. */
  assertStill(instance: PluginInstance): void {
    if (!this.holds(instance)) {
      throw new PlugbayError('PLUGIN_UNKNOWN', `Plugin '${instance.name}' was unloaded meanwhile.`, { plugin: instance.name })
    }
  }
}
