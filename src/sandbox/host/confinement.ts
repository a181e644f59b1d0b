/** What a plugin's process is started with: as little as this Node and this system can be told to leave it. */
import { execFile } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Grants, hasNet } from '../grants.js'
import type { Tier } from '../plugin-host.js'
import { heapOf } from '../watched-process.js'

/** Commands of the system that take something away from what they start; undefined: not there, or not working here. */
interface Confiners {
  prlimit: boolean
  setpriv: boolean
  bwrap: boolean
}

/** For a process with an inspector: its address is told by the kernel, not by Node. */
const QUIET_INSPECTOR = ['--inspect-publish-uid=http']
/** Milliseconds that a command may take to show that it works. */
const PROBE_TIMEOUT = 2_000
/** Descriptors a plugin's process may have open. */
const MAX_DESCRIPTORS = 256

const LIMITS = [`--nofile=${MAX_DESCRIPTORS}:${MAX_DESCRIPTORS}`, '--core=0:0']
const WITH_PARENT = ['--pdeathsig', 'KILL']
const ALONE = ['--unshare-all', '--die-with-parent']

const works = (command: string, args: readonly string[]): Promise<boolean> =>
  new Promise((resolve) => {
    execFile(command, [...args, 'true'], { timeout: PROBE_TIMEOUT }, (error) => resolve(error === null))
  })

let probed: Promise<Confiners> | undefined

/** Tried once in the life of this process. */
const confiners = (): Promise<Confiners> => {
  probed ??= (async () => {
    if (process.platform !== 'linux') return { prlimit: false, setpriv: false, bwrap: false }
    const [prlimit, setpriv, bwrap] = await Promise.all([
      works('prlimit', LIMITS),
      works('setpriv', WITH_PARENT),
      works('bwrap', [...ALONE, '--ro-bind', '/', '/']),
    ])
    return { prlimit, setpriv, bwrap }
  })()
  return probed
}

// ── Node's permission model ────────────────────────────────────────────────────────────────────────────────────────

const [MAJOR = 0] = process.versions.node.split('.').map(Number)
const PERMISSION = MAJOR >= 22 ? '--permission' : '--experimental-permission'
/** Before Node 25 the permission model says nothing of the network, and has no word for it. */
const KNOWS_NET = MAJOR >= 25

/** Hooks that need a thread need `--allow-worker`, and a worker is outside of the model: then there is none. */
const permitted = (needsHooks: boolean): boolean => !needsHooks || typeof nodeModule.registerHooks === 'function'

/** plugbay's own package, and what the guest imports beside its bundle. */
const OWN = fileURLToPath(new URL('../../..', import.meta.url))
const GUEST = fileURLToPath(new URL('../guest/process.cjs', import.meta.url))
const ownFiles = (): string[] => {
  const require = nodeModule.createRequire(import.meta.url)
  const packages = ['comlink', '@swc/wasm-typescript'].map((name) => dirname(realpathSync(require.resolve(name))))
  return [join(OWN, 'dist'), join(OWN, 'package.json'), join(OWN, 'node_modules'), ...packages]
}

/** Where a plugin's imports may lead: the packages installed above it. */
const packagesAbove = (folder: string): string[] => {
  const found = [join(folder, 'node_modules'), join(folder, 'package.json')]
  const parent = dirname(folder)
  return parent === folder ? found : [...found, ...packagesAbove(parent)]
}

const readable = ({ root, grants }: Place): string[] => {
  const paths = [root, ...ownFiles(), ...packagesAbove(dirname(root)), ...grants.fs.read]
  const real = paths.filter((path) => existsSync(path)).map((path) => realpathSync(path))
  return [...new Set([...paths, ...real])].filter((path) => path === '*' || existsSync(path))
}

const writable = ({ dataDir, grants }: Place): string[] => [dataDir, ...grants.fs.write]

const permissionFlags = (place: Place): string[] => {
  const { grants } = place
  return [
    PERMISSION,
    ...[...readable(place), ...writable(place)].map((path) => `--allow-fs-read=${path}`),
    ...writable(place).map((path) => `--allow-fs-write=${path}`),
    ...(grants.child ? ['--allow-child-process'] : []),
    ...(grants.worker ? ['--allow-worker'] : []),
    ...(grants.addons ? ['--allow-addons'] : []),
    ...(hasNet(grants) && KNOWS_NET ? ['--allow-net'] : []),
  ]
}

// ── bubblewrap ─────────────────────────────────────────────────────────────────────────────────────────────────────

const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/etc/ld.so.cache', '/etc/localtime']
const SYSTEM_NET = ['/etc/resolv.conf', '/etc/hosts', '/etc/nsswitch.conf', '/etc/ssl', '/etc/ca-certificates']

const sandboxFlags = (place: Place): string[] => {
  const { grants, root } = place
  const net = hasNet(grants)
  const read = readable(place)
  const write = writable(place)
  const whole = read.includes('*') || write.includes('*')
  const bind = (flag: string, paths: readonly string[]): string[] => paths.flatMap((path) => [flag, path, path])
  return [
    ...ALONE,
    ...(net ? ['--share-net'] : []),
    ...(read.includes('*') ? ['--ro-bind', '/', '/'] : bind('--ro-bind-try', [...SYSTEM, ...(net ? SYSTEM_NET : [])])),
    ...(write.includes('*') ? ['--bind', '/', '/'] : []),
    ...['--dev', '/dev', '--proc', '/proc'],
    // Where all is there already, nothing is put over it: a link in the way could not be.
    ...(whole ? [] : ['--tmpfs', '/tmp', ...bind('--ro-bind-try', [realpathSync(process.execPath), process.execPath, ...read])]),
    ...(write.includes('*') ? [] : bind('--bind', write)),
    '--chdir',
    root,
  ]
}

// ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a process is made for. Paths are absolute and real. */
export interface Place {
  /** The plugin's folder. */
  root: string
  /** Must exist. */
  dataDir: string
  grants: Grants
  /** As in the plugin's limits: what stops a heap that nobody looks at follows from it. */
  memory: number
  /** See `LoadRequest`. */
  needsHooks: boolean
  /** An inspector is opened in it, which neither the permission model nor a network of its own would let pass. */
  inspected: boolean
}

/** What a program needs to find others and to speak the user's language, and nothing that could be a secret. */
const PLAIN_VARIABLES = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'SystemRoot']

const environment = (names: readonly string[]): NodeJS.ProcessEnv => {
  const granted = (name: string): boolean => names.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => PLAIN_VARIABLES.includes(name) || granted(name)))
}

export interface Command {
  file: string
  args: string[]
  env: NodeJS.ProcessEnv
}

/** How strongly a plugin's process is held here. */
export const processTier = async (needsHooks: boolean): Promise<Tier> => {
  if ((await confiners()).bwrap) return 'process+sandbox'
  return permitted(needsHooks) ? 'process+permission' : 'process'
}

export const commandFor = async (place: Place): Promise<Command> => {
  const { prlimit, setpriv, bwrap: sandbox } = await confiners()
  const bwrap = sandbox && !place.inspected
  const words = [
    ...(prlimit ? ['prlimit', ...LIMITS] : []),
    ...(bwrap ? ['bwrap', ...sandboxFlags(place)] : setpriv ? ['setpriv', ...WITH_PARENT] : []),
    process.execPath,
    `--max-old-space-size=${heapOf(place.memory)}`,
    '--disable-warning=ExperimentalWarning',
    ...(place.inspected ? QUIET_INSPECTOR : permitted(place.needsHooks) ? permissionFlags(place) : []),
    GUEST,
  ]
  const [file = '', ...args] = words
  return { file, args, env: environment(place.grants.env) }
}
