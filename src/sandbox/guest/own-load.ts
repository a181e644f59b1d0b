/**
 * The addresses under which the entries of inline plugins are imported: Node keeps each module of a process by its address for ever, and a
 * load is to evaluate the file anew.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const LOAD = /\?load=\d+$/

/** Of all kernels in the process. */
let last = 0

/** An address that no load of the entry had before. */
export const ownLoad = (entry: string): string => {
  // CommonJS is kept by its path, whatever its address.
  delete createRequire(entry).cache[fileURLToPath(entry)]
  return `${entry}?load=${++last}`
}

/** The address, or a place in a stack, as the file is called. */
export const withoutLoad = (address: string): string => address.replace(LOAD, '')
