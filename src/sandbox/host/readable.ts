/**
 * What a plugin must be able to read to run at all, beside its own folder: plugbay's code, and where the packages lie that it and the guest
 * import.
 */
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** plugbay's own code: the guest, and what that loads. */
export const DIST = fileURLToPath(new URL('../..', import.meta.url))

/** Where a path leads, links followed; undefined where nothing is there. */
export const realOf = (path: string): string | undefined => {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** The same, or itself where nothing is there. */
export const real = (path: string): string => realOf(path) ?? path
