/**
 * Work whose length somebody else decides, by what they wrote: done in a thread that is there as long as there is something to do, and
 * ended when a piece takes too long.
 */
import { Worker } from 'node:worker_threads'

/** What the thread says when it has loaded what it works with. */
export const READY = 0

interface Piece<Given, Answer> {
  given: Given
  of: string
  answer(answer: Answer | undefined): void
}

export class WorkThread<Given, Answer> {
  readonly #script: URL
  readonly #limit: (given: Given) => number
  /** By number, in the order in which they are done: the thread is at the first. */
  readonly #pieces = new Map<number, Piece<Given, Answer>>()
  #worker: Worker | undefined
  #clock: NodeJS.Timeout | undefined
  #last = READY

  /** `limit`: milliseconds that a piece may take. On a machine that has no time for it honest work is ended, too. */
  constructor(script: URL, limit: (given: Given) => number) {
    this.#script = script
    this.#limit = limit
  }

  /**
   * What the thread makes of it; undefined where that is nothing, took too long, or there is no thread to be had. Never rejects. `of`:
   * whose it is. Of whom one piece took too long nothing else is done that waits: others wait with it.
   */
  do(given: Given, of: string): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const number = ++this.#last
      this.#pieces.set(number, { given, of, answer: resolve })
      try {
        this.#worker ??= this.#made()
        this.#worker.postMessage([number, given])
      } catch {
        this.#answer(number, undefined)
      }
    })
  }

  #made(): Worker {
    const worker = new Worker(this.#script, { execArgv: [], workerData: undefined })
    let ready = false
    worker.on('message', ([number, answer]: [number: number, answer: Answer | undefined]) => {
      if (worker !== this.#worker) return
      ready = true
      this.#answer(number, answer)
      this.#watch(worker)
    })
    for (const event of ['error', 'exit'])
      worker.on(event, () => {
        if (worker === this.#worker) this.#renew(ready ? this.#first : undefined)
      })
    return worker
  }

  get #first(): number | undefined {
    return this.#pieces.keys().next().value
  }

  #answer(number: number, answer: Answer | undefined): void {
    this.#pieces.get(number)?.answer(answer)
    this.#pieces.delete(number)
    if (this.#pieces.size === 0) this.#end()
  }

  /** From now on it is at the first. */
  #watch(worker: Worker): void {
    clearTimeout(this.#clock)
    const first = this.#first
    const piece = first === undefined ? undefined : this.#pieces.get(first)
    if (worker !== this.#worker || piece === undefined) return
    const isLate = (): boolean => worker === this.#worker && first === this.#first
    // Its answer may have come while this thread was busy.
    this.#clock = setTimeout(() => setImmediate(() => isLate() && this.#renew(first)), this.#limit(piece.given))
  }

  #end(): void {
    clearTimeout(this.#clock)
    void this.#worker?.terminate()
    this.#worker = undefined
  }

  /** It does not come to the end of a piece: all others that wait are done by another thread. Without a piece that is to blame, none is. */
  #renew(blamed: number | undefined): void {
    this.#end()
    const of = blamed === undefined ? undefined : this.#pieces.get(blamed)?.of
    const waiting = [...this.#pieces.values()]
    this.#pieces.clear()
    for (const { given, of: whose, answer } of waiting) {
      if (of === undefined || of === whose) answer(undefined)
      else void this.do(given, whose).then(answer)
    }
  }
}
