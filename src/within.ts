/** Whether one path lies in another, and what a path lies in. */
import { dirname, sep } from 'node:path'

/** True for a path in the folder, and for the folder itself. Both are absolute and without `..`; links are not followed. */
export const within = (folder: string, path: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)

/** The folders from `folder` up to the root of the disk. */
export const upwardsFrom = (folder: string): string[] => {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...upwardsFrom(parent)]
}
