/**
 * Files that an inline plugin imports and that were saved since they were loaded: Node keeps what they were for as long as the process
 * lives. Loader hooks could give them new addresses, but would be asked for each module of the application, and on Node 20 from another
 * thread.
 */
import { relative } from 'node:path'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { ModuleGraph } from '../modules/module-graph.js'

/** So many can be read in one line. */
const LISTED = 5

export class KeptModules {
  readonly #saved = new Set<string>()

  /** These files were saved. `graph`: what the plugin was loaded as; its entry is loaded anew each time. */
  saved(paths: readonly string[], graph: ModuleGraph | undefined): void {
    const [, ...imported] = graph?.files ?? []
    for (const path of paths) if (imported.includes(path)) this.#saved.add(path)
  }

  /** Which of what it imports now runs on as it was, and what to do, in a sentence. Undefined if nothing does. */
  remarkOn({ root }: PluginSource, graph: ModuleGraph | undefined): string | undefined {
    const kept = graph?.files.filter((path) => this.#saved.has(path)).map((path) => relative(root, path)) ?? []
    if (kept.length === 0) return undefined
    const more = kept.length > LISTED ? `, and ${kept.length - LISTED} more` : ''
    return (
      `The old code of ${kept.slice(0, LISTED).join(', ')}${more} runs on: of an inline plugin only the entry is loaded anew, ` +
      'what it imports Node loads once in a process. Restart the process, or give the plugin "isolation": "thread" as long as you work on it.'
    )
  }
}
