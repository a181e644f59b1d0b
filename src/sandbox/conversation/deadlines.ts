/** The deadlines of requests under way. The time of each begins when it leaves; one timer serves them all: it stands on the earliest. */
import { now } from '../clock.js'
import type { Underway } from './underway.js'

export interface Timed {
  /** Milliseconds it may take; 0: no limit. */
  timeout: number
  /** The time at which it is overdue. Infinity before it has left, and where it has no limit. */
  deadline: number
}

export class Deadlines<T extends Timed> {
  readonly #underway: Underway<T>
  readonly #overdue: (number: number, request: T) => void
  /** Those that have not left. */
  readonly #waiting: T[] = []
  #timer: NodeJS.Timeout | undefined
  #next = Infinity

  /** `overdue` takes each that is still under way at its deadline. */
  constructor(underway: Underway<T>, overdue: (number: number, request: T) => void) {
    this.#underway = underway
    this.#overdue = overdue
  }

  /** One that is limited is about to leave. */
  add(request: T): void {
    this.#waiting.push(request)
  }

  /** All that were added have left. */
  begin(leftAt: number): void {
    if (this.#waiting.length === 0) return
    let earliest = Infinity
    const waiting = this.#waiting
    for (let request = waiting.pop(); request !== undefined; request = waiting.pop()) {
      request.deadline = leftAt + request.timeout
      if (request.deadline < earliest) earliest = request.deadline
    }
    if (earliest < this.#next) this.#arm(earliest)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #arm(deadline: number): void {
    clearTimeout(this.#timer)
    this.#next = deadline
    this.#timer = setTimeout(() => this.#ring(), Math.max(1, deadline - now()))
    this.#timer.unref()
  }

  #ring(): void {
    const time = now()
    const entries = this.#underway.entries()
    // A thread that was kept busy may come to several at once: what ran out first fails first.
    const overdue = entries.filter(([, { deadline }]) => deadline <= time).sort(([, a], [, b]) => a.deadline - b.deadline)
    for (const [number, request] of overdue) this.#overdue(number, request)
    this.#next = Infinity
    const next = Math.min(...entries.map(([, { deadline }]) => (deadline > time ? deadline : Infinity)))
    if (next < Infinity) this.#arm(next)
  }
}
