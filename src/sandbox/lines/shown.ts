/** How something far away shows as text: in a template, in a log line, in a debugger; to ask it would be a call. */

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** The members that text is made by. They answer here, and nothing else does: it has no prototype. */
export const shownAs = (text: string): object => {
  const show = (): string => text
  return Object.assign(Object.create(null) as object, { [Symbol.toPrimitive]: show, [INSPECT]: show, toString: show })
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
