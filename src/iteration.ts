/** A `for await` over events: who asks for one more has done with one, and leaving the loop ends it all. */
import { PlugbayError } from './errors.js'

/** Takes the next event, or that there is none any more. */
export type Give<E> = (result: IteratorResult<E, undefined>) => void

/** Who waits for the next event: it is given to the one that waits longest. */
export class Readers {
  readonly #waiting: Give<never>[] = []

  get none(): boolean {
    return this.#waiting.length === 0
  }

  add(give: Give<never>): void {
    this.#waiting.push(give)
  }

  give(event: never): void {
    this.#waiting.shift()?.({ value: event, done: false })
  }

  /** There is no next one. */
  end(): void {
    for (const give of this.#waiting.splice(0)) give({ value: undefined, done: true })
  }
}

/** What is iterated. */
export interface Iterated<E> {
  ask(give: Give<E>): void
  /** So many of the events that were given are handled. */
  done(count: number): void
  end(): void
}

/** Throws SUBSCRIPTION_OPTIONS where somebody else reads them: `readers` is undefined. */
export function assertReadable(readers: Readers | undefined, pattern: string): asserts readers is Readers {
  if (readers !== undefined) return
  throw new PlugbayError(
    'SUBSCRIPTION_OPTIONS',
    `The subscription to '${pattern}' has a handler and cannot be iterated. Subscribe without a handler to iterate.`,
    { details: { pattern } },
  )
}

/** As `AsyncIterableIterator<E, undefined>`, which has one parameter alone before TypeScript 5.6. */
export interface Iteration<E> extends AsyncIterator<E, undefined> {
  [Symbol.asyncIterator](): Iteration<E>
}

export const iterationOf = <E>(source: Iterated<E>): Iteration<E> => {
  let held = 0
  const putBack = (count: number): void => {
    held -= count
    if (count > 0) source.done(count)
  }
  const iterator: Iteration<E> = {
    next: () => {
      putBack(Math.min(held, 1))
      return new Promise((resolve) => {
        source.ask((result) => {
          if (result.done !== true) held++
          resolve(result)
        })
      })
    },
    return: () => {
      source.end()
      putBack(held)
      return Promise.resolve({ value: undefined, done: true })
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
