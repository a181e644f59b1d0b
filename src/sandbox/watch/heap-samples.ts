/** What memory a thread has by V8's counters: seen from outside where this Node can, or else told by the thread when it is asked. */
import { receiveMessageOnPort } from 'node:worker_threads'
import { endForged } from '../forged.js'
import { type HeapReport, reportOf, reportOfTold, type SeenHeap, type ToldHeap } from '../heap-report.js'
import { type Ask, CELL } from '../pulse.js'
import { Collection } from './collection.js'
import type { ThreadSubject } from './thread-subject.js'

const MB = 2 ** 20
/** What a thread may run before its memory is looked at again, in ms: more than a look costs it, less than it takes to grow much. */
export const SAMPLE_AFTER = 2
/** … and before the first look at it, its boot among it, for as long as others may be booting beside it. */
const FIRST_SAMPLE_AFTER = 100
const YOUNG = 1_000

export class HeapSamples {
  /** MB of heap and external memory, as last told. */
  used = 0
  /** When it was asked, by the watchdog's clock, and has not answered yet. */
  askedAt: number | undefined
  readonly #subject: ThreadSubject
  /** About when it had booted. */
  #bootedAt: number
  #told = 0
  /** How much it was not idle when that was told, in ms. */
  #activeThen = 0
  /** The newest sample from outside. */
  #seen: SeenHeap | undefined
  /** How often it was asked to collect and was not yet heard of what is left. */
  #untold = 0

  constructor(subject: ThreadSubject, at: number) {
    this.#subject = subject
    this.#bootedAt = at
  }

  /** V8 is asked, and not the code that the thread runs. */
  get fromOutside(): boolean {
    return 'getHeapStatistics' in this.#subject.worker
  }

  boots(at: number): void {
    this.#bootedAt = at
  }

  /** It was active for long enough for its memory to be asked for again. */
  areOld(at: number, active: number): boolean {
    return active - this.#activeThen >= (this.used === 0 && at - this.#bootedAt < YOUNG ? FIRST_SAMPLE_AFTER : SAMPLE_AFTER)
  }

  /** Takes what was told since, and asks where that is old. */
  look(at: number, active: number): void {
    const told = this.#subject.cells[CELL.samples] as number
    if (told !== this.#told) {
      this.#told = told
      this.#take(this.#toldUsed, active)
    }
    if (this.askedAt === undefined && this.areOld(at, active)) this.ask(at)
  }

  ask(at: number): void {
    this.askedAt = at
    const { worker, asks } = this.#subject
    if (!this.fromOutside) {
      asks.postMessage('sample' satisfies Ask)
      return
    }
    worker.getHeapStatistics().then(
      (heap) => {
        this.#seen = heap
        this.#take((heap.used_heap_size + heap.external_memory) / MB, worker.performance.eventLoopUtilization().active)
      },
      () => {}, // It has ended: nobody looks any more.
    )
  }

  #take(used: number, active: number): void {
    this.used = used
    this.#activeThen = active
    this.askedAt = undefined
  }

  get #toldUsed(): number {
    return (this.#subject.cells[CELL.used] as number) / 1024
  }

  /** Has it collect its garbage, and say what is left. */
  collect(at: number): Collection {
    const collection = new Collection(this.#subject, at)
    this.#untold++
    this.#subject.asks.postMessage('collect' satisfies Ask)
    return collection
  }

  /** It has collected: what it uses now is what it says. */
  takeCollected(): void {
    this.used = this.#toldUsed
  }

  /**
   * What it said after its newest collection. Of each it tells once: where a plugin has got hold of its end, it could tell for as long as
   * it is heard.
   */
  readCollected(): HeapReport | undefined {
    const { worker, asks } = this.#subject
    let told: ToldHeap | undefined
    try {
      for (let next; (next = receiveMessageOnPort(asks)); this.#untold--) {
        if (this.#untold === 0) {
          endForged(worker, 'A thread told its host of its memory more often than it was asked')
          return undefined
        }
        told = next.message as ToldHeap
      }
      return told && reportOfTold(told)
    } catch {
      return undefined // its guest says nothing that cannot be read, or that is no report
    }
  }

  /** The newest sample, where it is from outside. */
  get report(): HeapReport | undefined {
    return this.#seen && reportOf(this.#seen)
  }
}
