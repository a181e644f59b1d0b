/** Which files a module is made of: everything reached from it by static imports and literal dynamic ones. */
import { realpathSync, statSync } from 'node:fs'
import { dirname, extname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Pace } from '../../pace.js'
import { isTypeScript } from '../../strip-types.js'
import { readTextFile } from '../../text-file.js'
import { linkedModule } from './linked-module.js'
import { importsIn, lexer, MOST_IMPORTS, type Parse, requiredIn } from './module-imports.js'

export interface ModuleGraph {
  /** Real paths of all files, the entry first. */
  files: string[]
  /** Paths as they were written, where a link leads from there to one of the files: changing the link changes the module. */
  links: string[]
  /** Imported names that are no paths, such as 'plugbay/plugin' or 'node:fs', sorted. */
  bare: string[]
  /** Whether any of the files is TypeScript. */
  typescript: boolean
  /** Absolute paths that are imported but not there, the first hundred: what to watch for them to appear. */
  unresolved: string[]
  /** Files that could not be parsed. What they import is not known, so the files of the previous graph are kept. */
  broken: string[]
}

interface GraphOptions {
  /** What it was before. */
  previous?: ModuleGraph | undefined
  /** Whether a file is looked into: if it is not, it is as if nobody imported it. */
  reads?: (path: string) => boolean
  /** Whether packages that are only linked are followed. */
  linked?: boolean
  /** What several graphs have in common. */
  sources?: Sources
}

const SCANNED = new Set(['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', ''])

/** What CommonJS tries when a name has no ending; and an import of `./x.js` may mean `./x.ts` to a tool that built it. */
const CANDIDATES = ['', '.js', '.json', '.cjs', '.ts', `${sep}index.js`, `${sep}index.cjs`]

/** Characters of a source that are read in this thread: what is longer holds it up. */
const AT_ONCE = 131_072
/** Each is watched for: when the first of them come, the graph is read again. */
const MOST_UNRESOLVED = 100
/** Bytes of the code of a plugin that are read to know it: all together for its graphs, and again to know whether a file changed. */
export const MOST_READ = 16_777_216

/** What a source imports, as far as it could be read and parsed. */
interface Imports {
  names: string[]
  parsed: boolean
}

/** The names a source imports. Of one that cannot be parsed only what it requires is known, and of a long one nothing. */
const importsOf = async (source: string, path: string, root: string, parse: Parse): Promise<Imports> => {
  const typescript = isTypeScript(path)
  const long = source.length > AT_ONCE
  let names = long ? undefined : importsIn(source, parse)
  if (names === undefined && (long || typescript)) {
    const { importsElsewhere, stripped } = await import('./source-reader.js')
    if (long) names = await importsElsewhere(source, typescript, root)
    else {
      const code = await stripped(source, root)
      names = code === undefined ? undefined : importsIn(code, parse)
    }
  }
  return { names: names ?? (long ? [] : requiredIn(source)), parsed: names !== undefined }
}

const isPath = (name: string): boolean => /^\.{0,2}\//.test(name) || name === '.' || name === '..' || name.startsWith('file:')

const pathOf = (name: string, from: string): string | undefined => {
  try {
    if (name.startsWith('file:')) return fileURLToPath(name)
    return resolve(dirname(from), decodeURIComponent(name.replace(/[?#].*$/, '')))
  } catch {
    return undefined
  }
}

/** The file a written path means, and how it is written. */
const find = (written: string): { written: string; real: string } | undefined => {
  for (const ending of CANDIDATES) {
    const candidate = written + ending
    try {
      if (statSync(candidate, { throwIfNoEntry: false })?.isFile()) return { written: candidate, real: realpathSync(candidate) }
    } catch {
      // Not to be looked at, or gone meanwhile: as good as not there.
    }
  }
  return undefined
}

const read = (path: string, most: number): string | undefined => {
  try {
    return readTextFile(path, most)
  } catch {
    return undefined
  }
}

/**
 * The sources that graphs are made of, which are made one after the other: each is read once, and of all together no more than there is
 * room for.
 */
export class Sources {
  #room = MOST_READ
  readonly #known = new Map<string, Imports>()

  async importsOf(path: string, root: string, parse: Parse): Promise<Imports> {
    const known = this.#known.get(path)
    if (known) return known
    const source = read(path, this.#room)
    const { names, parsed } = await importsOf(source ?? '', path, root, parse)
    this.#room -= source?.length ?? 0
    const imports = { names, parsed: parsed && source !== undefined }
    this.#known.set(path, imports)
    return imports
  }
}

/**
 * Follows the imports of a module. `root` is the plugin's folder: what lies in a node_modules within it, or in one
 * elsewhere, is a library and not followed, unless it is only linked there. Never throws: a file with a syntax error is in `broken`, and
 * the files of
 * `previous` stay in the graph then, so that the fix is seen wherever it is made. Files are mostly small and in
 * the system's cache: asking for each in another thread would cost several times as much. What is long, or TypeScript that has to be
 * stripped to be read, is.
 */
export const moduleGraph = async (
  entry: string,
  root: string,
  { previous, reads = () => true, linked = true, sources = new Sources() }: GraphOptions = {},
): Promise<ModuleGraph> => {
  const parse = await lexer()
  const files = new Set<string>()
  const links = new Set<string>()
  const bare = new Set<string>()
  const unresolved = new Set<string>()
  const broken: string[] = []
  const isLibrary = (path: string): boolean =>
    (path.startsWith(root + sep) ? path.slice(root.length) : path).split(sep).includes('node_modules')

  const add = (path: string): string | undefined => {
    const found = find(path)
    if (!found) {
      if (unresolved.size < MOST_UNRESOLVED && reads(path)) unresolved.add(path)
      return undefined
    }
    if (isLibrary(found.real) || !reads(found.real)) return undefined
    if (found.written !== found.real) links.add(found.written)
    if (files.has(found.real)) return undefined
    files.add(found.real)
    return found.real
  }

  const pace = new Pace()
  const waiting = [entry]
  for (const written of waiting) {
    if (pace.due) await pace.rest()
    const path = add(written)
    if (path === undefined || !SCANNED.has(extname(path))) continue
    const { names, parsed } = await sources.importsOf(path, root, parse)
    if (!parsed) broken.push(path)
    for (const name of names) {
      const named = !isPath(name)
      if (named && !name.startsWith('data:')) bare.add(name)
      const target = named ? (linked ? linkedModule(name, path) : undefined) : pathOf(name, path)
      if (target !== undefined && waiting.length < MOST_IMPORTS) waiting.push(target)
    }
  }
  if (broken.length > 0 && previous) {
    for (const path of previous.files) files.add(path)
    for (const path of previous.links) links.add(path)
  }
  return {
    files: [...files],
    links: [...links],
    bare: [...bare].sort(),
    typescript: Array.from(files).some(isTypeScript),
    unresolved: [...unresolved].sort(),
    broken: broken.sort(),
  }
}
