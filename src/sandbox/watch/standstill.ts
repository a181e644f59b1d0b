/** A thread or process that was found to get nothing done: what it takes of a processor from then on, and whether it only lacks one. */
import { now } from '../clock.js'
import { idleTimes } from './processors.js'
import type { CpuDemand } from './thread-cpu.js'

/** The part of a time that it must have had of a processor to be blamed for it, if it asks for one. */
const HAD = 0.6
/** The part of a time that may be put down to others, if it does not. */
const WAITED = 0.75

export class Standstill {
  readonly #read: () => CpuDemand | undefined
  readonly #helpersWaited: () => number
  readonly #before: CpuDemand | undefined
  readonly #helpersBefore: number
  readonly #began = now()
  readonly #doubt: number
  readonly #idle: () => readonly number[]
  /** Of the processors, where nothing is told of it. */
  readonly #idleBefore: readonly number[]

  /**
   * `doubt`: ms that it had got nothing done before anybody asked. `read`: what the system says of it, undefined where it says nothing.
   * `helpersWaited`: ms that the threads have waited for a processor which may do something for it. `idle`: ms for which each processor had
   * nothing to do, none where that is not known.
   */
  constructor(doubt: number, read: () => CpuDemand | undefined, helpersWaited: () => number, idle = idleTimes) {
    this.#read = read
    this.#helpersWaited = helpersWaited
    this.#before = read()
    this.#helpersBefore = helpersWaited()
    this.#doubt = doubt
    this.#idle = idle
    this.#idleBefore = this.#before === undefined ? idle() : []
  }

  /**
   * Whether it cannot yet be blamed after so many ms, of which it may take `limit`, as there are too few processors. While it asks for one,
   * what it has had of it counts alone. While it does not, what it waits for may lack one, such as the threads that collect its garbage:
   * then the time for which these, or it itself, have waited for a processor does not count, as far as that can be believed. Where nothing
   * is told of it, neither does the time for which all processors may have been taken.
   */
  excused(passed: number, limit: number): boolean {
    const before = this.#before
    const cpu = before && this.#read()
    const told = cpu !== undefined && before !== undefined
    if (told && cpu.runnable) return cpu.ms - before.ms < HAD * (limit - this.#doubt)
    if ((1 - WAITED) * passed >= limit) return false
    if (!told) return this.#doubt + this.#idleSince() < limit
    return passed - (cpu.waited - before.waited) - (this.#helpersWaited() - this.#helpersBefore) < limit
  }

  /** While one processor has nothing to do, nobody waits for another. */
  #idleSince(): number {
    const before = this.#idleBefore
    return Math.max(0, ...(before.length === 0 ? [] : this.#idle().map((ms, processor) => ms - (before[processor] ?? ms))))
  }

  /**
   * Whether it asks for a processor, and for what part of the time it had one in which it did not wait for that; undefined where nobody
   * knows.
   */
  takes(): { runnable: boolean; share: number } | undefined {
    const before = this.#before
    const cpu = before && this.#read()
    if (cpu === undefined || before === undefined) return undefined
    const had = cpu.ms - before.ms
    const free = now() - this.#began - (cpu.waited - before.waited)
    return { runnable: cpu.runnable, share: had === 0 ? 0 : had / Math.max(had, free) }
  }
}
