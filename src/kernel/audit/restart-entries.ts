/**
 * What is written of a plugin that crashes and is restarted, again and again, as often as its policy lets it, and of those that are
 * replaced for it: each with what follows from it, or none of that.
 */
import type { AuditEntry } from './chain.js'
import { SummedEntries } from './summed-entries.js'

interface Restarting {
  /** Whose crash it is: what is written counts as that one's. */
  culprit: string
  /** Those before it have no part in it. */
  generation: number
  /** Its crash, or its replacement, is written, and so is what follows from it. */
  told: boolean
  /** The last state that is not. */
  state: AuditEntry | undefined
}

export class RestartEntries {
  readonly #crashes = new SummedEntries('it crashed more often than is written one by one')
  readonly #plugins = new Map<string, Restarting>()

  /** What is to be written of a crash after which it is started again. */
  crash(plugin: string, entry: AuditEntry): AuditEntry[] {
    const told = this.#crashes.take(plugin, entry, 1)
    this.#set(plugin, plugin, entry, told !== undefined)
    return told === undefined ? [] : [told]
  }

  /** It is started again after something else, which is written if it is `told`. */
  begin(plugin: string, entry: AuditEntry, told: boolean): void {
    this.#set(plugin, plugin, entry, told && this.#crashes.beside(plugin, entry))
  }

  /** What is to be written of its replacement after another has crashed and come back. */
  follow(plugin: string, culprit: string, entry: AuditEntry): AuditEntry[] {
    const told = this.#crashes.beside(culprit, entry)
    this.#set(plugin, culprit, entry, told)
    return told ? [entry] : []
  }

  #set(plugin: string, culprit: string, { generation = 0 }: AuditEntry, told: boolean): void {
    this.#plugins.set(plugin, { culprit, generation, told, state: undefined })
  }

  /** Nothing is written of it for now. */
  isSilent(plugin: string): boolean {
    return this.#plugins.get(plugin)?.told === false
  }

  /** It has a successor, whose coming up is what is written, or is not. */
  isRetired(plugin: string, generation: number): boolean {
    const restarting = this.#plugins.get(plugin)
    return restarting !== undefined && generation < restarting.generation
  }

  /** What is to be written of an entry that may follow from a crash. */
  after(plugin: string, entry: AuditEntry): AuditEntry[] {
    const restarting = this.#plugins.get(plugin)
    if (restarting === undefined) return [entry]
    if (restarting.told) {
      this.#crashes.with(restarting.culprit, entry)
      return [entry]
    }
    if (entry.kind === 'plugin.state' && !this.isRetired(plugin, entry.generation ?? 0)) restarting.state = entry
    return []
  }

  /** Something else comes of that plugin, or of all: how often they crashed meanwhile, and in which state that left them. */
  end(plugins: readonly string[] = [...this.#plugins.keys()]): AuditEntry[] {
    return plugins.flatMap((plugin) => {
      const state = this.#plugins.get(plugin)?.state
      this.#plugins.delete(plugin)
      return [...this.#crashes.rest([plugin]), ...(state === undefined ? [] : [state])]
    })
  }
}
