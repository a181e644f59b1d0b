/** A thread was asked to collect its garbage: what is left then counts, or what it holds when it does not do so in time. */
import { CELL } from '../pulse.js'
import type { Standstill } from './standstill.js'
import { standstillOf, type ThreadSubject } from './thread-subject.js'

/** Milliseconds that it has for that. */
const COLLECT_WITHIN = 250

/** How often it has done so. */
const collectionsOf = ({ cells }: ThreadSubject): number => cells[CELL.collections] as number

export class Collection {
  readonly #subject: ThreadSubject
  readonly #askedAt: number
  readonly #before: number
  readonly #standstill: Standstill
  #doneAt: number | undefined

  /** `at`: now, by the watchdog's clock. */
  constructor(subject: ThreadSubject, at: number) {
    this.#subject = subject
    this.#askedAt = at
    this.#before = collectionsOf(subject)
    this.#standstill = standstillOf(subject, 0)
  }

  get done(): boolean {
    return collectionsOf(this.#subject) !== this.#before
  }

  /** It is done: for how long, in ms, since that was first seen. */
  doneFor(at: number): number {
    this.#doneAt ??= at
    return at - this.#doneAt
  }

  /** It is not done, and could have been. */
  isLate(at: number): boolean {
    const passed = at - this.#askedAt
    return passed >= COLLECT_WITHIN && !this.#standstill.excused(passed, COLLECT_WITHIN)
  }
}
