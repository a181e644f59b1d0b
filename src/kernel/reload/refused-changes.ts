/** Changes of files that were refused because of other plugins: each is tried again when those have changed. */
import type { ServiceRegistry } from '../../bus/service-registry.js'
import { isOwn } from '../../wire-error.js'
import { takenService } from '../services/taken-service.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'

interface Refused {
  /** Whether to try again now. */
  isPossible(): boolean
  unwatch(): void
}

export interface RefusedChangesOptions {
  registry: ServiceRegistry
  instances: ReadonlyMap<string, PluginInstance>
  /** Whether the others allow what a plugin's files say, also as `waiting` ones would be. */
  isAllowed(instance: PluginInstance, waiting: readonly string[]): boolean
}

export class RefusedChanges {
  readonly #options: RefusedChangesOptions
  readonly #again: (plugin: string) => void
  readonly #refused = new Map<string, Refused>()

  /** `again` tries the change of a plugin once more. */
  constructor(options: RefusedChangesOptions, again: (plugin: string) => void) {
    this.#options = options
    this.#again = again
  }

  /** Those whose changes wait. */
  get plugins(): readonly string[] {
    return [...this.#refused.keys()]
  }

  /**
   * Takes note of a change that was refused with `error`. Returns what comes of it, in a sentence; nothing for one that only another save
   * can mend.
   */
  add(plugin: string, error: unknown): string | undefined {
    this.forget(plugin)
    return this.#waitForService(plugin, error) ?? this.#waitForOthers(plugin, error)
  }

  #waitForService(plugin: string, error: unknown): string | undefined {
    const taken = takenService(error, plugin)
    if (taken === undefined) return undefined
    const { registry, instances } = this.#options
    const { name, version, provider } = taken
    this.#refused.set(plugin, {
      // One that crashed comes back, and keeps what it had.
      isPossible: () => !registry.isTaken(name, version) && instances.get(provider)?.generation?.fault === undefined,
      unwatch: registry.watch(name, () => this.#look(plugin)),
    })
    // It may have become free since.
    this.#look(plugin)
    return `It is tried again when '${provider}' no longer provides '${name}' ${version}, or changes as well.`
  }

  #waitForOthers(plugin: string, error: unknown): string | undefined {
    if (!isOwn(error)) return undefined
    const { instances, isAllowed } = this.#options
    const unwatch = (): void => {}
    if (error.code === 'DEPENDENCY_FAILED' && error.details?.['together'] === true) {
      const partner = String(error.details['root'])
      const before = instances.get(partner)?.generation
      this.#refused.set(plugin, { isPossible: () => instances.get(partner)?.generation !== before, unwatch })
      return `It is tried again with the next change of '${partner}'.`
    }
    if (!error.code.startsWith('DEPENDENCY_') && error.code !== 'PLUGIN_DUPLICATE') return undefined
    const isPossible = (): boolean => {
      const instance = instances.get(plugin)
      return instance !== undefined && isAllowed(instance, this.plugins)
    }
    this.#refused.set(plugin, { isPossible, unwatch })
    return 'It is tried again when the other plugins allow it.'
  }

  forget(plugin: string): void {
    this.#refused.get(plugin)?.unwatch()
    this.#refused.delete(plugin)
  }

  close(): void {
    for (const plugin of this.plugins) this.forget(plugin)
  }

  /** Other plugins are another way now. */
  reconsider(): void {
    for (const plugin of this.plugins) this.#look(plugin)
  }

  #look(plugin: string): void {
    if (this.#refused.get(plugin)?.isPossible() !== true) return
    this.forget(plugin)
    this.#again(plugin)
  }
}
