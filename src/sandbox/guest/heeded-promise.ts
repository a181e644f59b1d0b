/**
 * A promise that knows whether anybody asks what becomes of it. Where nobody does, its refusal is for whoever made it to tell, and ends no
 * process.
 */
/* oxlint-disable unicorn/no-thenable */
export class HeededPromise<T> extends Promise<T> {
  #heeded = false

  /** What is made of one is a promise like any other. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** Settles as `work` does. */
  static of<T>(work: Promise<T>): HeededPromise<T> {
    const promise = new HeededPromise<T>((resolve) => resolve(work))
    promise.unheeded().catch(() => {})
    return promise
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#heeded = true
    return super.then(fulfilled, rejected)
  }

  /** Resolves when it is settled; rejects as it does where nobody has heeded it until then. */
  async unheeded(): Promise<void> {
    await super.then(undefined, (reason: unknown) => {
      if (!this.#heeded) throw reason
    })
  }
}
