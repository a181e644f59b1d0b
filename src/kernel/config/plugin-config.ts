/** The configuration of one plugin: gathered from its manifest, its file and the options, filled in from the environment, and validated. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shown, shownAsData } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { entryFor, toAllow } from '../../permission-set.js'
import { uncloneablePart } from '../../sandbox/values/uncloneable-part.js'
import { enumerated, unended } from '../../sentence.js'
import { reasonOf } from '../../wire-error.js'
import type { ConfigDeclaration } from '../manifest/manifest.js'
import { fieldPath, MAX_PROBLEMS, type Problem, problemsError } from '../schema/schema-problems.js'
import { parseUniqueJson } from '../text/json-text.js'
import { didYouMeanPath, isMissing } from '../text/missing-path.js'
import { unreadForWant } from '../text/system-limit.js'
import { readYaml } from '../text/yaml-text.js'
import { schemaFaults } from './config-schema.js'

/** A configuration: plain data that a plugin is given. */
export type PluginConfig = Record<string, unknown>

export interface PluginConfigSources {
  /** The plugin's name. */
  name: string
  /** What its manifest declares. */
  declaration?: ConfigDeclaration | undefined
  /** The plugin.json, for messages about the schema in it. */
  manifestPath?: string | undefined
  /** The folder of configuration files. */
  configDir?: string | undefined
  /** What the options, or a call of `updateConfig`, say. */
  override?: object | undefined
  /** What messages call the override. */
  from?: string | undefined
  /** The variables for `${VAR}`. */
  env: Record<string, string | undefined>
  /** Whether the plugin may read that one: asked of those that its own manifest names. What the application writes is its own decision. */
  mayRead: (variable: string) => boolean
}

/** Of a file with the configuration of a plugin. */
export const PLUGIN_CONFIG_ENDINGS = ['.yaml', '.yml', '.json']

/** The files a plugin's configuration may be in, whether they are there or not: what to watch. */
export const pluginConfigFiles = (configDir: string, name: string): string[] =>
  PLUGIN_CONFIG_ENDINGS.map((ending) => join(configDir, name + ending))

type Path = readonly (string | number)[]

const isPlain = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null // also the Object of another realm
}

/** `over` on top of `under`: objects are merged key by key, everything else is replaced. An undefined leaves what is there. */
const merge = (under: unknown, over: unknown): unknown => {
  if (over === undefined) return under
  if (!isPlain(under) || !isPlain(over)) return over
  const keys = new Set([...Object.keys(under), ...Object.keys(over)])
  // fromEntries defines its keys, so that one named __proto__ stays a key.
  return Object.fromEntries(
    Array.from(keys, (key) => [
      key,
      merge(Object.hasOwn(under, key) ? under[key] : undefined, Object.hasOwn(over, key) ? over[key] : undefined),
    ]),
  )
}

/** `$${`, a placeholder, or what begins like one and is none. */
const PLACEHOLDER = /\$\$\{|\$\{([A-Za-z_]\w{0,255})(?::-([^}]*))?\}|\$\{[^}]*\}?/g

/**
 * A text of the manifest's own, that the merge takes as it is: whoever wrote what stands in the end decides which variables it may name.
 */
class OwnText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A variable, and the place that names it: put into words for the few that are told of. */
interface Named {
  path: Path
  variable: string
}

interface Substitution {
  env: Record<string, string | undefined>
  mayRead: (variable: string) => boolean
  /** Variables that the manifest names and the plugin may not read. */
  denied: Named[]
  /** Variables that are not set, with the place that needs them. */
  missing: Named[]
  /** What begins like a placeholder and is none. */
  malformed: { path: Path; written: string; found: string }[]
  /** JSON pointers of values that are a placeholder and nothing else: they may stand for more than a string. */
  whole: Set<string>
}

const pointerOf = (path: Path): string => path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

const malformed = ({ path, written, found }: Substitution['malformed'][number]): Problem => ({
  path: fieldPath(path),
  value: written,
  message: `has ${shown(found)}, which is no placeholder: that is \${VAR} or \${VAR:-default}, with a name of letters, digits and _, up to 256 of them, and no placeholder in the default. Write $\${ for the text \${ itself`,
})

/** A copy in which every string, and every other value that is neither a list nor a plain object, is what `change` makes of it. */
const mapped = (value: unknown, change: (leaf: unknown, path: Path) => unknown, path: Path = []): unknown => {
  if (Array.isArray(value)) return value.map((item, index) => mapped(item, change, [...path, index]))
  if (!isPlain(value)) return change(value, path)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, change, [...path, key])]))
}

/** The placeholders in a string replaced; other values stay themselves. */
const substituted =
  (state: Substitution) =>
  (value: unknown, path: Path): unknown => {
    const own = value instanceof OwnText
    const written = own ? value.text : value
    if (typeof written !== 'string' || !written.includes('${')) return written
    const text = written.replaceAll(PLACEHOLDER, (found, variable: string | undefined, fallback: string | undefined) => {
      if (found === '$${') return '${'
      if (variable === undefined || fallback?.includes('${')) {
        state.malformed.push({ path, written, found })
        return found
      }
      if (own && !state.mayRead(variable)) {
        state.denied.push({ path: ['config', 'defaults', ...path], variable })
        return found
      }
      const set = state.env[variable]
      if (set !== undefined && (set !== '' || fallback === undefined)) return set
      if (fallback === undefined) state.missing.push({ path, variable })
      return fallback ?? found
    })
    if (/^\$\{[^}]*\}$/.test(written)) state.whole.add(pointerOf(path))
    return text
  }

/** Why a value that is no list and no plain object cannot be in a configuration, if it cannot. */
const uncloneable = (value: unknown, path: Path): Problem | undefined => {
  if (typeof value === 'function' || typeof value === 'symbol')
    return { path: fieldPath(path), message: `is a ${typeof value}, and a configuration is plain data: it crosses to the plugin` }
  if (typeof value !== 'object' || value === null) return undefined
  try {
    structuredClone(value)
    return undefined
  } catch (error) {
    const place = uncloneablePart(value, fieldPath(path)) ?? fieldPath(path)
    return { path: place, message: `cannot cross to the plugin, which is given plain data: ${reasonOf(error)}` }
  }
}

/** Lists and objects in each other. */
const MAX_DEPTH = 100

/** What in a value cannot be in a configuration: what refers back to something it is in, is nested too deeply, or cannot be cloned. */
const unusableIn = (value: unknown, path: Path = [], ancestors = new Set<unknown>()): Problem | undefined => {
  if (!Array.isArray(value) && !isPlain(value)) return uncloneable(value, path)
  if (ancestors.has(value)) return { path: fieldPath(path), message: 'refers back to itself' }
  if (path.length > MAX_DEPTH) return { path: fieldPath(path.slice(0, 3)), message: `is nested more than ${MAX_DEPTH} levels deep` }
  ancestors.add(value)
  for (const [key, item] of Object.entries(value)) {
    const found = unusableIn(item, [...path, Array.isArray(value) ? Number(key) : key], ancestors)
    if (found) return found
  }
  ancestors.delete(value)
  return undefined
}

const fileOf = async ({ name, configDir }: PluginConfigSources): Promise<string | undefined> => {
  if (configDir === undefined) return undefined
  const names = await readdir(configDir).catch((error: unknown) => {
    const told = { plugin: name, details: { file: configDir } }
    if (isMissing(error)) throw new PlugbayError('CONFIG_INVALID', `configDir ${configDir} is not there.${didYouMeanPath(configDir)}`, told)
    throw (
      unreadForWant(`configDir ${configDir}`, error, name) ??
      new PlugbayError('CONFIG_INVALID', `configDir ${configDir} cannot be read: ${reasonOf(error)}.`, { ...told, cause: error })
    )
  })
  const present = PLUGIN_CONFIG_ENDINGS.map((ending) => name + ending).filter((file) => names.includes(file))
  const [first, second] = present
  if (second !== undefined) {
    const message = `Plugin '${name}' has more than one configuration file in ${configDir}: ${present.join(' and ')}. Keep one of them.`
    throw new PlugbayError('CONFIG_INVALID', message, { plugin: name, details: { files: present } })
  }
  return first === undefined ? undefined : join(configDir, first)
}

const readConfigFile = async (file: string, plugin: string): Promise<unknown> => {
  const fail = (path: string, at: { line: number; column: number } | undefined, reason: string, cause?: unknown): PlugbayError =>
    new PlugbayError(
      'CONFIG_INVALID',
      `${at ? `${path}:${at.line}:${at.column}` : path}, the configuration of plugin '${plugin}', cannot be read: ${reason}.`,
      {
        plugin,
        cause,
        details: { file: path, ...at },
      },
    )
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw unreadForWant(file, error, plugin) ?? fail(file, undefined, reasonOf(error), error)
  }
  if (!file.endsWith('.json')) return readYaml(file, text, fail)
  const parsed = parseUniqueJson(text)
  if ('value' in parsed) return parsed.value
  throw fail(file, parsed.fault, `it is not valid JSON: ${parsed.fault.reason}`)
}

const objectIn = (value: unknown, where: string, plugin: string): PluginConfig | undefined => {
  if (value === undefined || value === null || isPlain(value)) return value ?? undefined
  throw problemsError('CONFIG_INVALID', where, [{ path: '', value, message: `must be an object, not ${shownAsData(value)}` }], { plugin })
}

const describeSources = (name: string, ...places: readonly string[]): string =>
  `The configuration of plugin '${name}'${places.length === 0 ? '' : ` (${places.join(', ')})`}`

/** Where the application could write it. */
const applicationPlaces = ({ name, configDir }: PluginConfigSources): string =>
  `options.config['${name}']${configDir === undefined ? '' : ` or ${join(configDir, `${name}.yaml`)}`}`

/** Where a configuration could be written of which nothing is. */
const nowhere = (sources: PluginConfigSources): string =>
  `${sources.declaration?.defaults ? 'its manifest alone gives any' : 'none is given'}: write it into ${applicationPlaces(sources)}`

/** The fields that a layer has, with all within them, and what stands there. */
const fieldsOf = (value: unknown, path: Path = []): [string, unknown][] => {
  if (!Array.isArray(value) && !isPlain(value)) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const inner = [...path, Array.isArray(value) ? Number(key) : key]
    return [[fieldPath(inner), item], ...fieldsOf(item, inner)]
  })
}

/** Of each problem with what nobody but the manifest gave: told as the manifest's. Undefined for another. `given`: what others gave. */
const manifestFaults = (
  problems: readonly Problem[],
  sources: PluginConfigSources,
  given: readonly unknown[],
): readonly (Problem | undefined)[] => {
  const { declaration, manifestPath = 'plugin.json' } = sources
  const defaults = new Map(fieldsOf(declaration?.defaults))
  const others = new Map(given.flatMap((layer) => fieldsOf(layer)))
  return problems.map((problem) => {
    const { path, value, message } = problem
    const own = defaults.get(path)
    // What stands in for a placeholder is the environment's.
    const isFilledIn = typeof own === 'string' && own.includes('${')
    if (path === '' || value === undefined || isFilledIn || others.has(path)) return undefined
    const field = defaults.has(path) ? `config.defaults${path.startsWith('[') ? '' : '.'}${path}` : 'its "default" in config.schema'
    const mend = `mend ${field} in ${manifestPath}, or give another value in ${applicationPlaces(sources)}`
    return { ...problem, message: `${unended(message)}. That is the default of the plugin's own manifest: ${mend}` }
  })
}

const inWords = (named: readonly Named[]): { path: string; variable: string }[] =>
  named.slice(0, MAX_PROBLEMS).map(({ path, variable }) => ({ path: fieldPath(path), variable }))

const environmentError = (name: string, file: string | undefined, missing: readonly Named[]): PlugbayError => {
  const told = inWords(missing)
  const needs = told.map(({ path, variable }) => `${path} needs the environment variable ${variable}`)
  const [{ variable } = { variable: 'VAR' }] = missing
  const mend = `Set ${missing.length === 1 ? 'it' : 'them'}, give a default as in \${${variable}:-default}, or write $\${${variable}} for the text itself.`
  return new PlugbayError(
    'CONFIG_ENV_MISSING',
    `The configuration of plugin '${name}'${file === undefined ? '' : ` (${file})`}: ${enumerated(needs, missing.length, '; ')}, not set. ${mend}`,
    {
      plugin: name,
      details: { missing: told },
    },
  )
}

const deniedError = ({ name, manifestPath }: PluginConfigSources, denied: readonly Named[]): PlugbayError => {
  const file = manifestPath ?? `The manifest of plugin '${name}'`
  const told = inWords(denied)
  const reads = told.map(({ path, variable }) => `${path} names the environment variable ${variable}`)
  const resources = [...new Set(told.map(({ variable }) => `env:${variable}`))]
  const entries = resources.map((resource) => entryFor(resource, 'read')).join(' and ')
  return new PlugbayError(
    'PERMISSION_DENIED',
    `${file}: ${enumerated(reads, denied.length, '; ')}, which plugin '${name}' has no permission to read. ${toAllow(entries)} ` +
      `Or give the value in options.config['${name}'], where the application may name any variable.`,
    {
      plugin: name,
      details: { resource: resources[0], action: 'read', denied: told, ...(manifestPath === undefined ? {} : { file: manifestPath }) },
    },
  )
}

/**
 * The configuration of a plugin: its manifest's defaults, then `<configDir>/<name>.{yaml,yml,json}`, then `override`, merged
 * key by key; then `${VAR}`, `${VAR:-default}` and `$${` in strings, of the manifest's own those that the plugin may read; then
 * the manifest's schema with its defaults. A value that is one placeholder and nothing else becomes a number or a boolean where
 * the schema asks for one. Inputs stay as they are.
 *
 * Throws CONFIG_INVALID with every problem in `details.problems`, CONFIG_ENV_MISSING, PERMISSION_DENIED for a variable that the
 * manifest names and the plugin may not read, MANIFEST_INVALID where the schema itself is not one, and SYSTEM_LIMIT where the
 * system gives nothing to read by.
 */
export const resolvePluginConfig = async (sources: PluginConfigSources): Promise<PluginConfig> => {
  const { name, declaration, manifestPath, override, from = `options.config['${name}']`, env, mayRead } = sources
  const file = await fileOf(sources)
  const fromFile = file === undefined ? undefined : objectIn(await readConfigFile(file, name), file, name)
  const given = objectIn(override, describeSources(name, from), name)
  // Nothing that is wrong comes from where nothing is said.
  const places = [...(file === undefined ? [] : [file]), ...(given && Object.keys(given).length > 0 ? [from] : [])]
  const subject = describeSources(name, ...(places.length > 0 ? places : [nowhere(sources)]))
  for (const layer of [declaration?.defaults, fromFile, given]) {
    const unusable = unusableIn(layer)
    if (unusable) throw problemsError('CONFIG_INVALID', subject, [unusable], { plugin: name })
  }
  const own = mapped(declaration?.defaults, (value) => (typeof value === 'string' ? new OwnText(value) : value))
  const state: Substitution = { env, mayRead, denied: [], missing: [], malformed: [], whole: new Set() }
  const config = mapped([own, fromFile, given].reduce(merge, {}), substituted(state)) as PluginConfig // oxlint-disable-line typescript/no-unsafe-type-assertion
  if (state.denied.length > 0) throw deniedError(sources, state.denied)
  if (state.malformed.length > 0)
    throw problemsError('CONFIG_INVALID', subject, state.malformed.slice(0, MAX_PROBLEMS + 1).map(malformed), { plugin: name })
  if (state.missing.length > 0) throw environmentError(name, file, state.missing)
  if (declaration?.schema === undefined) return config
  const found = await schemaFaults(config, state.whole, declaration, sources)
  if (found.length === 0) return config
  const manifests = manifestFaults(found, sources, [fromFile, given])
  const problems = found.map((problem, at) => manifests[at] ?? problem)
  const who = manifests.includes(undefined) ? subject : describeSources(name, manifestPath ?? 'its manifest')
  throw problemsError('CONFIG_INVALID', who, problems, { plugin: name, details: file === undefined ? {} : { file } })
}
