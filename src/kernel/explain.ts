/** Why a plugin is not running. */
import { isOwn } from '../wire-error.js'
import type { Plan } from './dependency-graph.js'
import type { FaultRecord, PluginInstance } from './plugin-instance.js'

export interface Explanation {
  name: string
  state: string
  running: boolean
  /** The error code behind it, when there is one. */
  code: string | undefined
  /** One sentence. */
  because: string
  /** Plugins that cannot run because of this one. */
  holdsBack: string[]
  /** Its newest faults, at most 20, the oldest first. */
  history: FaultRecord[]
}

export const explain = (instance: PluginInstance, instances: ReadonlyMap<string, PluginInstance>, plan: Plan): Explanation => {
  const { name, state, running, enabled, retry, shelved, lastExit } = instance
  // It is told of before its supervisor knows.
  const error = instance.error ?? instance.generation?.fault
  const holdsBack = [...instances.values()].filter((other) => {
    const { details } = isOwn(other.error) ? other.error : {}
    return other !== instance && (details?.['root'] === name || (!running && name in other.source.manifest.dependencies && !other.running))
  })
  const code = isOwn(error) ? error.code : undefined
  return {
    name,
    state,
    running,
    code,
    because: because(),
    holdsBack: holdsBack.map((other) => other.name).sort(),
    history: [...instance.history],
  }

  function because(): string {
    if (running) return `It runs, in generation ${instance.generation?.number ?? instance.newest}.`
    if (!enabled) return 'It is disabled. Enable it with kernel.enable() or "enabled": true in its manifest.'
    if (retry) return `It crashed and will be restarted. ${error?.message ?? ''}`
    const excluded = plan.excluded.get(name)
    const root = error?.cause instanceof Error && code === 'DEPENDENCY_FAILED' ? ` ${error.cause.message}` : ''
    if (error) return error.message + root
    if (shelved && lastExit) return lastExit.reason
    return excluded?.message ?? `It is ${state}.`
  }
}
