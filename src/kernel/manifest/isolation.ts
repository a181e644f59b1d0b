/** Where a plugin runs, and who has said so. */
import { PlugbayError } from '../../errors.js'
import type { ResolvedOptions } from '../options/options.js'
import type { Isolation, Manifest } from './manifest.js'

/**
 * Who chose a plugin's isolation: who looks into it, the kernel's options by name, the kernel after too many faults, the manifest, or the
 * kernel's defaults.
 */
export type IsolationSource = 'inspected' | 'operator' | 'demoted' | 'manifest' | 'default'

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

/**
 * Of a plugin that somebody looks into. To end a thread that has an inspector crashes Node now and then, and does not end it while a
 * debugger is on it; inline there is no place to look into.
 */
export const inspectedPlacement = (chosen: Placement): Placement =>
  chosen.isolation === 'inline' ? chosen : { isolation: 'process', from: 'inspected' }

/** ISOLATION_UNAVAILABLE: the plugin's manifest asks for a place that is not built. The kernel's options cannot name one. */
export const isolationUnavailable = (plugin: string, isolation: Isolation): PlugbayError =>
  new PlugbayError(
    'ISOLATION_UNAVAILABLE',
    `Plugin '${plugin}' asks for isolation '${isolation}', which this version does not have yet. Use 'process', 'thread' or 'inline'.`,
    { plugin, details: { isolation } },
  )
