/** Commands of the system that take something away from what they start, and whether they are here and work. */
import { execFile } from 'node:child_process'

/** False: not there, or not working here. */
interface Confiners {
  prlimit: boolean
  setpriv: boolean
  bwrap: boolean
}

/** Milliseconds that a command may take to show that it works. */
const PROBE_TIMEOUT = 2_000
/** Descriptors a plugin's process may have open. */
const MAX_DESCRIPTORS = 256

export const PRLIMIT = ['prlimit', `--nofile=${MAX_DESCRIPTORS}:${MAX_DESCRIPTORS}`, '--core=0:0']
/** Ends with its parent. */
export const SETPRIV = ['setpriv', '--pdeathsig', 'KILL']
/** Sees no other process and no network, and ends with its parent; which files it sees is to be said. */
export const BWRAP = ['bwrap', '--unshare-all', '--die-with-parent']

const works = ([file = '', ...args]: readonly string[]): Promise<boolean> =>
  new Promise((resolve) => {
    execFile(file, [...args, 'true'], { timeout: PROBE_TIMEOUT }, (error) => resolve(error === null))
  })

const probe = async (): Promise<Confiners> => {
  if (process.platform !== 'linux') return { prlimit: false, setpriv: false, bwrap: false }
  const [prlimit, setpriv, bwrap] = await Promise.all([works(PRLIMIT), works(SETPRIV), works([...BWRAP, '--ro-bind', '/', '/'])])
  return { prlimit, setpriv, bwrap }
}

let probed: Promise<Confiners> | undefined

/** Tried once in the life of this process. */
export const confiners = (): Promise<Confiners> => (probed ??= probe())
