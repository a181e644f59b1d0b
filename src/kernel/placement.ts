/** Which kind of place a plugin runs in. */
import { PlugbayError } from '../errors.js'
import type { Grants } from '../sandbox/grants.js'
import { permissionFlags, type Reach } from '../sandbox/host/permission-flags.js'
import type { Standby } from '../sandbox/host/standby.js'
import { ThreadHost } from '../sandbox/host/thread.js'
import type { PluginHost } from '../sandbox/plugin-host.js'
import type { Isolation, PluginSource } from './manifest.js'

/** Whether the places of plugins hold them to their grants. */
export const GATED: boolean = false

/** A new place of that kind, not started. `grants`: what it holds its plugin to, as far as it can be told from outside. Rejects with ISOLATION_UNAVAILABLE. */
export const placeFor = async (
  { name }: PluginSource,
  isolation: Isolation,
  standby: Standby,
  reach: Reach,
  grants: Grants | undefined,
): Promise<PluginHost> => {
  if (isolation === 'thread') return new ThreadHost(standby, grants && permissionFlags(grants, reach))
  // Loaded when it is needed: the guest's code comes with it.
  if (isolation === 'inline') return new (await import('../sandbox/host/inline.js')).InlineHost()
  throw new PlugbayError(
    'ISOLATION_UNAVAILABLE',
    `Plugin '${name}' asks for isolation "${isolation}", which this version does not have yet. Use "thread" or "inline".`,
    { plugin: name, details: { isolation } },
  )
}
