/** Records what one thread does, from outside: it needs nothing of the thread, which may run in a loop without an end. */
import { Session } from 'node:inspector'
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import type { RecordedCpu } from './cpu-profile.js'

/** Ends by itself after a while. */
export interface Recording {
  /**
   * The profile so far; undefined where the thread cannot be reached, or does not hand it over within `patience` ms, as in a native call.
   */
  stop(patience: number): Promise<RecordedCpu | undefined>
}

/** Microseconds between two samples. */
const INTERVAL = 500
/** Milliseconds after which a recording that nobody stopped ends. */
const LONGEST = 3_000

/** How the inspector's answers begin. */
const ANSWER = /^\{"id":(\d+),/

/** The inspector's words with one thread, none of the others. */
class ThreadSession {
  readonly #session = new Session()
  readonly #waiting = new Map<number, (answer: string) => void>()
  #thread: string | undefined
  #asked = 0

  constructor({ threadId }: Worker) {
    this.#session.connect()
    this.#session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
      if (new RegExp(`^\\[worker ${threadId}\\]`).test(workerInfo.title)) this.#thread = sessionId
      else this.#session.post('NodeWorker.detach', { sessionId })
    })
    this.#session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
      this.#waiting.get(Number(ANSWER.exec(message)?.[1]))?.(message)
    })
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  }

  get reaches(): boolean {
    return this.#thread !== undefined
  }

  /** What is asked is done in order. Resolves with the answer as it is written; never for a thread that does not answer. */
  ask(method: string, params: object = {}): Promise<string> {
    const id = ++this.#asked
    return new Promise((resolve) => {
      if (this.#thread === undefined) return
      this.#waiting.set(id, resolve)
      this.#session.post('NodeWorker.sendMessageToWorker', { sessionId: this.#thread, message: JSON.stringify({ id, method, params }) })
    })
  }

  close(): void {
    this.#session.disconnect()
  }
}

/** Begins at once. Undefined where the thread cannot be looked into. */
export const recordCpu = (worker: Worker): Recording | undefined => {
  const session = new ThreadSession(worker)
  if (!session.reaches) {
    session.close()
    return recordThroughWorker(worker)
  }
  void session.ask('Profiler.enable')
  void session.ask('Profiler.setSamplingInterval', { interval: INTERVAL })
  void session.ask('Profiler.start')
  // A profiler does not know the code of a loop that became hot before it came, and blames the caller. A count of calls throws that code
  // away; it is then made anew under the profiler's eyes.
  void session.ask('Profiler.startPreciseCoverage', { callCount: false, detailed: false })
  let sureFrom: number | undefined
  void session.ask('Profiler.stopPreciseCoverage').then(() => (sureFrom = performance.now()))
  let ended: Promise<RecordedCpu | undefined> | undefined
  const end = async (patience: number): Promise<RecordedCpu | undefined> => {
    clearTimeout(longest)
    const sureFor = sureFrom === undefined ? 0 : performance.now() - sureFrom
    let late: NodeJS.Timeout | undefined
    const tooLate = new Promise<undefined>((resolve) => (late = setTimeout(resolve, patience, undefined)))
    const text = await Promise.race([session.ask('Profiler.stop'), tooLate])
    clearTimeout(late)
    session.close()
    return text === undefined ? undefined : { text, sureFor }
  }
  const stop = (patience: number): Promise<RecordedCpu | undefined> => (ended ??= end(patience))
  const longest = setTimeout(() => void stop(0), LONGEST).unref()
  return { stop }
}

interface Profiled {
  startCpuProfile?(name: string): Promise<{ stop(): Promise<string> }>
}

/**
 * A thread under Node 22's permission model has no inspector, but a profiler. It does not know the code of a loop that was hot before it
 * came.
 */
const recordThroughWorker = (worker: Worker & Profiled): Recording | undefined => {
  const begun = worker.startCpuProfile?.('plugbay').catch(() => undefined)
  if (begun === undefined) return undefined
  const end = async (patience: number): Promise<RecordedCpu | undefined> => {
    // A thread that has ended meanwhile has none to give.
    const stopped = begun.then((profile) => profile?.stop()).catch(() => undefined)
    const text = await Promise.race([stopped, delay(patience, undefined, { ref: false })])
    return text === undefined ? undefined : { text }
  }
  let ended: Promise<RecordedCpu | undefined> | undefined
  return { stop: (patience) => (ended ??= end(patience)) }
}
