/** The log line of a handler or filter that threw. */
import { unended } from '../../sentence.js'
import { reasonOf } from '../../wire-error.js'

/** Fields and message; `whose` is who subscribed. */
export const handlerFailed = (
  whose: string,
  topic: string,
  pattern: string,
  error: unknown,
): [fields: Record<string, unknown>, message: string] => [
  { code: 'HANDLER_FAILED', topic, pattern, err: error },
  `A handler of ${whose} for '${pattern}' failed on '${topic}': ${unended(reasonOf(error))}. The event counts as handled: catch in the handler what may fail, and try again there.`,
]
