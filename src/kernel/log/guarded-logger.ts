/**
 * The logger that the embedder gave, made harmless: what it throws disturbs nobody, and the line it did not take is written all the same.
 */

import { unended } from '../../sentence.js'
import { isThenable } from '../../thenable.js'
import { reasonOf } from '../../wire-error.js'
import { type Logger, type LogMethod, readableLogger } from './log.js'

/**
 * Every line of the kernel and of its plugins goes through this, out of the middle of what they do. Lines that `given` throws at, or whose
 * promise it rejects, go to standard error; the first of them with why.
 */
export const guardedLogger = (given: Logger): Logger => {
  const instead = readableLogger('debug')
  let told = false
  const refused = (level: keyof Logger, fields: Record<string, unknown>, message: string | undefined, error: unknown): void => {
    if (!told) {
      told = true
      instead.error(
        { err: error },
        `The logger that the kernel was given failed at a line: ${unended(reasonOf(error))}. ` +
          'Such lines are written here. Let it take whatever plugins log, also a bigint and an object that refers back to itself.',
      )
    }
    instead[level](fields, message)
  }
  const guard =
    (level: keyof Logger): LogMethod =>
    (fields, message) => {
      try {
        const written: unknown = given[level](fields, message)
        if (isThenable(written)) written.then(undefined, (error: unknown) => refused(level, fields, message, error))
      } catch (error) {
        refused(level, fields, message, error)
      }
    }
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') }
}
