/** A CPU profile of one thread, taken from outside: it needs nothing of the thread, which may run in a loop without an end. */
import { Session } from 'node:inspector'
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'

/** As V8 writes it, and as DevTools open it. */
export interface CpuProfile {
  nodes: ProfileNode[]
  /** Microseconds. */
  startTime: number
  endTime: number
  /** The node in which the thread was, by sample, and the microseconds since the one before. */
  samples: number[]
  timeDeltas: number[]
}

export interface ProfileNode {
  id: number
  /** Lines and columns are counted from 0, -1 where there is none. */
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  /** Samples in which the thread was in this very frame. */
  hitCount?: number
  children?: number[]
  /** The same by line, counted from 1. */
  positionTicks?: { line: number; ticks: number }[]
}

/** Ends by itself after a while. */
export interface Recording {
  /** The profile so far; undefined where the thread cannot be reached, or does not hand it over within `patience` ms, as in a native call. */
  stop(patience: number): Promise<CpuProfile | undefined>
}

/** Microseconds between two samples. */
const INTERVAL = 500
/** Samples that tell something. */
const ENOUGH = 20
/** Milliseconds after which a recording that nobody stopped ends. */
const LONGEST = 3_000

/** The inspector's words with one thread, none of the others. */
class ThreadSession {
  readonly #session = new Session()
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #thread: string | undefined
  #asked = 0

  constructor({ threadId }: Worker) {
    this.#session.connect()
    this.#session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
      if (new RegExp(`^\\[worker ${threadId}\\]`).test(workerInfo.title)) this.#thread = sessionId
      else this.#session.post('NodeWorker.detach', { sessionId })
    })
    this.#session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
      const { id, result } = JSON.parse(message) as { id?: number; result?: unknown }
      if (id !== undefined) this.#waiting.get(id)?.(result)
    })
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  }

  get reaches(): boolean {
    return this.#thread !== undefined
  }

  /** What is asked is done in order. Never resolves for a thread that does not answer. */
  ask(method: string, params: object = {}): Promise<unknown> {
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
  // A profiler does not know the code of a loop that became hot before it came, and blames the caller. A count of calls throws that code away; it is then made anew
  // under the profiler's eyes.
  void session.ask('Profiler.startPreciseCoverage', { callCount: false, detailed: false })
  let sureFrom: number | undefined
  void session.ask('Profiler.stopPreciseCoverage').then(() => (sureFrom = performance.now()))
  let ended: Promise<CpuProfile | undefined> | undefined
  const end = async (patience: number): Promise<CpuProfile | undefined> => {
    clearTimeout(longest)
    const sureFor = sureFrom === undefined ? 0 : performance.now() - sureFrom
    let late: NodeJS.Timeout | undefined
    const tooLate = new Promise<void>((resolve) => (late = setTimeout(resolve, patience)))
    const answer = await Promise.race([session.ask('Profiler.stop'), tooLate])
    clearTimeout(late)
    session.close()
    const { profile } = (answer ?? {}) as { profile?: CpuProfile }
    return profile && endOf(profile, sureFor)
  }
  const stop = (patience: number): Promise<CpuProfile | undefined> => (ended ??= end(patience))
  const longest = setTimeout(() => void stop(0), LONGEST).unref()
  return { stop }
}

interface Profiled {
  startCpuProfile?(name: string): Promise<{ stop(): Promise<string> }>
}

/** A thread under Node 22's permission model has no inspector, but a profiler. It does not know the code of a loop that was hot before it came. */
const recordThroughWorker = (worker: Worker & Profiled): Recording | undefined => {
  const begun = worker.startCpuProfile?.('plugbay').catch(() => undefined)
  if (begun === undefined) return undefined
  const end = async (patience: number): Promise<CpuProfile | undefined> => {
    const text = await Promise.race([begun.then((profile) => profile?.stop()), delay(patience, undefined, { ref: false })])
    return text === undefined ? undefined : (JSON.parse(text) as CpuProfile)
  }
  let ended: Promise<CpuProfile | undefined> | undefined
  return { stop: (patience) => (ended ??= end(patience)) }
}

/** Its last milliseconds; all of it where too little would be left. */
const endOf = (profile: CpuProfile, ms: number): CpuProfile => {
  const { samples, timeDeltas } = profile
  let skipped = 0
  let startTime = profile.startTime
  while (skipped < samples.length && startTime < profile.endTime - ms * 1_000) startTime += timeDeltas[skipped++] ?? 0
  if (samples.length - skipped < ENOUGH) return profile
  const left = samples.slice(skipped)
  const hits = new Map<number, number>()
  for (const id of left) hits.set(id, (hits.get(id) ?? 0) + 1)
  const nodes = profile.nodes.map(({ positionTicks = [], ...node }): ProfileNode => {
    const hitCount = hits.get(node.id) ?? 0
    return hitCount === 0 ? { ...node, hitCount } : { ...node, hitCount, positionTicks }
  })
  return { ...profile, nodes, startTime, samples: left, timeDeltas: timeDeltas.slice(skipped) }
}
