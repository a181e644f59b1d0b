/** When a plugin that ended is started again: waits that grow from crash to crash, and an end to crash loops. */
import type { Exit } from '../../sandbox/plugin-host.js'
import type { EffectiveRestart } from '../options/options.js'

/** Whether an end by itself is the plugin's own will, and so no crash. One that is to run for ever never ends so. */
export const endsWell = ({ policy }: EffectiveRestart, { error, code }: Exit): boolean =>
  policy !== 'permanent' && error === undefined && code === 0

/** What is done about a crash: another start after `restartIn` ms, or none; `crashes` within the window when they were too many. */
export type Verdict = { restartIn: number } | { restartIn: undefined; crashes: number | undefined }

export class RestartRecord {
  /** Times of the crashes within the policy's window. */
  #crashes: number[] = []
  /** Crashes without a time of health between them. */
  #streak = 0
  #upSince: number | undefined

  /** A generation runs. */
  up(): void {
    this.#upSince = performance.now()
  }

  /** Nothing is held against it. */
  get clean(): boolean {
    return this.#streak === 0
  }

  /** What came before no longer counts: its code, its configuration or its operator has changed something. */
  forget(): void {
    this.#crashes = []
    this.#streak = 0
  }

  /** It crashed, or could not be started again. */
  ended({ policy, max, within, backoff }: EffectiveRestart): Verdict {
    const now = performance.now()
    const healthy = this.#upSince !== undefined && now - this.#upSince >= within
    this.#upSince = undefined
    if (policy === 'temporary') return { restartIn: undefined, crashes: undefined }
    this.#crashes = [...this.#crashes.filter((at) => now - at < within), now]
    this.#streak = healthy ? 1 : this.#streak + 1
    if (this.#crashes.length > max) {
      const crashes = this.#crashes.length
      this.forget()
      return { restartIn: undefined, crashes }
    }
    const wait = Math.min(backoff.max, backoff.initial * Math.min(backoff.factor ** (this.#streak - 1), Number.MAX_VALUE))
    // Half of the wait is chance, so that plugins felled by one cause do not all come back at one moment.
    return { restartIn: wait / 2 + (Math.random() * wait) / 2 }
  }
}
