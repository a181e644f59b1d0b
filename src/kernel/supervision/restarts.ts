/** The restarts of a plugin, across its generations: what its policy says of it when it ends by itself, and the one that waits for its time. */
import type { EffectiveRestart } from '../options/options.js'
import { Demotion } from './demotion.js'
import { RestartPace } from './restart-pace.js'
import { RestartRecord, type Verdict } from './restart-record.js'

export class Restarts {
  #policy: EffectiveRestart
  #count = 0
  #next: NodeJS.Timeout | undefined
  readonly #record = new RestartRecord()
  readonly #pace = new RestartPace()
  /** Apart from that of its crashes: whoever mends those saves often. */
  readonly #changes = new RestartPace()
  readonly #demotion = new Demotion()

  constructor(policy: EffectiveRestart) {
    this.#policy = policy
  }

  get policy(): EffectiveRestart {
    return this.#policy
  }

  /** How many there were, in all. */
  get count(): number {
    return this.#count
  }

  /** One waits for its time. */
  get waiting(): boolean {
    return this.#next !== undefined
  }

  /** Its faults in a thread have moved it to a process. */
  get demoted(): boolean {
    return this.#demotion.active
  }

  /** It has other code now, whose policy this is. */
  renew(policy: EffectiveRestart): void {
    this.#policy = policy
    this.#demotion.lift()
  }

  /** A generation runs. */
  up(): void {
    this.#record.up()
  }

  /** Earlier crashes say nothing about what runs now. */
  forget(): void {
    this.#record.forget()
  }

  /** What changed of its files is carried out. Milliseconds that the next such change has to wait for at least: it may have made them itself. */
  changed(): number {
    return this.#changes.next()
  }

  /** It fell in a thread. True where that was once too often, and it is demoted. */
  fellInThread(): boolean {
    const demoted = this.#demotion.fault(this.#policy)
    // Faults in its thread say nothing about it in a process.
    if (demoted) this.#record.forget()
    return demoted
  }

  /** It crashed, or could not be started again. */
  ended(): Verdict {
    const verdict = this.#record.ended(this.#policy)
    return verdict.restartIn === undefined ? verdict : { restartIn: Math.max(verdict.restartIn, this.#pace.next()) }
  }

  /** The next one comes in so many milliseconds. */
  schedule(restart: () => void, restartIn: number): void {
    this.#next = setTimeout(restart, restartIn)
  }

  /** None waits any more. */
  cancel(): void {
    clearTimeout(this.#next)
    this.#next = undefined
  }

  /** One is under way. */
  begin(): void {
    this.#count++
  }
}
