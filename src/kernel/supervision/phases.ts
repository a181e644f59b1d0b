/** The phases of a generation's life: the limit of each, and what is told of one that fails. */
import { type ErrorCode, PlugbayError } from '../../errors.js'
import type { GuestVerbs } from '../../sandbox/protocol.js'
import { codeOf, isOwn, reasonOf } from '../../wire-error.js'
import { quoted } from '../announcing/brief-error.js'
import type { Gateway } from '../gateway/gateway.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { Readable } from '../modules/readable.js'
import type { EffectiveLimits } from '../options/options.js'

export type Phase = keyof GuestVerbs &
  ('inspect' | 'load' | 'initialize' | 'start' | 'stop' | 'drain' | 'health' | 'updateConfig' | 'snapshot' | 'restore')

/** What a phase that throws is reported as, and the limit that holds for it. */
const PHASES: Record<Phase, { code: ErrorCode; limit: keyof EffectiveLimits }> = {
  inspect: { code: 'PLUGIN_LOAD', limit: 'loadTimeout' },
  load: { code: 'PLUGIN_LOAD', limit: 'loadTimeout' },
  initialize: { code: 'PLUGIN_INITIALIZE', limit: 'initializeTimeout' },
  start: { code: 'PLUGIN_START', limit: 'startTimeout' },
  drain: { code: 'PLUGIN_STOP', limit: 'stopTimeout' },
  stop: { code: 'PLUGIN_STOP', limit: 'stopTimeout' },
  health: { code: 'PLUGIN_STATE', limit: 'healthTimeout' },
  updateConfig: { code: 'CONFIG_INVALID', limit: 'startTimeout' },
  snapshot: { code: 'PLUGIN_STOP', limit: 'stopTimeout' },
  restore: { code: 'PLUGIN_START', limit: 'startTimeout' },
}

/** Where to look for what does not end in a phase, where that is no function of the plugin's of that name. */
const PLACES: Partial<Record<Phase, string>> = { load: 'its modules, such as a top-level await,', drain: 'its handlers of events' }

/** Whose phases they are: a generation. */
export interface PhaseOwner {
  readonly number: number
  readonly source: PluginSource
  readonly limits: EffectiveLimits
  readonly gateway: Pick<Gateway, 'refusalIn'>
  /** What its plugin may read of files. */
  readonly readable: Readable
}

/** Milliseconds that it may take. */
export const timeoutOf = (phase: Phase, limits: EffectiveLimits): number => limits[PHASES[phase].limit]

/** What a phase that failed over `error`, after `elapsed` ms, is told as: the plugin's fault, with where to look. */
export const phaseFault = async (owner: PhaseOwner, phase: Phase, elapsed: number, error: unknown): Promise<PlugbayError> => {
  const { source, number, limits } = owner
  const { name } = source
  const details = { phase, generation: number, elapsed: Math.round(elapsed) }
  if (!isOwn(error)) return saidFault(owner, phase, error, details)
  if (error.code === 'PLUGIN_STOPPED') return error
  const { code, limit } = PHASES[phase]
  const options = { plugin: name, cause: error, details }
  if (error.code !== 'CALL_TIMEOUT') return new PlugbayError(code, `Plugin '${name}' failed in ${phase}: ${quoted(error.message)}`, options)
  const awaited = phase === 'load' ? await (await import('../faults/load-fault.js')).awaitedImport(source) : undefined
  const where = PLACES[phase] ?? `its ${phase}`
  const mend = awaited ?? `Look for something in ${where} that never ends, or raise the limit.`
  return new PlugbayError(
    'PLUGIN_TIMEOUT',
    `Plugin '${name}' did not finish '${phase}' in time: ${details.elapsed} ms went by, its limit is ${limits[limit]} ms (limits.${limit}). ${mend}`,
    { ...options, details: { ...details, limit, allowed: limits[limit] } },
  )
}

/** What the guest says that the phase failed over. Whatever that is, it decides nothing here but what is told. */
const saidFault = async (
  { source, gateway, readable }: PhaseOwner,
  phase: Phase,
  said: unknown,
  details: Record<string, unknown>,
): Promise<PlugbayError> => {
  const plugin = source.name
  const code = codeOf(said)
  if (phase === 'load' && said instanceof Error && (code === 'PLUGIN_LOAD' || code === 'PLUGIN_SHAPE')) {
    const fault = new PlugbayError(code, said.message, { plugin, cause: said.cause, details })
    // Loaded when it is needed: most plugins load.
    const { explainLoadFault, explainShape } = await import('../faults/load-fault.js')
    return code === 'PLUGIN_LOAD' ? explainLoadFault(fault, source, readable) : explainShape(fault, source)
  }
  const taken = gateway.refusalIn(said)
  return new PlugbayError(PHASES[phase].code, `Plugin '${plugin}' failed in ${phase}: ${quoted(reasonOf(said))}`, {
    plugin,
    cause: said,
    details: taken === undefined ? details : { ...details, taken },
  })
}
