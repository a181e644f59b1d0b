/** A plugin was to be stopped while something of it came up or changed: that ends at once, with PLUGIN_STOPPED. */
import { PlugbayError } from '../../errors.js'
import { unended } from '../../sentence.js'

/** `when`: "during start". The signal's reason says why it was stopped. */
export const interrupted = (plugin: string, when: string, { reason }: AbortSignal): PlugbayError =>
  new PlugbayError('PLUGIN_STOPPED', `Plugin '${plugin}' was stopped ${when}: ${unended(String(reason))}.`, { plugin })

/** Throws PLUGIN_STOPPED where it is to be stopped. */
export const assertGoesOn = (plugin: string, signal: AbortSignal): void => {
  if (signal.aborted) throw interrupted(plugin, 'before it was started', signal)
}
