/** Reads a text that may lie anywhere: of a pipe or a device there may be no end, and whoever waits for it holds up all others. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'

// Windows has no such flag, and no pipes in its folders.
const { O_NONBLOCK = 0 } = constants as Partial<typeof constants>

/** The flags by which a file is opened to be read: it does not wait for somebody to write to a pipe. */
export const TO_READ = constants.O_RDONLY | O_NONBLOCK

const assertRegular = (stats: Stats): void => {
  if (!stats.isFile()) throw new Error('it is no regular file')
}

/**
 * Throws for what is no regular file, or has more than `most` bytes; the message fits after "cannot be read: ". Of what says that it is
 * empty, as much of /proc does, nothing is read.
 */
export const readTextFile = (path: string, most = Infinity): string => {
  assertRegular(statSync(path))
  // Another may lie there by now.
  const file = openSync(path, TO_READ)
  try {
    const stats = fstatSync(file)
    assertRegular(stats)
    const { size } = stats
    if (size > most) throw new Error(`it has ${size} bytes, more than ${most}; put what is long into a file of its own`)
    const bytes = Buffer.allocUnsafe(size)
    let length = 0
    for (let read = -1; read !== 0 && length < size; length += read) read = readSync(file, bytes, length, size - length, null)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(file)
  }
}
