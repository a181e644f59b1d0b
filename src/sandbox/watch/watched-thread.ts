/** One thread, looked at from outside: whether it gets on, what memory it holds, and how much of a processor it takes. */
import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import { endForged } from '../forged.js'
import { type HeapReport, reportOf, reportOfTold, type SeenHeap, type ToldHeap } from '../heap-report.js'
import type { Breach, PlaceLimits } from '../plugin-host.js'
import { type Ask, CELL } from '../pulse.js'
import { CpuShare } from './cpu-share.js'
import { lowerPriority } from './priority.js'
import { Standstill } from './standstill.js'
import { SUSPECT_FOR, Suspicion } from './suspicion.js'
import { faultsTell, type ProcessTaken, processPages, TakenPages } from './taken-pages.js'
import { helpersWaited, threadCpu } from './thread-cpu.js'
import type { ProcessMemory, Watched } from './watchdog.js'

/** The kernel's end of a thread's signs of life. */
export interface Subject {
  worker: Worker
  cells: Int32Array
  /** Where it is asked. */
  asks: MessagePort
}

const MB = 2 ** 20
/** What a thread may run before its memory is looked at again, in ms: more than a look costs it, less than it takes to grow much. */
const SAMPLE_AFTER = 2
/** … and before the first look at it, its boot among it, for as long as others may be booting beside it. */
const FIRST_SAMPLE_AFTER = 100
const YOUNG = 1_000
/** A thread that has not moved for so long is asked for a beat, in ms. */
const DOUBT = 40
/** The part of a processor that a blocked thread does not take. */
const COMPUTING = 0.1
/** Memory past the limit that may be garbage: the thread has so long to collect it, in ms … */
const COLLECT_WITHIN = 250
/** … as long as there is not more of it than this, in MB, or than the limit once more. */
const GARBAGE = 64
/** What a thread may have taken beyond twice its limit without any counter showing it, in MB: what the heap and the allocator keep for later is among it. */
const KEPT_FREE = 128
/** What a collection gives back is gone after so long, in ms; and what others had let go of unseen, which the allocator keeps for whoever comes next, is mostly theirs again. */
const GIVEN_BACK = 300

/** What a profile can tell more of. */
const COMPUTES = new Set<Breach['how']>(['spinning', 'native computation', 'computing', 'unknown'])
/** Milliseconds that a thread has to hand over its profile: few do not suffice, as long as it is not held by native code. */
const HAND_OVER = 500
const HAND_OVER_NATIVE = 50

/** Milliseconds that it may rest unseen at most, and no more than half of what it may hang: what it was blocked meanwhile shows in the next look. */
const PATIENCE = 450

export class WatchedThread implements Watched {
  readonly limits: PlaceLimits
  readonly patience: number
  /** MB of heap and external memory, as last told. */
  used = 0
  /** It did nothing since the last look. */
  resting = false
  readonly #subject: Subject
  readonly #breached: (breach: Breach) => void
  #idle = 0
  /** How much it was not idle in all, in ms. */
  #active = 0
  #beats = 0
  /** All times by the watchdog's own clock. */
  #movedAt: number
  /** About when it had booted. */
  #bootedAt: number
  #asked = false
  #told = false
  #samples = 0
  #sampledActive = 0
  #askedSampleAt: number | undefined
  /** How often it was asked to collect and was not yet heard of what is left. */
  #untold = 0
  /** The newest sample from outside. */
  #seen: SeenHeap | undefined
  /** The process when the thread stopped moving. */
  #processAtDoubt: ProcessMemory | undefined
  readonly #taken: TakenPages
  /** How much it was busy when that was last counted, in ms. */
  #countedActive = 0
  /** It has taken too much that no counter shows, and was asked to collect its garbage. */
  #beyond: { since: number; collections: number; standstill: Standstill; collected?: number } | undefined
  #over: { since: number; collections: number; standstill: Standstill } | undefined
  #doubted: Standstill | undefined
  readonly #cpu: CpuShare
  readonly #hangs: Suspicion
  /** Why it was suspected. */
  #how: NonNullable<Breach['how']> = 'unknown'
  readonly #takesMore: Suspicion

  constructor(subject: Subject, limits: PlaceLimits, breached: (breach: Breach) => void, at: number, pages?: ProcessTaken) {
    this.#subject = subject
    this.limits = limits
    this.patience = Math.min(PATIENCE, limits.hang / 2)
    this.#breached = breached
    this.#movedAt = this.#bootedAt = at
    this.#taken = new TakenPages(pages, this.#tid)
    this.#hangs = new Suspicion(subject.worker)
    this.#takesMore = new Suspicion(subject.worker)
    this.#cpu = new CpuShare(limits.cpu, at, {
      lower: () => this.#tid !== 0 && lowerPriority(this.#tid),
      suspect: (suspected) => (suspected ? this.#takesMore.raise() : this.#takesMore.drop()),
      breached: (observed) => this.#tell({ limit: 'cpu', allowed: limits.cpu, observed }, this.#takesMore),
    })
  }

  /** It was asked for its memory and does not answer: what it takes shows in the process alone. */
  get silent(): boolean {
    return this.#processAtDoubt !== undefined && this.#askedSampleAt !== undefined
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
      this.#movedAt = this.#bootedAt = at
      return
    }
    // The loop's idle time goes on while it waits, and stands still while it works: reading it costs the thread nothing.
    const { idle, active } = this.#subject.worker.performance.eventLoopUtilization()
    const moved = idle > this.#idle || beats !== this.#beats
    this.resting = idle > this.#idle && !this.#hasWorked(at, active) && this.#over === undefined && this.#beyond === undefined
    const busy = active - this.#active
    this.#active = active
    this.#idle = idle
    this.#beats = beats
    if (moved) {
      // Where nobody computed, what it was not idle it was blocked: since then, and not since this look, which may come late.
      this.#movedAt = still ? Math.max(this.#movedAt, at - busy) : at
      this.#asked = false
      this.#told = false
      this.#doubted = undefined
      this.#processAtDoubt = undefined
      if (this.#hangs.raised) this.#hangs.drop()
    } else this.#doubt(at, memory)
    this.#remember(at, active, memory)
    if (pages !== undefined && active - this.#countedActive >= SAMPLE_AFTER) {
      this.#countedActive = active
      this.#taken.count(pages, this.#tid, this.used)
    }
    this.#judgeTaken(at, memory)
    if (this.limits.cpu < 1) this.#cpu.look(at, active, () => threadCpu(this.#tid)?.ms)
  }

  // ── getting on ───────────────────────────────────────────────────────────────────────────────────────────────────

  #doubt(at: number, memory: () => ProcessMemory | undefined): void {
    const still = at - this.#movedAt
    this.#processAtDoubt ??= memory()
    if (still >= DOUBT && !this.#asked) {
      this.#asked = true
      this.#ask('beat')
      this.#doubted = this.#standstill(DOUBT)
    }
    const { hang } = this.limits
    // What it does not answer from now on tells how it is kept. Not sooner: others may be booting beside it.
    if (still >= Math.max(DOUBT, hang / 4) && this.#askedSampleAt === undefined) this.#sample(at)
    const suspicious = hang - Math.min(SUSPECT_FOR, hang / 2)
    if (this.#told || still < suspicious || this.#doubted?.excused(still, suspicious)) return
    if (still < hang || this.#doubted?.excused(still, hang)) {
      if (this.#hangs.raised) return
      this.#how = this.#diagnosis(at)
      if (COMPUTES.has(this.#how)) this.#hangs.raise()
      return
    }
    this.#told = true
    this.#tell({ limit: 'hang', allowed: hang, observed: Math.round(still), how: this.#diagnosis(at) }, this.#hangs)
  }

  /** At once, or when the thread has handed over what was recorded of it. */
  #tell(breach: Breach, suspicion: Suspicion): void {
    if (!suspicion.raised) return this.#breached(breach)
    const native = breach.how === 'native computation'
    // Being recorded it takes its time to answer: native code that was not suspected before may be none.
    void suspicion.take(native && this.#how === breach.how ? HAND_OVER_NATIVE : HAND_OVER).then((profile) => {
      if (profile === undefined) return this.#breached(breach)
      // It answered: it is in no single native call.
      this.#breached({ ...breach, ...(native && { how: 'spinning' }), profile })
    })
  }

  #standstill(doubt: number): Standstill {
    return new Standstill(doubt, () => threadCpu(this.#tid), helpersWaited)
  }

  /** What keeps it. It differs in what the thread takes of a processor, and in whether V8 can still interrupt it. */
  #diagnosis(at: number): NonNullable<Breach['how']> {
    const takes = this.#doubted?.takes()
    if (takes === undefined) return 'unknown'
    // It may wait for a processor, or for the threads that collect its garbage, just now.
    const computes = takes.runnable || takes.share > COMPUTING
    if (!this.#answersFromOutside) return computes ? 'computing' : 'blocked or waiting'
    // On a busy machine it may take a while to get to it.
    const answers = this.#askedSampleAt === undefined || at - this.#askedSampleAt < Math.max(DOUBT, this.limits.hang / 2)
    return computes ? (answers ? 'spinning' : 'native computation') : answers ? 'waiting' : 'blocked'
  }

  #ask(ask: Ask): void {
    if (ask === 'collect') this.#untold++
    this.#subject.asks.postMessage(ask)
  }

  // ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get #answersFromOutside(): boolean {
    return 'getHeapStatistics' in this.#subject.worker
  }

  #remember(at: number, active: number, memory: () => ProcessMemory | undefined): void {
    const { cells } = this.#subject
    const samples = cells[CELL.samples] as number
    if (samples !== this.#samples) {
      this.#samples = samples
      this.#sampled(this.#toldByThread, active)
    }
    if (this.#askedSampleAt === undefined && this.#hasWorked(at, active)) this.#sample(at)
    let used = this.used
    if (this.#processAtDoubt !== undefined && this.#askedSampleAt !== undefined && at - this.#askedSampleAt >= DOUBT)
      used += grownUnseen(this.#processAtDoubt, memory())
    this.#judge(at, used)
  }

  /** Enough for its memory to be asked for again. */
  #hasWorked(at: number, active: number): boolean {
    return active - this.#sampledActive >= (this.used === 0 && at - this.#bootedAt < YOUNG ? FIRST_SAMPLE_AFTER : SAMPLE_AFTER)
  }

  get #toldByThread(): number {
    return (this.#subject.cells[CELL.used] as number) / 1024
  }

  #sampled(used: number, active: number): void {
    this.used = used
    this.#sampledActive = active
    this.#askedSampleAt = undefined
  }

  #sample(at: number): void {
    this.#askedSampleAt = at
    const { worker } = this.#subject
    if (!this.#answersFromOutside) {
      this.#ask('sample')
      return
    }
    worker.getHeapStatistics().then(
      (heap) => {
        this.#seen = heap
        this.#sampled((heap.used_heap_size + heap.external_memory) / MB, worker.performance.eventLoopUtilization().active)
      },
      () => {}, // It has ended: nobody looks any more.
    )
  }

  /** Past the limit, it is asked to collect its garbage; what is left then counts, or what it holds when it does not answer. */
  #judge(at: number, used: number): void {
    const { memory } = this.limits
    const collections = this.#subject.cells[CELL.collections] as number
    if (this.#over !== undefined && collections !== this.#over.collections) {
      this.#over = undefined
      this.used = this.#toldByThread
      const heap = this.#toldHeap()
      if (this.used > memory) this.#tooLarge(this.used, heap)
    } else if (used <= memory) this.#over = undefined
    else if (used > memory + Math.max(memory, GARBAGE)) this.#tooLarge(used)
    // One that may compute for as long as it likes answers when it is done.
    else if (this.#over !== undefined && !Number.isFinite(this.limits.hang)) return
    else if (this.#over === undefined) {
      this.#over = { since: at, collections, standstill: this.#standstill(0) }
      this.#ask('collect')
    } else if (at - this.#over.since >= COLLECT_WITHIN && !this.#over.standstill.excused(at - this.#over.since, COLLECT_WITHIN))
      this.#tooLarge(used)
  }

  /** What it has taken shows in the process alone. It may be garbage, of which V8 knows no more than of the rest. */
  #judgeTaken(at: number, memory: () => ProcessMemory | undefined): void {
    const most = 2 * this.limits.memory + KEPT_FREE
    const collections = this.#subject.cells[CELL.collections] as number
    if (this.#taken.held <= most || !faultsTell()) this.#beyond = undefined
    else if (this.#beyond === undefined) {
      this.#beyond = { since: at, collections, standstill: this.#standstill(0) }
      this.#ask('collect')
    } else if (collections !== this.#beyond.collections) {
      this.#beyond.collected ??= at
      if (this.#recount(memory()) && at - this.#beyond.collected >= GIVEN_BACK) this.#blameForTaken(most)
    } else if (at - this.#beyond.since >= COLLECT_WITHIN && !this.#beyond.standstill.excused(at - this.#beyond.since, COLLECT_WITHIN)) {
      if (this.#recount(memory())) this.#blameForTaken(most)
    }
  }

  /** Now, and not when the process has changed by much; false while the system does not tell. */
  #recount(memory: ProcessMemory | undefined): boolean {
    const pages = processPages()
    if (memory === undefined || pages === undefined) return false
    return this.#taken.count({ ...pages, accounted: memory.accounted }, this.#tid, this.used)
  }

  #blameForTaken(most: number): void {
    this.#beyond = undefined
    const heap = this.#toldHeap()
    const { held } = this.#taken
    if (held > most) this.#tooLarge(held, heap, held - (heap === undefined ? this.used : heap.heap + heap.external))
  }

  /** What it said after its newest collection. Of each it tells once: where a plugin has got hold of its end, it could tell for as long as it is heard. */
  #toldHeap(): HeapReport | undefined {
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

  #tooLarge(used: number, heap: HeapReport | undefined = this.#seen && reportOf(this.#seen), uncounted?: number): void {
    this.#breached({
      limit: 'memory',
      allowed: this.limits.memory,
      observed: Math.round(used),
      ...(uncounted !== undefined && { uncounted: Math.round(uncounted) }),
      ...(heap && { heap }),
    })
  }

  // ── processor ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Its number in the operating system; 0 where that is not known. */
  get #tid(): number {
    return this.#subject.cells[CELL.tid] as number
  }
}

/** What one silent thread has taken since. What others gave back may still be resident: it is not held against this one. */
const grownUnseen = (then: ProcessMemory, now: ProcessMemory | undefined): number =>
  now === undefined ? 0 : Math.max(0, now.rss - then.rss - Math.max(0, now.accounted - then.accounted)) / now.silent
