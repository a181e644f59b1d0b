/** How severe a text is that a plugin's place wrote to a standard stream. */
import type { LogLevel } from './protocol.js'

/** Node prints its own warnings on standard error too: they begin with `(node:<pid>)`. */
export const outputLevel = (stream: 'stdout' | 'stderr', text: string): LogLevel => {
  if (stream === 'stdout') return 'info'
  return /^\(node:\d+\) /.test(text) ? 'warn' : 'error'
}
