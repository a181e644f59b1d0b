/** The thread that takes the types out of sources: its engine takes long to load, and a large file long to read. */
import { parentPort } from 'node:worker_threads'
import { stripTypes } from '../strip-types.js'

/** What cannot be stripped is told where it is loaded. */
const stripped = (source: string): string | undefined => {
  try {
    return stripTypes(source, '')
  } catch {
    return undefined
  }
}

parentPort?.on('message', ([number, source]: [number: number, source: string]) => parentPort?.postMessage([number, stripped(source)]))
