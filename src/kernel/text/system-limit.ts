/**
 * What could not be made or read because the system gives the application no more: SYSTEM_LIMIT, with what is lacking, and who may have it.
 */
import { PlugbayError } from '../../errors.js'
import { type Shortage, shortageOf } from '../../sandbox/shortage.js'

const LACKS: Record<Shortage, string> = {
  EMFILE:
    'the application has no free descriptor (EMFILE). Raise its limit (ulimit -n), or look for files and sockets that are opened in it and not closed, by plugins in threads that may open some, too.',
  ENFILE:
    'the system has no free descriptor (ENFILE). Raise its limit (on Linux fs.file-max), or look for the process that has so many files and sockets open.',
  EAGAIN:
    'the system gives its user, or its container, no more processes and threads (EAGAIN). Raise that limit (ulimit -u, the pids.max of a control group), or look for what starts so many.',
  ENOMEM:
    'the system has no memory for it (ENOMEM). Give it more, or look for what takes so much; the limit may be that of its container or of the application (ulimit -v).',
}

/** `what`: of what it is the end, such as "Plugin 'mail' cannot be started". */
export const systemLimit = (
  plugin: string | undefined,
  shortage: Shortage,
  cause: unknown,
  what = `Plugin '${plugin}' cannot be started`,
): PlugbayError => new PlugbayError('SYSTEM_LIMIT', `${what}: ${LACKS[shortage]}`, { plugin, cause, details: { shortage } })

/** Throws the error itself, or SYSTEM_LIMIT where it is for want of something that the system has no more of. */
export const explainShortage =
  (plugin: string | undefined, what?: string) =>
  (error: unknown): never => {
    const shortage = shortageOf(error)
    throw shortage === undefined ? error : systemLimit(plugin, shortage, error, what)
  }

/**
 * SYSTEM_LIMIT of a file or folder that could not be read for want of such; undefined where that is for another reason, and its own fault.
 */
export const unreadForWant = (path: string, error: unknown, plugin?: string): PlugbayError | undefined => {
  const shortage = shortageOf(error)
  return shortage && systemLimit(plugin, shortage, error, `${path} cannot be read`)
}

/** Of what is lacking for tasks. */
export const noThreadForTasks = (plugin: string): string => `No thread was made for tasks of plugin '${plugin}'`
