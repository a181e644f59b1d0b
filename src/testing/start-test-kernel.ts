/** Makes and starts the kernel of a test: loaded when the first is asked for. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import minVersion from 'semver/ranges/min-version.js'
import { argumentInvalid, isObject, type OptionChecks, optionsFault } from '../arguments.js'
import { type ErrorCode, PlugbayError } from '../errors.js'
import { composeKernel } from '../kernel/composition-root.js'
import { discover } from '../kernel/manifest/discovery.js'
import type { KernelOptions, Logger } from '../kernel/options/options.js'
import type { MissingDependency } from '../kernel/plugins/dependency-graph.js'
import { nearest } from '../nearest.js'
import { type LoggedLine, TestKernel } from './test-kernel.js'

export interface TestKernelOptions
  extends Pick<KernelOptions, 'base' | 'config' | 'configDir' | 'env' | 'name' | 'watch' | 'maxConcurrency' | 'roles' | 'grants'> {
  /** The plugins under test: their paths (or `file:` URLs), or folders of plugins. Relative to `base` (default: the current folder). */
  plugins?: string | URL | readonly (string | URL)[] | undefined
  /**
   * Where plugins run whose manifest does not say. Default: `inline`, in the thread of the test: quick, and a debugger stops in them.
   * `thread` is what production has: structured cloning between plugins happens in both.
   */
  isolation?: 'inline' | 'thread' | undefined
  /**
   * Services by name that the kernel provides in place of plugins, each an object with methods, as version 1.0.0. Where a
   * plugin under test depends on a plugin of that name that is not among `plugins`, an empty one stands in for it.
   */
  services?: Record<string, object> | undefined
  /** Limits for the plugins whose manifests do not say. */
  limits?: NonNullable<KernelOptions['defaults']>['limits'] | undefined
  /** True: a plugin that does not start is left out, as in production. Default: `createTestKernel` rejects with its error. */
  mayFail?: boolean | undefined
}

const isPlace = (value: unknown): boolean => typeof value === 'string' || (value instanceof URL && value.protocol === 'file:')

/** What the kernel takes just as it is given, it checks itself. */
const passedOn = (): undefined => undefined

const TEST_OPTIONS: Readonly<Record<keyof TestKernelOptions, OptionChecks[string]>> = {
  plugins: (value) => ([value].flat().every(isPlace) ? undefined : 'Give a path, a file: URL, or a list of these.'),
  services: (value) => (isObject(value) ? undefined : 'Give an object with a service for each name.'),
  isolation: passedOn,
  limits: passedOn,
  mayFail: (value) => (typeof value === 'boolean' ? undefined : 'Give true or false.'),
  base: (value) => (typeof value === 'string' ? undefined : 'Give the path of a folder.'),
  config: passedOn,
  configDir: passedOn,
  env: passedOn,
  name: passedOn,
  watch: passedOn,
  maxConcurrency: passedOn,
  roles: passedOn,
  grants: passedOn,
}

/** What a kernel has elsewhere, and a test gets. */
const OWN: Readonly<Record<string, string>> = {
  dataDir: 'It has a temporary folder for that, which `dataDir` of what it resolves with names.',
  logger: 'It keeps all lines, in `logged` of what it resolves with.',
}

const assertOptions = (options: TestKernelOptions): void => {
  const own = isObject(options) ? Object.keys(options).find((name) => Object.hasOwn(OWN, name)) : undefined
  const fault = own === undefined ? optionsFault(options, TEST_OPTIONS) : `takes no '${own}'. ${OWN[own]}`
  if (fault !== undefined) throw argumentInvalid('createTestKernel()', fault)
}

const collector = (lines: LoggedLine[]): Logger => {
  const at =
    (level: LoggedLine['level']) =>
    (fields: Record<string, unknown>, message = '') =>
      void lines.push({ level, message, fields })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Empty plugins for those that the ones under test depend on, where a stubbed service has that name. Returns where they are. */
const standIns = async (folder: string, places: readonly string[], base: string, stubs: ReadonlySet<string>): Promise<string[]> => {
  const { found } = discover(places, base)
  const wanted = new Map<string, string>()
  for (const { manifest } of found) for (const [name, range] of Object.entries(manifest.dependencies)) wanted.set(name, range)
  for (const { name } of found) wanted.delete(name)
  const made: string[] = []
  for (const [name, range] of wanted) {
    if (!stubs.has(name)) continue
    const path = join(folder, 'stand-ins', name)
    await mkdir(path, { recursive: true })
    const version = minVersion(range)?.version ?? '1.0.0'
    await writeFile(
      join(path, 'plugin.json'),
      JSON.stringify({ name, version, description: 'Stands in for a plugin whose service is a stub.' }),
    )
    await writeFile(join(path, 'index.mjs'), 'export default { start() {} }\n')
    made.push(path)
  }
  return made
}

/** As `createTestKernel` says. */
export const startTestKernel = async (options: TestKernelOptions): Promise<TestKernel> => {
  assertOptions(options)
  const { plugins = [], isolation = 'inline', services = {}, limits, mayFail = false, base = process.cwd(), ...rest } = options
  const folder = await mkdtemp(join(tmpdir(), 'plugbay-test-'))
  const dataDir = join(folder, 'data')
  const lines: LoggedLine[] = []
  let test: TestKernel | undefined
  try {
    const places = [plugins].flat().map((place) => (place instanceof URL ? fileURLToPath(place) : resolve(base, place)))
    const stood = await standIns(folder, places, base, new Set(Object.keys(services)))
    const kernel = await composeKernel({
      ...rest,
      base,
      plugins: [...places, ...stood],
      dataDir,
      defaults: { isolation, ...(limits === undefined ? {} : { limits }) },
      standby: isolation === 'thread' ? 1 : 0,
      logger: collector(lines),
    })
    test = new TestKernel(kernel, folder, dataDir, lines)
    for (const [name, service] of Object.entries(services)) test.services.provide(name, service)
    await test.start()
    if (!mayFail) throwFirstFailure(test, Object.keys(services))
    return test
  } catch (error) {
    await (test?.stop() ?? rm(folder, { recursive: true, force: true }))
    throw error
  }
}

/** The first that failed by itself: those that need it fail for its sake. */
const throwFirstFailure = ({ report, logged }: TestKernel, stubs: readonly string[]): void => {
  const failed = report.plugins.filter(({ error }) => error !== undefined)
  const first = failed.find(({ error }) => error?.code !== 'DEPENDENCY_FAILED') ?? failed[0]
  if (first?.error === undefined) return
  // The log has the error itself, with its cause and that one's stack.
  const line = logged.find(({ message, fields }) => message === first.error?.message && PlugbayError.is(fields['err']))
  const whole = line?.fields['err']
  const error = PlugbayError.is(whole)
    ? whole
    : new PlugbayError(first.error.code as ErrorCode, first.error.message, { plugin: first.name })
  throw withStubMeant(error, stubs)
}

/** What is missing may be there as a stub, under a name that is a slip away: the kernel knows stubs as services alone. */
const withStubMeant = (error: PlugbayError, stubs: readonly string[]): PlugbayError => {
  const { code, plugin, details, message } = error
  if (code !== 'DEPENDENCY_MISSING') return error
  const missing = details?.['missing'] as readonly MissingDependency[]
  const meant = missing.flatMap(({ name }) => {
    const stub = nearest(name, stubs)
    return stub === undefined ? [] : [` Was the stub '${stub}' meant to be '${name}'?`]
  })
  return new PlugbayError(code, `${message}${meant.join('')}`, { plugin, details })
}
