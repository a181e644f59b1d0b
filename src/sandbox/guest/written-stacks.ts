/**
 * Stacks of inline plugins, told by where their code was written. In a thread Node does so by itself; here it would do it to the whole
 * application.
 */
import { statSync } from 'node:fs'
import { isAbsolute, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { sourceMapOf, type WrittenAt } from '../../source-map.js'
import { readStacksBy } from '../../wire-error.js'
import { withoutLoad } from './own-load.js'

/** What a line of a stack begins with that has no function, … */
const BARE = /^\s*at (?:async )?/
/** … and what one ends with that names a place. */
const POSITION = /:(\d+):(\d+)(\)?)$/

/** A stack may name any number of files: so many maps are kept. */
const MAX_MAPS = 256

/** What one generation has loaded. */
class Loaded {
  readonly #root: string
  readonly #folder: string
  /** Files tell of parts of a millisecond, too. */
  readonly #since = Date.now() + 1
  readonly #maps = new Map<string, WrittenAt | undefined>()

  constructor(root: string) {
    this.#root = root
    this.#folder = pathToFileURL(root + sep).href
  }

  has(url: string): boolean {
    return url.startsWith(this.#folder)
  }

  /** Throws for what is no file. */
  mapOf(url: string): WrittenAt | undefined {
    if (!this.#maps.has(url)) {
      if (this.#maps.size >= MAX_MAPS) this.#maps.clear()
      this.#maps.set(url, this.#isAsLoaded(url) ? sourceMapOf(url, this.#root) : undefined)
    }
    return this.#maps.get(url)
  }

  /** What was saved since is not what runs: a stack that is not mapped leads to more than one that is mapped wrongly. */
  #isAsLoaded(url: string): boolean {
    return statSync(fileURLToPath(url)).mtimeMs <= this.#since
  }
}

const loaded = new Set<Loaded>()

/** One line: step by step, as a stack may be any text, and long. */
const writtenFrame = (frame: string): string => {
  const end = POSITION.exec(frame)
  const begin = end?.[3] === ')' ? frame.indexOf(' (') + 2 : (BARE.exec(frame)?.[0].length ?? 0)
  if (end === null || begin < 2) return frame
  const place = frame.slice(begin, end.index)
  if (!place.startsWith('file:') && !isAbsolute(place)) return frame
  const url = withoutLoad(place.startsWith('file:') ? place : pathToFileURL(place).href)
  const own = [...loaded].find((each) => each.has(url))
  if (own === undefined) return frame
  const written = own.mapOf(url)?.(Number(end[1]), Number(end[2]))
  const file = written?.url.startsWith('file:') ? fileURLToPath(written.url) : (written?.url ?? withoutLoad(place))
  return `${frame.slice(0, begin)}${file}:${written?.line ?? end[1]}:${written?.column ?? end[2]}${end[3]}`
}

const writtenStack = (stack: string): string =>
  stack
    .split('\n')
    .map((frame) => {
      try {
        return writtenFrame(frame)
      } catch {
        return frame // It names no file.
      }
    })
    .join('\n')

/**
 * From now on stacks that lead through files of that folder say where they were written, wherever the kernel tells them. Returns the undo.
 */
export const tellWrittenStacks = (root: string): (() => void) => {
  const one = new Loaded(root)
  loaded.add(one)
  readStacksBy(writtenStack)
  return () => {
    loaded.delete(one)
    if (loaded.size === 0) readStacksBy(undefined)
  }
}
