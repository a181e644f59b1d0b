/**
 * Something far away, before those who take it for a value at hand: who turns it into text, awaits it or prints it. To ask it would be a
 * call.
 */

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * What is that text in a template, in a log line, in a debugger. The members that text is made by answer here, and nothing else does: it
 * has no prototype.
 */
export const labelled = (text: string): object => {
  const label = (): string => text
  return Object.assign(Object.create(null) as object, { [Symbol.toPrimitive]: label, [INSPECT]: label, toString: label })
}

/** Asked of anything by those who await it or turn it into text or JSON: no methods, unless it is known to have them. */
const ASKED_OF_ALL: ReadonlySet<PropertyKey> = new Set(['then', 'toString', 'valueOf', 'toJSON', 'inspect'])

/** Whether those ask for a property. */
export const isAskedOfAll = (key: PropertyKey): boolean => typeof key === 'symbol' || ASKED_OF_ALL.has(key)

type Method = (...args: unknown[]) => Promise<unknown>

/** A method they may call: they do not wait for its answer, so a rejection must be nobody's. */
export const unwaited =
  (method: Method): Method =>
  (...args) => {
    const answer = method(...args)
    answer.catch(() => {})
    return answer
  }
