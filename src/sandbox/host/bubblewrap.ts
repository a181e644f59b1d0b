/** The words that start a process in bubblewrap: it sees nothing of the system but what it needs to run, and what it was granted. */
import { realpathSync } from 'node:fs'
import { hasNet } from '../permissions/grants.js'
import { BWRAP, type Confiners, SHUT, sized } from './confiners.js'
import { type Place, readableIn, writableIn } from './place.js'

const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/etc/ld.so.cache', '/etc/localtime']
const SYSTEM_NET = ['/etc/resolv.conf', '/etc/hosts', '/etc/nsswitch.conf', '/etc/ssl', '/etc/ca-certificates']

const bind = (flag: string, paths: readonly string[]): string[] => paths.flatMap((path) => [flag, path, path])

/**
 * Bytes that each folder in memory may hold, of which there are two: what lies there no process has in its own memory, where it would be
 * seen.
 */
const halfOf = (memory: number): number => Math.ceil(memory / 2) * 1_024 * 1_024

export const bubblewrapped = (place: Place, { sizes, shuts }: Pick<Confiners, 'sizes' | 'shuts'>): string[] => {
  const { grants, root, memory } = place
  const net = hasNet(grants)
  const read = readableIn(place)
  const write = writableIn(place)
  const whole = read.includes('*') || write.includes('*')
  const inMemory = (folder: string): string[] => (sizes ? sized(folder, halfOf(memory)) : ['--tmpfs', folder])
  return [
    ...BWRAP,
    ...(shuts ? SHUT : []),
    ...(net ? ['--share-net'] : []),
    ...(read.includes('*') ? ['--ro-bind', '/', '/'] : bind('--ro-bind-try', [...SYSTEM, ...(net ? SYSTEM_NET : [])])),
    ...(write.includes('*') ? ['--bind', '/', '/'] : []),
    ...['--dev', '/dev', ...inMemory('/dev/shm'), '--remount-ro', '/dev', '--proc', '/proc'],
    // Where all is there already, nothing is put over it: a link in the way could not be.
    ...(whole ? [] : [...inMemory('/tmp'), ...bind('--ro-bind-try', [realpathSync(process.execPath), process.execPath, ...read])]),
    // What is not there cannot be opened to it.
    ...(write.includes('*') ? [] : bind('--bind-try', write)),
    // What holds all of this is in memory, too.
    ...(whole ? [] : ['--remount-ro', '/']),
    '--chdir',
    root,
  ]
}
