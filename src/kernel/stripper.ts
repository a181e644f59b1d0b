/** Has types taken out of sources in a thread of its own, which is there as long as there is something to do. */
import { Worker } from 'node:worker_threads'

const THREAD = new URL('./strip-thread.js', import.meta.url)

const waiting = new Map<number, (code: string | undefined) => void>()
let worker: Worker | undefined
let last = 0

const end = (): void => {
  void worker?.terminate()
  worker = undefined
  for (const answer of waiting.values()) answer(undefined)
  waiting.clear()
}

const made = (): Worker => {
  const thread = new Worker(THREAD, { execArgv: [], workerData: undefined })
  thread.on('message', ([number, code]: [number: number, code: string | undefined]) => {
    waiting.get(number)?.(code)
    waiting.delete(number)
    if (waiting.size === 0) end()
  })
  for (const event of ['error', 'exit']) thread.on(event, () => thread === worker && end())
  return thread
}

/** The source without its types; undefined where it has none: it cannot be stripped, or there is no thread to be had. Never rejects. */
export const strippedElsewhere = (source: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    try {
      worker ??= made()
      waiting.set(++last, resolve)
      worker.postMessage([last, source])
    } catch {
      resolve(undefined)
    }
  })
