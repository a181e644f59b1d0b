/** What keeps the process alive while somebody waits for the kernel: an inline plugin has no thread that would. */

// By name from the module: a clock that is faked for a test does not stop it.
import { clearTimeout, setTimeout } from 'node:timers'
import { LONGEST_WAIT } from '../../arguments.js'

/** The process does not end by itself before `waited` settles. */
export const keepAlive = async <T>(waited: Promise<T>): Promise<T> => {
  const hold = setTimeout(() => {}, LONGEST_WAIT)
  try {
    return await waited
  } finally {
    clearTimeout(hold)
  }
}
