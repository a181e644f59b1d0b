/**
 * What is read of sources in a thread of its own, as it takes as long as who wrote them likes: their code without types, and what long ones
 * import.
 */
import type { SourceWork } from './source-thread.js'
import { ownStripCache, type StripCache } from './strip-cache.js'
import { WorkThread } from './work-thread.js'

/** Milliseconds: of any source, … */
const LIMIT = 1_000
/** … and of each so many characters of it. Honest ones take 1 ms for each thousand. */
const CHARACTERS = 1_000

const thread = new WorkThread<SourceWork, string | string[]>(
  new URL('./source-thread.js', import.meta.url),
  ({ source }) => LIMIT + source.length / CHARACTERS,
)

let cache: StripCache | undefined

/**
 * The source without its types, as it is kept or made now; undefined where it has none: it cannot be stripped, or takes too long. Never
 * rejects. `of`: whose it is.
 */
export const stripped = (source: string, of: string): Promise<string | undefined> => {
  cache ??= ownStripCache()
  return cache.get(source, (each) => thread.do({ wanted: 'code', source: each }, of) as Promise<string | undefined>)
}

/** The names that a source imports; undefined where it cannot be read, or takes too long. Never rejects. */
export const importsElsewhere = (source: string, typescript: boolean, of: string): Promise<string[] | undefined> =>
  thread.do({ wanted: 'imports', source, typescript }, of) as Promise<string[] | undefined>
