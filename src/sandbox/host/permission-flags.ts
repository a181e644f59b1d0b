/** The flags of Node's permission model for one thread: what the gate closes in JavaScript, Node closes natively beneath it. */
import { existsSync } from 'node:fs'
import { join, sep } from 'node:path'
import { upwardsFrom, within } from '../../within.js'
import { type Grants, NO_GRANTS } from '../permissions/grants.js'
import { linkedPackages } from './linked-packages.js'
import { grantedFlags, INSPECTABLE, MODEL } from './permission-model.js'
import { DIST, real } from './readable.js'

/** Where the plugins of an application lie: those that were granted nothing may run in each other's waiting threads. Paths are absolute. */
export interface Application {
  base: string
  /** Folders of plugins. */
  places: readonly string[]
}

/** The files a thread has to do with. */
export interface Reach {
  /** The plugin's own folder, absolute. */
  root: string
  /** See `LoadRequest`. */
  packages: readonly string[]
  /** Left out: no other plugin runs in its thread. */
  application?: Application
}

const [MAJOR = 0] = process.versions.node.split('.').map(Number)
/**
 * Whether a thread can hook into its own loader. Asked of Node itself: what a test runner gives for `node:module`, where it runs this in a
 * context of its own, may have the function on a Node that has not, and a plugin's thread is outside of that context.
 */
export const hooksInThread = 'registerHooks' in process.getBuiltinModule('node:module')
/** The guest needs it to hook into the loader; a gate lets no plugin at what it shows. */
export const HOOKS = hooksInThread ? [] : ['--expose-internals']

/**
 * Node 20 ends the whole process at some sets of paths, so there the model has none: it closes writing, children, workers and the
 * inspector.
 */
export const KNOWS_PATHS = MAJOR >= 22

/**
 * The model lets a program read the module it begins with. A thread begins with none that it knows of, which it takes for the folder that
 * the process runs in, and all in there: the application's own. To one that would begin with a prompt it gives nothing; a thread has no
 * prompt.
 */
const NOT_OUR_FOLDER = KNOWS_PATHS ? ['--interactive'] : []

/** Plugins with the same flags may run in each other's waiting threads. */
export const permissionFlags = (grants: Grants, reach: Reach): string[] => {
  const { packages } = reach
  const { read, write } = grants.fs
  const addons = grants.addons ? [] : ['--no-addons']
  // Under the model no file can be flushed (fsync), and who writes what must last needs that: the gate alone holds such a plugin to its
  // paths.
  if (write.length > 0) return [...HOOKS, ...addons]
  const readable = KNOWS_PATHS ? [DIST, ...modulesAbove(DIST), ...homeOf(reach, read.length > 0), ...packages, ...read] : ['*']
  return [
    ...HOOKS,
    MODEL,
    ...allow(readable),
    ...NOT_OUR_FOLDER,
    // By its number the system tells what processor time the thread takes.
    ...(KNOWS_PATHS ? ['--allow-fs-read=/proc/thread-self'] : []),
    ...(grants.addons ? ['--allow-addons'] : addons),
    ...grantedFlags(grants),
    ...INSPECTABLE,
    // That a permission was given is no news: the manifest says so.
    '--disable-warning=SecurityWarning',
  ]
}

/** The threads of an application's plugins that were granted nothing. */
export const commonFlags = (application: Application): string[] =>
  permissionFlags(NO_GRANTS, { root: application.places[0] ?? DIST, packages: [], application })

const allow = (paths: readonly string[]): string[] => {
  if (paths.includes('*')) return ['--allow-fs-read=*']
  const all = new Set(paths.flatMap((path) => [path, real(path)]).map((path) => (path.endsWith(sep) ? path.slice(0, -1) : path)))
  // A folder that is not there yet would be taken for a file.
  return [...all].sort().flatMap((path) => [`--allow-fs-read=${path}`, `--allow-fs-read=${join(path, '*')}`])
}

/** Where Node looks for packages from a folder: every `node_modules` on the way up. */
const modulesAbove = (folder: string): string[] =>
  upwardsFrom(folder)
    .map((at) => join(at, 'node_modules'))
    .filter((modules) => existsSync(modules))

/** `files`: it was granted some, which others are not to read. */
const homeOf = ({ root, application }: Reach, files: boolean): string[] => {
  const shared = !files && application?.places.some((place) => within(place, root)) ? application : undefined
  return shared ? placesAndPackages(shared) : [root, ...modulesAbove(root)]
}

/** Plugins start in great numbers at once, and packages are not installed in between. */
const LOOK_AGAIN_AFTER = 500
const looked = new Map<string, { at: number; paths: string[] }>()

/** These folders, and what a plugin in one of them finds: the same for all that lie there. */
const placesAndPackages = ({ base, places }: Application): string[] => {
  const key = [base, ...places].join('\0')
  const at = performance.now()
  const known = looked.get(key)
  if (known !== undefined && at - known.at < LOOK_AGAIN_AFTER) return known.paths
  const closed = [base, ...places].map(real)
  const packages = places.flatMap((place) => linkedPackages({ root: join(real(place), 'any'), closed, writable: [] }))
  const paths = [...places, ...places.flatMap(modulesAbove), ...packages]
  looked.set(key, { at, paths })
  return paths
}
