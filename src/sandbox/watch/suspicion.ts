/** A thread that is about to go past a limit is looked at while it still can be: what it did is known when it has. */
import type { Worker } from 'node:worker_threads'
import type { RecordedCpu } from '../cpu-profile.js'
import type { Recording } from '../cpu-recording.js'
import type { Breach } from '../plugin-host.js'

/** Milliseconds before the end of a limit from which a thread is suspected: enough samples to tell where it is, and little of the limit. */
export const SUSPECT_FOR = 500
/** Milliseconds that a thread has to hand over its profile: few do not suffice, as long as it is not held by native code. */
const HAND_OVER = 500
const HAND_OVER_NATIVE = 50

export class Suspicion {
  readonly #worker: Worker
  readonly #breached: (breach: Breach) => void
  #recording: Promise<Recording | undefined> | undefined

  constructor(worker: Worker, breached: (breach: Breach) => void) {
    this.#worker = worker
    this.#breached = breached
  }

  /** From now on it is recorded what the thread does. Loaded here: most processes never need it. */
  raise(): void {
    this.#recording ??= import('../cpu-recording.js')
      .then(({ recordCpu }) => recordCpu(this.#worker))
      // A Node without an inspector, or one that may not use it.
      .catch(() => undefined)
  }

  get raised(): boolean {
    return this.#recording !== undefined
  }

  /** It was without a reason. */
  drop(): void {
    void this.#take(0)
  }

  /**
   * It was right: of the breach is told at once, or when the thread has handed over what was recorded of it. `foreseen`: what holds it now
   * was suspected to.
   */
  confirm(breach: Breach, foreseen = false): void {
    if (!this.raised) return this.#breached(breach)
    const native = breach.how === 'native computation'
    void this.#take(native && foreseen ? HAND_OVER_NATIVE : HAND_OVER).then((profile) => {
      if (profile === undefined) return this.#breached(breach)
      // It answered: it is in no single native call.
      this.#breached({ ...breach, ...(native && { how: 'spinning' }), profile })
    })
  }

  /** What was recorded, if the thread hands it over within so many milliseconds; ends the recording. */
  async #take(patience: number): Promise<RecordedCpu | undefined> {
    const recording = this.#recording
    this.#recording = undefined
    return (await recording)?.stop(patience)
  }
}
