/** The flags of Node's permission model for one thread: what the gate closes in JavaScript, Node closes natively beneath it. */
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { within } from '../../within.js'
import { type Grants, NO_GRANTS } from '../grants.js'

/** The files a thread has to do with. */
export interface Reach {
  /** The plugin's own folder, absolute. */
  root: string
  /** Folders of plugins, absolute: those in them that were granted nothing may run in each other's waiting threads. */
  places: readonly string[]
  /** Absolute. */
  dataDir: string
}

const [MAJOR = 0] = process.versions.node.split('.').map(Number)
const DIST = fileURLToPath(new URL('../..', import.meta.url))

/** For a place with an inspector: its address is told by the kernel, not by Node. */
export const QUIET_INSPECTOR: readonly string[] = ['--inspect-publish-uid=http']

/**
 * Node 20 ends the whole process at some sets of paths, so there the model has none: it closes writing, children and the inspector.
 * It also takes the right to workers for the thread of the module hooks; the gate denies workers then.
 */
const KNOWS_PATHS = MAJOR >= 22

/** Plugins with the same flags may run in each other's waiting threads. */
export const permissionFlags = (grants: Grants, { root, places, dataDir }: Reach): string[] => {
  const { read, write } = grants.fs
  // Under the model no file can be flushed (fsync), and who writes what must last needs that: the gate alone holds such a plugin to its paths.
  if (write.length > 0) return grants.addons ? [] : ['--no-addons']
  const files = read.length > 0
  const home = !files && places.some((place) => within(place, root)) ? places : [root]
  const readable = [DIST, ...home, ...modulesOf([DIST, ...home]), ...(files ? [dataDir, ...read] : [])]
  return [
    KNOWS_PATHS ? '--permission' : '--experimental-permission',
    ...allow(KNOWS_PATHS ? readable : ['*']),
    ...(grants.child ? ['--allow-child-process'] : []),
    ...(grants.worker || !KNOWS_PATHS ? ['--allow-worker'] : []),
    // Node 20 denies addons under the model always, and has no flag to allow them.
    ...(grants.addons ? (KNOWS_PATHS ? ['--allow-addons'] : []) : ['--no-addons']),
    ...(grants.net.length > 0 && MAJOR >= 25 ? ['--allow-net'] : []),
    // That a permission was given is no news: the manifest says so.
    '--disable-warning=SecurityWarning',
  ]
}

/** The threads of plugins in these places that were granted nothing. */
export const commonFlags = (places: readonly string[]): string[] =>
  permissionFlags(NO_GRANTS, { root: places[0] ?? DIST, places, dataDir: '' })

const allow = (paths: readonly string[]): string[] => {
  if (paths.includes('*')) return ['--allow-fs-read=*']
  const all = new Set(paths.flatMap((path) => [path, real(path)]).map((path) => (path.endsWith(sep) ? path.slice(0, -1) : path)))
  // A folder that is not there yet would be taken for a file.
  return [...all].sort().flatMap((path) => [`--allow-fs-read=${path}`, `--allow-fs-read=${join(path, '*')}`])
}

const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Where Node looks for packages from these folders: every `node_modules` on the way up, and what is linked from there. */
const modulesOf = (folders: readonly string[]): string[] => {
  const found = new Set<string>()
  for (const folder of folders) {
    for (let at = folder; ; at = dirname(at)) {
      const modules = join(at, 'node_modules')
      if (existsSync(modules)) found.add(real(modules))
      if (at === dirname(at)) break
    }
  }
  return [...found].flatMap((modules) => [modules, ...linkedFrom(modules)])
}

const linkedFrom = (modules: string): string[] => {
  const entries = readdirSync(modules, { withFileTypes: true })
  const linked = entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => real(join(modules, name)))
  const scopes = entries
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('@'))
    .flatMap(({ name }) => linkedFrom(join(modules, name)))
  return [...linked.filter((path) => !within(modules, path)), ...scopes.filter((path) => !within(modules, path))]
}
