/** Which files the kernel reads for a plugin where what it says of them may come before others: those that the plugin itself may read. */
import { realOf } from '../../sandbox/host/readable.js'
import { within } from '../../within.js'

/** Folders and files beside the plugin's own; undefined: whatever the process may, as of a plugin that shares the application's thread. */
export type Readable = readonly string[] | undefined

/** Links are followed; what is not there is not readable. */
export const readsFor = (root: string, readable: Readable): ((path: string) => boolean) => {
  if (readable === undefined || readable.includes('*')) return () => true
  const folders = [root, ...readable].map(realOf)
  return (path) => {
    const real = realOf(path)
    return real !== undefined && folders.some((folder) => folder !== undefined && within(folder, real))
  }
}
