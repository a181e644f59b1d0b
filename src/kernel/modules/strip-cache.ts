/**
 * What sources become without their types, kept by the hash of their content: in memory, and for the next start in plugbay's own package.
 * Who may write there may change plugbay itself. Plugins in a process may read there, so nothing of a source is written down: only which of
 * its characters are replaced, and by what.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Of the files: what another has written is not read. */
const FORMAT = '1'
/** So many files are kept at most. */
const KEPT = 2_000
/** Characters in memory, after which it begins anew. */
const MOST = 16_777_216

/** Places in the source in ascending order, each with what stands there instead. */
type Changes = (readonly [at: number, instead: string])[]

interface Entry {
  /** Of the code that comes out. */
  hash: string
  changes: Changes
}

const hashOf = (...parts: string[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex')
}

const changesOf = (source: string, code: string): Changes | undefined => {
  if (code.length !== source.length) return undefined
  const changes: Changes = []
  for (let at = 0; at < code.length; at++) {
    if (code[at] === source[at]) continue
    const from = at
    while (at < code.length && code[at] !== source[at]) at++
    changes.push([from, code.slice(from, at)])
  }
  return changes
}

const changed = (source: string, changes: Changes): string => {
  let code = ''
  let at = 0
  for (const [from, instead] of changes) {
    code += source.slice(at, from) + instead
    at = from + instead.length
  }
  return code + source.slice(at)
}

const readEntry = async (file: string, source: string): Promise<string | undefined> => {
  try {
    const { hash, changes } = JSON.parse(await readFile(file, 'utf8')) as Entry
    const code = changed(source, changes)
    return hashOf(code) === hash ? code : undefined
  } catch {
    return undefined // It is not there, or is damaged.
  }
}

const writeEntry = async (folder: string, key: string, entry: Entry): Promise<void> => {
  const draft = join(folder, `${randomUUID()}.tmp`)
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(draft, JSON.stringify(entry))
    await rename(draft, join(folder, key))
  } catch {
    // What cannot be kept costs time at the next start, and nothing else.
    await rm(draft, { force: true }).catch(() => {})
  }
}

/** Undefined for what another process has renamed or removed meanwhile. */
const datedFile = async (path: string): Promise<{ path: string; time: number } | undefined> => {
  try {
    return { path, time: (await stat(path)).mtimeMs }
  } catch {
    return undefined
  }
}

/** Once there are more files than are kept, the newer half of those that may be there stays. */
const prune = async (folder: string): Promise<void> => {
  const names = await readdir(folder)
  if (names.length <= KEPT) return
  const dated = await Promise.all(names.map((name) => datedFile(join(folder, name))))
  const files = dated.filter((each) => each !== undefined).sort((a, b) => a.time - b.time)
  await Promise.all(files.slice(0, -KEPT / 2).map(({ path }) => rm(path, { force: true })))
}

export class StripCache {
  readonly #folder: string | undefined
  readonly #engine: string
  readonly #codes = new Map<string, string>()
  #held = 0
  /** All that were stripped at once wait for one: each of its own would look at every file. */
  #pruning: Promise<void> | undefined

  /** `engine`: what strips, with its version. Without a folder it is kept in memory alone. */
  constructor(folder: string | undefined, engine: string) {
    this.#folder = folder
    this.#engine = engine
  }

  /** The source without its types, as it is kept or as `strip` makes it; undefined where that makes nothing. */
  async get(source: string, strip: (source: string) => Promise<string | undefined>): Promise<string | undefined> {
    const key = hashOf(FORMAT, this.#engine, source)
    const held = this.#codes.get(key)
    if (held !== undefined) return held
    const folder = this.#folder
    const read = folder === undefined ? undefined : await readEntry(join(folder, key), source)
    const code = read ?? (await strip(source))
    if (code === undefined) return undefined
    this.#hold(key, code)
    const changes = read === undefined && folder !== undefined ? changesOf(source, code) : undefined
    if (changes !== undefined) await this.#write(folder as string, key, { hash: hashOf(code), changes })
    return code
  }

  async #write(folder: string, key: string, entry: Entry): Promise<void> {
    await writeEntry(folder, key, entry)
    this.#pruning ??= prune(folder)
      .catch(() => {})
      .finally(() => (this.#pruning = undefined))
    await this.#pruning
  }

  #hold(key: string, code: string): void {
    if (this.#held + code.length > MOST) {
      this.#codes.clear()
      this.#held = 0
    }
    this.#codes.set(key, code)
    this.#held += code.length
  }
}

/** In plugbay's own package; in memory where plugbay was bundled into an application. */
export const ownStripCache = (): StripCache => {
  const { resolve } = createRequire(import.meta.url)
  try {
    const file = join(dirname(resolve('@swc/wasm-typescript')), 'package.json')
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
    return new StripCache(join(dirname(resolve('plugbay/package.json')), '.cache', 'types'), version)
  } catch {
    return new StripCache(undefined, '')
  }
}
