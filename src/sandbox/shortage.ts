/** What nothing can be started by for a while, be it there or not: the system has no descriptor, process, thread or memory for it. */
import { codeOf } from '../wire-error.js'

const SHORTAGES = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'] as const

export type Shortage = (typeof SHORTAGES)[number]

/** Of a thread that cannot be made Node says it in the text alone. */
const NO_THREAD = /^Worker initialization failure: (\w+)$/

/** What the system lacked by this error, where that is why something failed. */
export const shortageOf = (error: unknown): Shortage | undefined => {
  const code = codeOf(error)
  const said = code === 'ERR_WORKER_INIT_FAILED' ? NO_THREAD.exec((error as Error).message)?.[1] : code
  return SHORTAGES.find((shortage) => shortage === said)
}
