/** Which kind of place a plugin runs in. */

import { permissionFlags, type Reach } from '../../sandbox/host/permission-flags.js'
import type { Standby } from '../../sandbox/host/standby.js'
import { ThreadHost } from '../../sandbox/host/thread.js'
import type { Grants } from '../../sandbox/permissions/grants.js'
import type { PluginHost } from '../../sandbox/plugin-host.js'
import { isolationUnavailable, type Placement } from '../manifest/isolation.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { needsModuleHooks } from '../modules/module-access.js'
import type { EffectiveLimits } from '../options/options.js'

/** What a place is made with where its kind holds to it. */
export interface PlaceNeeds {
  reach: Reach
  /** Absolute. */
  dataDir: string
  limits: EffectiveLimits
  grants: Grants
  /** An inspector is opened in it: then nothing holds it that would close that. */
  inspected: boolean
}

/** A new place of that kind, not started. Rejects with ISOLATION_UNAVAILABLE. */
export const placeFor = async (
  source: PluginSource,
  placement: Placement,
  standby: Standby,
  { reach, dataDir, limits: { memory }, grants, inspected }: PlaceNeeds,
): Promise<PluginHost> => {
  const { isolation } = placement
  if (isolation === 'thread') return new ThreadHost(standby, permissionFlags(grants, reach))
  // Loaded when it is needed: the guest's code comes with it.
  if (isolation === 'inline') return new (await import('../../sandbox/host/inline.js')).InlineHost()
  const { name, root } = source
  if (isolation === 'process') {
    const [{ ProcessHost }, needsHooks] = await Promise.all([import('../../sandbox/host/process.js'), needsModuleHooks(source)])
    return ProcessHost.make({ plugin: name, root, dataDir, packages: reach.packages, grants, memory, needsHooks, inspected })
  }
  throw isolationUnavailable(name, isolation)
}
