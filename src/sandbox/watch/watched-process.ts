/** One process, looked at from outside: whether it gets on, what memory it holds, and how much of a processor it takes. */

import { type HeapReport, reportOfTold, type ToldHeap } from '../heap-report.js'
import type { Breach, PlaceLimits } from '../plugin-host.js'
import type { Asked } from '../protocol.js'
import { CpuShare } from './cpu-share.js'
import { lowerPriority } from './priority.js'
import { familyOf, orphansOf } from './process-family.js'
import { type ProcessStat, processCpu, statOf } from './process-stat.js'
import { Standstill } from './standstill.js'
import type { Watched } from './watchdog.js'

/** The kernel's end of a process's signs of life. */
export interface ProcessSubject {
  pid: number
  /** Frames that were sent to it. */
  readonly sent: number
  /** A part of a frame has come from it, and its rest has not. */
  readonly unfinished: boolean
  /** Bytes that were written to it and that it has not read: they lie in the kernel's process. */
  readonly unread: number
  ask(asked: Asked): void
}

/** A process that has not moved for so long, though it has something to do, is asked for a beat, in ms. */
const DOUBT = 100
/** What it has started is looked for as soon as it stirs, and every so many looks. */
const FAMILY_EVERY = 20
/** All that do something for it are in it. */
const noHelpers = (): number => 0
/** The part of a processor that one who waits for something else does not take. */
const COMPUTING = 0.5
/** What a process may have in memory beyond the limit: a part of it, and what Node itself takes (MB). */
const LEEWAY = 0.25
const NODE_ITSELF = 64
const MB = 2 ** 20
/** What it has grown by, beyond the limit, before it is asked again what its memory is, in MB. */
const GROWN = 8

const marginOf = (memory: number): number => Math.ceil(memory * LEEWAY) + NODE_ITSELF

/**
 * MB at which V8's own limit stands: where others find a limit to be broken it comes after them, since whoever meets it dies without a
 * word.
 */
export const heapOf = (memory: number): number => (process.platform === 'linux' ? memory + marginOf(memory) : memory)

/** Milliseconds: what it computes does not show in the kernel's process. */
const PATIENCE = 225

export class WatchedProcess implements Watched {
  readonly patience = PATIENCE
  /** It takes nothing of this process's memory. */
  readonly used = 0
  readonly silent = false
  readonly memories = 0
  readonly keptMemories = 0
  resting = false
  readonly #subject: ProcessSubject
  readonly #limits: PlaceLimits
  readonly #breached: (breach: Breach) => void
  readonly #cpu: CpuShare
  #family: number[]
  #looks = 0
  #beats = 0
  #seen = 0
  /** By the watchdog's clock. */
  #movedAt: number
  /** The beat that was asked for, and what had been sent with it; undefined: it has answered. */
  #asked: { number: number; sent: number } | undefined
  /** Since it has not moved for a while. */
  #standstill: Standstill | undefined
  #lastAsked = 0
  /** What had been sent to it, and what it had computed, when it last answered. */
  #settled: { sent: number; ms: number | undefined } | undefined
  #answered: number | undefined
  #told = false
  /** What was in memory when it was last asked what that is, in MB, … */
  #askedAt = 0
  /** … and what it said. */
  #heap: HeapReport | undefined
  #leaving = false

  constructor(subject: ProcessSubject, limits: PlaceLimits, breached: (breach: Breach) => void, at: number) {
    this.#subject = subject
    this.#limits = limits
    this.#breached = breached
    this.#family = [subject.pid]
    this.#movedAt = at
    this.#cpu = new CpuShare(limits.cpu, at, {
      lower: () => this.#family.filter(lowerPriority).length > 0,
      breached: (observed) => breached({ limit: 'cpu', allowed: limits.cpu, observed }),
    })
  }

  /** A sign of life has come: of the number it was asked for, or of 0, which it gives by itself while it works. */
  beat(number: number): void {
    this.#beats++
    if (number !== this.#asked?.number) return
    this.#answered = this.#asked.sent
    this.#asked = undefined
  }

  /** It was asked what its memory is. */
  weighed(told: ToldHeap): void {
    try {
      this.#heap = reportOfTold(told)
    } catch {
      // What it says is no such thing.
    }
  }

  /** It has said that it exits: it gets nothing more done, and is not blamed for that. What it takes meanwhile counts as ever. */
  leaves(): void {
    this.#leaving = true
  }

  /** Its addresses are its own. */
  crowds(): void {}

  look(at: number): void {
    const { sent } = this.#subject
    const { pid } = this.#subject
    if (!this.resting || this.#looks++ % FAMILY_EVERY === 0 || orphansOf(pid).length > 0) this.#family = familyOf(pid)
    const stat = statOf(this.#family)
    if (this.#answered !== undefined) {
      this.#settled = { sent: this.#answered, ms: stat?.ms }
      this.#answered = undefined
    }
    // It has computed nothing and was told nothing since it last answered: whatever it waits for, it is not woken to ask.
    this.resting = this.#settled?.sent === sent && this.#settled.ms === stat?.ms
    if (this.resting || this.#beats !== this.#seen) {
      this.#seen = this.#beats
      this.#movedAt = at
      this.#told = false
      this.#standstill = undefined
    } else if (!this.#leaving) this.#doubt(at, stat)
    const unread = this.#subject.unread / MB
    if (stat !== undefined || unread > 0) this.#judge((stat?.resident ?? 0) + unread, unread)
    if (stat === undefined) return
    if (this.#limits.cpu < 1) this.#cpu.look(at, stat.ms, () => stat.ms)
  }

  #doubt(at: number, stat: ProcessStat | undefined): void {
    const still = at - this.#movedAt
    if (still >= DOUBT && this.#asked === undefined) {
      const number = ++this.#lastAsked
      this.#subject.ask(number)
      this.#asked = { number, sent: this.#subject.sent }
    }
    if (still >= DOUBT) this.#standstill ??= new Standstill(DOUBT, () => processCpu(this.#family), noHelpers)
    const { hang } = this.#limits
    if (still < hang || this.#told) return
    if (this.#standstill?.excused(still, hang)) return
    this.#told = true
    this.#breached({ limit: 'hang', allowed: hang, observed: Math.round(still), how: this.#diagnosis(stat) })
  }

  /** What keeps it. */
  #diagnosis(stat: ProcessStat | undefined): NonNullable<Breach['how']> {
    const takes = this.#standstill?.takes()
    if (stat === undefined || takes === undefined) return 'unknown'
    if (takes.runnable || takes.share > COMPUTING) return 'computing'
    if (stat.stopped) return 'stopped'
    return this.#subject.unfinished ? 'in a message' : 'blocked or waiting'
  }

  /** MB, with what waits to be read by it. */
  #judge(taken: number, unread: number): void {
    const { memory } = this.#limits
    const margin = marginOf(memory)
    if (taken > memory + margin) {
      const heap = this.#heap
      const waits = Math.round(unread)
      this.#breached({
        limit: 'memory',
        allowed: memory,
        observed: Math.round(taken),
        margin,
        ...(waits > 0 && { unread: waits }),
        ...(heap && { heap }),
      })
    } else if (taken <= memory) this.#askedAt = 0
    else if (taken > this.#askedAt + GROWN) {
      // What it is, is to be known when it goes past the margin: then there is no time to ask.
      this.#askedAt = taken
      this.#subject.ask('weigh')
    }
  }
}
