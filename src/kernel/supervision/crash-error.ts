/** A plugin's place ended by itself: PLUGIN_CRASHED, or PLUGIN_STOPPED where that is its own will. */
import { PlugbayError } from '../../errors.js'
import type { Exit } from '../../sandbox/plugin-host.js'
import { unended } from '../../sentence.js'
import { reasonOf } from '../../wire-error.js'
import { quoted } from '../announcing/brief-error.js'
import { systemLimit } from '../text/system-limit.js'

const toldOf = (error: unknown): string => unended(quoted(reasonOf(error)))

/** How it ended, and where to look. */
const waysOf = ({ error, exhausted, heard, signal, code, reason }: Exit): [how: string, mend: string] => {
  if (exhausted)
    return ['V8 ended its thread, which had no memory left', 'Look for what keeps growing in it, or takes much at once (limits.memory).']
  if (error !== undefined)
    return [`an uncaught error ended it: ${toldOf(error)}`, 'Catch the error where it happens; see its stack in the cause.']
  if (heard !== undefined)
    return [
      `its own listener for uncaught errors threw one, as it was told of this: ${toldOf(heard)}`,
      "Let what listens for 'uncaughtException' throw nothing; the error that it threw is in the log, and the one that it was told of in the cause.",
    ]
  if (signal !== undefined && reason !== undefined)
    return [`the kernel ended its process: ${reason}`, 'Look for what closes descriptor 3 in it, which the kernel talks on.']
  if (signal !== undefined)
    return [
      `its process was ended by ${signal}`,
      'Look for what sends it that signal, for a native crash, and in its log for what Node said last.',
    ]
  if (code === undefined)
    return ['it exits and does not end', 'Look for process.exit() in it, and for calls that never return, such as the read of a pipe.']
  return [`its place exited with code ${code}`, 'Look for process.exit() in it.']
}

/** Of one that its policy lets end so. */
export const ownEnd = (plugin: string): PlugbayError =>
  new PlugbayError(
    'PLUGIN_STOPPED',
    `Plugin '${plugin}' has ended by itself, with code 0. That is no fault by its policy (restart.policy): it stays stopped until it is reloaded.`,
    { plugin },
  )

/** `when`: "while it was running". SYSTEM_LIMIT for a place that did not come up for want of something. */
export const crashError = (plugin: string, exit: Exit, when: string): PlugbayError => {
  if (exit.shortage !== undefined) return systemLimit(plugin, exit.shortage, exit.error)
  const [how, mend] = waysOf(exit)
  return new PlugbayError('PLUGIN_CRASHED', `Plugin '${plugin}' crashed ${when}: ${how}. ${mend}`, {
    plugin,
    cause: exit.error ?? exit.heard,
    details: { exitCode: exit.code },
  })
}
