/** Work on the kernel's own thread whose length somebody else decides, by what a manifest says: ended when it takes too long. */
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { createContext, Script } from 'node:vm'
import { shortageOf } from '../../sandbox/shortage.js'

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

/** More than the clock takes, which is five. */
const DESCRIPTORS = 8

/** Throws as the system does: where the clock cannot be made, Node ends the whole process. */
const assertDescriptors = (): void => {
  const taken: number[] = []
  try {
    while (taken.length < DESCRIPTORS) taken.push(openSync(devNull, 'r'))
  } catch (error) {
    if (shortageOf(error) !== undefined) throw error
  } finally {
    for (const descriptor of taken) closeSync(descriptor)
  }
}

const isLate = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && Reflect.get(error, 'code') === 'ERR_SCRIPT_EXECUTION_TIMEOUT'

/**
 * What `work` returns. Where it takes more than {@link TIME_LIMIT}, it is ended wherever it is, without its `finally`, and what `late`
 * makes is thrown: what it was changing is not to be used any more. Throws for want of descriptors.
 */
export const withTimeLimit = <T>(work: () => T, late: () => Error): T => {
  assertDescriptors()
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
