/** Where the code of a module was written: by its source map, if it has one. */
import { readFile } from 'node:fs/promises'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'

export interface Position {
  /** As a file: URL. */
  url: string
  /** From 1. */
  line: number
}

const NAMED = /^\/\/# sourceMappingURL=(\S+)\s*$/gm

const textOf = async (url: string): Promise<string> =>
  url.startsWith('data:') ? (await fetch(url)).text() : readFile(fileURLToPath(url), 'utf8')

/** `line` and `column` count from 0; without a column, the first code of the line is meant. The position itself where no map says more. */
export const writtenAt = async (url: string, line: number, column: number | undefined): Promise<Position> => {
  const here = { url, line: line + 1 }
  try {
    const code = await textOf(url)
    const named = [...code.matchAll(NAMED)].at(-1)?.[1]
    if (named === undefined) return here
    const mapUrl = named.startsWith('data:') ? named : new URL(named, url).href
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const map = new SourceMap(JSON.parse(await textOf(mapUrl)) as SourceMapPayload)
    const indent = code.split('\n')[line]?.search(/\S/) ?? 0
    const entry = map.findEntry(line, column ?? Math.max(0, indent))
    if (!('originalSource' in entry)) return here
    const { sourceRoot } = map.payload
    const root = sourceRoot
      ? new URL(sourceRoot.replace(/\/?$/, '/'), mapUrl.startsWith('data:') ? url : mapUrl)
      : mapUrl.startsWith('data:')
        ? url
        : mapUrl
    return { url: new URL(entry.originalSource, root).href, line: entry.originalLine + 1 }
  } catch {
    return here // A module without a file, or a map that is none.
  }
}
