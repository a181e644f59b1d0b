/** Looks at the threads and processes of plugins from the kernel's thread, without their help, and tells who went past a limit. */
import { memoryUsage } from 'node:process'
import { reasonOf } from '../../wire-error.js'
import { now } from '../clock.js'
import { ReservedAddresses, type Reserver } from './reserved-addresses.js'
import { type ProcessTaken, processPages } from './taken-pages.js'

/** Memory of the kernel's process, in MB. */
export interface ProcessMemory {
  rss: number
  /** What its threads say they have. */
  accounted: number
  /** How many threads do not say: what is not accounted for is theirs. */
  silent: number
}

/** A place that is looked at. */
export interface Watched extends Reserver {
  /** It did nothing since the last look. */
  readonly resting: boolean
  /** MB that it takes of the kernel's process, as last told. */
  readonly used: number
  /** It was asked for its memory and does not answer: what it takes shows in the process alone. */
  readonly silent: boolean
  /** Milliseconds that it may go without a look while it rests and no thread of the kernel's process computes. */
  readonly patience: number
  /**
   * `at`: by the watchdog's clock. `memory`: of the kernel's process, by now; undefined while the system does not tell it, as to a process
   * without a free descriptor: then nobody is blamed for it. `pages`: of that process, when what it has in memory has changed. `still`: no
   * thread of it has computed since the look before.
   */
  look(at: number, memory: () => ProcessMemory | undefined, pages: ProcessTaken | undefined, still: boolean): void
}

/** Milliseconds between two looks at a place that does something. */
const PERIOD = 25
/**
 * One that rests is looked at every so many periods. While all do, the watchdog wakes no more often; while nobody computes either, it looks
 * at each when its patience is at its end.
 */
const REST = 3
/**
 * What all threads together may have computed since the last round for nobody to have computed, in ms: the kernel's own takes some to look
 * around.
 */
const STILL = 2
/** A look that is later than this counts as if it were not: the kernel's thread was held up, and nobody else is to blame. */
const LATE = PERIOD
/** What the process has in memory is read every so many rounds … */
const PAGES_EVERY = 4
/** … and who took it is asked when it has changed by so much, in MB. */
const CHANGED = 32

const MB = 2 ** 20

/** By all threads of the process, in ms. Of one that computes right now, the newest few may be missing. */
const computedByNow = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** What is in memory Linux tells in a file: without a free descriptor nobody knows. */
const usageByNow = (): NodeJS.MemoryUsage | undefined => {
  try {
    return memoryUsage()
  } catch {
    return undefined
  }
}

class Watchdog {
  readonly #places = new Set<Watched>()
  #timer: NodeJS.Timeout | undefined
  #last = 0
  #pause = PERIOD
  /** Milliseconds in which the watchdog was awake: what places are measured by. */
  #clock = 0
  #round = 0
  /** What all threads had computed after the last round in which all rested, in ms. */
  #computed = 0
  #memory: ProcessMemory | undefined
  readonly #addresses = new ReservedAddresses()
  #pages: ProcessTaken | undefined
  /** MB that were in memory when it was last asked who took them. */
  #asked = 0
  /** Places that could not be looked at once. It is told of once. */
  readonly #failed = new WeakSet<Watched>()

  /** Looks at what is made for the time it is by the watchdog's clock. Returns the undo. */
  watch(make: (at: number, pages: ProcessTaken | undefined) => Watched): () => void {
    this.#pages ??= this.#readPages()
    const place = make(this.#clock, this.#pages)
    this.#places.add(place)
    this.#addresses.add(place)
    if (this.#timer === undefined) {
      this.#last = now()
      this.#plan()
    }
    return () => {
      this.#places.delete(place)
      this.#addresses.delete(place)
      if (this.#places.size > 0) return
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
  }

  #plan(): void {
    this.#timer = setTimeout(() => this.#look(), this.#pause).unref()
  }

  #look(): void {
    const at = now()
    this.#clock += Math.min(at - this.#last, this.#pause + LATE)
    this.#last = at
    this.#round++
    this.#memory = undefined
    const slow = this.#pause > PERIOD
    const still = slow && computedByNow() - this.#computed < STILL
    const reads = this.#round % PAGES_EVERY === 0
    const pages = reads ? this.#changedPages() : undefined
    let turn = 0
    let resting = true
    for (const place of this.#places) {
      const rounds = still ? Math.max(1, Math.floor(place.patience / this.#pause)) : slow ? 1 : REST
      const due = !place.resting || (this.#round + turn++) % rounds === 0
      try {
        if (due) this.#addresses.see(place)
        if (due || pages !== undefined) place.look(this.#clock, this.#process, pages, still)
      } catch (error) {
        this.#fail(place, error)
      }
      resting &&= place.resting
    }
    this.#addresses.look(reads ? this.#pages?.reserved : undefined)
    this.#pause = resting ? REST * PERIOD : PERIOD
    if (resting) this.#computed = computedByNow()
    if (this.#places.size > 0) this.#plan()
  }

  /** What fails for one is no reason to end the process, or to leave the others unwatched. */
  #fail(place: Watched, error: unknown): void {
    if (this.#failed.has(place)) return
    this.#failed.add(place)
    process.emitWarning(`The watchdog could not look at a plugin's place: ${reasonOf(error)}`, { code: 'PLUGBAY_WATCHDOG' })
  }

  #readPages(): ProcessTaken | undefined {
    const pages = processPages()
    const memory = pages && this.#process()
    return memory && { ...pages, accounted: memory.accounted }
  }

  #changedPages(): ProcessTaken | undefined {
    this.#pages = this.#readPages()
    if (this.#pages === undefined || Math.abs(this.#pages.resident - this.#asked) < CHANGED) return undefined
    this.#asked = this.#pages.resident
    return this.#pages
  }

  /** Read once a round, and only in some. */
  readonly #process = (): ProcessMemory | undefined => {
    if (this.#memory === undefined) {
      const usage = usageByNow()
      if (usage === undefined) return undefined
      const { rss, heapTotal, external } = usage
      let accounted = (heapTotal + external) / MB
      let silent = 0
      for (const place of this.#places) {
        accounted += place.used
        if (place.silent) silent++
      }
      this.#memory = { rss: rss / MB, accounted, silent: Math.max(1, silent) }
    }
    return this.#memory
  }
}

/** One for all kernels of a process: they share its memory and its processors. */
export const watchdog = new Watchdog()
