/** A thread that is about to go past a limit is looked at while it still can be: what it did is known when it has. */
import type { Worker } from 'node:worker_threads'
import type { RecordedCpu } from '../cpu-profile.js'
import type { Recording } from '../cpu-recording.js'

/** Milliseconds before the end of a limit from which a thread is suspected: enough samples to tell where it is, and little of the limit. */
export const SUSPECT_FOR = 500

export class Suspicion {
  readonly #worker: Worker
  #recording: Promise<Recording | undefined> | undefined

  constructor(worker: Worker) {
    this.#worker = worker
  }

  /** From now on it is recorded what the thread does. Loaded here: most processes never need it. */
  raise(): void {
    this.#recording ??= import('../cpu-recording.js')
      .then(({ recordCpu }) => recordCpu(this.#worker))
      // A Node without an inspector, or one that may not use it.
      .catch(() => undefined)
  }

  /** It was without a reason. */
  drop(): void {
    void this.take(0)
  }

  /** What was recorded, if the thread hands it over within so many milliseconds; ends the recording. */
  async take(patience: number): Promise<RecordedCpu | undefined> {
    const recording = this.#recording
    this.#recording = undefined
    return (await recording)?.stop(patience)
  }

  get raised(): boolean {
    return this.#recording !== undefined
  }
}
