/** An import that the engine refuses, though every module parses: where it stands, and what was likely meant. */
import { isBuiltin } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Import } from 'es-module-lexer'
import { didYouMean } from '../../nearest.js'
import { enumerated } from '../../sentence.js'
import { isTypeScript, stripTypes } from '../../strip-types.js'
import { readTextFile } from '../../text-file.js'
import { PLUGIN_MODULE } from '../modules/module-access.js'
import { positionOf } from '../text/json-text.js'

/** A place in a module, and what is wrong there. */
export interface ModuleFault {
  file: string
  text: string
  line: number
  column: number
  reason: string
  /** A sentence to follow, with a space before it; or nothing. */
  mend: string
}

/** Whether a file may be looked into. */
type Reads = (path: string) => boolean

const NO_EXPORT = /^The requested module '([^']+)' does not provide an export named '([^']+)'/
const NO_ATTRIBUTE = /^Module "(file:[^"]+)" needs an import attribute of /

/** Bytes of a file that is looked into. */
export const LARGEST = 1_048_576

/** Names shown of those that a module exports. */
const SHOWN = 8

/** Whether it is JavaScript or TypeScript, by its ending. */
export const isCode = (file: string): boolean => /\.[cm]?[jt]s$/.test(file)

/** What a file imports and exports, with positions in its text, since types leave blanks; nothing of one that went meanwhile. */
const read = async (file: string) => {
  const { init, parse } = await import('es-module-lexer')
  await init()
  const text = readTextFile(file, LARGEST)
  const [imports, exports] = parse(isTypeScript(file) ? stripTypes(text, file) : text)
  return { text, imports, exports: exports.flatMap((each) => ('name' in each && each.name !== undefined ? [each.name] : [])) }
}

const pathOf = (specifier: string, from: string): string | undefined =>
  specifier.startsWith('.') ? resolve(dirname(from), specifier.replace(/[?#].*$/, '')) : undefined

/** What can be imported there; undefined where that is not known. */
const exportsOf = async (specifier: string, from: string, reads: Reads): Promise<{ names: string[]; text: string } | undefined> => {
  if (specifier === 'plugbay/plugin') return { names: Object.keys((await import(PLUGIN_MODULE)) as object), text: '' }
  if (isBuiltin(specifier)) return { names: Object.keys((await import(specifier)) as object), text: '' }
  const path = pathOf(specifier, from)
  if (path === undefined || !isCode(path) || !reads(path)) return undefined
  const { text, exports } = await read(path)
  return { names: exports, text }
}

/** As a pattern for itself: what is imported may have any text for a name, and a plugin's text is not to be run. */
const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)

const meant = (name: string, specifier: string, { names, text }: { names: string[]; text: string }): string => {
  if (new RegExp(`\\bexport\\s+(?:declare\\s+)?(?:type|interface)\\s+${literally(name)}\\b`).test(text))
    return ` It is a type there: write import { type ${name} }.`
  const likely = didYouMean(name, names)
  if (likely !== '') return likely
  if (names.length === 0) return ' It exports nothing.'
  const types = names.length <= SHOWN && specifier === 'plugbay/plugin' ? '; a type takes `import type`' : ''
  return ` It exports ${enumerated(names.slice(0, SHOWN), names.length)}${types}.`
}

/** Where the name stands in the statement, or else the statement itself. */
const offsetIn = (text: string, statement: Import, name: string): number => {
  const written = text.slice(statement.importStart, statement.start)
  const at = name === 'default' ? /(?<=import\s+)[\w$]/.exec(written) : undefined
  const found = at?.index ?? written.search(new RegExp(`(?<![\\w$])${literally(name)}(?![\\w$])`))
  return statement.importStart + Math.max(0, found)
}

const missingExport = async (
  file: string,
  specifier: string,
  name: string,
  reason: string,
  reads: Reads,
): Promise<ModuleFault | undefined> => {
  const { text, imports } = await read(file)
  const asked = imports.filter((each) => each.type === 'static' && each.specifier === specifier)
  const statement =
    asked.find((each) => text.slice(each.importStart, each.start).includes(name)) ?? (name === 'default' ? asked[0] : undefined)
  if (statement === undefined) return undefined
  const there = await exportsOf(specifier, file, reads).catch(() => undefined)
  if (there?.names.includes(name)) return undefined // Another file of that name, imported from elsewhere.
  const mend = there ? meant(name, specifier, there) : ''
  return { file, text, ...positionOf(text, offsetIn(text, statement, name)), reason, mend }
}

const missingAttribute = async (file: string, url: string): Promise<ModuleFault | undefined> => {
  const target = fileURLToPath(url)
  const { text, imports } = await read(file)
  const statement = imports.find((each) => typeof each.specifier === 'string' && pathOf(each.specifier, file) === target)
  if (statement === undefined) return undefined
  const name = statement.type === 'static' ? (/^import\s+([\w$]+)/.exec(text.slice(statement.importStart))?.[1] ?? 'data') : 'data'
  const path = String(statement.specifier)
  const mend =
    statement.type === 'static'
      ? ` Write import ${name} from '${path}' with { type: 'json' }.`
      : ` Write import('${path}', { with: { type: 'json' } }).`
  return { file, text, ...positionOf(text, statement.importStart), reason: `'${path}' is imported without saying that it is JSON`, mend }
}

/** Which of the files has the import that the engine refuses with these words; undefined if they are not of an import, or none has it. */
export const importFault = async (files: readonly string[], reason: string, reads: Reads): Promise<ModuleFault | undefined> => {
  const [, specifier, name] = NO_EXPORT.exec(reason) ?? []
  const url = NO_ATTRIBUTE.exec(reason)?.[1]
  if (name === undefined && url === undefined) return undefined
  for (const file of files.filter(isCode)) {
    const found = url === undefined ? missingExport(file, specifier ?? '', name ?? '', reason, reads) : missingAttribute(file, url)
    const fault = await found.catch(() => undefined) // A file that went meanwhile.
    if (fault) return fault
  }
  return undefined
}
