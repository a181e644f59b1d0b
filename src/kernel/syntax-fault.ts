/** Where a plugin's modules are wrong, of those that the engine does not take: it says that they are, but not where. */
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative } from 'node:path'
import { PlugbayError } from '../errors.js'
import { unended } from '../sentence.js'
import { insteadOf, isTypeScript, stripTypes, syntaxFault } from '../strip-types.js'
import { enginePosition } from './engine-position.js'
import { importFault, isCode, type ModuleFault } from './import-fault.js'
import { parseJson } from './json-text.js'
import type { PluginSource } from './manifest.js'
import { moduleGraph } from './module-graph.js'

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

/** What parses and is refused all the same was read as CommonJS: a package.json said so, or an ending. */
const takenForCommonjs = async (error: PlugbayError, name: string, entry: string): Promise<PlugbayError> => {
  if (extname(entry) === '.mjs' || extname(entry) === '.mts') return error
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text !== undefined) {
      if ((JSON.parse(text) as { type?: unknown }).type !== 'commonjs') return error
      const better = basename(entry).replace(/\.(js|ts)$/, '.m$1')
      return new PlugbayError(
        'PLUGIN_LOAD',
        `Plugin '${name}' could not be loaded: ${basename(entry)} is an ES module, but ${file} says "type": "commonjs". ` +
          `Name it ${better}, or put a package.json with "type": "module" beside it.`,
        { plugin: name, cause: error.cause, details: { ...error.details, file: entry, packageFile: file } },
      )
    }
    if (folder === dirname(folder)) return error
  }
}

const ES_MODULE = /\.m?[jt]s$/

/** What is wrong with the text of one file by itself: with JSON by its grammar, with code by that of TypeScript. */
const faultIn = (file: string, text: string): ModuleFault | undefined => {
  if (extname(file) === '.json') {
    const parsed = parseJson(text)
    return 'fault' in parsed ? { file, text, ...parsed.fault, reason: `not valid JSON: ${parsed.fault.reason}`, mend: '' } : undefined
  }
  if (!isCode(file)) return undefined
  const found = /^.*?:(\d+):(\d+): ([^\n]*)/s.exec(syntaxFault(text, file)?.message.slice(file.length) ?? '')
  if (!found) return undefined
  const reason = unended(found[3] ?? '')
  return { file, text, line: Number(found[1]), column: Number(found[2]), reason, mend: insteadOf(reason) }
}

const DECORATED =
  ' Decorators run in no Node, and stay when types are taken out: call what it names as a function, or have the plugin compiled.'

/** What only the engine minds: a name declared twice, an export of nothing, a decorator. */
const engineFault = async (texts: ReadonlyMap<string, string>, reason: string): Promise<ModuleFault | undefined> => {
  const modules = [...texts].filter(([file]) => ES_MODULE.test(file))
  const found = await enginePosition(
    modules.map(([file, text]) => (isTypeScript(file) ? stripTypes(text, file) : text)),
    reason,
  )
  const [file, text] = modules[found?.index ?? -1] ?? []
  if (!found || file === undefined || text === undefined) return undefined
  const { line, column } = found
  // It is a fault of a decorator where there is an `@`: in what is plain code nothing else begins with one.
  const mend = text.split('\n')[line - 1]?.[column - 1] === '@' ? DECORATED : ''
  return { file, text, line, column, reason: unended(reason), mend }
}

const faultOf = async (files: readonly string[], { message }: Error): Promise<ModuleFault | undefined> => {
  const refused = await importFault(files, message)
  if (refused) return refused
  const texts = new Map<string, string>()
  for (const file of files) {
    const text = await readFile(file, 'utf8')
    const fault = faultIn(file, text)
    if (fault) return fault
    texts.set(file, text)
  }
  return engineFault(texts, message)
}

/** What the engine minds before it runs a line: syntax, and an import without the attribute that JSON takes. */
const isOfModules = (cause: Error): boolean =>
  cause.name === 'SyntaxError' || /^Module "[^"]+" needs an import attribute /.test(cause.message)

/** The error with file, line and column, and the line itself, if it is about syntax and one of the plugin's files is at fault; else as it was. */
export const locateSyntaxFault = async (error: PlugbayError, { name, entry, root }: PluginSource): Promise<PlugbayError> => {
  const { cause } = error
  if (!(cause instanceof Error) || !isOfModules(cause)) return error
  try {
    const { files } = await moduleGraph(entry, root)
    const fault = await faultOf(files, cause)
    if (!fault) return await takenForCommonjs(error, name, entry)
    const { file, text, line, column, reason, mend } = fault
    return new PlugbayError(
      'PLUGIN_LOAD',
      `Plugin '${name}' could not be loaded: ${relative(root, file)}:${line}:${column}: ${reason}.${mend}\n${frameOf(text, line, column)}`,
      { plugin: name, cause: pointingAt(cause, `${file}:${line}:${column}`), details: { ...error.details, file, line, column } },
    )
  } catch {
    // A file that went meanwhile: the engine's word has to do.
  }
  return error
}
