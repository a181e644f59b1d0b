/** Reads one plugin from its place on disk: its manifest, and the modules to run. */
// For a few small files, what a promise of each costs is several times the work itself.
import { existsSync, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, extname, join, posix, resolve } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { IRREGULAR, isIrregular } from '../../sandbox/permissions/irregular-file.js'
import { unended } from '../../sentence.js'
import { reasonOf } from '../../wire-error.js'
import { within } from '../../within.js'
import { fieldPath, problemsError } from '../schema/schema-problems.js'
import type { TaskDeclaration } from '../schema/schema-types.generated.js'
import { isMissing, mendOfPath, namesIn, SHOWN } from '../text/missing-path.js'
import { unreadForWant } from '../text/system-limit.js'
import { impliedManifest, type Manifest, readManifest } from './manifest.js'
import { ENTRIES_TOLD, ENTRY_ENDINGS, entryAmong, isPluginModule, MAIN_ENDINGS, modulesAmong } from './module-names.js'

/** A task of a plugin: its module on disk, and how many run at once at most. */
export interface TaskSource {
  file: string
  concurrency?: number
}

/** A plugin as it lies on disk. */
export interface PluginSource {
  name: string
  version: string
  /** Where it was found: absolute, links not followed. A folder, or the file of a single-file plugin. */
  path: string
  /** The plugin's folder as a real path. For a single file: the folder the file is in. */
  root: string
  /** The module to run, as a real path. */
  entry: string
  manifest: Manifest
  /** The plugin.json as a real path, where there is one. */
  manifestPath?: string
  /** Task modules as real paths, by task name. */
  tasks: Record<string, TaskSource>
  singleFile: boolean
  /**
   * What to watch besides the module graph: manifest (which may come later) and entry, as real paths and, where links lead there, as they
   * were found.
   */
  tracked: string[]
  /** When it was begun to read, of `performance.now()`. */
  readAt: number
}

const realPath = realpathSync.native

/** What a folder without an entry has instead, and how that becomes one. */
const mendOfFolder = (names: readonly string[]): string => {
  const modules = modulesAmong(names)
  if (modules.length > 0)
    return ` It has ${modules.slice(0, SHOWN).join(', ')}: give the one to run such a name, or name it as main in a plugin.json.`
  return names.includes('package.json') ? ' Its package.json is not asked: name the module to run as main in a plugin.json.' : ''
}

/** What was likely meant by a folder. */
const mendOfFolderPath = (folder: string, path: string, isModule: (name: string) => boolean): string => {
  const modules = namesIn(folder).filter(isModule)
  const likely = entryAmong(modules) ?? (modules.length === 1 ? modules[0] : undefined)
  if (likely !== undefined) return ` Did you mean '${posix.join(path, likely)}'?`
  return modules.length > 0 ? ` Modules in it: ${modules.slice(0, SHOWN).join(', ')}.` : ' There are no modules in it: correct the path.'
}

/** The real path of a file a manifest names, once it is sure that it lies in the plugin's folder. */
const fileInside = (root: string, path: string, field: string, manifest: Manifest, manifestPath: string): string => {
  const told = { plugin: manifest.name, details: { file: manifestPath, field, value: path } }
  const outside = (target: string): PlugbayError =>
    new PlugbayError(
      'PATH_OUTSIDE_PLUGIN',
      `Plugin '${manifest.name}': ${field} in ${manifestPath} is '${path}', which leads to ${target}, outside the plugin's folder ${root}. Move the file into the folder.`,
      told,
    )
  const written = resolve(root, path)
  if (!within(root, written)) throw outside(written)
  const isModule = (name: string): boolean => MAIN_ENDINGS.has(extname(name))
  let real: string
  let inFolder = false
  let odd = false
  try {
    real = realPath(written)
    inFolder = statSync(real).isDirectory()
    if (inFolder) throw new Error('it is a folder')
    odd = isIrregular(real)
    if (odd) throw new Error(`it ${IRREGULAR}`)
  } catch (error) {
    const mendOfFile = (): string => (odd ? '' : mendOfPath(written, 'Modules', isModule))
    const mend = inFolder ? mendOfFolderPath(written, path, isModule) : mendOfFile()
    const why = isMissing(error) ? 'which does not exist' : `which cannot be used: ${unended(reasonOf(error))}`
    throw new PlugbayError('PLUGIN_LOAD', `Plugin '${manifest.name}': ${field} in ${manifestPath} is '${path}', ${why}.${mend}`, {
      ...told,
      ...(isMissing(error) ? {} : { cause: error }),
    })
  }
  if (!within(root, real)) throw outside(real)
  if (!MAIN_ENDINGS.has(extname(real))) {
    const problem = { path: field, value: path, message: `must be a module (${[...MAIN_ENDINGS].join(', ')}), not '${path}'` }
    throw problemsError('MANIFEST_INVALID', manifestPath, [problem], { plugin: manifest.name, details: { file: manifestPath } })
  }
  return real
}

const taskSources = (root: string, manifest: Manifest, manifestPath: string): Record<string, TaskSource> => {
  const declared: [string, TaskDeclaration][] = Object.entries(manifest.tasks ?? {})
  const sources = declared.map(([name, task]): [string, TaskSource] => {
    const { file, concurrency } = typeof task === 'string' ? { file: task, concurrency: undefined } : task
    const real = fileInside(root, file, fieldPath(['tasks', name]), manifest, manifestPath)
    return [name, { file: real, ...(concurrency === undefined ? {} : { concurrency }) }]
  })
  return Object.fromEntries(sources)
}

const readFolder = (path: string): PluginSource => {
  const readAt = performance.now()
  const root = realPath(path)
  const names = readdirSync(root)
  const hasManifest = names.includes('plugin.json')
  const entryName = entryAmong(names)
  if (!hasManifest && entryName === undefined) {
    throw new PlugbayError(
      'MANIFEST_MISSING',
      `${path} is no plugin: it has neither a plugin.json nor an entry module (${ENTRIES_TOLD}).${mendOfFolder(names)}`,
      {
        details: { path },
      },
    )
  }
  const written = join(root, 'plugin.json')
  const manifest = hasManifest ? readManifest(written) : impliedManifest(basename(path), path)
  const manifestPath = hasManifest ? realPath(written) : undefined
  const main = manifest.main ?? entryName
  if (main === undefined && manifest.isolation !== 'grpc') {
    throw new PlugbayError(
      'PLUGIN_LOAD',
      `Plugin '${manifest.name}': ${written} names no main, and ${root} has no entry module (${ENTRIES_TOLD}).`,
      { plugin: manifest.name, details: { path: root } },
    )
  }
  const entry = main === undefined ? written : fileInside(root, main, 'main', manifest, written)
  const tracked = [
    ...(manifestPath === undefined ? [] : [manifestPath]),
    written,
    join(path, 'plugin.json'),
    entry,
    ...(main === undefined ? [] : [resolve(root, main), resolve(path, main)]),
  ]
  return {
    name: manifest.name,
    version: manifest.version,
    path,
    root,
    entry,
    manifest,
    ...(manifestPath === undefined ? {} : { manifestPath }),
    tasks: taskSources(root, manifest, written),
    singleFile: false,
    tracked: [...new Set(tracked)],
    readAt,
  }
}

/** What can be meant by a path that leads to nothing: a module, a folder with a manifest or an entry, a link to nothing. */
const mayBePlugin = (path: string): boolean => {
  const name = basename(path)
  if (isPluginModule(name)) return true
  if (name.startsWith('.') || name === 'node_modules') return false
  if (!existsSync(path)) return true
  const names = namesIn(path)
  return names.includes('plugin.json') || entryAmong(names) !== undefined
}

/** What the reading of a plugin at that path fails with. */
export const unreadPlugin = (path: string, error: unknown): PlugbayError =>
  PlugbayError.is(error)
    ? error
    : (unreadForWant(path, error) ??
      new PlugbayError('MANIFEST_INVALID', `${path} cannot be read: ${reasonOf(error)}.`, { cause: error, details: { path } }))

/**
 * Reads the plugin at a path: a folder with a plugin.json, a folder with an entry module alone, or one module.
 *
 * Throws MANIFEST_MISSING when there is no plugin, MANIFEST_INVALID for a manifest that is not JSON or breaks the schema,
 * PATH_OUTSIDE_PLUGIN for a file outside the folder (also through a link), PLUGIN_LOAD for a module that is not there, SYSTEM_LIMIT where
 * the system gives nothing to read it by.
 */
export const readPlugin = (place: string): PluginSource => {
  const given = resolve(place)
  const path = basename(given) === 'plugin.json' ? dirname(given) : given
  try {
    return readAt(path)
  } catch (error) {
    throw unreadPlugin(path, error)
  }
}

const readAt = (path: string): PluginSource => {
  let stats: Stats
  try {
    stats = statSync(path)
  } catch (error) {
    if (!isMissing(error))
      throw new PlugbayError('MANIFEST_MISSING', `There is no plugin at ${path}: ${reasonOf(error)}.`, { cause: error, details: { path } })
    if (isPluginModule(path))
      throw new PlugbayError('PLUGIN_LOAD', `There is no module at ${path}.${mendOfPath(path, 'Modules', isPluginModule)}`, {
        details: { path },
      })
    const mend = mendOfPath(path, 'Plugins', (name) => mayBePlugin(join(dirname(path), name)))
    throw new PlugbayError('MANIFEST_MISSING', `There is no plugin at ${path}.${mend}`, { details: { path } })
  }
  if (stats.isDirectory()) return readFolder(path)
  if (!stats.isFile() || !isPluginModule(path)) {
    throw new PlugbayError('MANIFEST_MISSING', `${path} is no plugin: a single-file plugin is a module (${ENTRY_ENDINGS.join(', ')}).`, {
      details: { path },
    })
  }
  const entry = realPath(path)
  const manifest = impliedManifest(basename(path, extname(path)), path)
  return {
    name: manifest.name,
    version: manifest.version,
    path,
    root: dirname(entry),
    entry,
    manifest,
    tasks: {},
    singleFile: true,
    tracked: [...new Set([entry, path])],
    readAt: performance.now(),
  }
}
