/** What a plugin is told that asks for one more than it may have: the refusal, which harms nobody. */
import { PlugbayError } from '../../errors.js'

/** PLUGIN_LIMIT. `what`: what it may not do; `has`: what it has as many of as it may; `mend`: what to do instead. */
export const overLimit = (plugin: string, what: string, limit: string, allowed: number, has: string, mend: string): PlugbayError =>
  new PlugbayError('PLUGIN_LIMIT', `Plugin '${plugin}' may not ${what}: it ${has}, and ${allowed} is its limit (${limit}). ${mend}`, {
    plugin,
    details: { limit, allowed },
  })
