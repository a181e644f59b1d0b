/** The kernel's options: checked and completed. */
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { asItIsNow, shownAsData } from '../../arguments.js'
import { didYouMean } from '../../nearest.js'
import { guardedLogger } from '../log/guarded-logger.js'
import type { Logger, LogLevel } from '../log/log.js'
import { permissionProblems, roleProblems, withGrammar } from '../schema/permission-grammar.js'
import { type Problem, problemsError, schemaProblems } from '../schema/schema-problems.js'
import type {
  Backoff,
  Isolation,
  Limits,
  OptionsFile,
  Permission,
  PluginDefaults,
  PluginGrants,
  RestartPolicy,
} from '../schema/schema-types.generated.js'
import { validateOptions } from '../schema/schema-validators.generated.js'

export type { Logger } from '../log/log.js'

/** What `createKernel` takes. All of it may be left out. */
export interface KernelOptions extends Omit<OptionsFile, '$schema' | 'config' | 'env'> {
  /** Configuration of plugins, by plugin name. Strings may hold `${VAR}` and `${VAR:-default}`; `$${` stands for `${`. */
  config?: Record<string, object> | undefined
  /** Variables for `${VAR}` in configurations. Default: `process.env`. */
  env?: Record<string, string | undefined> | undefined
  /** Where the kernel's and the plugins' lines go: any pino-like object. Left out: readable lines on standard error. */
  logger?: Logger | undefined
  /** Record what plugins use instead of holding them to their permissions: see `kernel.learned()`. Not for production. Default: false. */
  learn?: boolean | undefined
}

/**
 * Limits with nothing left open. Memory in MB, cpu as a share of one core, times in ms, queue and window in events, message in bytes,
 * requests a second.
 */
export type EffectiveLimits = { [Key in keyof Limits]-?: NonNullable<Limits[Key]> }

/** A restart policy with nothing left open; times in ms. */
export interface EffectiveRestart {
  /** Undefined: it stays where it is, however often it fails. */
  demote: { after: number; within: number } | undefined
  policy: NonNullable<RestartPolicy['policy']>
  max: number
  within: number
  strategy: NonNullable<RestartPolicy['strategy']>
  onGiveUp: NonNullable<RestartPolicy['onGiveUp']>
  backoff: { [Key in keyof Backoff]-?: number }
}

/** What holds for every plugin whose manifest does not say otherwise. */
export interface EffectiveDefaults {
  isolation: Isolation
  limits: EffectiveLimits
  restart: EffectiveRestart
}

/** Options with every default filled in; paths are absolute. */
export interface ResolvedOptions {
  name: string
  base: string
  /** Absolute paths: folders to scan, or single plugins. */
  plugins: string[]
  config: Record<string, object>
  configDir: string | undefined
  /** Undefined: files are not watched. `settle` in ms. */
  watch: { settle: number } | undefined
  dataDir: string
  /** Undefined: no audit log is kept. `dir` is absolute. */
  audit: { dir: string; maxBytes: number; keep: number } | undefined
  defaults: EffectiveDefaults
  /** What no plugin may go beyond, whatever its manifest says. */
  ceiling: Limits
  /** How many plugins start at once. */
  concurrentStarts: number
  /** How many threads a pool of tasks has at the most. */
  taskThreads: number
  standby: number
  logger: Logger | undefined
  logLevel: LogLevel
  env: Record<string, string | undefined>
  roles: Record<string, Permission[]>
  grants: Record<string, PluginGrants>
  /** Where plugins run, by name, whatever their manifests say. */
  isolation: Record<string, Isolation>
  /** Whether permissions are recorded instead of enforced. */
  learn: boolean
}

/** What a plugin may take where neither manifest nor options say otherwise. */
export const DEFAULT_LIMITS: EffectiveLimits = {
  memory: 256,
  cpu: 1,
  hang: 1_000,
  loadTimeout: 5_000,
  initializeTimeout: 5_000,
  startTimeout: 5_000,
  stopTimeout: 2_000,
  healthTimeout: 1_000,
  queue: 1_024,
  window: 512,
  message: 1_048_576,
  subscriptions: 10_000,
  overlap: 100,
  services: 1_000,
  requests: 10_000,
}

/** How a plugin that ended is restarted where neither manifest nor options say otherwise. */
export const DEFAULT_RESTART: EffectiveRestart = {
  policy: 'permanent',
  max: 5,
  within: 60_000,
  strategy: 'one-for-one',
  onGiveUp: 'stop',
  backoff: { initial: 100, max: 30_000, factor: 2 },
  demote: undefined,
}

const DEFAULT_DEMOTE = { after: 3, within: 60_000 }

const DEFAULT_SETTLE = 20
const DEFAULT_AUDIT = { maxBytes: 10_485_760, keep: 10 }

/** The fields of `over` that are set, laid over `under`. */
const lay = <T extends object>(under: T, over: { [Key in keyof T]?: T[Key] | undefined } | undefined): T => ({
  ...under,
  ...Object.fromEntries(Object.entries(over ?? {}).filter(([, value]) => value !== undefined)),
})

/** The limits of one plugin: what its manifest says, else the kernel's defaults, and no more than the kernel's ceiling. */
export const effectiveLimits = (
  manifest: { limits?: Limits | undefined },
  { defaults, ceiling }: Pick<ResolvedOptions, 'defaults' | 'ceiling'>,
): EffectiveLimits => {
  const limits = lay(defaults.limits, manifest.limits)
  for (const name of Object.keys(limits) as (keyof EffectiveLimits)[]) limits[name] = Math.min(limits[name], ceiling[name] ?? Infinity)
  return limits
}

const layRestart = (under: EffectiveRestart, over: RestartPolicy | undefined): EffectiveRestart => ({
  ...lay(under, over && { ...over, backoff: undefined, demote: undefined }),
  backoff: lay(under.backoff, over?.backoff),
  demote: over?.demote ? lay(DEFAULT_DEMOTE, over.demote) : under.demote,
})

/** The restart policy of one plugin: what its manifest says, else the kernel's defaults. */
export const effectiveRestart = (manifest: { restart?: RestartPolicy | undefined }, defaults: EffectiveDefaults): EffectiveRestart =>
  layRestart(defaults.restart, manifest.restart)

/** No plugin can be named `.audit`: its folder is nobody's data folder. */
const auditOptions = ({ dir, ...sizes }: Exclude<OptionsFile['audit'], boolean | undefined>, base: string, dataDir: string) => ({
  dir: dir === undefined ? join(dataDir, '.audit') : resolve(base, dir),
  ...lay(DEFAULT_AUDIT, sizes),
})

const LOG_METHODS = ['debug', 'info', 'warn', 'error'] as const
const OUTSIDE_SCHEMA = ['logger', 'env', 'learn']

/** What the schema cannot say, as it is about functions, or about fields that are not plain data. */
const codeProblems = ({ logger, env, learn }: KernelOptions): Problem[] => {
  const problems: Problem[] = []
  if (logger !== undefined) {
    const missing = LOG_METHODS.filter((method) => typeof (logger as Partial<Logger> | null)?.[method] !== 'function')
    if (missing.length > 0)
      problems.push({ path: 'logger', message: `must have the methods ${LOG_METHODS.join(', ')}; it lacks ${missing.join(', ')}` })
  }
  if (env !== undefined && (typeof env !== 'object' || (env as unknown) === null)) {
    problems.push({ path: 'env', value: env, message: `must be an object of variables, not ${shownAsData(env)}` })
  }
  if (learn !== undefined && typeof learn !== 'boolean')
    problems.push({ path: 'learn', value: learn, message: `must be true or false, not ${shownAsData(learn)}` })
  return problems
}

const entriesOf = (value: unknown): [string, unknown][] => (typeof value === 'object' && value !== null ? Object.entries(value) : [])

/** What is wrong with the permissions in roles and grants, and with the roles that grants name. */
const permissionFaults = ({ roles, grants }: KernelOptions): Problem[] => [
  ...entriesOf(roles).flatMap(([role, permissions]) => permissionProblems(permissions, ['roles', role])),
  ...entriesOf(grants).flatMap(([plugin, grant]) => {
    const given = (grant ?? {}) as PluginGrants // oxlint-disable-line typescript/no-unsafe-type-assertion
    return [
      ...permissionProblems(given.permissions, ['grants', plugin, 'permissions']),
      ...roleProblems(given.roles, Object.keys(roles ?? {}), ['grants', plugin, 'roles']),
    ]
  }),
]

/**
 * Checks options and fills in what they leave open. Throws OPTIONS_INVALID, with every problem in `details.problems`.
 * `subject` is what messages call the options: the name of the file they come from.
 */
export const resolveOptions = (input: KernelOptions = {}, subject = 'The options object'): ResolvedOptions => {
  const plain: unknown =
    typeof input === 'object' && (input as unknown) !== null && !Array.isArray(input)
      ? Object.fromEntries(Object.entries(input).filter(([key, value]) => value !== undefined && !OUTSIDE_SCHEMA.includes(key)))
      : input
  const valid = validateOptions(plain)
  const grammar = plain === input ? [] : permissionFaults(input)
  const problems = withGrammar([...(valid ? [] : optionProblems(plain)), ...(plain === input ? [] : codeProblems(input))], grammar)
  if (problems.length > 0) throw problemsError('OPTIONS_INVALID', subject, problems)
  const base = resolve(input.base ?? process.cwd())
  const defaults: PluginDefaults = asItIsNow(input.defaults ?? {})
  const watch = input.watch ?? false
  const audit = input.audit ?? false
  const processors = Math.max(2, availableParallelism())
  const dataDir = resolve(base, input.dataDir ?? './data')
  return {
    name: input.name ?? 'plugbay',
    base,
    plugins: [input.plugins ?? []].flat().map((place) => resolve(base, place)),
    config: Object.fromEntries(Object.entries(input.config ?? {}).map(([name, config]) => [name, asItIsNow(config)])),
    configDir: input.configDir === undefined ? undefined : resolve(base, input.configDir),
    watch: watch === false ? undefined : { settle: (watch === true ? undefined : watch.settle) ?? DEFAULT_SETTLE },
    dataDir,
    audit: audit === false ? undefined : auditOptions(audit === true ? {} : audit, base, dataDir),
    defaults: {
      isolation: defaults.isolation ?? 'thread',
      limits: lay(DEFAULT_LIMITS, defaults.limits),
      restart: layRestart(DEFAULT_RESTART, defaults.restart),
    },
    ceiling: asItIsNow(input.ceiling ?? {}),
    // A start waits for files and for the kernel, too: one more than there are processors keeps all of them busy.
    concurrentStarts: input.maxConcurrency ?? processors + 1,
    taskThreads: input.maxConcurrency ?? processors,
    standby: input.standby ?? 1,
    logger: input.logger && guardedLogger(input.logger),
    logLevel: input.logLevel ?? 'info',
    env: input.env ?? process.env,
    roles: asItIsNow(input.roles ?? {}),
    grants: asItIsNow(input.grants ?? {}),
    isolation: asItIsNow(input.isolation ?? {}),
    learn: input.learn ?? false,
  }
}

/** The schema knows only the options that are data: a misspelt `logger` deserves its suggestion too. */
const optionProblems = (plain: unknown): Problem[] =>
  schemaProblems(validateOptions.errors, plain).map((problem) => {
    if (!problem.message.startsWith('is not a known field') || problem.message.includes('Did you mean')) return problem
    return { ...problem, message: `${problem.message}${didYouMean(problem.path, OUTSIDE_SCHEMA)}` }
  })
