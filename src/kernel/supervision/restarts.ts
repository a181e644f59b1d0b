/**
 * The restarts of a plugin, across its generations: what its policy says of it when it ends by itself, and the one that waits for its time.
 */
import { TokenBucket } from '../../sandbox/token-bucket.js'
import type { EffectiveRestart } from '../options/options.js'
import { Demotion } from './demotion.js'
import { RestartPace } from './restart-pace.js'
import { RestartRecord, type Verdict } from './restart-record.js'

/**
 * Of so many changes of its files, and of one more in a minute, earlier crashes are forgotten: one that writes them itself is to have no
 * restarts anew each time.
 */
const PARDONS = 20
const PARDONS_A_SECOND = 1 / 60

export class Restarts {
  #policy: EffectiveRestart
  #count = 0
  #next: NodeJS.Timeout | undefined
  readonly #record = new RestartRecord()
  readonly #pace = new RestartPace()
  /** Apart from that of its crashes: whoever mends those saves often. */
  readonly #changes = new RestartPace()
  readonly #demotion = new Demotion()
  readonly #pardons = new TokenBucket(PARDONS_A_SECOND, PARDONS / PARDONS_A_SECOND)
  #pardoned = true

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

  /** From now on that is its policy. */
  renew(policy: EffectiveRestart): void {
    this.#policy = policy
  }

  /** A generation runs. */
  up(): void {
    this.#record.up()
  }

  /** Earlier crashes say nothing about what runs now; where its code is new, nor does what came of them. */
  forget(code: boolean): void {
    this.#record.forget()
    if (code) this.#demotion.lift()
  }

  /**
   * What changed of its files is carried out. Milliseconds that the next such change has to wait for at least: it may have made them
   * itself.
   */
  changed(): number {
    this.#pardoned = (this.#record.clean && !this.demoted) || this.#pardons.take(1)
    return this.#changes.next()
  }

  /** Whether the last change of its files has earlier crashes forgotten. */
  get pardoned(): boolean {
    return this.#pardoned
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
