/**
 * A fault as it is told: in the log, in the audit log, to listeners and on the bus. A plugin says what its errors say, and is not to fill
 * these with it.
 */
import { cut } from '../../cut.js'
import { again, toWire, type WireError } from '../../wire-error.js'

/** Characters of one text; of a longer one the rest is left out. */
const TEXT = 4_096
/** Characters of what a plugin's error says within a sentence of the kernel's: that is to be told whole, also in the audit log. */
const QUOTED = 1_500
/** Characters of an error with its causes that are told as they are. */
const WHOLE = 16_384
/** Causes of causes that are told of one that is longer. */
const CAUSES = 3

export const brief = (text: string): string => cut(text, TEXT)

export const quoted = (text: string): string => cut(text, QUOTED)

const sizeOf = ({ message, stack = '', details, properties, cause, errors = [] }: WireError): number =>
  message.length +
  stack.length +
  (details || properties ? JSON.stringify([details, properties]).length : 0) +
  [...errors, ...(cause ? [cause] : [])].reduce((sum, each) => sum + sizeOf(each), 0)

const briefWire = (wire: WireError, depth = 0): WireError => {
  const { message, stack, cause, errors: _, properties: __, ...rest } = wire
  const said = brief(message)
  const short: WireError = { ...rest, message: said }
  // Where it was thrown comes after what it says.
  if (stack !== undefined) short.stack = brief(stack.replace(message, () => said))
  if (rest.details && JSON.stringify(rest.details).length > TEXT) short.details = { omitted: `more than ${TEXT} characters of details` }
  if (cause && depth < CAUSES) short.cause = briefWire(cause, depth + 1)
  return short
}

/** The error itself, or of one that is very long another with the beginnings of its texts. */
export const briefError = (error: Error): Error => {
  const wire = toWire(error)
  return sizeOf(wire) <= WHOLE ? error : again(error, briefWire(wire))
}
