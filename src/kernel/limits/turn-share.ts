/**
 * The share of one turn of the kernel's thread that a plugin has for what it asks; what goes beyond it waits in order, and lets others have
 * theirs first.
 */

/** Milliseconds of one turn. */
const SHARE = 4
/** What is asked is also answered, and that takes its time elsewhere. */
const AT_ONCE = 32

export class TurnShare {
  readonly #waiting: (() => void)[] = []
  #spent = 0
  #done = 0
  #renewing = false

  /** What `work` returns: now, or when its turn has come. */
  take<T>(work: () => T): T | Promise<Awaited<T>> {
    if (this.#waiting.length === 0 && this.#has()) return this.#do(work)
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(this.#do(work) as Awaited<T>)
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #has(): boolean {
    return this.#spent < SHARE && this.#done < AT_ONCE
  }

  #do<T>(work: () => T): T {
    if (!this.#renewing) {
      this.#renewing = true
      setImmediate(this.#renew)
    }
    this.#done++
    const began = performance.now()
    try {
      return work()
    } finally {
      this.#spent += performance.now() - began
    }
  }

  readonly #renew = (): void => {
    this.#renewing = false
    this.#spent = this.#done = 0
    let next = 0
    while (next < this.#waiting.length && this.#has()) this.#waiting[next++]?.()
    this.#waiting.splice(0, next)
  }
}
