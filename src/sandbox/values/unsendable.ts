/** What is said of a value that cannot be sent, wherever it was on its way to. */
import { cut } from '../../cut.js'
import { PlugbayError } from '../../errors.js'
import { unended } from '../../sentence.js'
import { reasonOf } from '../../wire-error.js'
import { MARKED } from './uncloneable-part.js'

export interface About {
  plugin?: string
  details?: Record<string, unknown>
}

/** More of what a value is written as says no more. */
const MAX_SOURCE = 60
const MAX_REASON = 300
const REFUSED = ' could not be cloned'

/** What the platform says: for a function that is all its code. */
const brief = (reason: string): string => {
  const said = unended(reason)
  if (!said.endsWith(REFUSED)) return cut(said, MAX_REASON)
  const source = said.slice(0, -REFUSED.length)
  const line = source.split('\n', 1)[0] as string
  return source.length <= MAX_SOURCE && line === source ? said : `${line.slice(0, MAX_SOURCE)}…${REFUSED}`
}

/**
 * `what`: the value and where it was to go, as the beginning of a sentence that goes on "… cannot cross a thread"; `path`: to what cannot,
 * within it.
 */
export const notCloneable = (
  what: string,
  cause: unknown,
  { path, ...about }: About & { path?: string | undefined } = {},
): PlugbayError => {
  const reason = reasonOf(cause)
  const told = brief(reason)
  const behind = told === unended(reason) ? cause : Object.assign(new Error(`${told}.`), { name: 'DataCloneError' })
  const mark = MARKED.exec(path ?? '')?.[1]
  const why =
    mark === undefined ? told : `${mark}() marks an argument or a result of a method of a service, itself and not inside of another value`
  const mend =
    mark === undefined
      ? 'Send plain data (what structuredClone accepts); leave out functions, iterators, sockets, streams and class instances with private state.'
      : 'Everything else is copied: give the value without the mark, or hand it over by such a method.'
  return new PlugbayError(
    'PAYLOAD_NOT_CLONEABLE',
    `${what} cannot cross a thread: ${why}${path === undefined ? '' : `, at ${path}`}. ${mend}`,
    {
      ...about,
      cause: behind,
      ...(path === undefined ? {} : { details: { ...about.details, path } }),
    },
  )
}

/** The same of what threads of one process may send each other: `what` goes on "… cannot cross", `reason` says why. */
export const bound = (what: string, reason: unknown, { path, ...about }: About & { path?: string | undefined } = {}): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_NOT_CLONEABLE',
    `${what} cannot cross: ${unended(reasonOf(reason))}${path === undefined ? '' : `, at ${path}`}. Send plain data in its place, such as the bytes of a Blob.`,
    { ...about, details: { ...about.details, ...(path === undefined ? {} : { path }) } },
  )

/** `what` as above; sizes in bytes. */
export const tooLarge = (what: string, size: number, limit: number, about: About = {}): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_TOO_LARGE',
    `${what} is too large: some ${size} bytes, and the limit is ${limit} (limits.message). Send it in parts, keep it in a file or a service and send its name, or raise the limit.`,
    { ...about, details: { ...about.details, size, limit } },
  )

/** The same of the arguments or the result of a call. */
export const tooLargeForCall = (what: string, size: number, limit: number, about: About = {}): PlugbayError =>
  new PlugbayError(
    'PAYLOAD_TOO_LARGE',
    `${what} too large: some ${size} bytes or more, and the limit of a call is ${limit}. Many small objects weigh more than what is in them: send them in parts, as an async iterable, or as one text. Move buffers with transfer(), or keep it in a file and send its name.`,
    { ...about, details: { ...about.details, size, limit } },
  )
