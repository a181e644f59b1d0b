/** What is said of a value that cannot be sent, wherever it was on its way to. */
import { PlugbayError, reasonOf } from '../errors.js'

interface About {
  plugin?: string
  details?: Record<string, unknown>
}

/** `what`: the value and where it was to go, as the beginning of a sentence that goes on "… cannot cross a thread". */
export const notCloneable = (what: string, cause: unknown, about: About = {}): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_NOT_CLONEABLE',
    `${what} cannot cross a thread: ${reasonOf(cause).replace(/\.$/, '')}. ` +
      'Send plain data (what structuredClone accepts); leave out functions, sockets, streams and class instances with private state.',
    { ...about, cause },
  )

/** `what` as above; sizes in bytes. */
export const tooLarge = (what: string, size: number, limit: number, about: About = {}): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_TOO_LARGE',
    `${what} is too large: some ${size} bytes, and the limit is ${limit} (limits.message). Send it in parts, keep it in a file or a service and send its name, or raise the limit.`,
    { ...about, details: { ...about.details, size, limit } },
  )
