/** What nothing can be started by for a while, be it there or not: the system has no descriptor, process, thread or memory for it. */
import { codeOf } from '../wire-error.js'

const SHORTAGES = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'] as const

export type Shortage = (typeof SHORTAGES)[number]

/** Of a thread that cannot be made Node says it in the text alone. */
const NO_THREAD = /^Worker initialization failure: (\w+)$/

/** And so it does of a package.json that it cannot read on the way to a module. */
const NO_PACKAGE = /^Cannot read package config .*: (too many open files|file table overflow)\.$/s

const codeSaid = (error: unknown): string | undefined => {
  const code = codeOf(error)
  const said = (text: RegExp): string | undefined => text.exec((error as Error).message)?.[1]
  if (code === 'ERR_WORKER_INIT_FAILED') return said(NO_THREAD)
  if (code !== 'ERR_INVALID_PACKAGE_CONFIG') return code
  const reason = said(NO_PACKAGE)
  return reason === 'too many open files' ? 'EMFILE' : reason && 'ENFILE'
}

/** What the system lacked by this error, where that is why something failed. */
export const shortageOf = (error: unknown): Shortage | undefined => {
  const said = codeSaid(error)
  return SHORTAGES.find((shortage) => shortage === said)
}
