/** The kernel's options from a configuration file. */
import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { assertText } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { unended } from '../../sentence.js'
import { insteadOf, isTypeScript, runsTypeScript, stripTypes, syntaxFault } from '../../strip-types.js'
import { reasonOf } from '../../wire-error.js'
import { parseUniqueJson } from '../text/json-text.js'
import { unreadForWant } from '../text/system-limit.js'
import { readYaml } from '../text/yaml-text.js'
import { type KernelOptions, resolveOptions } from './options.js'

const CONFIG_ENDINGS = ['.ts', '.js', '.mjs', '.json', '.yaml', '.yml']

/** The names a configuration file may have. */
export const CONFIG_FILES = CONFIG_ENDINGS.map((ending) => `plugbay.config${ending}`)

const invalid = (
  file: string,
  at: { line: number; column?: number | undefined } | undefined,
  reason: string,
  cause?: unknown,
): PlugbayError => {
  const where = at === undefined ? file : at.column === undefined ? `${file}:${at.line}` : `${file}:${at.line}:${at.column}`
  return new PlugbayError('OPTIONS_INVALID', `${where} cannot be read: ${unended(reason)}.`, { cause, details: { file, ...at } })
}

/** For what cannot be read at all. */
const unread =
  (path: string) =>
  (error: unknown): never => {
    throw unreadForWant(path, error) ?? invalid(path, undefined, reasonOf(error), error)
  }

/** The line of `file` an error points to: the head of its stack for a syntax error, else the first frame in the file. */
const lineIn = (error: unknown, names: readonly string[]): { line: number; column?: number | undefined } | undefined => {
  const stack: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'stack') : undefined
  if (typeof stack !== 'string') return undefined
  for (const name of names) {
    for (const rest of stack.split(name).slice(1)) {
      const found = /^(?:\?t=[\d.]+)?:(\d+)(?::(\d+))?/.exec(rest)
      if (found) return { line: Number(found[1]), column: found[2] === undefined ? undefined : Number(found[2]) }
    }
  }
  return undefined
}

/** Milliseconds for a configuration file to be evaluated, with all that it imports and awaits. */
const EVALUATION_LIMIT = 10_000

const LATE = Symbol('late')

/** The default export of a module, or {@link LATE}. The timer holds the process, too: a module that waits for nothing does not. */
const evaluated = async (url: string): Promise<unknown> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, EVALUATION_LIMIT, LATE)
  })
  try {
    const module = await Promise.race([import(url) as Promise<{ default?: unknown }>, late])
    return module === LATE ? LATE : module.default
  } finally {
    clearTimeout(timer)
  }
}

const importModule = async (file: string): Promise<unknown> => {
  const { mtimeMs } = await stat(file)
  // The time in the address makes an edited file be read again.
  if (!isTypeScript(file) || runsTypeScript) return evaluated(`${pathToFileURL(file).href}?t=${mtimeMs}`)
  // Beside the original, so that its imports resolve as they would from there.
  const stripped = stripTypes(await readFile(file, 'utf8'), file)
  const copy = join(dirname(file), `.${basename(file)}.${randomUUID()}.mjs`)
  try {
    await writeFile(copy, stripped, { flag: 'wx' })
  } catch {
    // A folder that cannot be written to: bare and relative imports are lost, all else works.
    return evaluated(`data:text/javascript;base64,${Buffer.from(stripped).toString('base64')}`)
  }
  try {
    return await evaluated(pathToFileURL(copy).href)
  } catch (error) {
    if (error instanceof Error) {
      const named = (text: string): string => text.replaceAll(pathToFileURL(copy).href, file).replaceAll(copy, file)
      const { stack } = error
      error.message = named(error.message)
      if (stack !== undefined) error.stack = named(stack)
    }
    throw error
  } finally {
    await rm(copy, { force: true })
  }
}

const readConfig = async (file: string): Promise<unknown> => {
  const ending = extname(file)
  const text = (): Promise<string> => readFile(file, 'utf8').catch(unread(file))
  if (ending === '.json') {
    const parsed = parseUniqueJson(await text())
    if ('fault' in parsed)
      throw invalid(file, { line: parsed.fault.line, column: parsed.fault.column }, `it is not valid JSON: ${parsed.fault.reason}`)
    return parsed.value
  }
  if (ending === '.yaml' || ending === '.yml') return readYaml(file, await text(), invalid)
  let value: unknown
  try {
    value = await importModule(file)
  } catch (thrown) {
    const error = (thrown instanceof SyntaxError && syntaxFault(await text(), file)) || thrown
    const url = pathToFileURL(file).href
    const at = lineIn(error, [url, file]) ?? lineIn({ stack: reasonOf(error) }, [file])
    const reason = reasonOf(error).replace(`${file}:${at?.line ?? ''}:${at?.column ?? ''}: `, '')
    throw unreadForWant(file, error) ?? invalid(file, at, `${unended(reason)}.${insteadOf(reason)}`, error)
  }
  if (value === LATE)
    throw new PlugbayError(
      'OPTIONS_TIMEOUT',
      `${file} did not come to its end within ${EVALUATION_LIMIT} ms: it, or a module that it imports, awaits at its top level what does not come. ` +
        'Give what it waits for a time limit of its own, or wait for it before, in the program that makes the kernel.',
      { details: { file, limit: EVALUATION_LIMIT } },
    )
  return value
}

/** The options in a file, or in the configuration file of a folder, as the public entry promises. */
export const loadConfigFile = async (place: string): Promise<KernelOptions | undefined> => {
  assertText(place, 'loadConfigFile()', 'the path of a folder or a file')
  const path = resolve(place)
  const stats = await stat(path).catch(unread(path))
  let file = path
  if (stats.isDirectory()) {
    const names = await readdir(path).catch(unread(path))
    const present = CONFIG_FILES.filter((name) => names.includes(name))
    const [first, second] = present
    if (first === undefined) return undefined
    if (second !== undefined) {
      throw new PlugbayError('OPTIONS_INVALID', `${path} has both ${present.join(' and ')}. Keep one of them.`, {
        details: { files: present },
      })
    }
    file = join(path, first)
  } else if (!CONFIG_ENDINGS.includes(extname(path))) {
    throw invalid(path, undefined, `a configuration file ends in ${CONFIG_ENDINGS.join(', ')}`)
  }
  const value = await readConfig(file)
  if (value === undefined && /[jt]s$/.test(file))
    throw invalid(file, undefined, 'it has no default export; write `export default { plugins: … }`')
  const options = (value ?? {}) as KernelOptions & { $schema?: unknown } // oxlint-disable-line typescript/no-unsafe-type-assertion
  resolveOptions(options, file)
  const { $schema: _, ...rest } = options
  return { ...rest, base: resolve(dirname(file), options.base ?? '.') }
}
