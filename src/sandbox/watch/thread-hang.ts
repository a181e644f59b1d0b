/** Whether one thread gets on: who does not for longer than it may has broken the limit, and what keeps it is told. */
import type { Breach } from '../plugin-host.js'
import type { Ask } from '../pulse.js'
import type { HeapSamples } from './heap-samples.js'
import type { Standstill } from './standstill.js'
import { SUSPECT_FOR, Suspicion } from './suspicion.js'
import { standstillOf, type ThreadSubject } from './thread-subject.js'

/** A thread that has not moved for so long is asked for a beat, in ms. */
export const DOUBT = 40
/** The part of a processor that a blocked thread does not take. */
const COMPUTING = 0.1

/** What a profile can tell more of. */
const COMPUTES = new Set<Breach['how']>(['spinning', 'native computation', 'computing', 'unknown'])

export class ThreadHang {
  readonly #subject: ThreadSubject
  readonly #samples: HeapSamples
  readonly #limit: number
  readonly #suspicion: Suspicion
  /** By the watchdog's clock. */
  #movedAt: number
  #asked = false
  #told = false
  #doubted: Standstill | undefined
  /** Why it was suspected. */
  #how: NonNullable<Breach['how']> = 'unknown'

  constructor(subject: ThreadSubject, samples: HeapSamples, limit: number, breached: (breach: Breach) => void, at: number) {
    this.#subject = subject
    this.#samples = samples
    this.#limit = limit
    this.#suspicion = new Suspicion(subject.worker, breached)
    this.#movedAt = at
  }

  boots(at: number): void {
    this.#movedAt = at
  }

  /** It has got something done, or waits for something to do: up to then, nobody blames it. */
  moved(at: number): void {
    this.#movedAt = Math.max(this.#movedAt, at)
    this.#asked = false
    this.#told = false
    this.#doubted = undefined
    if (this.#suspicion.raised) this.#suspicion.drop()
  }

  /** It has not moved since the last look. */
  doubt(at: number): void {
    const still = at - this.#movedAt
    if (still >= DOUBT && !this.#asked) {
      this.#asked = true
      this.#subject.asks.postMessage('beat' satisfies Ask)
      this.#doubted = standstillOf(this.#subject, DOUBT)
    }
    const hang = this.#limit
    // What it does not answer from now on tells how it is kept. Not sooner: others may be booting beside it.
    if (still >= Math.max(DOUBT, hang / 4) && this.#samples.askedAt === undefined) this.#samples.ask(at)
    const suspicious = hang - Math.min(SUSPECT_FOR, hang / 2)
    if (this.#told || still < suspicious || this.#doubted?.excused(still, suspicious)) return
    if (still < hang || this.#doubted?.excused(still, hang)) {
      if (this.#suspicion.raised) return
      this.#how = this.#diagnosis(at)
      if (COMPUTES.has(this.#how)) this.#suspicion.raise()
      return
    }
    this.#told = true
    const how = this.#diagnosis(at)
    // Being recorded it takes its time to answer: native code that was not suspected before may be none.
    this.#suspicion.confirm({ limit: 'hang', allowed: hang, observed: Math.round(still), how }, how === this.#how)
  }

  /** What keeps it. It differs in what the thread takes of a processor, and in whether V8 can still interrupt it. */
  #diagnosis(at: number): NonNullable<Breach['how']> {
    const takes = this.#doubted?.takes()
    if (takes === undefined) return 'unknown'
    const { fromOutside, askedAt } = this.#samples
    // It may wait for a processor, or for the threads that collect its garbage, just now.
    const computes = takes.runnable || takes.share > COMPUTING
    if (!fromOutside) return computes ? 'computing' : 'blocked or waiting'
    // On a busy machine it may take a while to get to it.
    const answers = askedAt === undefined || at - askedAt < Math.max(DOUBT, this.#limit / 2)
    return computes ? (answers ? 'spinning' : 'native computation') : answers ? 'waiting' : 'blocked'
  }
}
