/**
 * The memory of one thread: what V8's counters show of it, and what shows in the process alone. Who holds more than it may after it has
 * collected its garbage has broken the limit.
 */
import type { HeapReport } from '../heap-report.js'
import type { Breach, PlaceLimits } from '../plugin-host.js'
import type { Collection } from './collection.js'
import { type HeapSamples, SAMPLE_AFTER } from './heap-samples.js'
import { faultsTell, type ProcessTaken, processPages, TakenPages } from './taken-pages.js'
import { DOUBT } from './thread-hang.js'
import { type ThreadSubject, tidOf } from './thread-subject.js'
import type { ProcessMemory } from './watchdog.js'

/** Memory past the limit may be garbage, as long as there is not more of it than this, in MB, or than the limit once more. */
const GARBAGE = 64
/**
 * What a thread may have taken beyond twice its limit without any counter showing it, in MB: what the heap and the allocator keep for later
 * is among it.
 */
const KEPT_FREE = 128
/**
 * What a collection gives back is gone after so long, in ms; and what others had let go of unseen, which the allocator keeps for whoever
 * comes next, is mostly theirs again.
 */
const GIVEN_BACK = 300

/** What the system says of the kernel's process now; undefined while it does not. */
type ReadProcess = () => ProcessMemory | undefined

export class ThreadMemory {
  readonly #subject: ThreadSubject
  readonly #samples: HeapSamples
  readonly #limits: PlaceLimits
  readonly #breached: (breach: Breach) => void
  readonly #taken: TakenPages
  /** How much it was not idle when that was last counted, in ms. */
  #countedActive = 0
  /** The process when the thread stopped moving. */
  #atDoubt: ProcessMemory | undefined
  /** It is past the limit, … */
  #over: Collection | undefined
  /** … or has taken too much that no counter shows, and was asked to collect its garbage. */
  #beyond: Collection | undefined

  constructor(
    subject: ThreadSubject,
    samples: HeapSamples,
    limits: PlaceLimits,
    breached: (breach: Breach) => void,
    pages: ProcessTaken | undefined,
  ) {
    this.#subject = subject
    this.#samples = samples
    this.#limits = limits
    this.#breached = breached
    this.#taken = new TakenPages(pages, tidOf(subject))
  }

  /** It may hold too much. */
  get suspected(): boolean {
    return this.#over !== undefined || this.#beyond !== undefined
  }

  /** It was asked and does not answer: what it takes shows in the process alone. */
  get silent(): boolean {
    return this.#atDoubt !== undefined && this.#samples.askedAt !== undefined
  }

  /**
   * `active`: how much it was not idle in all, in ms. `moved`: since the look before. `pages`: when what the process has in memory has
   * changed.
   */
  look(at: number, active: number, moved: boolean, read: ReadProcess, pages: ProcessTaken | undefined): void {
    const samples = this.#samples
    if (moved) this.#atDoubt = undefined
    else this.#atDoubt ??= read()
    samples.look(at, active)
    this.#judge(at, samples.used + this.#grownUnseen(at, read))
    if (pages !== undefined && active - this.#countedActive >= SAMPLE_AFTER) {
      this.#countedActive = active
      this.#taken.count(pages, tidOf(this.#subject), samples.used)
    }
    this.#judgeTaken(at, read)
  }

  #grownUnseen(at: number, read: ReadProcess): number {
    const { askedAt } = this.#samples
    return this.#atDoubt !== undefined && askedAt !== undefined && at - askedAt >= DOUBT ? grownSince(this.#atDoubt, read()) : 0
  }

  /** Past the limit, it is asked to collect its garbage. */
  #judge(at: number, used: number): void {
    const samples = this.#samples
    const { memory, hang } = this.#limits
    if (this.#over?.done) {
      this.#over = undefined
      samples.takeCollected()
      const heap = samples.readCollected()
      if (samples.used > memory) this.#tooLarge(samples.used, heap)
    } else if (used <= memory) this.#over = undefined
    else if (used > memory + Math.max(memory, GARBAGE)) this.#tooLarge(used)
    // One that may compute for as long as it likes answers when it is done.
    else if (this.#over !== undefined && !Number.isFinite(hang)) return
    else if (this.#over === undefined) this.#over = samples.collect(at)
    else if (this.#over.isLate(at)) this.#tooLarge(used)
  }

  /** What it has taken shows in the process alone. It may be garbage, of which V8 knows no more than of the rest. */
  #judgeTaken(at: number, read: ReadProcess): void {
    const most = 2 * this.#limits.memory + KEPT_FREE
    if (this.#taken.held <= most || !faultsTell()) this.#beyond = undefined
    else if (this.#beyond === undefined) this.#beyond = this.#samples.collect(at)
    else if (this.#beyond.done) {
      const since = this.#beyond.doneFor(at)
      if (this.#recount(read()) && since >= GIVEN_BACK) this.#blameForTaken(most)
    } else if (this.#beyond.isLate(at) && this.#recount(read())) this.#blameForTaken(most)
  }

  /** Now, and not when the process has changed by much; false while the system does not tell. */
  #recount(memory: ProcessMemory | undefined): boolean {
    const pages = processPages()
    if (memory === undefined || pages === undefined) return false
    return this.#taken.count({ ...pages, accounted: memory.accounted }, tidOf(this.#subject), this.#samples.used)
  }

  #blameForTaken(most: number): void {
    this.#beyond = undefined
    const heap = this.#samples.readCollected()
    const { held } = this.#taken
    if (held > most) this.#tooLarge(held, heap, held - (heap === undefined ? this.#samples.used : heap.heap + heap.external))
  }

  #tooLarge(used: number, heap: HeapReport | undefined = this.#samples.report, uncounted?: number): void {
    this.#breached({
      limit: 'memory',
      allowed: this.#limits.memory,
      observed: Math.round(used),
      ...(uncounted !== undefined && { uncounted: Math.round(uncounted) }),
      ...(heap && { heap }),
    })
  }
}

/** What one silent thread has taken since. What others gave back may still be resident: it is not held against this one. */
const grownSince = (then: ProcessMemory, now: ProcessMemory | undefined): number =>
  now === undefined ? 0 : Math.max(0, now.rss - then.rss - Math.max(0, now.accounted - then.accounted)) / now.silent
