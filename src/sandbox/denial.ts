/** What a plugin is told that tries a door which is closed to it. */
import { PlugbayError } from '../errors.js'
import { toAllow } from '../permission-set.js'

/** Throws PERMISSION_DENIED. `what`: what the plugin may not do; `entry`: the manifest entry that allows it, where one does. */
export type Deny = (what: string, entry?: string) => never

export const denyFor =
  (plugin: string): Deny =>
  (what, entry) => {
    const mend = entry === undefined ? 'No permission allows it in a thread.' : toAllow(entry)
    throw new PlugbayError('PERMISSION_DENIED', `Plugin '${plugin}' may not ${what}. ${mend}`, { plugin, details: { door: what } })
  }
