/** PLUGIN_CRASHED: a plugin's place ended by itself. */
import { PlugbayError } from '../errors.js'
import type { Exit } from '../sandbox/plugin-host.js'
import { reasonOf } from '../wire-error.js'

/** `when`: "while it was running". */
export const crashError = (plugin: string, exit: Exit, when: string): PlugbayError => {
  const how =
    exit.error === undefined
      ? exit.signal === undefined
        ? `its place exited with code ${exit.code ?? 'unknown'}`
        : `its process was ended by ${exit.signal}`
      : `an uncaught error ended it: ${reasonOf(exit.error).replace(/\.$/, '')}`
  const mend =
    exit.error === undefined
      ? exit.signal === undefined
        ? 'Look for process.exit() in it.'
        : 'Look for what sends it that signal, for a native crash, and in its log for what Node said last.'
      : 'Catch the error where it happens; see its stack in the cause.'
  return new PlugbayError('PLUGIN_CRASHED', `Plugin '${plugin}' crashed ${when}: ${how}. ${mend}`, {
    plugin,
    cause: exit.error,
    details: { exitCode: exit.code },
  })
}
