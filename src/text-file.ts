/** Reads a text that may lie anywhere: of a pipe or a device there may be no end, and whoever waits for it holds up all others. */
import { readFileSync, statSync } from 'node:fs'

/** Throws for what is no regular file, or has more than `most` bytes; the message fits after "cannot be read: ". */
export const readTextFile = (path: string, most = Infinity): string => {
  const stats = statSync(path)
  if (!stats.isFile()) throw new Error('it is no regular file')
  if (stats.size > most) throw new Error(`it has ${stats.size} bytes, more than ${most}; put what is long into a file of its own`)
  return readFileSync(path, 'utf8')
}
