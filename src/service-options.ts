/** The check of what providers and users of services ask for: the kernel makes it, and so does a plugin's end, where the mistake is. */
import { abortSignal, type Hint, milliseconds, type OptionChecks, optionsFault, shown } from './arguments.js'
import { PlugbayError } from './errors.js'

const text = (example: string) => (value: unknown) => (typeof value === 'string' ? undefined : `Give one such as '${example}'.`)

export const PROVIDE_OPTIONS: OptionChecks = { version: text('1.0.0') }
export const CALL_OPTIONS: OptionChecks = { timeout: milliseconds, signal: abortSignal }
export const USE_OPTIONS: OptionChecks = { range: text('^1.0.0'), wait: milliseconds, ...CALL_OPTIONS }

/** Throws SERVICE_NAME_INVALID for a name that is no text. Whether it is a good one, the registry says. */
export function assertServiceName(name: unknown): asserts name is string {
  if (typeof name === 'string') return
  throw new PlugbayError('SERVICE_NAME_INVALID', `The name of a service is a text, and not ${shown(name)}. Give one such as 'users'.`)
}

/** `what`: the beginning of a sentence, such as "The use of service 'users'". Throws SERVICE_OPTIONS. */
export const assertServiceOptions = (what: string, options: unknown, checks: OptionChecks, hint?: Hint): void => {
  const fault = optionsFault(options, checks, hint)
  if (fault !== undefined) throw new PlugbayError('SERVICE_OPTIONS', `${what} ${fault}`)
}

/** Throws SERVICE_OPTIONS. */
export const assertListener = (name: string, listener: unknown): void => {
  if (typeof listener === 'function') return
  throw new PlugbayError(
    'SERVICE_OPTIONS',
    `The watch of service '${name}' has ${shown(listener)} for its listener. Give a function of the change.`,
  )
}
