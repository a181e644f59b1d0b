/** Keeps a thread from ending its host by Node's own messages: a bogus one throws in the thread that receives it. */
import { Worker } from 'node:worker_threads'

type Receive = (this: Worker, message: unknown) => void

/** Node's handler of what a worker sends beside its `postMessage`: output, errors, that it is up. */
const RECEIVE = Object.getOwnPropertySymbols(Worker.prototype).find(({ description }) => description === 'kOnMessage')

/** From now on the worker is ended by a message that Node's handler does not take; `bogus` is told why. */
export const guardOrders = (worker: Worker, bogus: (error: unknown) => void): void => {
  if (RECEIVE === undefined) return
  const receive = (worker as unknown as Record<symbol, Receive>)[RECEIVE]
  if (receive === undefined) return
  Object.defineProperty(worker, RECEIVE, {
    value(this: Worker, message: unknown) {
      try {
        receive.call(this, message)
      } catch (error) {
        bogus(error)
      }
    },
  })
  // Bogus output arrives as an error of the stream, which nobody would listen to.
  for (const stream of [worker.stdout, worker.stderr]) stream.on('error', bogus)
}
