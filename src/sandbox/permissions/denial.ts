/** What a plugin is told that tries a door which is closed to it. */
import { PlugbayError } from '../../errors.js'
import { entryFor, toAllow } from '../../permission-set.js'

/**
 * Throws PERMISSION_DENIED. `what`: what the plugin may not do; `resource` and `action`: of the permission that allows it, where one does;
 * `entry`: what to grant in its place.
 */
export type Deny = (what: string, resource?: string, action?: string, entry?: string) => never

/** `tell`: takes each denial; what no permission allows by its own name, such as `process.kill()`. */
export const denyFor =
  (plugin: string, tell: (resource: string, action: string) => void): Deny =>
  (what, resource, action = 'use', entry) => {
    const mend = resource === undefined ? 'No permission allows it in a thread.' : toAllow(entry ?? entryFor(resource, action))
    tell(resource ?? what, action)
    throw new PlugbayError('PERMISSION_DENIED', `Plugin '${plugin}' may not ${what}. ${mend}`, {
      plugin,
      details: { door: what, ...(resource !== undefined && { resource, action }) },
    })
  }
