/** A `for await` over events, one at a time: asking for the next says that the last one is done, and leaving the loop ends it all. */
import { Ring } from './ring.js'

/** Takes the next event, or that there is none any more. */
export type Give<E> = (result: IteratorResult<E, undefined>) => void

/** Who waits for the next event: it is given to the one that waits longest. */
export class Readers {
  readonly #waiting = new Ring<Give<never>>()

  get none(): boolean {
    return this.#waiting.size === 0
  }

  add(give: Give<never>): void {
    this.#waiting.push(give)
  }

  give(event: never): void {
    this.#waiting.shift()?.({ value: event, done: false })
  }

  /** There is no next one. */
  end(): void {
    for (let give = this.#waiting.shift(); give !== undefined; give = this.#waiting.shift()) give({ value: undefined, done: true })
  }
}

/** What is iterated. */
export interface Iterated<E> {
  ask(give: Give<E>): void
  /** The event that was given last is handled. */
  done(): void
  end(): void
}

export const iterationOf = <E>(source: Iterated<E>): AsyncIterableIterator<E, undefined> => {
  let holding = false
  const putBack = (): void => {
    if (holding) source.done()
    holding = false
  }
  const iterator: AsyncIterableIterator<E, undefined> = {
    next: () => {
      putBack()
      return new Promise((resolve) => {
        source.ask((result) => {
          holding = result.done !== true
          resolve(result)
        })
      })
    },
    return: () => {
      source.end()
      putBack()
      return Promise.resolve({ value: undefined, done: true })
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
