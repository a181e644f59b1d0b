/** The end of a thread that says what no guest says: its 'error' tells why. */
import type { Worker } from 'node:worker_threads'
import { PlugbayError } from '../errors.js'

/** `why`: a sentence about the thread, without its full stop. */
export const endForged = (worker: Worker, why: string, cause?: unknown): void => {
  worker.emit('error', new PlugbayError('PROTOCOL', why, { cause }))
  void worker.terminate()
}
