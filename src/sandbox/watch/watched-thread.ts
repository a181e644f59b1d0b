/** One thread, looked at from outside: whether it gets on, what memory it holds, and how much of a processor it takes. */
import type { Breach, PlaceLimits } from '../plugin-host.js'
import { CELL } from '../pulse.js'
import { CpuShare } from './cpu-share.js'
import { HeapSamples } from './heap-samples.js'
import { lowerPriority } from './priority.js'
import { Suspicion } from './suspicion.js'
import type { ProcessTaken } from './taken-pages.js'
import { threadCpu } from './thread-cpu.js'
import { ThreadHang } from './thread-hang.js'
import { ThreadMemory } from './thread-memory.js'
import { type ThreadSubject, tidOf } from './thread-subject.js'
import type { ProcessMemory, Watched } from './watchdog.js'

/**
 * Milliseconds that it may rest unseen at most, and no more than half of what it may hang: what it was blocked meanwhile shows in the next
 * look.
 */
const PATIENCE = 450

export class WatchedThread implements Watched {
  readonly patience: number
  /** It did nothing since the last look. */
  resting = false
  readonly #subject: ThreadSubject
  readonly #breached: (breach: Breach) => void
  readonly #samples: HeapSamples
  readonly #hang: ThreadHang
  readonly #memory: ThreadMemory
  /** Undefined where it may take all there is of one. */
  readonly #cpu: CpuShare | undefined
  #idle = 0
  /** How much it was not idle in all, in ms. */
  #active = 0
  #beats = 0

  /** `at`: now, by the watchdog's clock. */
  constructor(subject: ThreadSubject, limits: PlaceLimits, breached: (breach: Breach) => void, at: number, pages?: ProcessTaken) {
    this.patience = Math.min(PATIENCE, limits.hang / 2)
    this.#subject = subject
    this.#breached = breached
    this.#samples = new HeapSamples(subject, at)
    this.#hang = new ThreadHang(subject, this.#samples, limits.hang, breached, at)
    this.#memory = new ThreadMemory(subject, this.#samples, limits, breached, pages)
    if (limits.cpu < 1) this.#cpu = cpuShareOf(subject, limits.cpu, breached, at)
  }

  get used(): number {
    return this.#samples.used
  }

  get silent(): boolean {
    return this.#memory.silent
  }

  get memories(): number {
    return Atomics.load(this.#subject.cells, CELL.memories)
  }

  get keptMemories(): number {
    return this.memories - Atomics.load(this.#subject.cells, CELL.freed)
  }

  crowds(allowed: number, reserved: number, memories: number): void {
    this.#breached({ limit: 'memory', allowed, observed: Math.round(reserved), memories })
  }

  look(at: number, memory: () => ProcessMemory | undefined, pages: ProcessTaken | undefined, still: boolean): void {
    const beats = Atomics.load(this.#subject.cells, CELL.beats)
    if (beats === 0) {
      // It boots, and others wait for that.
      this.#hang.boots(at)
      this.#samples.boots(at)
      return
    }
    // The loop's idle time goes on while it waits, and stands still while it works: reading it costs the thread nothing.
    const { idle, active } = this.#subject.worker.performance.eventLoopUtilization()
    const waited = idle > this.#idle
    const moved = waited || beats !== this.#beats
    const busy = active - this.#active
    this.resting = waited && !this.#samples.areOld(at, active) && !this.#memory.suspected
    this.#idle = idle
    this.#active = active
    this.#beats = beats
    // Where nobody computed, what it was not idle it was blocked: since then, and not since this look, which may come late.
    if (moved) this.#hang.moved(still ? at - busy : at)
    else this.#hang.doubt(at)
    this.#memory.look(at, active, moved, memory, pages)
    this.#cpu?.look(at, active, () => threadCpu(tidOf(this.#subject))?.ms)
  }
}

const cpuShareOf = (subject: ThreadSubject, limit: number, breached: (breach: Breach) => void, at: number): CpuShare => {
  const suspicion = new Suspicion(subject.worker, breached)
  return new CpuShare(limit, at, {
    lower: () => tidOf(subject) !== 0 && lowerPriority(tidOf(subject)),
    suspect: (suspected) => (suspected ? suspicion.raise() : suspicion.drop()),
    breached: (observed) => suspicion.confirm({ limit: 'cpu', allowed: limit, observed }),
  })
}
