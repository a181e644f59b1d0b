/** What is written of a plugin that crashes and is restarted, again and again, as often as its policy lets it: each crash with what follows from it, or none of that. */
import type { AuditEntry } from './chain.js'
import { SummedEntries } from './summed-entries.js'

interface Restarting {
  /** Its crash is written, and so is what follows from it. */
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
    this.#plugins.set(plugin, { told: told !== undefined, state: undefined })
    return told === undefined ? [] : [told]
  }

  /** It is started again after something else, which is written if it is `told`. */
  begin(plugin: string, entry: AuditEntry, told: boolean): void {
    this.#plugins.set(plugin, { told: told && this.#crashes.beside(plugin, entry), state: undefined })
  }

  /** Nothing is written of it for now. */
  isSilent(plugin: string): boolean {
    return this.#plugins.get(plugin)?.told === false
  }

  /** What is to be written of an entry that may follow from a crash. */
  after(plugin: string, entry: AuditEntry): AuditEntry[] {
    const restarting = this.#plugins.get(plugin)
    if (restarting === undefined) return [entry]
    if (restarting.told) {
      this.#crashes.beside(plugin, entry)
      return [entry]
    }
    if (entry.kind === 'plugin.state') restarting.state = entry
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
