/** Where the code of a module was written: by its source map, if it has one. */
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'
import { readTextFile } from './text-file.js'

/** `line` and `column` count from 1. */
export interface Position {
  /** As a file: URL, mostly. */
  url: string
  line: number
  column: number
}

/** Where the code at a position was written; without a column, the first code of the line is meant. Undefined where the map does not say. */
export type WrittenAt = (line: number, column?: number) => Position | undefined

const NAMED = /^\/\/# sourceMappingURL=(\S+)\s*$/gm

/** Bytes of a module, or of its map: what names a map names what it likes. */
const LARGEST = 16 * 1_024 * 1_024

const isData = (url: string): boolean => url.startsWith('data:')

const textOf = (url: string): string => {
  if (!isData(url)) return readTextFile(fileURLToPath(url), LARGEST)
  const comma = url.indexOf(',')
  const data = url.slice(comma + 1)
  return url.slice(0, comma).endsWith(';base64') ? Buffer.from(data, 'base64').toString() : decodeURIComponent(data)
}

/** By the source map of the module at `url`, read now; undefined where it has none. */
export const sourceMapOf = (url: string): WrittenAt | undefined => {
  try {
    const code = textOf(url)
    const named = [...code.matchAll(NAMED)].at(-1)?.[1]
    if (named === undefined) return undefined
    const mapUrl = isData(named) ? named : new URL(named, url).href
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const map = new SourceMap(JSON.parse(textOf(mapUrl)) as SourceMapPayload)
    const beside = isData(mapUrl) ? url : mapUrl
    const { sourceRoot } = map.payload
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
