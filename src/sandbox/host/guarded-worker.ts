/** A worker whose code cannot throw in this thread by what it posts on Node's own port: a plugin can reach that port through `process.stdout`. */
import { Worker } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { reasonOf } from '../../wire-error.js'

type Handler = (message: unknown) => unknown

/** Where Node's class handles what comes on that port. It has no public name. */
const HANDLER = Object.getOwnPropertySymbols(Worker.prototype).find(({ description }) => description === 'kOnMessage')

/** Ends a worker that posts what Node itself would not; its 'error' says so. */
export const guard = (worker: Worker): Worker => {
  const fail = (error: unknown): void => {
    const why = `A thread sent its host an order that Node does not take: ${reasonOf(error)}`
    worker.emit('error', new PlugbayError('PROTOCOL', why, { cause: error }))
    void worker.terminate()
  }
  for (const stream of [worker.stdout, worker.stderr]) stream.on('error', fail)
  if (HANDLER === undefined) return worker
  const handle = Reflect.get(worker, HANDLER) as Handler
  Reflect.set(worker, HANDLER, (message: unknown) => {
    try {
      return Reflect.apply(handle, worker, [message])
    } catch (error) {
      return fail(error)
    }
  })
  return worker
}
