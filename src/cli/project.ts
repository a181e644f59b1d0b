/**
 * What lies in a folder with plugins, read without running any of it: for `check`, `list` and `graph`, and the options for `dev` and
 * `start`.
 */
import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { PlugbayError } from '../errors.js'
import { Configurations } from '../kernel/config/configurations.js'
import { strangersIn } from '../kernel/config/strangers.js'
import { discover } from '../kernel/manifest/discovery.js'
import { isolationUnavailable, type Placement, placementOf } from '../kernel/manifest/isolation.js'
import type { PluginSource } from '../kernel/manifest/plugin-source.js'
import { reservedIn } from '../kernel/manifest/reserved-fields.js'
import { needsModuleHooks } from '../kernel/modules/module-access.js'
import { CONFIG_FILES, loadConfigFile } from '../kernel/options/config-file.js'
import {
  type EffectiveRestart,
  effectiveRestart,
  type KernelOptions,
  type ResolvedOptions,
  resolveOptions,
} from '../kernel/options/options.js'
import { assertRoles, permissionsOf } from '../kernel/permissions/permissions.js'
import { PluginPermissions } from '../kernel/permissions/plugin-permissions.js'
import { dependencyFailed, type Plan, plan } from '../kernel/plugins/dependency-graph.js'
import type { Granted } from '../permission-set.js'
import { processTier } from '../sandbox/host/confinement.js'
import { confiners } from '../sandbox/host/confiners.js'
import type { Tier } from '../sandbox/plugin-host.js'

/** The configuration file elsewhere, which every command that looks at plugins takes. */
export interface PlaceOptions {
  config?: string
}

/**
 * The options of the kernel in a folder: from its configuration file, or else just its folder `plugins`, which holds too where the file
 * names no plugins.
 */
export const readOptions = async (folder: string, { config }: PlaceOptions): Promise<KernelOptions> => {
  const base = resolve(folder)
  const place = config === undefined ? base : resolve(config)
  if (config === undefined && !existsSync(base)) throw new PlugbayError('USAGE', `There is no folder ${base}.`)
  const options = await loadConfigFile(place)
  const wanted: KernelOptions = { base, ...options }
  if (wanted.plugins === undefined && existsSync(join(wanted.base ?? base, 'plugins'))) return { ...wanted, plugins: './plugins' }
  if (options) return options
  throw new PlugbayError(
    'OPTIONS_INVALID',
    `${base} has neither a configuration file (${CONFIG_FILES.join(', ')}) nor a folder 'plugins'. ` +
      '`plugbay new plugin <name>` makes a first plugin; `plugbay --help` says how to name another folder.',
    { details: { folder: base } },
  )
}

/** Where the options of a folder may be written, whether there is such a file or not. */
export const optionsFiles = (folder: string, { config }: PlaceOptions): string[] =>
  config !== undefined && CONFIG_FILES.every((name) => !existsSync(join(config, name)))
    ? [resolve(config)]
    : CONFIG_FILES.map((name) => resolve(config ?? folder, name))

/** Something wrong, and the plugins that are left out because of it alone. */
export interface ProjectProblem {
  error: PlugbayError
  victims: string[]
}

export interface ProjectPlugin {
  source: PluginSource
  /** Where it would run, and who chose that. */
  placement: Placement
  /** After how many faults it would be moved to a process; undefined: never. */
  demote: EffectiveRestart['demote']
  /** How strongly that holds it on this machine; undefined where it cannot run. */
  tier: Tier | undefined
  /** All that it may do. */
  granted: Granted
  enabled: boolean
  /** From 0; undefined for a plugin that would not start. */
  wave: number | undefined
  /** Why it would not start. */
  error: PlugbayError | undefined
}

/** What cannot be read as a plugin where one should be. */
export interface Unread {
  /** What it says it is called, or else where it lies: that name is another's, or cannot be read either. */
  name: string
  /** Absolute. */
  path: string
  error: PlugbayError
}

export interface Project {
  options: ResolvedOptions
  plugins: ProjectPlugin[]
  unread: Unread[]
  /** Names of what would start, by wave. */
  waves: string[][]
  /** Optional dependencies that are not waited for because they would close a circle: [plugin, what it would like first]. */
  loosened: Plan['loosened']
  problems: ProjectProblem[]
  /** What is worth a look, and keeps nothing from starting. */
  remarks: string[]
}

const rootOf = (error: PlugbayError): string | undefined => {
  const root = error.code === 'DEPENDENCY_FAILED' ? error.details?.root : undefined
  return typeof root === 'string' ? root : undefined
}

/** One problem for each root cause, with those it takes along. The members of a circle share one. */
const problemsIn = (excluded: ReadonlyMap<string, PlugbayError>): ProjectProblem[] => {
  const problems = new Map<string, ProjectProblem>()
  for (const [name, error] of excluded) {
    if (rootOf(error) !== undefined) continue
    problems.set(error.code === 'DEPENDENCY_CYCLE' ? error.message : name, { error, victims: [] })
  }
  for (const [name, error] of excluded) {
    const root = rootOf(error)
    const cause = root === undefined ? undefined : excluded.get(root)
    const problem = cause && [...problems.values()].find((each) => each.error.message === cause.message)
    if (problem) problem.victims.push(name)
    else if (root !== undefined) problems.set(name, { error, victims: [] })
  }
  return [...problems.values()]
}

const assertIsolation = (source: PluginSource, options: ResolvedOptions): void => {
  const { isolation } = placementOf(source, options)
  if (isolation === 'grpc') throw isolationUnavailable(source.name, isolation)
}

/** A plugin that is not in a thread, or that the operator placed, stays where it is. */
const demotionOf = (source: PluginSource, options: ResolvedOptions): EffectiveRestart['demote'] => {
  const { isolation, from } = placementOf(source, options)
  return isolation === 'thread' && from !== 'operator' ? effectiveRestart(source.manifest, options.defaults).demote : undefined
}

const tierFor = async (source: PluginSource, options: ResolvedOptions): Promise<Tier | undefined> => {
  const { isolation } = placementOf(source, options)
  if (isolation !== 'process') return isolation === 'grpc' ? undefined : isolation
  return processTier({ needsHooks: await needsModuleHooks(source), inspected: false }, await confiners())
}

/** Why each plugin that its dependencies would let start cannot start all the same, by name: where it runs, its configuration. */
const faultsOf = async (sources: readonly PluginSource[], options: ResolvedOptions): Promise<Map<string, PlugbayError>> => {
  const configurations = new Configurations(options, new PluginPermissions(options))
  const faults = await Promise.all(
    sources.map(async (source): Promise<[string, PlugbayError] | undefined> => {
      const { name } = source
      try {
        assertIsolation(source, options)
        assertRoles(source, options)
        await configurations.resolve(source, configurations.given(name))
        return undefined
      } catch (error) {
        if (PlugbayError.is(error)) return [name, error]
        throw error
      }
    }),
  )
  return new Map(faults.filter((fault) => fault !== undefined))
}

/**
 * Reads options, manifests, dependencies and configurations, and works out what would start. Throws only when the options
 * themselves cannot be read.
 */
export const readProject = async (folder: string, place: PlaceOptions): Promise<Project> => {
  const options = resolveOptions(await readOptions(folder, place))
  const { found, faults, passedOver } = discover(options.plugins, options.base, options.name)
  const planned = plan(found.map(({ manifest }) => manifest))
  const unfit = await faultsOf(
    found.filter(({ name }) => planned.order.includes(name)),
    options,
  )
  const errors = new Map([...planned.excluded, ...unfit])
  const unfitProblems = Array.from(unfit, ([name, error]): ProjectProblem => {
    const victims = planned.dependentsOf(name).filter((each) => !errors.has(each))
    for (const victim of victims) errors.set(victim, dependencyFailed(victim, name, error))
    return { error, victims }
  })
  const tiers = new Map(await Promise.all(found.map(async (source) => [source.name, await tierFor(source, options)] as const)))
  const waves = planned.waves.map((names) => names.filter((name) => !errors.has(name))).filter((names) => names.length > 0)
  const names = new Set(found.map(({ name }) => name))
  const waveOf = new Map(waves.flatMap((names, wave) => names.map((name) => [name, wave] as const)))
  return {
    options,
    plugins: found.map((source) => ({
      source,
      placement: placementOf(source, options),
      demote: demotionOf(source, options),
      tier: tiers.get(source.name),
      granted: permissionsOf(source, options).granted,
      enabled: source.manifest.enabled,
      wave: waveOf.get(source.name),
      error: errors.get(source.name),
    })),
    unread: faults.map(({ path, error }) => {
      const { plugin } = error
      return { name: plugin === undefined || names.has(plugin) ? shortPath(path) : plugin, path, error }
    }),
    waves,
    loosened: planned.loosened,
    problems: [...faults.map(({ error }) => ({ error, victims: [] })), ...problemsIn(planned.excluded), ...unfitProblems],
    remarks: [
      ...passedOver.map(({ message }) => message),
      ...strangersIn(
        options,
        found.map(({ name }) => name),
      ),
      ...found.flatMap((source) => reservedIn(source) ?? []),
    ],
  }
}

/** A path as a person in the current folder would write it. */
export const shortPath = (path: string): string => relative(process.cwd(), path) || '.'
