/** How much of a wire is read in one go: then others have their turn, whoever sends and however much. */
import { now } from './clock.js'

/** Milliseconds. */
export const LONGEST = 10
/** What is read without a look at the clock: items of batches. */
export const UNWATCHED = 512
/**
 * Who has read for so long may have done so in many turns, in ms: to be told when this one ends costs as much as ten batches of one frame.
 */
const DOUBTED = 5
/** What a batch weighs beside its items. */
const BATCH = 8
/** An object was made before it was read, and no clock saw that: it took longer, mostly several times. */
export const MADE = 8

export class Stint {
  readonly #pause: () => void
  readonly #resume: () => void
  #read = 0
  #watched = false
  #began = 0
  /** When the last of them was over that was watched. */
  #overAt = 0
  #paused = false

  /** `pause`: nothing more is to be read in this turn. `resume`: it may go on. */
  constructor(pause: () => void, resume: () => void) {
    this.#pause = pause
    this.#resume = resume
  }

  get paused(): boolean {
    return this.#paused
  }

  /** So many items are about to be read, in one batch. */
  begin(items: number): void {
    this.#read += items + BATCH
    if (this.#watched || this.#read < UNWATCHED) return
    this.#read = 0
    const at = now()
    const since = at - this.#overAt
    if (since < DOUBTED && items < UNWATCHED) return
    this.#watched = true
    // So little time may all be of this turn.
    this.#began = since < LONGEST ? this.#overAt : at
    setImmediate(this.#over)
  }

  /** They were read. `times`: all that it took, in what it took since {@link begin}. */
  end(times = 1): void {
    if (!this.#watched || this.#paused || (now() - this.#began) * times < LONGEST) return
    this.#paused = true
    this.#pause()
  }

  readonly #over = (): void => {
    this.#read = 0
    this.#overAt = now()
    this.#watched = false
    if (!this.#paused) return
    this.#paused = false
    this.#resume()
  }
}
