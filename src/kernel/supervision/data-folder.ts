/** A plugin's folder for its data that cannot be made: what is in the way. */
import { type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { codeOf, reasonOf } from '../../wire-error.js'

const statsOf = (path: string): Stats | undefined => {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

/** The folder itself, or one that it lies in, which is something else. */
const noFolder = (path: string): string | undefined => {
  for (let at = path; ; at = dirname(at)) {
    const stats = statsOf(at)
    if (stats) return stats.isDirectory() ? undefined : at
    if (at === dirname(at)) return undefined
  }
}

/** What is in the way, and the mend. */
const explain = (folder: string, error: unknown): string => {
  const elsewhere = 'Name a folder that can be written to with the option dataDir'
  const inTheWay = noFolder(folder)
  if (inTheWay !== undefined) return `${inTheWay} is no folder. Remove it, or name another folder with the option dataDir.`
  switch (codeOf(error)) {
    case 'ERR_ACCESS_DENIED':
      return `Node's permission model keeps this process from it. ${elsewhere}, and start Node with --allow-fs-write for it.`
    case 'EROFS':
      return `the file system there is read-only (EROFS). ${elsewhere}.`
    case 'EACCES':
    case 'EPERM':
      return `this process may not write there (${codeOf(error)}). ${elsewhere}.`
    default:
      return `${reasonOf(error)}. ${elsewhere}.`
  }
}

/** DATA_FOLDER, for what Node said when the folder was to be made. */
export const dataFolderFault = (plugin: string, folder: string, error: unknown): PlugbayError =>
  new PlugbayError('DATA_FOLDER', `Plugin '${plugin}' cannot have its data folder ${folder}: ${explain(folder, error)}`, {
    plugin,
    cause: error,
    details: { path: folder },
  })
