/** The other end of a work-thread, which does one piece after the other. */
import { parentPort } from 'node:worker_threads'
import { READY } from './work-thread.js'

/** What throws makes nothing. */
export const workWith = <Given, Answer>(work: (given: Given) => Answer | Promise<Answer>): void => {
  const answer = async ([number, given]: [number: number, given: Given]): Promise<void> => {
    try {
      const made = await work(given)
      parentPort?.postMessage([number, made])
    } catch {
      parentPort?.postMessage([number])
    }
  }
  let last = Promise.resolve()
  parentPort?.on('message', (piece: [number: number, given: Given]) => {
    last = last.then(() => answer(piece))
  })
  parentPort?.postMessage([READY])
}
