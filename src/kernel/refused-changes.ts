/** Changes of files that were refused because another plugin provides a service of theirs: each is tried again when that is free. */
import type { ServiceRegistry } from '../bus/service-registry.js'
import type { PluginInstance } from './plugin-instance.js'
import { type TakenService, takenService } from './taken-service.js'

interface Refused {
  taken: TakenService
  unwatch: () => void
}

export class RefusedChanges {
  readonly #registry: ServiceRegistry
  readonly #instances: ReadonlyMap<string, PluginInstance>
  readonly #again: (plugin: string) => void
  readonly #refused = new Map<string, Refused>()

  /** `again` tries the change of a plugin once more. */
  constructor(registry: ServiceRegistry, instances: ReadonlyMap<string, PluginInstance>, again: (plugin: string) => void) {
    this.#registry = registry
    this.#instances = instances
    this.#again = again
  }

  /** Takes note of a change that was refused with `error`. Returns what comes of it, in a sentence; nothing for one that only another save can mend. */
  add(plugin: string, error: unknown): string | undefined {
    const taken = takenService(error, plugin)
    if (taken === undefined) return undefined
    this.forget(plugin)
    this.#refused.set(plugin, { taken, unwatch: this.#registry.watch(taken.name, () => this.#look(plugin, taken)) })
    const circle = this.#circle(plugin)
    // It may have become free since.
    this.#look(plugin, taken)
    if (circle === undefined) return `It is tried again when '${taken.provider}' no longer provides '${taken.name}' ${taken.version}.`
    const waits = circle.map(({ name, provider }) => `'${name}' of '${provider}'`).join(', ')
    return (
      `It takes what another provides that waits in its turn: ${waits}. Services do not change hands both ways at once: ` +
      `save '${plugin}' without them first, or disable it and enable it again, which stops it in between.`
    )
  }

  forget(plugin: string): void {
    this.#refused.get(plugin)?.unwatch()
    this.#refused.delete(plugin)
  }

  close(): void {
    for (const plugin of [...this.#refused.keys()]) this.forget(plugin)
  }

  #look(plugin: string, { name, version, provider }: TakenService): void {
    if (this.#registry.isTaken(name, version)) return
    // One that crashed comes back, and keeps what it had.
    if (this.#instances.get(provider)?.generation?.fault !== undefined) return
    this.forget(plugin)
    this.#again(plugin)
  }

  /** What each of them waits for, where they wait for each other. */
  #circle(plugin: string): TakenService[] | undefined {
    const waits: TakenService[] = []
    for (let at = plugin; waits.length < this.#refused.size; ) {
      const refused = this.#refused.get(at)
      if (refused === undefined) return undefined
      waits.push(refused.taken)
      at = refused.taken.provider
      if (at === plugin) return waits
    }
    return undefined
  }
}
