/** Work of many pieces, done so that others have their turn in between. */
import { setImmediate } from 'node:timers/promises'

/** Milliseconds of work without a pause. */
const LONGEST = 10

export class Pace {
  #began = performance.now()

  /** It has been at work for long enough: to be asked between two pieces. */
  get due(): boolean {
    return performance.now() - this.#began >= LONGEST
  }

  /** Resolves when everybody else has had a turn. */
  async rest(): Promise<void> {
    await setImmediate()
    this.#began = performance.now()
  }
}
