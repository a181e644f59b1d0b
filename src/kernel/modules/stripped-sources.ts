/** What the TypeScript of a plugin is without its types, so that its place need not find out: for Nodes that do not strip by themselves. */
import { isTypeScript, runsTypeScript, type Stripped } from '../../strip-types.js'
import { readTextFile } from '../../text-file.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { moduleGraph } from './module-graph.js'
import type { Readable } from './readable.js'

/** Characters of all sources of a plugin that are sent to its place. */
const MOST = 4_194_304

/**
 * Of an entry in TypeScript and what it reaches by imports. Never rejects: what is missing is stripped where it is loaded, and told there.
 */
export const strippedSources = async ({ entry, root }: PluginSource, readable: Readable): Promise<Stripped> => {
  if (runsTypeScript || !isTypeScript(entry)) return []
  const [{ stripped }, { readsFor }] = await Promise.all([import('./source-reader.js'), import('./readable.js')])
  const { files } = await moduleGraph(entry, root, { reads: readsFor(root, readable) })
  let room = MOST
  const sources = files.filter(isTypeScript).map(async (file): Promise<[string, string] | undefined> => {
    try {
      const source = readTextFile(file, room)
      room -= source.length
      const code = await stripped(source, root)
      return code === undefined ? undefined : [source, code]
    } catch {
      return undefined
    }
  })
  return (await Promise.all(sources)).filter((each) => each !== undefined)
}
