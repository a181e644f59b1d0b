/** Finds the plugins in the places the options name. */
import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { shortageOf } from '../../sandbox/shortage.js'
import { readTextFile } from '../../text-file.js'
import { reasonOf } from '../../wire-error.js'
import { parseJson } from '../text/json-text.js'
import { didYouMeanPath, isMissing, namesIn } from '../text/missing-path.js'
import { unreadForWant } from '../text/system-limit.js'
import { kernelNameFault } from './kernel-names.js'
import { MAX_MANIFEST } from './manifest.js'
import { entryAmong, isPluginModule, modulesAmong } from './module-names.js'
import { type PluginSource, readPlugin, unreadPlugin } from './plugin-source.js'

/** Something in a plugin place that is no usable plugin, and why. `path` is absolute. */
export interface DiscoveryFault {
  path: string
  error: PlugbayError
  /** Its manifest says `onFailure: "abort"`, whatever else is wrong with it. */
  mustRun: boolean
}

export interface Discovery {
  /** Usable plugins, sorted by name. */
  found: PluginSource[]
  faults: DiscoveryFault[]
  /** What lies among the plugins with a module in it and is none of them, each as what its reading fails with. */
  passedOver: PlugbayError[]
  /** The places that are folders of plugins, absolute: where new plugins may be dropped into. */
  folders: string[]
}

/** Names in a folder of plugins that are passed over. */
export const NOT_PLUGINS: ReadonlySet<string> = new Set(['node_modules'])

/** Undefined for what is not there, or may not be looked at. */
const statsOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true

/** Whether there are such names in a folder. Where the system gives nothing to look by there may be: who reads what is there is told so. */
const mayHold = (folder: string, such: (names: readonly string[]) => boolean): boolean => {
  try {
    return such(readdirSync(folder))
  } catch (error) {
    return shortageOf(error) !== undefined
  }
}

/** Whether a direct child of a plugin folder is a plugin: a folder with a manifest or an entry module, or a single module. */
export const looksLikePlugin = (path: string): boolean => {
  const name = basename(path)
  if (name.startsWith('.') || NOT_PLUGINS.has(name)) return false
  const stats = statsOf(path)
  if (stats?.isFile()) return isPluginModule(path)
  if (!stats?.isDirectory()) return false
  return mayHold(path, (names) => names.includes('plugin.json') || entryAmong(names) !== undefined)
}

/**
 * Whether a direct child of a plugin folder that is no plugin may have been meant to be one: it is a module of another kind, or a folder
 * with a module or a package in it.
 */
const mayBeMeant = (path: string): boolean => {
  const name = basename(path)
  if (name.startsWith('.') || NOT_PLUGINS.has(name)) return false
  if (!statsOf(path)?.isDirectory()) return modulesAmong([name]).length > 0
  const names = namesIn(path)
  return modulesAmong(names).length > 0 || names.includes('package.json')
}

/** Children of a folder: those that are plugins or links that lead nowhere, and the others. */
const pluginsIn = (folder: string): { plugins: string[]; others: string[] } => {
  const plugins: string[] = []
  const others: string[] = []
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    const isPlugin = looksLikePlugin(path) || (!name.startsWith('.') && isLink(path) && statsOf(path) === undefined)
    ;(isPlugin ? plugins : others).push(path)
  }
  return { plugins, others }
}

/** Whether a folder without a manifest is one plugin rather than a folder of plugins: it has an entry, and no child with a manifest. */
const isOnePlugin = (folder: string): boolean => {
  const names = readdirSync(folder)
  if (names.includes('plugin.json')) return true
  if (entryAmong(names) === undefined) return false
  return names.every((name) => statsOf(join(folder, name, 'plugin.json')) === undefined)
}

/** What lies in a place, which is a plugin or a folder of them. Throws where that cannot be looked at. */
const lookInto = (place: string): { folder: boolean; plugins: string[]; others: string[] } =>
  !statSync(place).isDirectory() || isOnePlugin(place)
    ? { folder: false, plugins: [place], others: [] }
    : { folder: true, ...pluginsIn(place) }

/** Where plugins lie in these places, as far as they can be looked at. */
export const pluginPaths = (places: readonly string[]): string[] =>
  places.flatMap((place) => {
    try {
      return lookInto(place).plugins
    } catch {
      return []
    }
  })

/** Read leniently, from a manifest that may be no JSON: that is the fault of it. One that is too long says nothing. */
const mustRun = (path: string): boolean => {
  let text: string
  try {
    text = readTextFile(join(path, 'plugin.json'), MAX_MANIFEST)
  } catch {
    return false
  }
  const parsed = parseJson(text)
  if ('fault' in parsed) return /"onFailure"\s*:\s*"abort"/.test(text)
  const { value } = parsed
  return (
    typeof value === 'object' && value !== null && Reflect.get(value, 'onFailure') === 'abort' && Reflect.get(value, 'enabled') !== false
  )
}

const asFault = (path: string, error: unknown): DiscoveryFault => ({
  path,
  mustRun: mustRun(path),
  error: unreadPlugin(path, error),
})

/** What the reading of something that is no plugin fails with. */
const readingFails = (path: string): PlugbayError[] => {
  try {
    readPlugin(path)
    return []
  } catch (error) {
    return [unreadPlugin(path, error)]
  }
}

/** A path that the options name, and that cannot be used. */
const unusablePlace = (option: 'plugins' | 'configDir', path: string, error: unknown): PlugbayError =>
  isMissing(error)
    ? new PlugbayError('OPTIONS_INVALID', `${option} names ${path}, which is not there.${didYouMeanPath(path)}`, { details: { path } })
    : (unreadForWant(path, error) ??
      new PlugbayError('OPTIONS_INVALID', `${option} names ${path}, which cannot be read: ${reasonOf(error)}.`, {
        cause: error,
        details: { path },
      }))

/** Throws OPTIONS_INVALID for the first place of plugins or configurations that is not there. */
export const assertPlaces = ({ plugins, configDir }: { plugins: readonly string[]; configDir: string | undefined }): void => {
  const named = [
    ...plugins.map((path) => ['plugins', path] as const),
    ...(configDir === undefined ? [] : [['configDir', configDir] as const]),
  ]
  for (const [option, path] of named) {
    try {
      statSync(path)
    } catch (error) {
      throw unusablePlace(option, path, error)
    }
  }
}

/**
 * Looks for plugins in each place: a folder of plugins, whose direct children are looked at, or the path of one plugin.
 * `base` is what relative places are relative to, `kernel` the kernel's name. Never throws: a bad plugin is a fault beside the good ones, a
 * place that is not there one of code OPTIONS_INVALID, what the system gives nothing to read by one of SYSTEM_LIMIT, and the second plugin
 * of one name, or one of the kernel's, one of code PLUGIN_DUPLICATE.
 */
export const discover = (places: string | readonly string[], base: string, kernel = 'plugbay'): Discovery => {
  const faults: DiscoveryFault[] = []
  const folders = new Set<string>()
  const paths = new Set<string>()
  const others = new Set<string>()
  for (const place of [places].flat()) {
    const path = resolve(base, place)
    try {
      const inside = lookInto(path)
      if (inside.folder) folders.add(path)
      for (const each of inside.plugins) paths.add(each)
      for (const each of inside.others) others.add(each)
    } catch (error) {
      faults.push({ path, error: unusablePlace('plugins', path, error), mustRun: false })
    }
  }
  const found = new Map<string, PluginSource>()
  for (const path of paths) {
    let each: PluginSource
    try {
      each = readPlugin(path)
    } catch (error) {
      faults.push(asFault(path, error))
      continue
    }
    const taken = kernelNameFault(each, kernel)
    if (taken) {
      faults.push({ path: each.path, error: taken, mustRun: each.manifest.onFailure === 'abort' })
      continue
    }
    const first = found.get(each.name)
    if (!first) found.set(each.name, each)
    else if (first.path !== each.path) {
      const message = `Two plugins are named '${each.name}': ${first.path} and ${each.path}. The first is used; rename one of them.`
      faults.push({
        path: each.path,
        error: new PlugbayError('PLUGIN_DUPLICATE', message, { plugin: each.name, details: { paths: [first.path, each.path] } }),
        // One of that name runs.
        mustRun: false,
      })
    }
  }
  return {
    found: [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    faults,
    passedOver: [...others].filter((path) => !folders.has(path) && mayBeMeant(path)).flatMap(readingFails),
    folders: [...folders],
  }
}
