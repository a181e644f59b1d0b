/** A `for await` over events, one at a time: asking for the next says that the last one is done, and leaving the loop ends it all. */

/** Takes the next event, or that there is none any more. */
export type Give<E> = (result: IteratorResult<E, undefined>) => void

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
