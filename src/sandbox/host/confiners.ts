/** Commands of the system that take something away from what they start, and whether they are here and work. */
import { execFile } from 'node:child_process'
import { shortageOf } from '../shortage.js'

/** False: not there, or not working here. */
export interface Confiners {
  prlimit: boolean
  setpriv: boolean
  bwrap: boolean
  /** Whether it is a bubblewrap that also can do this. */
  sizes: boolean
  shuts: boolean
}

/** Milliseconds that a command may take to show that it works. */
const PROBE_TIMEOUT = 2_000
/** Descriptors a plugin's process may have open. */
const MAX_DESCRIPTORS = 256

export const PRLIMIT = ['prlimit', `--nofile=${MAX_DESCRIPTORS}:${MAX_DESCRIPTORS}`, '--core=0:0']
/** Ends with its parent. */
export const SETPRIV = ['setpriv', '--pdeathsig', 'KILL']
/** Sees no other process and no network, has no rights of root's, and ends with its parent; which files it sees is to be said. */
export const BWRAP = ['bwrap', '--unshare-all', '--die-with-parent', '--cap-drop', 'ALL']
/** Makes no namespaces in its own, where it would be root and mount what nobody limits. */
export const SHUT = ['--unshare-user', '--disable-userns']
/** A folder in memory of at most so many bytes. */
export const sized = (folder: string, bytes: number): string[] => ['--size', String(bytes), '--tmpfs', folder]

/** Undefined: it has not shown it in time. Rejects where it could not be tried. */
const works = ([file = '', ...args]: readonly string[]): Promise<boolean | undefined> =>
  new Promise((resolve, reject) => {
    execFile(file, [...args, 'true'], { timeout: PROBE_TIMEOUT }, (error) => {
      if (shortageOf(error) !== undefined) reject(error)
      else resolve(error?.killed ? undefined : error === null)
    })
  })

const probe = async (): Promise<Confiners> => {
  if (process.platform !== 'linux') return { prlimit: false, setpriv: false, bwrap: false, sizes: false, shuts: false }
  const wraps = (...words: string[]): Promise<boolean | undefined> => works([...BWRAP, '--ro-bind', '/', '/', ...words])
  const shown = await Promise.all([works(PRLIMIT), works(SETPRIV), wraps(), wraps(...sized('/tmp', 65_536)), wraps(...SHUT)])
  // On a busy machine it may show it to the next who asks.
  if (shown.includes(undefined)) probed = undefined
  const [prlimit = false, setpriv = false, bwrap = false, sizes = false, shuts = false] = shown
  return { prlimit, setpriv, bwrap, sizes, shuts }
}

let probed: Promise<Confiners> | undefined

const again = (error: unknown): never => {
  probed = undefined
  throw error
}

/**
 * Tried once in the life of this process, but for what does not answer in time: for that time it is not there. Rejects while that cannot
 * be, and is tried again by the next: no plugin is held less for want of a descriptor.
 */
export const confiners = (): Promise<Confiners> => (probed ??= probe().catch(again))
