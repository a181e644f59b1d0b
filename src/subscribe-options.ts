/** The check of what a subscriber asks for: the bus makes it, and so does a plugin's end of the bus, where the mistake is. */
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

interface OptionCheck {
  /** Further names that are allowed. */
  known?: readonly string[]
  /** Says which of the names was meant by an unknown one; left out where its code would be too much to load. */
  hint?: (name: string, names: readonly string[]) => string
}

/** Checks what a subscriber asked for. Throws `SUBSCRIPTION_OPTIONS`. */
export const assertSubscribeOptions = (options: Asked, pattern: string, { known = [], hint = () => '' }: OptionCheck = {}): void => {
  const refuse = (what: string): never => {
    throw new PlugbayError('SUBSCRIPTION_OPTIONS', `The subscription to '${pattern}' ${what}`, { details: { pattern } })
  }
  const { capacity, concurrency, policy, filter, once, signal } = options
  const names = [...OPTION_NAMES, ...known]
  for (const key of Object.keys(options)) {
    if (!names.includes(key)) refuse(`has no option '${key}'.${hint(key, names)} It takes ${names.join(', ')}.`)
  }
  if (capacity !== undefined && !(Number.isSafeInteger(capacity) && (capacity as number) >= 1)) {
    refuse(`has capacity ${String(capacity)}. Give a whole number of events, at least 1.`)
  }
  if (
    concurrency !== undefined &&
    concurrency !== Number.POSITIVE_INFINITY &&
    !(Number.isSafeInteger(concurrency) && (concurrency as number) >= 1)
  ) {
    refuse(`has concurrency ${String(concurrency)}. Give a whole number, at least 1, or Infinity.`)
  }
  if (policy !== undefined && policy !== 'block') refuse(`has policy '${String(policy)}'. The only policy is 'block'.`)
  if (filter !== undefined && typeof filter !== 'function') refuse(`has a filter that is ${typeof filter}. Give a function of the event.`)
  if (once !== undefined && typeof once !== 'boolean') refuse(`has once = ${String(once)}. Give true or false.`)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    refuse('has a signal that is no AbortSignal. Give the signal of an AbortController.')
}
