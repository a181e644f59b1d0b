/** A worker whose code cannot throw in this thread by what it posts on Node's own port: a plugin can reach that port through `process.stdout`. */
import { Worker } from 'node:worker_threads'
import { reasonOf } from '../../wire-error.js'
import { endForged } from '../forged.js'

/** Bytes of an uncaught error that are taken: this thread does nothing else until all of it is built. The thread makes its errors smaller itself, as far as its plugin lets it. */
const LARGEST_ERROR = 256 * 1_024

type Handler = (message: unknown) => unknown

/** Where Node's class handles what comes on that port. It has no public name. */
const HANDLER = Object.getOwnPropertySymbols(Worker.prototype).find(({ description }) => description === 'kOnMessage')

/** What is told in the place of an uncaught error that is too large. */
const insteadOf = (message: unknown): Error | undefined => {
  const { type, error } = (message ?? {}) as { type?: unknown; error?: unknown }
  if (type !== 'errorMessage' || !ArrayBuffer.isView(error) || error.byteLength <= LARGEST_ERROR) return undefined
  const told = new Error(
    `it takes ${Math.ceil(error.byteLength / 1_024)} KiB with all it holds, and no more than ${LARGEST_ERROR / 1_024} are taken of one`,
  )
  // Where it was thrown went with it.
  told.stack = `Error: ${told.message}`
  return told
}

/** Ends a worker that posts what Node itself would not; its 'error' says so. */
export const guard = (worker: Worker): Worker => {
  const fail = (error: unknown): void =>
    endForged(worker, `A thread sent its host an order that Node does not take: ${reasonOf(error)}`, error)
  for (const stream of [worker.stdout, worker.stderr]) stream.on('error', fail)
  if (HANDLER === undefined) return worker
  const handle = Reflect.get(worker, HANDLER) as Handler
  Reflect.set(worker, HANDLER, (message: unknown) => {
    try {
      const instead = insteadOf(message)
      if (instead !== undefined) return worker.emit('error', instead)
      return Reflect.apply(handle, worker, [message])
    } catch (error) {
      return fail(error)
    }
  })
  return worker
}
