/** Where a plugin's modules are wrong, of those that the engine does not take: it says that they are, but not where. */
import { basename, relative } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { unended } from '../../sentence.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { Readable } from '../modules/readable.js'
import { WorkThread } from '../modules/work-thread.js'
import { enginePosition } from './engine-position.js'
import type { ModuleFault } from './import-fault.js'
import type { FaultFound, FaultQuestion, Module } from './module-fault.js'

/** Milliseconds: many times what it takes, on a busy machine too. */
const LIMIT = 2_000

/** Who wrote the modules decides how long it takes to find what is wrong in them. Where it takes too long, the engine's word has to do. */
const thread = new WorkThread<FaultQuestion, FaultFound>(new URL('./fault-thread.js', import.meta.url), () => LIMIT)

/** What to do about a module that is missing, as a sentence with a space before it; or nothing. */
export const mendOfMissing = async (missing: string, { entry, root }: PluginSource, readable: Readable): Promise<string> =>
  (await thread.do({ entry, root, readable, reason: '', missing }, root))?.mend ?? ''

/** The line and the one before it, with a mark under the column. */
const frameOf = (text: string, line: number, column: number): string => {
  const lines = text.split('\n')
  const width = String(line).length
  const shown = [line - 1, line]
    .filter((number) => number > 0)
    .map((number) => `  ${String(number).padStart(width)} | ${lines[number - 1] ?? ''}`)
  return [...shown, `  ${' '.repeat(width)} | ${' '.repeat(column - 1)}^`].join('\n')
}

/** The engine's own frames say nothing: they are where it reads modules, not where the module is wrong. */
const pointingAt = ({ message }: Error, place: string): SyntaxError => {
  const error = new SyntaxError(message)
  error.stack = `SyntaxError: ${message}\n    at ${place}`
  return error
}

const DECORATED =
  ' Decorators run in no Node, and stay when types are taken out: call what it names as a function, or have the plugin compiled.'

/** What only the engine minds: a name declared twice, an export of nothing, a decorator. */
const engineFault = async (modules: readonly Module[], reason: string): Promise<ModuleFault | undefined> => {
  const found = await enginePosition(
    modules.map(({ code }) => code),
    reason,
  )
  const { file, text } = modules[found?.index ?? -1] ?? {}
  if (!found || file === undefined || text === undefined) return undefined
  const { line, column } = found
  // It is a fault of a decorator where there is an `@`: in what is plain code nothing else begins with one.
  const mend = text.split('\n')[line - 1]?.[column - 1] === '@' ? DECORATED : ''
  return { file, text, line, column, reason: unended(reason), mend }
}

/** What parses and is refused all the same was read as CommonJS: a package.json said so, or an ending. */
const takenForCommonjs = (error: PlugbayError, name: string, entry: string, packageFile: string): PlugbayError => {
  const better = basename(entry).replace(/\.(js|ts)$/, '.m$1')
  return new PlugbayError(
    'PLUGIN_LOAD',
    `Plugin '${name}' could not be loaded: ${basename(entry)} is an ES module, but ${packageFile} says "type": "commonjs". ` +
      `Name it ${better}, or put a package.json with "type": "module" beside it.`,
    { plugin: name, cause: error.cause, details: { ...error.details, file: entry, packageFile } },
  )
}

/** What the engine minds before it runs a line: syntax, and an import without the attribute that JSON takes. */
const isOfModules = (cause: Error): boolean =>
  cause.name === 'SyntaxError' || /^Module "[^"]+" needs an import attribute /.test(cause.message)

/**
 * The error with file, line and column, and the line itself, if it is about syntax and one of the plugin's files is at fault; else as it
 * was.
 */
export const locateSyntaxFault = async (
  error: PlugbayError,
  { name, entry, root }: PluginSource,
  readable: Readable,
): Promise<PlugbayError> => {
  const { cause } = error
  if (!(cause instanceof Error) || !isOfModules(cause)) return error
  const found = await thread.do({ entry, root, readable, reason: cause.message }, root)
  if (found === undefined) return error
  const fault = found.fault ?? (await engineFault(found.modules ?? [], cause.message))
  if (!fault) return found.packageFile === undefined ? error : takenForCommonjs(error, name, entry, found.packageFile)
  const { file, text, line, column, reason, mend } = fault
  return new PlugbayError(
    'PLUGIN_LOAD',
    `Plugin '${name}' could not be loaded: ${relative(root, file)}:${line}:${column}: ${reason}.${mend}\n${frameOf(text, line, column)}`,
    { plugin: name, cause: pointingAt(cause, `${file}:${line}:${column}`), details: { ...error.details, file, line, column } },
  )
}
