/** How much of a wire is read in one go: then others have their turn, whoever sends and however much. */
import { now } from './clock.js'

/** Milliseconds. */
export const LONGEST = 10
/** What is read in a turn without a look at the clock: items of batches. */
const UNWATCHED = 1_024
/** What a batch weighs beside its items. */
const BATCH = 8

export class Stint {
  readonly #pause: () => void
  readonly #resume: () => void
  #read = 0
  #watched = false
  #began = 0
  #paused = false

  /** `pause`: nothing more is to be read in this turn. `resume`: it may go on. */
  constructor(pause: () => void, resume: () => void) {
    this.#pause = pause
    this.#resume = resume
  }

  get paused(): boolean {
    return this.#paused
  }

  /** So many items were read, in one batch. */
  count(items: number): void {
    this.#read += items + BATCH
    if (this.#read < UNWATCHED) return
    if (!this.#watched) {
      this.#watched = true
      this.#began = now()
      setImmediate(this.#over)
    } else if (!this.#paused && now() - this.#began >= LONGEST) {
      this.#paused = true
      this.#pause()
    }
  }

  readonly #over = (): void => {
    this.#read = 0
    this.#watched = false
    if (!this.#paused) return
    this.#paused = false
    this.#resume()
  }
}
