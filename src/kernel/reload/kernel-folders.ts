/** The kernel's own folders: what lies in them comes to be as plugins run, and no plugin is made of it, whatever it imports. */
import { real, realOf } from '../../sandbox/host/readable.js'
import { upwardsFrom, within } from '../../within.js'

/** Where the path leads, as far as something is there. */
const leadsTo = (path: string): string | undefined => {
  for (const above of upwardsFrom(path)) {
    const found = realOf(above)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * Whether a file may be one that the plugin of that root is made of. One that lies in such a folder itself is made of what it finds there.
 */
export const outsideOf = (folders: readonly string[], root: string): ((path: string) => boolean) => {
  const kept = folders.flatMap((folder) => [folder, real(folder)]).filter((folder) => !within(folder, root))
  return (path) => {
    const found = leadsTo(path) ?? path
    return !kept.some((folder) => within(folder, path) || within(folder, found))
  }
}
