/**
 * Ends this process whatever holds it: another process sees to it from outside, as a thread of this one that is stuck would be waited for,
 * by all there is to wait with.
 */

/** Milliseconds that the process may take to end: whatever listens to its 'exit' works in that time. */
const PATIENCE = 5_000

/** Ends by itself when the other process does: the pipe between them closes. Nobody else that has got its number since is ended. */
const watchOver = (pid: number): string => `
  const end = () => process.exit()
  process.stdin.on('end', end).on('error', end).resume()
  setTimeout(() => {
    if (process.ppid === ${pid}) process.kill(${pid}, 'SIGKILL')
    end()
  }, ${PATIENCE})`

/** The modules are asked for here: `import` would wait for a thread that may be the one that is stuck. */
export const endProcess = (code: number): never => {
  const { spawn } = process.getBuiltinModule('node:child_process')
  // A program that has Node in it would start itself.
  if (!process.getBuiltinModule('node:sea').isSea()) {
    try {
      spawn(process.execPath, ['-e', watchOver(process.pid)], {
        stdio: ['pipe', 'ignore', 'ignore'],
        // Signals to the group of this process are not meant for it.
        detached: true,
        windowsHide: true,
        env: { SystemRoot: process.env['SystemRoot'] },
      }).on('error', () => {})
    } catch {
      // This process may start no other.
    }
  }
  return process.exit(code)
}
