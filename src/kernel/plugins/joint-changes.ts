/** Changes of plugins that wait at the same time: in which order they are carried out, and which of them only together. */
import type { PluginSource } from '../manifest/plugin-source.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'
import type { Partners } from '../supervision/replacer.js'
import type { Reconciler } from './reconciler.js'
import type { Roster } from './roster.js'
import type { Whereabouts } from './whereabouts.js'

/** Changes of other plugins that wait, as one of them is carried out. */
export interface Waiting {
  /** Changed by the same save. */
  readonly changed: readonly string[]
  /** Refused before, for the sake of others. */
  readonly refused: readonly string[]
  /** Told of each that was carried out together with that one. */
  joined(plugin: string): void
}

type Sources = ReadonlyMap<string, PluginSource>

const NOBODY: Waiting = { changed: [], refused: [], joined: () => {} }

export class JointChanges {
  readonly #roster: Roster
  readonly #whereabouts: Whereabouts
  readonly #reconciler: Reconciler

  constructor(roster: Roster, whereabouts: Whereabouts, reconciler: Reconciler) {
    this.#roster = roster
    this.#whereabouts = whereabouts
    this.#reconciler = reconciler
  }

  /** These plugins in the order in which they would start by what their files say now. */
  orderOf(names: readonly string[]): readonly string[] {
    if (names.length < 2) return names
    const { order } = this.#reconciler.planWith(this.#read(names))
    const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length)
    return [...names].sort((a, b) => rank(a) - rank(b))
  }

  /** What a plugin's change to `source` is carried out together with. Throws what would leave it out, also with the others. */
  partnersOf(source: PluginSource, { changed, refused, joined } = NOBODY): Partners {
    const saved = this.#read(changed)
    const all = new Map([...this.#read(refused), ...saved])
    const others = [...all].flatMap(([name, source]) => {
      const instance = this.#roster.byName.get(name)
      return instance?.enabledAs(source) ? [[name, { instance, change: { source } }] as const] : []
    })
    // What was refused may be in the way of what is saved now; that goes first then.
    const order = this.#together(source, all.size > saved.size && this.#leavesOut(source, all) ? saved : all)
    return { order, others: new Map(others), joined }
  }

  /**
   * Whether what the plugin's files say could take its place, as far as the others allow it, as they are and as the `waiting` ones would
   * be.
   */
  isAllowed(instance: PluginInstance, waiting: readonly string[]): boolean {
    try {
      const source = this.#whereabouts.changed(instance)
      if (source.name === instance.name) return !this.#leavesOut(source, this.#read(waiting))
      const holder = this.#roster.byName.get(source.name)
      return holder === undefined || !this.#whereabouts.isThere(holder)
    } catch {
      return false
    }
  }

  /**
   * What the files of these plugins say now, of those that are what they were and can be read: what is wrong with the others is told in
   * their own turn.
   */
  #read(names: readonly string[]): Sources {
    const found = new Map<string, PluginSource>()
    for (const instance of names.flatMap((name) => this.#roster.byName.get(name) ?? [])) {
      try {
        const source = this.#whereabouts.changed(instance)
        if (source.name === instance.name) found.set(instance.name, source)
      } catch {}
    }
    return found
  }

  #leavesOut(source: PluginSource, others: Sources): boolean {
    return this.#reconciler.planWith(new Map([...others, [source.name, source]])).excluded.has(source.name)
  }

  /** As few as will do: with them nobody is left out that all together leave in. In the order of their dependencies, itself among them. */
  #together(source: PluginSource, others: Sources): string[] {
    const { name } = source
    const runs = (plugin: string): boolean => this.#roster.byName.get(plugin)?.running === true
    const all = this.#reconciler.planWith(new Map([...others, [name, source]]))
    const refusal = all.excluded.get(name)
    if (refusal && runs(name)) throw refusal
    if (others.size === 0) return [name]
    const chosen = new Map([[name, source]])
    const left = new Map(others)
    for (;;) {
      const { excluded } = this.#reconciler.planWith(chosen)
      const hurt = [...excluded.keys()].find((each) => runs(each) && !all.excluded.has(each))
      const [next] = hurt !== undefined && left.has(hurt) ? [hurt] : left.keys()
      if (hurt === undefined || next === undefined) return all.order.filter((each) => chosen.has(each))
      chosen.set(next, left.get(next) as PluginSource)
      left.delete(next)
    }
  }
}
