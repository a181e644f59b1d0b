/** Where a plugin's code does not parse: the engine says that it does not, but not where. */
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative } from 'node:path'
import { PlugbayError } from '../errors.js'
import { syntaxFault } from '../strip-types.js'
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

/** What does the same and can be stripped: types are taken out of the code, and nothing else is changed in it. */
const INSTEAD: readonly [construct: RegExp, mend: string][] = [
  [/\benum\b/, "Use a plain object `as const`, or a union of strings: type Color = 'red' | 'green'."],
  [/parameter property/, 'Declare the field in the class and assign it in the constructor.'],
  [/\bnamespace\b|\bmodule\b/, 'Use a module of its own, or a plain object.'],
]

const insteadOf = (reason: string): string => {
  if (!reason.includes('strip-only')) return ''
  const mend = INSTEAD.find(([construct]) => construct.test(reason))?.[1]
  return mend === undefined ? '' : ` ${mend}`
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

/** The error with file, line and column, and the line itself, if it is about syntax and one of the plugin's files is at fault; else as it was. */
export const locateSyntaxFault = async (error: PlugbayError, { name, entry, root }: PluginSource): Promise<PlugbayError> => {
  if (!(error.cause instanceof Error) || error.cause.name !== 'SyntaxError') return error
  try {
    const { files } = await moduleGraph(entry, root)
    for (const file of files) {
      const text = await readFile(file, 'utf8')
      const found = /^.*?:(\d+):(\d+): ([^\n]*)/s.exec(syntaxFault(text, file)?.message.slice(file.length) ?? '')
      if (!found) continue
      const [line, column] = [Number(found[1]), Number(found[2])]
      const where = `${relative(root, file)}:${line}:${column}`
      const reason = found[3]?.replace(/\.$/, '') ?? ''
      return new PlugbayError(
        'PLUGIN_LOAD',
        `Plugin '${name}' could not be loaded: ${where}: ${reason}.${insteadOf(reason)}\n${frameOf(text, line, column)}`,
        {
          plugin: name,
          cause: pointingAt(error.cause, `${file}:${line}:${column}`),
          details: { ...error.details, file, line, column },
        },
      )
    }
    return await takenForCommonjs(error, name, entry)
  } catch {
    // A file that went meanwhile: the engine's word has to do.
  }
  return error
}
