/** The check of what a subscriber asks for: the bus makes it, and so does a plugin's end of the bus, where the mistake is. */
import { abortSignal, assertNoMore, isObject, type OptionChecks, optionsFault, shown, valueFault } from './arguments.js'
import { PlugbayError } from './errors.js'

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1

const SUBSCRIBE_OPTIONS: OptionChecks = {
  capacity: (value) => (isCount(value) ? undefined : 'Give a whole number of events, at least 1.'),
  concurrency: (value) =>
    isCount(value) || value === Number.POSITIVE_INFINITY ? undefined : 'Give a whole number, at least 1, or Infinity.',
  policy: (value) => (value === 'block' ? undefined : "The only policy is 'block'."),
  filter: (value) => (typeof value === 'function' ? undefined : 'Give a function of the event.'),
  once: (value) => (typeof value === 'boolean' ? undefined : 'Give true or false.'),
  signal: abortSignal,
}

const refuse = (pattern: string, what: string): never => {
  throw new PlugbayError('SUBSCRIPTION_OPTIONS', `The subscription to '${pattern}' ${what}`, { details: { pattern } })
}

/**
 * Tells apart what was given to `subscribe` after the pattern: a handler and options, or options alone. Throws `SUBSCRIPTION_OPTIONS` for
 * what is neither, above all for a handler that is no function: nobody would read the events of that subscription, and its publishers would
 * wait for ever.
 */
export const readSubscriber = <Handler, Options extends object>(
  pattern: string,
  given: readonly unknown[],
): { handler: Handler | undefined; options: Partial<Options> } => {
  const [first, second, ...more] = given
  assertNoMore(`subscribe('${pattern}')`, 'a pattern, a handler and options', more)
  if (given.length === 0) return { handler: undefined, options: {} }
  const handled = typeof first === 'function'
  if (!handled && (!isObject(first) || second !== undefined))
    refuse(pattern, `has ${shown(first)} for its handler. Give a function of the event, or leave it out to iterate the subscription.`)
  const handler = handled ? (first as Handler) : undefined
  const options = handled ? second : first
  if (options === undefined) return { handler, options: {} }
  const fault = optionsFault(options, SUBSCRIBE_OPTIONS)
  if (fault !== undefined) refuse(pattern, fault)
  return { handler, options: options as Partial<Options> }
}

/** Checks the values alone of what somebody asked for in code of our own, or by message. Throws `SUBSCRIPTION_OPTIONS`. */
export const assertSubscribeOptions = (options: object, pattern: string): void => {
  const fault = valueFault(options, SUBSCRIBE_OPTIONS)
  if (fault !== undefined) refuse(pattern, fault)
}
