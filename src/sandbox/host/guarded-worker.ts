/**
 * A worker whose code cannot throw in this thread by what it posts on Node's own port: a plugin can reach that port through
 * `process.stdout`.
 */
import { Worker } from 'node:worker_threads'
import { reasonOf } from '../../wire-error.js'
import { endForged } from '../forged.js'
import { assertWeight, type Written } from '../values/frame-weight.js'

/**
 * Bytes of an uncaught error that are taken: this thread does nothing else until all of it is built. The thread makes its errors smaller
 * itself, as far as its plugin lets it.
 */
const LARGEST_ERROR = 256 * 1_024
/** What its parts may weigh, a number 1 and an object 4: they are built in some 3 ms. */
const HEAVIEST_ERROR = 32 * 1_024
const WRITTEN_BY_NODE: Written = { short: 16 * 1_024, views: true }
/** The first byte says how the others tell of the error: by these as a value. */
const VALUES: ReadonlySet<number | undefined> = new Set([0, 1])

type Handler = (message: unknown) => unknown

/** Where Node's class handles what comes on that port. It has no public name. */
const HANDLER = Object.getOwnPropertySymbols(Worker.prototype).find(({ description }) => description === 'kOnMessage')

/** Why an uncaught error is not built here. */
const tooMuch = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string | undefined => {
  if (byteLength > LARGEST_ERROR)
    return `it takes ${Math.ceil(byteLength / 1_024)} KiB with all it holds, and no more than ${LARGEST_ERROR / 1_024} are taken of one`
  const bytes = new Uint8Array(buffer, byteOffset, byteLength)
  if (!VALUES.has(bytes[0])) return undefined
  try {
    assertWeight(bytes.subarray(1), HEAVIEST_ERROR, WRITTEN_BY_NODE)
    return undefined
  } catch (error) {
    return `nothing it holds is taken: ${reasonOf(error)}`
  }
}

/** What is told in the place of an uncaught error that is too large. */
const insteadOf = (message: unknown): Error | undefined => {
  const { type, error } = (message ?? {}) as { type?: unknown; error?: unknown }
  const why = type === 'errorMessage' && ArrayBuffer.isView(error) ? tooMuch(error) : undefined
  if (why === undefined) return undefined
  const told = new Error(why)
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
