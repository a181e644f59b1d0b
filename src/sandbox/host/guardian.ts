/**
 * Ends the group of a plugin's process when this process is gone, where no sandbox does: a loop never sees that its channel has closed, and
 * `setpriv` ends one process alone.
 */
import { type ChildProcess, spawn } from 'node:child_process'

/** It waits for a line that never comes: what it reads from closes with this process, however that ends. */
const SCRIPT = 'read _; kill -9 "-$0"'

/**
 * Lasts until the process does: a number that is free may be somebody else's next. On Windows, where there is no shell for it, there is
 * none.
 */
export const guard = (child: ChildProcess): void => {
  if (child.pid === undefined || process.platform === 'win32') return
  const guardian = spawn('/bin/sh', ['-c', SCRIPT, String(child.pid)], {
    cwd: '/',
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
    // Signals to the group of this process are not meant for it.
    detached: true,
  })
  guardian.on('error', () => {})
  guardian.stdin?.on('error', () => {})
  // It keeps nobody from ending.
  guardian.unref()
  ;(guardian.stdin as { unref?(): void } | null)?.unref?.()
  child.once('exit', () => guardian.kill('SIGKILL'))
}
