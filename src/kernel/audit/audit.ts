/**
 * What goes into the audit log: who did what to which plugin, what it was granted, and what came of it. Never a value of a configuration.
 */
import { isDeepStrictEqual } from 'node:util'
import { cut } from '../../cut.js'
import type { Permission } from '../../permission-set.js'
import type { Tier } from '../../sandbox/plugin-host.js'
import { codeOf, isOwn, reasonOf } from '../../wire-error.js'
import type { KernelEventHandlers, KernelEvents } from '../lifecycle/kernel-events.js'
import type { PluginState } from '../lifecycle/lifecycle.js'
import type { Placement } from '../manifest/isolation.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { Attribution } from './attribution.js'
import type { AuditLog } from './audit-log.js'
import type { AuditEntry } from './chain.js'
import { RestartEntries } from './restart-entries.js'
import { SummedEntries } from './summed-entries.js'

/** Somebody does something to the kernel, or to that plugin: the audit log, where one is kept, says who before it is done. */
export type Act = <T>(
  action: string,
  plugin: { name: string; newest: number } | undefined,
  by: Attribution | undefined,
  run: () => Promise<T>,
) => Promise<T>

/** What follows by itself, without anybody asking. */
const KERNEL = 'kernel'
const EMBEDDER = 'embedder'

/** States that a plugin is in from crash to crash. */
const RESTARTED: ReadonlySet<PluginState> = new Set(['failed', 'resolved', 'initializing', 'starting', 'running'])

/** With these a generation follows from the crash of another, of its own plugin or of one that this depends on. */
const AFTER_CRASH: ReadonlySet<string> = new Set(['crash', 'dependency'])

/** A text is cut here: one message must not fill a file. */
const MAX_TEXT = 2_000

const short = (text: string): string => cut(text, MAX_TEXT)

/** What an error says, without the value where it is about a configuration. */
const saidBy = (error: unknown): string => {
  if (!isOwn(error) || error.code !== 'CONFIG_INVALID') return short(reasonOf(error))
  const problems = error.details?.['problems']
  const paths = Array.isArray(problems) ? problems.map(({ path }: { path?: unknown }) => String(path)) : []
  return `Its configuration is not valid${paths.length > 0 ? `: ${short(paths.join(', '))}` : ''}.`
}

/** The keys whose values differ. */
const changedKeys = (before: object, after: object): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => !isDeepStrictEqual(Reflect.get(before, key), Reflect.get(after, key)))
    .sort()

export interface AuditOptions {
  log: AuditLog
  /** Why a plugin does not run. */
  errorOf(plugin: string): Error | undefined
}

export class Audit {
  readonly #options: AuditOptions
  readonly #denied = new SummedEntries('more was denied to it than is written one by one')
  readonly #faults = new SummedEntries('it had more faults than are written one by one')
  readonly #restarts = new RestartEntries()
  /** What each plugin was granted, as it was written last. */
  readonly #granted = new Map<string, object>()

  /** What the log has of each. */
  readonly #enter: KernelEventHandlers = {
    'plugin:state': ({ name, generation, from, to, reason }) => {
      const error = this.#options.errorOf(name)
      const said = error !== undefined && reasonOf(error) === reason ? saidBy(error) : short(reason)
      if (!RESTARTED.has(to) && !this.#restarts.isRetired(name, generation)) this.#endRestarts([name])
      if (!this.#restarts.isSilent(name)) this.#tellSummed([name])
      this.#afterRestart({ kind: 'plugin.state', plugin: name, generation, actor: KERNEL, reason: said, details: { from, to } })
    },
    'plugin:fault': ({ name, generation, error, lost, restartIn }) => {
      const code = codeOf(error)
      const entry = { plugin: name, generation, reason: saidBy(error) }
      if (isOwn(error) && code === 'PERMISSION_DENIED')
        return this.#deniedTo(name, { kind: 'plugin.denied', ...entry, actor: name, details: { code } }, error, restartIn !== undefined)
      const fault = {
        kind: 'plugin.fault',
        ...entry,
        actor: KERNEL,
        details: { code, lost, restartIn: restartIn && Math.round(restartIn) },
      }
      if (restartIn !== undefined) return this.#append(this.#restarts.crash(name, fault))
      const ends = (isOwn(error) && code === 'PLUGIN_CRASH_LOOP') || (lost !== undefined && !this.#restarts.isRetired(name, generation))
      if (ends) {
        this.#endRestarts([name])
        return this.#append([fault])
      }
      // It goes on, and may do the same again: of its tasks, say.
      const told = this.#faults.take(name, fault, 1)
      if (told !== undefined) this.#append([told])
    },
    'plugin:replaced': ({ name, from, to, reason, moved, left }) => {
      const details = { from, moved, left: left.map(short) }
      if (!AFTER_CRASH.has(reason)) this.#endRestarts([name])
      this.#afterRestart({ kind: 'plugin.replaced', plugin: name, generation: to, actor: KERNEL, reason, details })
    },
    'plugin:stuck': ({ name, generation }) => {
      const reason = 'its thread is held by native code'
      this.#options.log.append({ kind: 'plugin.stuck', plugin: name, generation, actor: KERNEL, reason })
    },
    'plugin:demoted': ({ name, generation, from, to, reason }) => {
      this.#endRestarts([name])
      const entry = { plugin: name, generation, actor: KERNEL, reason: short(reason) }
      this.#options.log.append({ kind: 'plugin.demoted', ...entry, details: { from, to } })
    },
    'kernel:state': (moved) => this.#options.log.append({ kind: 'kernel.state', actor: KERNEL, details: { ...moved } }),
  }

  constructor(options: AuditOptions) {
    this.#options = options
  }

  /** Somebody asks for something: that is written before it is done, and once more if it is refused or fails. */
  async act<T>(action: string, plugin: { name: string; newest: number } | undefined, by: Attribution, run: () => Promise<T>): Promise<T> {
    const { log } = this.#options
    const actor = by.actor ?? EMBEDDER
    const target = plugin && { plugin: plugin.name, generation: plugin.newest }
    this.#endRestarts(plugin && [plugin.name])
    log.append({ kind: 'action', ...target, actor, reason: by.reason, details: { action } })
    try {
      return await run()
    } catch (error) {
      log.append({ kind: 'action.failed', ...target, actor, reason: saidBy(error), details: { action, code: codeOf(error) } })
      throw error
    }
  }

  /** What the kernel tells of itself and its plugins. */
  told<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    this.#enter[event](payload)
  }

  /** `restarted`: it is started again for that. */
  #deniedTo(plugin: string, entry: AuditEntry, error: unknown, restarted: boolean): void {
    // The error tells of those before it that were not told on their own.
    const unsaid = isOwn(error) ? error.details?.['unsaid'] : undefined
    const told = this.#denied.take(plugin, entry, 1 + (typeof unsaid === 'number' ? unsaid : 0))
    if (told !== undefined) this.#options.log.append(told)
    if (restarted) this.#restarts.begin(plugin, entry, told !== undefined)
  }

  #tellSummed(plugins?: string[]): void {
    for (const summed of [this.#denied, this.#faults]) this.#append(summed.rest(plugins))
  }

  #append(entries: readonly AuditEntry[]): void {
    for (const entry of entries) this.#options.log.append(entry)
  }

  /** Of what may follow from a crash. */
  #afterRestart(entry: AuditEntry & { plugin: string }): void {
    this.#append(this.#restarts.after(entry.plugin, entry))
  }

  #endRestarts(plugins?: string[]): void {
    this.#append(this.#restarts.end(plugins))
  }

  /**
   * A generation was made, for that reason, or after the crash of that other plugin: all that it may do, and how strongly its place holds
   * it to that.
   */
  granted(
    { name, version }: PluginSource,
    generation: number,
    { isolation, from, tier }: Placement & { tier: Tier },
    permissions: readonly Permission[],
    reason: string,
    after?: string,
  ): void {
    const details = { version, isolation, isolationFrom: from, tier, permissions }
    const entry = { kind: 'plugin.granted', plugin: name, generation, actor: KERNEL, reason, details }
    const same = AFTER_CRASH.has(reason) && isDeepStrictEqual(details, this.#granted.get(name))
    if (!same) this.#endRestarts([name])
    this.#granted.set(name, details)
    if (same && after !== undefined) this.#append(this.#restarts.follow(name, after, entry))
    else this.#afterRestart(entry)
  }

  /** A generation has another configuration than the plugin had before: which of its keys differ. */
  configured(name: string, generation: number, before: object | undefined, after: object, reason: string): void {
    const keys = changedKeys(before ?? {}, after)
    if (before === undefined || keys.length === 0) return
    this.#options.log.append({ kind: 'config.changed', plugin: name, generation, actor: KERNEL, reason, details: { keys } })
  }

  /** Writes what waits, and ends the log. */
  close(): Promise<void> {
    this.#tellSummed()
    this.#endRestarts()
    return this.#options.log.close()
  }
}
