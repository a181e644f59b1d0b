/** Where a plugin runs, and who has said so. */
import { PlugbayError } from '../errors.js'
import type { Isolation, Manifest } from './manifest.js'
import type { ResolvedOptions } from './options.js'

/** Who chose a plugin's isolation: the kernel's options by name, the kernel after too many faults, the manifest, or the kernel's defaults. */
export type IsolationSource = 'operator' | 'demoted' | 'manifest' | 'default'

export interface Placement {
  isolation: Isolation
  from: IsolationSource
}

/** The operator's word wins, then that the plugin was demoted, then its manifest's. */
export const placementOf = (
  { name, manifest }: { name: string; manifest: Pick<Manifest, 'isolation'> },
  { isolation, defaults }: Pick<ResolvedOptions, 'isolation' | 'defaults'>,
  demoted = false,
): Placement => {
  const chosen = Object.hasOwn(isolation, name) ? isolation[name] : undefined
  if (chosen !== undefined) return { isolation: chosen, from: 'operator' }
  if (demoted) return { isolation: 'process', from: 'demoted' }
  if (manifest.isolation !== undefined) return { isolation: manifest.isolation, from: 'manifest' }
  return { isolation: defaults.isolation, from: 'default' }
}

/** ISOLATION_UNAVAILABLE: there is no such place. */
export const isolationUnavailable = (plugin: string, { isolation, from }: Placement): PlugbayError => {
  const asks =
    from === 'operator' || from === 'default'
      ? `The kernel's options (${from === 'operator' ? `isolation.${plugin}` : 'defaults.isolation'}) ask for isolation '${isolation}' for plugin '${plugin}'`
      : `Plugin '${plugin}' asks for isolation '${isolation}'`
  return new PlugbayError('ISOLATION_UNAVAILABLE', `${asks}, which this version does not have yet. Use 'process', 'thread' or 'inline'.`, {
    plugin,
    details: { isolation, from },
  })
}
