/**
 * Where plugins lie, by what the files say now: those that were moved, that stand back for another of their name, or that were unloaded on
 * purpose.
 */
import { existsSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { PlugbayError } from '../../errors.js'
import { looksLikePlugin, pluginPaths } from '../manifest/discovery.js'
import { type PluginSource, readPlugin } from '../manifest/plugin-source.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'
import type { Roster } from './roster.js'

/** The plugin that lies there, if one does that can be read. */
const readable = (path: string): PluginSource | undefined => {
  try {
    return looksLikePlugin(path) ? readPlugin(path) : undefined
  } catch {
    return undefined
  }
}

export class Whereabouts {
  readonly #roster: Roster
  readonly #places: readonly string[]
  /** Where plugins lie that were unloaded on purpose. */
  readonly #unloaded = new Set<string>()
  /** Where files are watched: throws what they may not make of a plugin, or of a new one, by themselves. */
  heed: ((source: PluginSource, instance?: PluginInstance) => void) | undefined

  /** `places`: absolute paths of plugins, or of folders of them. */
  constructor(roster: Roster, places: readonly string[]) {
    this.#roster = roster
    this.#places = places
  }

  /** The plugin there was unloaded on purpose: a save does not bring it back. */
  unloaded(path: string): void {
    this.#unloaded.add(path)
  }

  staysUnloaded(path: string): boolean {
    return this.#unloaded.has(path)
  }

  /** It is loaded from there. */
  entered(path: string): void {
    this.#unloaded.delete(path)
  }

  /**
   * Remembers why the plugin at `path` is not of the roster. If that is since another has its name it is the next when that is gone:
   * returns the other.
   */
  leaveOut(path: string, error: unknown): PluginInstance | undefined {
    if (!PlugbayError.is(error)) return undefined
    if (error.code === 'PLUGIN_DUPLICATE') return this.#roster.byName.get(error.plugin ?? '')
    if (this.#roster.at(path) === undefined) this.#roster.unread.add(path, error)
    return undefined
  }

  /** Whether what lies at its place is still that plugin; one that cannot be read is. */
  isThere({ name, source: { path } }: PluginInstance): boolean {
    return looksLikePlugin(path) && (readable(path)?.name ?? name) === name
  }

  /** Whether what lies there is what was read of it; what cannot be read is. */
  stillSays({ path, name, manifest }: PluginSource): boolean {
    const now = readable(path)
    return now === undefined || (now.name === name && isDeepStrictEqual(now.manifest, manifest))
  }

  /**
   * The plugin of its name that lies elsewhere: it was moved there, or left out for its sake, or was another until its files named it so.
   */
  successorOf({ name, source }: PluginInstance): PluginSource | undefined {
    const paths = new Set([...pluginPaths(this.#places), ...this.#roster.all.map((other) => other.source.path)])
    for (const path of [source.path, ...this.#unloaded]) paths.delete(path)
    for (const path of paths) {
      const found = readable(path)
      if (found?.name === name) return found
    }
    return undefined
  }

  /** Where nothing is any more of plugins of which the one at `path` may be what was there, under another name. */
  formerPlaces(path: string): string[] {
    const found = readable(path)
    if (found === undefined || this.#roster.byName.has(found.name)) return []
    return this.#roster.all.flatMap(({ source }) => (existsSync(source.path) ? [] : source.path))
  }

  /**
   * What its files say now, also where they were moved meanwhile. Of another name where that is what lies there, and it lies nowhere else.
   */
  read(instance: PluginInstance): PluginSource {
    const { path } = instance.source
    const there = looksLikePlugin(path) ? readPlugin(path) : undefined
    if (there?.name === instance.name) return there
    return this.successorOf(instance) ?? there ?? readPlugin(path)
  }

  /** The same, as far as files may make it so by themselves: throws PERMISSION_DENIED beyond that. */
  changed(instance: PluginInstance): PluginSource {
    const source = this.read(instance)
    this.heed?.(source, instance)
    return source
  }

  /** The plugin at a place that another has left: it comes in, if it is new. */
  leftAt(path: string): PluginSource | undefined {
    const source = readable(path)
    return source === undefined || this.#roster.at(path) || this.#roster.byName.has(source.name) ? undefined : source
  }
}
