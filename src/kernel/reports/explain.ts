/** Why a plugin is not running. */

import { counted } from '../../sentence.js'
import { isOwn } from '../../wire-error.js'
import type { PluginState } from '../lifecycle/lifecycle.js'
import type { UnreadPlugin } from '../manifest/unread-plugins.js'
import type { Reconciler } from '../plugins/reconciler.js'
import type { FaultRecord, PluginInstance } from '../supervision/plugin-instance.js'

export interface Explanation {
  name: string
  state: string
  running: boolean
  /** The error code behind it, when there is one. */
  code: string | undefined
  /** One sentence. */
  because: string
  /** Plugins that cannot run because of this one; of a member of a circle, those outside of it that the circle holds back. */
  holdsBack: string[]
  /** Its newest faults, at most 20, the oldest first. */
  history: FaultRecord[]
}

/** It waits for that one, which does not run. */
const needs = ({ source, running }: PluginInstance, name: string): boolean => name in source.manifest.dependencies && !running

/** The members of the circle that keeps it from running: they are one cause. */
const circleOf = (error: Error | undefined): readonly string[] =>
  isOwn(error) && error.code === 'DEPENDENCY_CYCLE' ? (error.details?.['path'] as readonly string[]) : []

const sorted = (instances: readonly PluginInstance[]): string[] => instances.map(({ name }) => name).sort()

/** Of one that is no plugin as long as it cannot be read. */
export const explainUnread = ({ name, error }: UnreadPlugin, instances: readonly PluginInstance[]): Explanation => ({
  name,
  state: 'failed',
  running: false,
  code: error.code,
  because: error.message,
  holdsBack: sorted(instances.filter((other) => needs(other, name))),
  history: [],
})

const COMES_UP: ReadonlySet<PluginState> = new Set(['initializing', 'starting'])
/** Where it may still come to run by itself. */
const YET_TO_RUN: ReadonlySet<PluginState> = new Set(['discovered', 'resolved', ...COMES_UP])

/** What is under way with one that nothing keeps from running. */
const underWay = (
  { name, state, generation }: PluginInstance,
  instances: ReadonlyMap<string, PluginInstance>,
  { plan, closed }: Pick<Reconciler, 'plan' | 'closed'>,
): string => {
  if (generation && COMES_UP.has(state)) {
    const { initialize, load } = generation.phases
    const phase = state === 'starting' ? 'start' : load === undefined ? 'load' : initialize === undefined ? 'initialize' : 'start'
    return `It is in its ${phase}, which may take ${generation.limits[`${phase}Timeout`]} ms (limits.${phase}Timeout).`
  }
  if (closed) return `It is ${state}: the kernel was stopped.`
  if (!YET_TO_RUN.has(state)) return `It is ${state}.`
  const awaited = plan.dependenciesOf(name).flatMap((dependency) => instances.get(dependency) ?? [])
  const coming = awaited.filter((dependency) => YET_TO_RUN.has(dependency.state))
  if (coming.length > 0)
    return `It waits for ${coming.map((dependency) => `'${dependency.name}', which is ${dependency.state}`).join(', and for ')}.`
  const starting = [...instances.values()].filter((other) => COMES_UP.has(other.state)).length
  if (starting === 0) return `It is ${state}, and about to start.`
  return `It waits for its turn: ${counted(starting, 'plugin')} ${starting === 1 ? 'is' : 'are'} starting before it (maxConcurrency).`
}

export const explain = (
  instance: PluginInstance,
  instances: ReadonlyMap<string, PluginInstance>,
  reconciler: Pick<Reconciler, 'plan' | 'closed'>,
): Explanation => {
  const { name, state, running, enabled, restarts, shelved, lastExit } = instance
  const fault = instance.generation?.fault
  // It is told of before its supervisor knows.
  const error = instance.error ?? fault
  const causes = [...new Set([name, ...circleOf(error)])]
  const holdsBack = [...instances.values()].filter((other) => {
    const { details } = isOwn(other.error) ? other.error : {}
    const isHeldBackBy = (cause: string): boolean => details?.['root'] === cause || (!running && needs(other, cause))
    return !causes.includes(other.name) && causes.some(isHeldBackBy)
  })
  // To have ended by itself, as its policy lets it, is no error.
  const ended = error === fault && fault?.code === 'PLUGIN_STOPPED'
  const code = isOwn(error) && !ended ? error.code : undefined
  return {
    name,
    state,
    running,
    code,
    because: because(),
    holdsBack: sorted(holdsBack),
    history: [...instance.history],
  }

  function because(): string {
    if (running) return `It runs, in generation ${instance.generation?.number ?? instance.newest}.`
    if (!enabled) return 'It is disabled. Enable it with kernel.enable() or "enabled": true in its manifest.'
    if (restarts.waiting) return `It crashed and will be restarted. ${error?.message ?? ''}`
    const excluded = reconciler.plan.excluded.get(name)
    const root = error?.cause instanceof Error && code === 'DEPENDENCY_FAILED' ? ` ${error.cause.message}` : ''
    if (error) return error.message + root
    if (shelved && lastExit) return lastExit.reason
    return excluded?.message ?? underWay(instance, instances, reconciler)
  }
}
