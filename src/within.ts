/** Whether one path lies in another. */
import { sep } from 'node:path'

/** True for a path in the folder, and for the folder itself. Both are absolute and without `..`; links are not followed. */
export const within = (folder: string, path: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
