/**
 * A change of hands: generations that come up beside their predecessors and take over in one turn, all of them or none. They see what the
 * others of them bring.
 */
import type { StandingAside } from './service-broker.js'

/** What one of them is to provide. */
export interface Brought {
  readonly plugin: string
  /** What has not been announced. */
  readonly asides: readonly StandingAside[]
}

export class Succession {
  readonly #others: ReadonlyMap<string, unknown> | undefined
  readonly #plugins = new Set<string>()
  readonly #wanted = new Set<string>()
  readonly #brought = new Set<Brought>()

  /**
   * `others`: plugins of which a change waits, too, and may be part of this. No function: a generation keeps this, and would keep with it
   * what that sees, its predecessor among it.
   */
  constructor(others?: ReadonlyMap<string, unknown>) {
    this.#others = others
  }

  /** A generation of the plugin is part of it. */
  enter(plugin: string): void {
    this.#wanted.delete(plugin)
    this.#plugins.add(plugin)
  }

  /** Whether that plugin's present generation ends with this. */
  includes(plugin: string): boolean {
    return this.#plugins.has(plugin)
  }

  /** Plugins of which one takes something that it can only have if these are part of it, too. */
  get wanted(): readonly string[] {
    return [...this.#wanted]
  }

  /** Whether what that plugin has now may be taken from it; what may join is wanted then. */
  mayTakeFrom(plugin: string): boolean {
    if (this.#plugins.has(plugin)) return true
    if (!this.#wanted.has(plugin) && this.#others?.has(plugin) !== true) return false
    this.#wanted.add(plugin)
    return true
  }

  /** What one of them is to provide, until they take over. */
  add(brought: Brought): void {
    this.#brought.add(brought)
  }

  /** What all of them are to provide, those first that came up first. */
  get brought(): readonly Brought[] {
    return [...this.#brought]
  }
}
