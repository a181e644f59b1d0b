/** Work on the kernel's own thread whose length somebody else decides, by what a manifest says: ended when it takes too long. */
import { createContext, Script } from 'node:vm'

/** Milliseconds: as long as a plugin may hang by default, and many times what an honest schema takes, on a busy machine too. */
export const TIME_LIMIT = 1_000

interface Clock {
  place: { work: () => void }
  script: Script
}

let clock: Clock | undefined

/** V8 ends what a script calls, a regular expression included, on every Node; a script of one call is all it takes. */
const made = (): Clock => {
  const place = createContext({ work: () => {} }) as Clock['place'] // oxlint-disable-line typescript/no-unsafe-type-assertion
  return { place, script: new Script('work()') }
}

const isLate = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && Reflect.get(error, 'code') === 'ERR_SCRIPT_EXECUTION_TIMEOUT'

/**
 * What `work` returns. Where it takes more than {@link TIME_LIMIT}, it is ended wherever it is, without its `finally`, and what `late` makes is thrown: what it
 * was changing is not to be used any more.
 */
export const withTimeLimit = <T>(work: () => T, late: () => Error): T => {
  clock ??= made()
  const { place, script } = clock
  let result: { value: T } | undefined
  place.work = () => {
    result = { value: work() }
  }
  try {
    script.runInContext(place, { timeout: TIME_LIMIT })
  } catch (error) {
    throw isLate(error) ? late() : error
  } finally {
    place.work = () => {}
  }
  return (result as unknown as { value: T }).value // oxlint-disable-line typescript/no-unsafe-type-assertion
}
