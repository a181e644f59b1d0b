/** Looks at the threads of plugins from the kernel's thread, without their help, and tells who went past a limit. */
import { memoryUsage } from 'node:process'
import { now } from './clock.js'
import type { Breach, PlaceLimits } from './plugin-host.js'
import { type ProcessMemory, type Subject, WatchedThread } from './watched-thread.js'

/** Milliseconds between two looks at a thread that does something. */
const PERIOD = 25
/** One that rests is looked at every so many periods; while all do, the watchdog wakes no more often. */
const REST = 3
/** A look that is later than this counts as if it were not: the kernel's thread was held up, and nobody else is to blame. */
const LATE = PERIOD

const MB = 2 ** 20

class Watchdog {
  readonly #threads = new Set<WatchedThread>()
  #timer: NodeJS.Timeout | undefined
  #last = 0
  #pause = PERIOD
  /** Milliseconds in which the watchdog was awake: what threads are measured by. */
  #clock = 0
  #round = 0
  #memory: ProcessMemory | undefined

  /** From now on a limit that is broken is told, each time it is found so. Returns the undo. */
  watch(subject: Subject, limits: PlaceLimits, breached: (breach: Breach) => void): () => void {
    const thread = new WatchedThread(subject, limits, breached, this.#clock)
    this.#threads.add(thread)
    if (this.#timer === undefined) {
      this.#last = now()
      this.#plan()
    }
    return () => {
      this.#threads.delete(thread)
      if (this.#threads.size > 0) return
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
    let place = 0
    let resting = true
    for (const thread of this.#threads) {
      if (!thread.resting || this.#pause > PERIOD || (this.#round + place++) % REST === 0) thread.look(this.#clock, this.#process)
      resting &&= thread.resting
    }
    this.#pause = resting ? REST * PERIOD : PERIOD
    if (this.#threads.size > 0) this.#plan()
  }

  /** Read once a round, and only where a thread does not answer. */
  readonly #process = (): ProcessMemory => {
    if (this.#memory === undefined) {
      const { rss, heapTotal, external } = memoryUsage()
      let accounted = (heapTotal + external) / MB
      let silent = 0
      for (const thread of this.#threads) {
        accounted += thread.used
        if (thread.silent) silent++
      }
      this.#memory = { rss: rss / MB, accounted, silent: Math.max(1, silent) }
    }
    return this.#memory
  }
}

/** One for all kernels of a process: they share its memory and its processors. */
export const watchdog = new Watchdog()
