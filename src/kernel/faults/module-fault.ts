/** What is wrong with a plugin's modules, as far as their text says: what the engine alone minds is left to it. */
import { existsSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { unended } from '../../sentence.js'
import { insteadOf, isTypeScript, stripTypes, syntaxFault } from '../../strip-types.js'
import { readTextFile } from '../../text-file.js'
import { upwardsFrom } from '../../within.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { moduleGraph } from '../modules/module-graph.js'
import { type Readable, readsFor } from '../modules/readable.js'
import { parseJson } from '../text/json-text.js'
import { mendOfPath } from '../text/missing-path.js'
import { importFault, isCode, LARGEST, type ModuleFault } from './import-fault.js'

export interface FaultQuestion extends Pick<PluginSource, 'entry' | 'root'> {
  readable: Readable
  /** In the engine's words. */
  reason: string
  /** What the engine looked for and did not find: then only that is asked about. */
  missing?: string | undefined
}

/** One that parses: as it is written, and as it runs. */
export interface Module {
  file: string
  text: string
  code: string
}

export interface FaultFound {
  fault?: ModuleFault
  /** Where there is no fault in a text: what the engine may mind. */
  modules?: Module[]
  /** What says that the entry is CommonJS. */
  packageFile?: string
  /** A sentence about what is missing, with a space before it; or nothing. */
  mend?: string
}

/** Characters of modules that the engine is asked about. */
const MOST = 4_194_304

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

/** Undefined for what went meanwhile, or is too long to be looked into. */
const textOf = (file: string): string | undefined => {
  try {
    return readTextFile(file, LARGEST)
  } catch {
    return undefined
  }
}

const packageOf = (entry: string): string | undefined => {
  if (extname(entry) === '.mjs' || extname(entry) === '.mts') return undefined
  for (const folder of upwardsFrom(dirname(entry))) {
    const file = join(folder, 'package.json')
    const text = textOf(file)
    if (text !== undefined) return (JSON.parse(text) as { type?: unknown }).type === 'commonjs' ? file : undefined
  }
  return undefined
}

const isModule = (name: string): boolean => /\.[cm]?[jt]s$/.test(name)

/** What is there instead, where it may be looked. */
const mendOf = (missing: string, reads: (path: string) => boolean): string => {
  const path = resolve(missing)
  const there = upwardsFrom(dirname(path)).find((folder) => existsSync(folder))
  return there !== undefined && reads(there) ? mendOfPath(path, 'Modules', isModule) : ''
}

/** What a module names is looked into where the plugin may do so itself: what is found is told to all who hear of faults. */
export const faultFound = async ({ entry, root, readable, reason, missing }: FaultQuestion): Promise<FaultFound> => {
  const reads = readsFor(root, readable)
  if (missing !== undefined) return { mend: mendOf(missing, reads) }
  const { files } = await moduleGraph(entry, root, { reads })
  const refused = await importFault(files, reason, reads)
  if (refused) return { fault: refused }
  const modules: Module[] = []
  let room = MOST
  for (const file of files) {
    const text = textOf(file)
    if (text === undefined) continue
    const fault = faultIn(file, text)
    if (fault) return { fault }
    room -= text.length
    if (ES_MODULE.test(file) && room >= 0) modules.push({ file, text, code: isTypeScript(file) ? stripTypes(text, file) : text })
  }
  const packageFile = packageOf(entry)
  return { modules, ...(packageFile !== undefined && { packageFile }) }
}
