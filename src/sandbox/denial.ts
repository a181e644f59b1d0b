/** What a plugin is told that tries a door which is closed to it. */
import { PlugbayError } from '../errors.js'

/** Throws PERMISSION_DENIED. `what`: what the plugin may not do; `entry`: the manifest entry that allows it, where one does. */
export type Deny = (what: string, entry?: string) => never

export const denyFor =
  (plugin: string): Deny =>
  (what, entry) => {
    const mend =
      entry === undefined ? 'No permission allows it in a thread.' : `To allow it, add ${entry} to "permissions" in its plugin.json.`
    throw new PlugbayError('PERMISSION_DENIED', `Plugin '${plugin}' may not ${what}. ${mend}`, { plugin, details: { door: what } })
  }

/** An entry of a manifest's `permissions`, as it is written there. */
export const entryFor = (resource: string, action: string): string => `{ "resource": "${resource}", "actions": ["${action}"] }`
