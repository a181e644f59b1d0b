/** The check of what a subscriber asks for: the bus makes it, and so does a plugin's end of the bus, where the mistake is. */
import { isObject, kindOf } from './arguments.js'
import { PlugbayError } from './errors.js'

const OPTION_NAMES = ['capacity', 'concurrency', 'policy', 'filter', 'once', 'signal']

interface Asked {
  capacity?: unknown
  concurrency?: unknown
  policy?: unknown
  filter?: unknown
  once?: unknown
  signal?: unknown
}

/** Says which of the names was meant by an unknown one; left out where its code would be too much to load. */
type Hint = (name: string, names: readonly string[]) => string

const refuse = (pattern: string, what: string): never => {
  throw new PlugbayError('SUBSCRIPTION_OPTIONS', `The subscription to '${pattern}' ${what}`, { details: { pattern } })
}

/**
 * Tells apart what was given to `subscribe` after the pattern: a handler and options, or options alone. Throws `SUBSCRIPTION_OPTIONS` for what is
 * neither, above all for a handler that is no function: nobody would read the events of that subscription, and its publishers would wait for ever.
 */
export const readSubscriber = <Handler, Options extends object>(
  pattern: string,
  given: readonly unknown[],
  hint: Hint = () => '',
): { handler: Handler | undefined; options: Partial<Options> } => {
  const [first, second] = given
  if (given.length === 0) return { handler: undefined, options: {} }
  const handled = typeof first === 'function'
  if (!handled && (!isObject(first) || second !== undefined))
    refuse(pattern, `has a handler that is ${kindOf(first)}. Give a function of the event, or leave it out to iterate the subscription.`)
  const options = handled ? second : first
  if (options === undefined) return { handler: first as Handler, options: {} }
  if (!isObject(options))
    return refuse(pattern, `has options that are ${kindOf(options)}. Give an object with any of ${OPTION_NAMES.join(', ')}.`)
  for (const key of Object.keys(options)) {
    if (!OPTION_NAMES.includes(key))
      refuse(pattern, `has no option '${key}'.${hint(key, OPTION_NAMES)} It takes ${OPTION_NAMES.join(', ')}.`)
  }
  return { handler: handled ? (first as Handler) : undefined, options }
}

/** Checks the values of what a subscriber asked for. Throws `SUBSCRIPTION_OPTIONS`. */
export const assertSubscribeOptions = ({ capacity, concurrency, policy, filter, once, signal }: Asked, pattern: string): void => {
  if (capacity !== undefined && !(Number.isSafeInteger(capacity) && (capacity as number) >= 1)) {
    refuse(pattern, `has capacity ${String(capacity)}. Give a whole number of events, at least 1.`)
  }
  if (
    concurrency !== undefined &&
    concurrency !== Number.POSITIVE_INFINITY &&
    !(Number.isSafeInteger(concurrency) && (concurrency as number) >= 1)
  ) {
    refuse(pattern, `has concurrency ${String(concurrency)}. Give a whole number, at least 1, or Infinity.`)
  }
  if (policy !== undefined && policy !== 'block') refuse(pattern, `has policy '${String(policy)}'. The only policy is 'block'.`)
  if (filter !== undefined && typeof filter !== 'function')
    refuse(pattern, `has a filter that is ${kindOf(filter)}. Give a function of the event.`)
  if (once !== undefined && typeof once !== 'boolean') refuse(pattern, `has once = ${String(once)}. Give true or false.`)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    refuse(pattern, 'has a signal that is no AbortSignal. Give the signal of an AbortController.')
}
