/** Which kind of place a plugin runs in. */
import { PlugbayError } from '../errors.js'
import type { Grants } from '../sandbox/grants.js'
import { permissionFlags, type Reach } from '../sandbox/host/permission-flags.js'
import type { Standby } from '../sandbox/host/standby.js'
import { ThreadHost } from '../sandbox/host/thread.js'
import type { PluginHost } from '../sandbox/plugin-host.js'
import type { Isolation, PluginSource } from './manifest.js'
import { needsModuleHooks } from './module-access.js'
import type { EffectiveLimits } from './options.js'

/** Whether the threads of plugins hold them to their grants. */
export const GATED: boolean = false

/** What a place is made with where its kind holds to it. */
export interface PlaceNeeds {
  reach: Reach
  limits: EffectiveLimits
  grants: Grants
}

/** A new place of that kind, not started. Rejects with ISOLATION_UNAVAILABLE. */
export const placeFor = async (
  source: PluginSource,
  isolation: Isolation,
  standby: Standby,
  { reach, limits: { memory }, grants }: PlaceNeeds,
): Promise<PluginHost> => {
  if (isolation === 'thread') return new ThreadHost(standby, GATED ? permissionFlags(grants, reach) : [])
  // Loaded when it is needed: the guest's code comes with it.
  if (isolation === 'inline') return new (await import('../sandbox/host/inline.js')).InlineHost()
  const { name, root } = source
  const { dataDir } = reach
  if (isolation === 'process') {
    const [{ ProcessHost }, needsHooks] = await Promise.all([import('../sandbox/host/process.js'), needsModuleHooks(source)])
    return ProcessHost.make({ root, dataDir, grants, memory, needsHooks })
  }
  throw new PlugbayError(
    'ISOLATION_UNAVAILABLE',
    `Plugin '${name}' asks for isolation "${isolation}", which this version does not have yet. Use "process", "thread" or "inline".`,
    { plugin: name, details: { isolation } },
  )
}
