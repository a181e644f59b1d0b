/** What is said of a value that structured clone refuses, wherever it was on its way to. */
import { PlugbayError, reasonOf } from '../errors.js'

/** `what`: the value and where it was to go, as the beginning of a sentence that goes on "… cannot cross a thread". */
export const notCloneable = (
  what: string,
  cause: unknown,
  about: { plugin?: string; details?: Record<string, unknown> } = {},
): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_NOT_CLONEABLE',
    `${what} cannot cross a thread: ${reasonOf(cause).replace(/\.$/, '')}. ` +
      'Send plain data (what structuredClone accepts); leave out functions, sockets, streams and class instances with private state.',
    { ...about, cause },
  )
