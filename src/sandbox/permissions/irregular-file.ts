/**
 * What may lie where a module should, and is neither file nor folder: of a pipe or a device there may be no end, and nothing interrupts who
 * reads it.
 */
import fs from 'node:fs'

// A plugin may share this realm, and change all it finds.
const { statSync } = fs

/** Ends a sentence that begins with the path of one. */
export const IRREGULAR = 'is no regular file, but a pipe or a device. Put a module there.'

export const isIrregular = (path: string): boolean => {
  try {
    const stats = statSync(path)
    return !stats.isFile() && !stats.isDirectory()
  } catch {
    return false // it cannot be read either: who tries says why
  }
}

/** Throws for one. */
export const assertRegular = (path: string): void => {
  if (isIrregular(path)) throw new Error(`${path} ${IRREGULAR}`)
}
