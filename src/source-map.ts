/** Where the code of a module was written: by its source map, if it has one. */
import { realpathSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'
import { readTextFile } from './text-file.js'
import { within } from './within.js'

/** `line` and `column` count from 1. */
export interface Position {
  /** As a file: URL, mostly. */
  url: string
  line: number
  column: number
}

/**
 * Where the code at a position was written; without a column, the first code of the line is meant. Undefined where the map does not say.
 */
export type WrittenAt = (line: number, column?: number) => Position | undefined

const NAMED = /^\/\/# sourceMappingURL=(\S+)\s*$/gm

/** Bytes of a module, or of its map. */
const LARGEST = 4_194_304
/**
 * Characters of what a map says of positions: each is a hundred bytes when it is read, and an honest map has two for each character of its
 * module.
 */
const MOST_MAPPED = 1_048_576

const isData = (url: string): boolean => url.startsWith('data:')

/** What names a map names what it likes: only what lies in the folder is read. */
const textOf = (url: string, folder: string): string => {
  if (!isData(url)) {
    const path = realpathSync(fileURLToPath(url))
    if (!within(realpathSync(folder), path)) throw new Error(`${path} is not in ${folder}`)
    return readTextFile(path, LARGEST)
  }
  const comma = url.indexOf(',')
  const data = url.slice(comma + 1)
  return url.slice(0, comma).endsWith(';base64') ? Buffer.from(data, 'base64').toString() : decodeURIComponent(data)
}

const moduleAt = (url: string, folder: string): { code: string; named: string | undefined } => {
  const code = textOf(url, folder)
  return { code, named: [...code.matchAll(NAMED)].at(-1)?.[1] }
}

/** Whether the module at `url`, in that folder, names a source map. */
export const namesMap = (url: string, folder: string): boolean => {
  try {
    return moduleAt(url, folder).named !== undefined
  } catch {
    return false
  }
}

const sizeOf = ({ mappings = '', sections = [] }: Partial<SourceMapPayload> & { sections?: { map: SourceMapPayload }[] }): number =>
  sections.reduce((size, { map }) => size + map.mappings.length, mappings.length)

/**
 * By the source map of the module at `url`, read now; undefined where it has none in that folder. As who wrote the map likes, that takes a
 * while.
 */
export const sourceMapOf = (url: string, folder: string): WrittenAt | undefined => {
  try {
    const { code, named } = moduleAt(url, folder)
    if (named === undefined) return undefined
    const mapUrl = isData(named) ? named : new URL(named, url).href
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const payload = JSON.parse(textOf(mapUrl, folder)) as SourceMapPayload
    if (sizeOf(payload) > MOST_MAPPED) return undefined
    const map = new SourceMap(payload)
    const beside = isData(mapUrl) ? url : mapUrl
    const { sourceRoot } = payload
    const root = sourceRoot ? new URL(sourceRoot.replace(/\/?$/, '/'), beside).href : beside
    return (line, column) => {
      const indent = (): number => Math.max(0, code.split('\n')[line - 1]?.search(/\S/) ?? 0)
      const entry = map.findEntry(line - 1, column === undefined ? indent() : column - 1)
      if (!('originalSource' in entry) || !URL.canParse(entry.originalSource, root)) return undefined
      return { url: new URL(entry.originalSource, root).href, line: entry.originalLine + 1, column: entry.originalColumn + 1 }
    }
  } catch {
    return undefined // A module without a file, or a map that is none.
  }
}
