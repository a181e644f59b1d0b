/** The doors of `process`: every member there is on a supported Node is judged here. */

import type { CheckImport } from '../../permissions/builtin-modules.js'
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import { words } from '../../permissions/words.js'
import { lock } from './lock.js'
import { recordVariables, type Used } from './recorder.js'

/**
 * They reach the process that all threads share, its files, its identity, or code that no hook sees. `exit`, `reallyExit` and `abort` stay:
 * they end this thread alone, and Node's own way of ending it at an uncaught error goes through them.
 */
export const CLOSED_OF_PROCESS: readonly string[] = words(`
  binding _linkedBinding _kill kill execve loadEnvFile chdir umask initgroups setgroups setegid seteuid setgid setuid
  _getActiveHandles _getActiveRequests _rawDebug openStdin
`)

/** Replaced: by what the plugin was granted, by what leads to its log, or by what asks the gate. */
export const REPLACED_OF_PROCESS: readonly string[] = words('cwd dlopen env getBuiltinModule mainModule report stderr stdin stdout title')

/** They tell of this thread, or of the process what does no harm, or change this thread alone. */
export const OPEN_OF_PROCESS: readonly string[] = words(`
  version versions arch platform release moduleLoadList domain config features uptime argv execArgv argv0 execPath pid ppid debugPort exitCode
  exit reallyExit abort _exiting _fatalException _tickCallback nextTick emitWarning assert hrtime getActiveResourcesInfo
  cpuUsage threadCpuUsage resourceUsage memoryUsage constrainedMemory availableMemory getuid geteuid getgid getegid getgroups allowedNodeEnvironmentFlags
  setUncaughtExceptionCaptureCallback hasUncaughtExceptionCaptureCallback addUncaughtExceptionCaptureCallback
  sourceMapsEnabled setSourceMapsEnabled finalization ref unref permission _preload_modules _forceRepl
  constructor _events _eventsCount _maxListeners setMaxListeners getMaxListeners emit addListener on prependListener once prependOnceListener
  removeListener off removeAllListeners listeners rawListeners listenerCount eventNames
`)

/** Not a copy in its place: the one object is in many hands already. */
export const closeProcess = (grants: Grants, deny: Deny, check: CheckImport, used?: Used): void => {
  for (const name of CLOSED_OF_PROCESS) {
    if (name in process) lock(process, name, () => deny(`use process.${name}()`))
  }
  const report = (name: string) => () => deny(`use process.report.${name}()`)
  // Node notes here, at each setUncaughtExceptionCaptureCallback, whether a report is wanted. What is noted in this one makes none.
  const kept = { reportOnUncaughtException: false }
  for (const name of ['getReport', 'writeReport']) lock(kept, name, report(name))
  lock(process, 'report', Object.preventExtensions(kept))
  const env = granted(process.env, grants.env)
  lock(process, 'env', used ? recordVariables(env, used) : env)
  lock(process, 'mainModule', undefined)
  // The checks of paths go by it.
  lock(process, 'cwd', process.cwd)
  if (!grants.addons) lock(process, 'dlopen', () => deny('load a native addon', 'addons', 'use'))
  const { title, getBuiltinModule } = process
  Object.defineProperty(process, 'title', {
    get: () => title,
    set: () => {
      deny('set process.title')
    },
    enumerable: true,
    configurable: false,
  })
  if (typeof getBuiltinModule === 'function') {
    lock(process, 'getBuiltinModule', (name: string) => {
      check(name)
      return getBuiltinModule(name)
    })
  }
}

/** The variables whose names are granted; a `*` at the end stands for the rest of a name. */
const granted = (env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv => {
  // Most get none: to look through all of them would take longer than the other doors of `process` together.
  if (names.length === 0) return {}
  const fits = (name: string): boolean =>
    names.some((given) => (given.endsWith('*') ? name.startsWith(given.slice(0, -1)) : name === given))
  return Object.fromEntries(Object.entries(env).filter(([name]) => fits(name)))
}
