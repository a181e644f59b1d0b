/** A request under way at the end that serves it. */
import type { Meta } from './frames.js'

export interface Call {
  readonly verb: string
  readonly metas: readonly Meta[]
  /** Aborted when the caller cancels, its deadline passes, or the conversation ends. Made when first read. */
  readonly signal: AbortSignal
}

/** One whose end the conversation knows. */
export class ServedCall implements Call {
  readonly verb: string
  readonly metas: readonly Meta[]
  #abort: AbortController | undefined
  #reason: unknown

  constructor(verb: string, metas: readonly Meta[]) {
    this.verb = verb
    this.metas = metas
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#reason !== undefined) this.#abort.abort(this.#reason)
    }
    return this.#abort.signal
  }

  cancel(reason: unknown): void {
    this.#reason = reason
    this.#abort?.abort(reason)
  }
}
