/** How a plugin's modules reach `plugbay/plugin`, and whether that takes more than this Node does by itself. */

import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { hooksInThread } from '../../sandbox/host/permission-flags.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { moduleGraph } from './module-graph.js'

/** This kernel's own copy, whatever other copies a plugin's folder could find. */
export const PLUGIN_MODULE = new URL('../../plugin.js', import.meta.url).href

const findsOwnCopy = (entry: string): boolean => {
  try {
    const found = createRequire(pathToFileURL(entry)).resolve('plugbay/plugin')
    return realpathSync(found) === realpathSync(fileURLToPath(PLUGIN_MODULE))
  } catch {
    return false
  }
}

/**
 * True when the plugin is TypeScript or would not find our copy of `plugbay/plugin`, on a Node that runs module hooks only in a
 * thread of their own (before 22.15): that thread costs time and memory, so it is made only for plugins that need it.
 */
export const needsModuleHooks = async (source: PluginSource): Promise<boolean> => {
  if (hooksInThread) return false
  const { typescript, bare } = await moduleGraph(source.entry, source.root)
  return typescript || (bare.includes('plugbay/plugin') && !findsOwnCopy(source.entry))
}
