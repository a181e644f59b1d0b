/** How severe a text is that a plugin's place wrote to a standard stream. */
import type { LogLevel } from '../protocol.js'

/** What Node's inspector says on standard error as debuggers come and go. */
const OF_INSPECTOR = /^(?:Debugger attached|Debugger ending|Waiting for the debugger to disconnect)/

/** Node prints its own warnings on standard error too: they begin with `(node:<pid>)`. */
export const outputLevel = (stream: 'stdout' | 'stderr', text: string): LogLevel => {
  if (stream === 'stdout' || OF_INSPECTOR.test(text)) return 'info'
  return /^\(node:\d+\) /.test(text) ? 'warn' : 'error'
}
