/** What a plugin must be able to read to run at all, beside its own folder: plugbay's code, and where the packages lie that it and the guest import. */
import { realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** plugbay's own code: the guest, and what that loads. */
export const DIST = fileURLToPath(new URL('../..', import.meta.url))

/** The folder and all above it: in each of them Node looks for `node_modules`. */
export const upFrom = (folder: string): string[] => {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...upFrom(parent)]
}

/** Where a path leads, links followed; itself where nothing is there. */
export const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
