/** The check of what providers and users of services ask for: the kernel makes it, and so does a plugin's end, where the mistake is. */
import { abortSignal, milliseconds, type OptionChecks, optionsFault, shown } from './arguments.js'
import { PlugbayError } from './errors.js'
import { lengthFault, MAX_NAME } from './names.js'

const text = (example: string) => (value: unknown) => {
  if (typeof value !== 'string') return `Give one such as '${example}'.`
  return lengthFault(value) === undefined ? undefined : `Give one of at most ${MAX_NAME} characters, such as '${example}'.`
}

export const PROVIDE_OPTIONS: OptionChecks = { version: text('1.0.0') }
export const CALL_OPTIONS: OptionChecks = { timeout: milliseconds, signal: abortSignal }
export const USE_OPTIONS: OptionChecks = { range: text('^1.0.0'), wait: milliseconds, ...CALL_OPTIONS }

/** Throws SERVICE_NAME_INVALID for a name that is no text, or too long. Whether it is a good one, the registry says. */
export function assertServiceName(name: unknown): asserts name is string {
  if (typeof name !== 'string')
    throw new PlugbayError('SERVICE_NAME_INVALID', `The name of a service is a text, and not ${shown(name)}. Give one such as 'users'.`)
  const fault = lengthFault(name)
  if (fault !== undefined)
    throw new PlugbayError('SERVICE_NAME_INVALID', `The name of a service, ${shown(name)}, ${fault}. Give one such as 'users'.`)
}

/** The most methods of one service: each user of it is told of all of them. */
export const MAX_METHODS = 1_000

/** Throws SERVICE_SHAPE for methods that are none or too many, or whose names are too long or no texts. */
export function assertMethods(methods: unknown, service: string, plugin: string): asserts methods is readonly string[] {
  const refuse = (what: string): never => {
    throw new PlugbayError('SERVICE_SHAPE', `Service '${service}' of plugin '${plugin}' ${what}`, { plugin, details: { service } })
  }
  if (!Array.isArray(methods)) return refuse('has no list of methods.')
  if (methods.length === 0)
    return refuse('has no methods: nobody could call it. Give its object a function for each; a value or a getter is no method.')
  if (methods.length > MAX_METHODS)
    return refuse(
      `has ${methods.length} methods, more than ${MAX_METHODS}. Give it one that takes the name of what is to be done, or provide several.`,
    )
  for (const method of methods as unknown[]) {
    if (typeof method !== 'string') return refuse(`has a method whose name is ${shown(method)}, and no text.`)
    const fault = lengthFault(method)
    if (fault !== undefined) return refuse(`has a method ${shown(method)} whose name ${fault}. Give it a shorter one.`)
  }
}

/** `what`: the beginning of a sentence, such as "The use of service 'users'". Throws SERVICE_OPTIONS. */
export const assertServiceOptions = (what: string, options: unknown, checks: OptionChecks): void => {
  const fault = optionsFault(options, checks)
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
