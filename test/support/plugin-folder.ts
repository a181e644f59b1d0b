/** Plugins written to a folder of their own, and kernels over them that are stopped after the test. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createKernel, type Kernel, type KernelEvents, type KernelOptions, type Logger } from 'plugbay'
import { afterAll, onTestFinished } from 'vitest'

/** Has something done at the end of what it is needed for: of the test, unless another end is given. */
export type Afterwards = (undo: () => void | Promise<void>) => void

/**
 * What all tests of a file or a `describe` share: made when the first asks for it, undone after the last. For tests that leave it as it
 * was.
 */
export const shared = <T>(make: (afterwards: Afterwards) => Promise<T>): (() => Promise<T>) => {
  const undos: Parameters<Afterwards>[0][] = []
  let made: Promise<T> | undefined
  afterAll(async () => {
    for (const undo of undos) await undo()
  })
  return () => (made ??= make((undo) => void undos.unshift(undo)))
}

/** One of the test's own folders, outside of this repository; removed after the test. */
export const emptyFolder = (afterwards: Afterwards = onTestFinished): string => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'plugbay-test-')))
  afterwards(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface PluginFiles {
  /** Laid over `{ name, version: '1.0.0', limits }`; limits are short, so that a test of one ends soon. */
  manifest?: Record<string, unknown>
  /** The module's source. */
  code: string
  /** File name of the module; its ending says the language. Default: index.js */
  main?: string
}

/** Writes a plugin and returns its folder. Written again, it is a new version of itself. */
export const writePlugin = (folder: string, name: string, { manifest = {}, code, main = 'index.js' }: PluginFiles): string => {
  const path = join(folder, name)
  mkdirSync(dirname(join(path, main)), { recursive: true })
  writeFileSync(join(path, 'plugin.json'), JSON.stringify({ name, version: '1.0.0', main, ...manifest }))
  writeFileSync(join(path, main), code)
  return path
}

/** A module whose default export has these functions, each given as the source of its body. */
export const pluginCode = (
  hooks: Partial<Record<'initialize' | 'start' | 'stop' | 'health' | 'updateConfig' | 'snapshot' | 'restore', string>>,
  before = '',
): string => {
  const methods = Object.entries(hooks).map(([hook, body]) => `  async ${hook}(ctx, argument) {\n${body}\n  },`)
  return `${before}\nexport default {\n${methods.join('\n')}\n}\n`
}

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  fields: Record<string, unknown>
  message: string
}

/** A logger that keeps what it is given. */
export const keptLog = (): { logger: Logger; lines: LogLine[] } => {
  const lines: LogLine[] = []
  const keep =
    (level: LogLine['level']) =>
    (fields: Record<string, unknown>, message = ''): void =>
      void lines.push({ level, fields, message })
  return { lines, logger: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') } }
}

export interface Running {
  kernel: Kernel
  folder: string
  lines: LogLine[]
  /** Everything the kernel told of its plugins, in order. */
  states: KernelEvents['plugin:state'][]
  faults: KernelEvents['plugin:fault'][]
  replaced: KernelEvents['plugin:replaced'][]
}

export type Plugins = Record<string, PluginFiles | string>

/** Restarts come at once, and no phase may take long. */
const DEFAULTS: NonNullable<KernelOptions['defaults']> = {
  limits: { loadTimeout: 5_000, initializeTimeout: 5_000, startTimeout: 5_000, stopTimeout: 2_000, healthTimeout: 1_000 },
  restart: { backoff: { initial: 1, max: 10, factor: 1 } },
}

/** A kernel over these plugins, not started; a text is the code of a plugin without more. */
export const kernelWith = async (
  plugins: Plugins,
  options: KernelOptions = {},
  afterwards: Afterwards = onTestFinished,
): Promise<Running> => {
  const folder = emptyFolder(afterwards)
  for (const [name, files] of Object.entries(plugins)) writePlugin(folder, name, typeof files === 'string' ? { code: files } : files)
  const { logger, lines } = keptLog()
  const kernel = await createKernel({
    base: folder,
    plugins: folder,
    dataDir: join(folder, '.data'),
    logger,
    defaults: DEFAULTS,
    standby: 0,
    ...options,
  })
  afterwards(() => kernel.stop())
  const running: Running = { kernel, folder, lines, states: [], faults: [], replaced: [] }
  kernel.on('plugin:state', (change) => running.states.push(change))
  kernel.on('plugin:fault', (fault) => running.faults.push(fault))
  kernel.on('plugin:replaced', (replacement) => running.replaced.push(replacement))
  return running
}

/** The same, started. */
export const startedWith = async (plugins: Plugins, options?: KernelOptions, afterwards?: Afterwards): Promise<Running> => {
  const running = await kernelWith(plugins, options, afterwards)
  await running.kernel.start()
  return running
}

/** Makes a plugin's state as `kernel.plugins()` tells it. */
export const infoOf = (kernel: Kernel, name: string): ReturnType<Kernel['plugins']>[number] => {
  const info = kernel.plugins().find((plugin) => plugin.name === name)
  if (info === undefined) throw new Error(`there is no plugin '${name}'`)
  return info
}

export const stateOf = (kernel: Kernel, name: string): string => infoOf(kernel, name).state

/** What is published from now on under a pattern, in order, as the embedder gets it. */
export const collect = (kernel: Kernel, pattern: string): { type: string; source: string; data: unknown }[] => {
  const events: { type: string; source: string; data: unknown }[] = []
  kernel.bus.subscribe(pattern, (event: { type: string; source: string; data: unknown }) => void events.push(event))
  return events
}
