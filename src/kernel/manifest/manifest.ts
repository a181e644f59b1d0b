/** Reads one plugin from its place on disk: its manifest, checked and completed, and the module to run. */
// For a few small files, what a promise of each costs is several times the work itself.
import { existsSync, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, extname, join, posix, resolve } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { IRREGULAR, isIrregular } from '../../sandbox/permissions/irregular-file.js'
import { unended } from '../../sentence.js'
import { readTextFile } from '../../text-file.js'
import { isRange, isVersion } from '../../versions.js'
import { reasonOf } from '../../wire-error.js'
import { within } from '../../within.js'
import { permissionProblems, withGrammar } from '../schema/permission-grammar.js'
import { fieldPath, MAX_PROBLEMS, type Problem, problemsError, schemaProblems, show } from '../schema/schema-problems.js'
import type { ManifestFile, Ranges, TaskDeclaration } from '../schema/schema-types.generated.js'
import { validateManifest } from '../schema/schema-validators.generated.js'
import { parseUniqueJson } from '../text/json-text.js'
import { isMissing, mendOfPath, namesIn, SHOWN } from '../text/missing-path.js'
import { unreadForWant } from '../text/system-limit.js'

export type {
  ConfigDeclaration,
  Isolation,
  Limits,
  ManifestFile,
  Ranges,
  RestartPolicy,
} from '../schema/schema-types.generated.js'

/** A manifest with the schema's own defaults filled in. What the kernel's options decide (isolation, limits, restart) stays open. */
export interface Manifest extends ManifestFile {
  version: string
  enabled: boolean
  dependencies: Ranges
  optionalDependencies: Ranges
  conflicts: Ranges
  onFailure: 'abort' | 'continue'
  roles: string[]
}

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
  /** What to watch besides the module graph: manifest (which may come later) and entry, as real paths and, where links lead there, as they were found. */
  tracked: string[]
  /** When it was begun to read, of `performance.now()`. */
  readAt: number
}

const ENTRY_NAMES = ['index', 'plugin', 'main']
const ENTRY_ENDINGS = ['.js', '.mjs', '.ts', '.mts']
/** A CommonJS module in TypeScript runs from Node 22 on only. */
const MAIN_ENDINGS = new Set([...ENTRY_ENDINGS, '.cjs'])
const ENTRIES = ENTRY_NAMES.flatMap((name) => ENTRY_ENDINGS.map((ending) => name + ending))

/** Whether a file name can be a single-file plugin. */
export const isPluginModule = (file: string): boolean =>
  ENTRY_ENDINGS.includes(extname(file)) && !/\.(?:d|test|spec)\.[cm]?[jt]s$/.test(file) && !basename(file).startsWith('.')

/** The entry module among the names in a folder without a manifest, or whose manifest names none. */
export const entryAmong = (names: readonly string[]): string | undefined => ENTRIES.find((entry) => names.includes(entry))

/** The names that a module for Node or for its tools has, but those of tests, types and configurations. */
export const modulesAmong = (names: readonly string[]): string[] =>
  names.filter((name) => /^[^.].*\.[cm]?[jt]sx?$/.test(name) && !/\.(?:d|test|spec|config)\.[cm]?[jt]sx?$/.test(name))

/** What a folder without an entry has instead, and how that becomes one. */
const mendOfFolder = (names: readonly string[]): string => {
  const modules = modulesAmong(names)
  if (modules.length > 0)
    return ` It has ${modules.slice(0, SHOWN).join(', ')}: give the one to run such a name, or name it as main in a plugin.json.`
  return names.includes('package.json') ? ' Its package.json is not asked: name the module to run as main in a plugin.json.' : ''
}

const complete = (file: ManifestFile): Manifest => ({
  ...file,
  version: file.version ?? '0.0.0',
  enabled: file.enabled ?? true,
  dependencies: file.dependencies ?? {},
  optionalDependencies: file.optionalDependencies ?? {},
  conflicts: file.conflicts ?? {},
  onFailure: file.onFailure ?? 'continue',
  roles: file.roles ?? [],
})

/** What a JSON Schema cannot say: ranges, and a plugin that refers to itself. */
const semanticProblems = (manifest: ManifestFile): Problem[] => {
  const problems: Problem[] = []
  for (const field of ['dependencies', 'optionalDependencies', 'conflicts'] as const) {
    for (const [name, range] of Object.entries(manifest[field] ?? {})) {
      if (problems.length > MAX_PROBLEMS) return problems
      const path = fieldPath([field, name])
      if (!isRange(range))
        problems.push({ path, value: range, message: `must be a semver range, such as '^1.0.0' or '*', not ${show(range)}` })
      if (name === manifest.name) problems.push({ path, value: range, message: 'a plugin cannot name itself here' })
    }
  }
  if (manifest.version !== undefined && !isVersion(manifest.version)) {
    problems.push({
      path: 'version',
      value: manifest.version,
      message: `must be a semantic version, such as '1.4.0', not ${show(manifest.version)}`,
    })
  }
  return problems
}

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined

const nameIn = (value: unknown): string | undefined => {
  const name = fieldOf(value, 'name')
  return typeof name === 'string' ? name : undefined
}

/**
 * Checks a manifest that is already parsed. `file` is named in messages.
 * Throws MANIFEST_INVALID with every problem in `details.problems`.
 */
export const checkManifest = (value: unknown, file: string): Manifest => {
  const valid = validateManifest(value)
  const found = valid ? semanticProblems(value as ManifestFile) : schemaProblems(validateManifest.errors, value) // oxlint-disable-line typescript/no-unsafe-type-assertion
  const problems = withGrammar(found, permissionProblems(fieldOf(value, 'permissions'), ['permissions']))
  if (problems.length > 0) throw problemsError('MANIFEST_INVALID', file, problems, { plugin: nameIn(value), details: { file } })
  return complete(value as ManifestFile) // oxlint-disable-line typescript/no-unsafe-type-assertion
}

const realPath = realpathSync.native

/** A manifest is read, checked and told of in the kernel's thread: so many bytes of it at most. */
export const MAX_MANIFEST = 262_144
/** Lists and objects in each other. */
const MAX_DEPTH = 100

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' && value !== null && (levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1)))

const readManifest = (file: string): Manifest => {
  let text: string
  try {
    text = readTextFile(file, MAX_MANIFEST)
  } catch (error) {
    throw (
      unreadForWant(file, error) ??
      new PlugbayError('MANIFEST_INVALID', `${file} cannot be read: ${reasonOf(error)}.`, { cause: error, details: { file } })
    )
  }
  const parsed = parseUniqueJson(text)
  if ('value' in parsed) {
    if (!isDeeper(parsed.value, MAX_DEPTH)) return checkManifest(parsed.value, file)
    throw problemsError('MANIFEST_INVALID', file, [{ path: '', message: `it is nested more than ${MAX_DEPTH} levels deep` }], {
      details: { file },
    })
  }
  const { line, column, reason } = parsed.fault
  throw new PlugbayError('MANIFEST_INVALID', `${file}:${line}:${column} is not valid JSON: ${reason}.`, { details: { file, line, column } })
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

/** A manifest for a plugin that has none; its name is that of its file or folder, so that must be a fit one. */
const impliedManifest = (name: string, path: string): Manifest => {
  try {
    return checkManifest({ name }, path)
  } catch (error) {
    const fit = name
      .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '')
    const mend = fit === '' ? '' : ` Rename it to '${fit}', or give it a plugin.json with a name.`
    const message = `${path} has no plugin.json, so its own name is the plugin's, and '${name}' is not a valid one: lower-case words joined by '-', '_' or '.'.${mend}`
    throw new PlugbayError('MANIFEST_INVALID', message, {
      cause: error,
      details: { file: path, problems: [{ path: 'name', value: name, message }] },
    })
  }
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
      `${path} is no plugin: it has neither a plugin.json nor an entry module (${ENTRY_NAMES.join(', ')} with ${ENTRY_ENDINGS.join(', ')}).${mendOfFolder(names)}`,
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
      `Plugin '${manifest.name}': ${written} names no main, and ${root} has no entry module (${ENTRY_NAMES.join(', ')} with ${ENTRY_ENDINGS.join(', ')}).`,
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
 * PATH_OUTSIDE_PLUGIN for a file outside the folder (also through a link), PLUGIN_LOAD for a module that is not there, SYSTEM_LIMIT where the system
 * gives nothing to read it by.
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
