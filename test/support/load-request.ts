/** What a guest is asked first: to load a plugin, which may do nothing unless it is said. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { LoadRequest } from '#src/sandbox/protocol.js'

/** For the plugin in that folder. */
export const loadRequest = (name: string, path: string, more: Partial<LoadRequest> = {}): LoadRequest => ({
  name,
  version: '1.0.0',
  generation: 1,
  entry: pathToFileURL(join(path, 'index.js')).href,
  root: path,
  inline: false,
  needsHooks: false,
  config: {},
  dataDir: path,
  permissions: { root: path, dataDir: path, permissions: [] },
  tasks: [],
  window: 8,
  message: 1_048_576,
  subscriptions: 100,
  pluginModule: import.meta.resolve('#src/plugin.js'),
  ...more,
})
