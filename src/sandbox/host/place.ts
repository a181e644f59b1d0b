/** What a plugin's process is made for, and the files that it may reach there. */
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { upwardsFrom } from '../../within.js'
import type { Grants } from '../permissions/grants.js'
import { DIST, real } from './readable.js'

/** Paths are absolute and real. */
export interface Place {
  plugin: string
  /** The plugin's folder. */
  root: string
  /** Must exist. */
  dataDir: string
  /** See `LoadRequest`. */
  packages: readonly string[]
  grants: Grants
  /** As in the plugin's limits: what stops a heap that nobody looks at follows from it. */
  memory: number
  /** See `LoadRequest`. */
  needsHooks: boolean
  /** An inspector is opened in it, which neither the permission model nor a network of its own would let pass. */
  inspected: boolean
}

/** plugbay's own package, and what the guest imports beside its bundle. */
const ownFiles = (): string[] => {
  const own = dirname(DIST)
  const require = createRequire(import.meta.url)
  const packages = ['comlink', '@swc/wasm-typescript'].map((name) => dirname(realpathSync(require.resolve(name))))
  return [join(own, 'dist'), join(own, 'package.json'), join(own, 'node_modules'), ...packages]
}

/** The packages that are installed above the plugin, and what says of its modules of which kind they are. */
const packagesAbove = (root: string): string[] =>
  upwardsFrom(dirname(root)).flatMap((at) => [join(at, 'node_modules'), join(at, 'package.json')])

/**
 * Paths as they are named and as they are: those that are there, and those that were granted. What of these is not there it may be told.
 */
export const readableIn = ({ root, packages, grants }: Place): string[] => {
  const paths = [...[root, ...ownFiles(), ...packagesAbove(root), ...packages].filter((path) => existsSync(path)), ...grants.fs.read]
  return [...new Set([...paths, ...paths.map(real)])]
}

export const writableIn = ({ dataDir, grants }: Place): string[] => [dataDir, ...grants.fs.write]
