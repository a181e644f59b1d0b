/** Stacks of inline plugins, told by where their code was written. In a thread Node does so by itself; here it would do it to the whole application. */
import { statSync } from 'node:fs'
import { sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { sourceMapOf, type WrittenAt } from '../../source-map.js'
import { readStacksBy } from '../../wire-error.js'

/** A line of a stack that names a file: what is before it, the file, line and column, what is after them. */
const FRAME = /^(\s*at (?:async )?(?:.* \()?)(file:\/\/.+|\/.+|[A-Za-z]:\\.+):(\d+):(\d+)(\)?)$/gm
/** Under which an inline plugin's entry is imported anew. */
const GENERATION = /\?generation=\d+$/

/** What one generation has loaded. */
class Loaded {
  readonly #folder: string
  /** Files tell of parts of a millisecond, too. */
  readonly #since = Date.now() + 1
  readonly #maps = new Map<string, WrittenAt | undefined>()

  constructor(root: string) {
    this.#folder = pathToFileURL(root + sep).href
  }

  has(url: string): boolean {
    return url.startsWith(this.#folder)
  }

  mapOf(url: string): WrittenAt | undefined {
    if (!this.#maps.has(url)) this.#maps.set(url, this.#isAsLoaded(url) ? sourceMapOf(url) : undefined)
    return this.#maps.get(url)
  }

  /** What was saved since is not what runs: a stack that is not mapped leads to more than one that is mapped wrongly. */
  #isAsLoaded(url: string): boolean {
    const mtime = statSync(fileURLToPath(url), { throwIfNoEntry: false })?.mtimeMs
    return mtime !== undefined && mtime <= this.#since
  }
}

const loaded = new Set<Loaded>()

const writtenStack = (stack: string): string =>
  stack.replace(FRAME, (frame, before: string, place: string, line: string, column: string, after: string) => {
    const url = (place.startsWith('file:') ? place : pathToFileURL(place).href).replace(GENERATION, '')
    const own = [...loaded].find((each) => each.has(url))
    if (own === undefined) return frame
    const written = own.mapOf(url)?.(Number(line), Number(column))
    if (written === undefined) return `${before}${place.replace(GENERATION, '')}:${line}:${column}${after}`
    const file = written.url.startsWith('file:') ? fileURLToPath(written.url) : written.url
    return `${before}${file}:${written.line}:${written.column}${after}`
  })

/** From now on stacks that lead through files of that folder say where they were written, wherever the kernel tells them. Returns the undo. */
export const tellWrittenStacks = (root: string): (() => void) => {
  const one = new Loaded(root)
  loaded.add(one)
  readStacksBy(writtenStack)
  return () => {
    loaded.delete(one)
    if (loaded.size === 0) readStacksBy(undefined)
  }
}
