/** What a module may be read from: of a pipe or a device there may be no end, and nothing interrupts who reads it. */
import fs from 'node:fs'

// The plugin shares this realm and may change all it finds.
const { statSync } = fs

const isIrregular = (path: string): boolean => {
  try {
    return !statSync(path).isFile()
  } catch {
    return false // it cannot be read either: who tries says why
  }
}

/** Throws for what is there and no regular file. */
export const assertRegular = (path: string): void => {
  if (isIrregular(path)) throw new Error(`${path} is no regular file, but a pipe or a device. Put a module there.`)
}
