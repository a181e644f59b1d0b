/** What a plugin's process is started with: as little as this Node and this system can be told to leave it. */
import { statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { PlugbayError } from '../../errors.js'
import type { Tier } from '../plugin-host.js'
import { heapOf } from '../watch/watched-process.js'
import { bubblewrapped } from './bubblewrap.js'
import { type Confiners, PRLIMIT, SETPRIV } from './confiners.js'
import { guestFile } from './guest-file.js'
import { hooksInThread, KNOWS_PATHS } from './permission-flags.js'
import { grantedFlags, MODEL } from './permission-model.js'
import { type Place, readableIn, writableIn } from './place.js'

/** For a process with an inspector: its address is told by the kernel, not by Node. */
const QUIET_INSPECTOR = ['--inspect-publish-uid=http']

/** Hooks that need a thread need `--allow-worker`, and a worker is outside of the model: then there is none. */
const permitted = (needsHooks: boolean): boolean => !needsHooks || hooksInThread

/** Each once, and none after two that begin as it does: at such a path Node 20 ends the process. */
const inOrder = (paths: readonly string[]): string[] => {
  // So it takes a folder: whatever begins like this.
  const beginnings = new Map(paths.map((path) => [path, isFolder(path) ? join(path, sep) : path]))
  return [...beginnings].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([path]) => path)
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/**
 * To the model a `*` stands for whatever a path goes on with: more than was granted, unless a sandbox has nothing else in it. Over some
 * sets of such paths Node 20 ends the process. Throws ISOLATION_UNAVAILABLE.
 */
const assertLiteral = (place: Place, sandboxed: boolean): void => {
  if (sandboxed && KNOWS_PATHS) return
  const path = [...readableIn(place), ...writableIn(place)].find((each) => each !== '*' && each.includes('*'))
  if (path === undefined) return
  throw new PlugbayError(
    'ISOLATION_UNAVAILABLE',
    `Plugin '${place.plugin}' cannot be given a process: Node's permission model, which is to hold it to its files, takes the '*' in ${path} for whatever a path goes on with. Rename the folder, or run the plugin in a thread.`,
    { plugin: place.plugin, details: { path } },
  )
}

const permissionFlags = (place: Place): string[] => [
  MODEL,
  ...inOrder([...readableIn(place), ...writableIn(place)]).map((path) => `--allow-fs-read=${path}`),
  ...inOrder(writableIn(place)).map((path) => `--allow-fs-write=${path}`),
  ...(place.grants.addons ? ['--allow-addons'] : []),
  ...grantedFlags(place.grants),
  // That a permission was given is no news: the manifest says so.
  '--disable-warning=SecurityWarning',
]

/** What a program needs to find others and to speak the user's language, and nothing that could be a secret. */
const PLAIN_VARIABLES = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'SystemRoot']

const environment = (names: readonly string[]): NodeJS.ProcessEnv => {
  const granted = (name: string): boolean => names.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => PLAIN_VARIABLES.includes(name) || granted(name)))
}

/** How strongly these hold a plugin's process. */
export const processTier = ({ needsHooks, inspected }: Pick<Place, 'needsHooks' | 'inspected'>, { bwrap }: Confiners): Tier => {
  if (inspected) return 'process'
  if (bwrap) return 'process+sandbox'
  return permitted(needsHooks) ? 'process+permission' : 'process'
}

export interface Command {
  file: string
  args: string[]
  env: NodeJS.ProcessEnv
  /** The system ends it when this process is gone, with all that it has started. */
  tied: boolean
}

export const commandFor = (place: Place, { prlimit, setpriv, bwrap, sizes, shuts }: Confiners): Command => {
  const wrapped = bwrap && !place.inspected
  const model = !place.inspected && permitted(place.needsHooks)
  if (model) assertLiteral(place, wrapped)
  const words = [
    ...(prlimit ? PRLIMIT : []),
    ...(wrapped ? bubblewrapped(place, { sizes, shuts }) : setpriv ? SETPRIV : []),
    process.execPath,
    `--max-old-space-size=${heapOf(place.memory)}`,
    '--disable-warning=ExperimentalWarning',
    ...(place.inspected ? QUIET_INSPECTOR : model ? permissionFlags(place) : []),
    guestFile('process.cjs'),
  ]
  const [file = '', ...args] = words
  return { file, args, env: environment(place.grants.env), tied: wrapped }
}
