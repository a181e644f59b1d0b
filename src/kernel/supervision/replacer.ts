/**
 * Replaces generations by their next: that of one plugin, or of several whose changes go together, in one turn. Whatever fails before
 * leaves all that was there as it is.
 */
import { PlugbayError } from '../../errors.js'
import { reasonOf } from '../../wire-error.js'
import type { Gateway } from '../gateway/gateway.js'
import type { Attempt } from '../lifecycle/attempt.js'
import { assertGoesOn, interrupted } from '../lifecycle/interrupted.js'
import type { KernelEvents } from '../lifecycle/kernel-events.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { Succession } from '../services/succession.js'
import type { Generation } from './generation.js'
import type { PluginInstance } from './plugin-instance.js'
import type { Restarts } from './restarts.js'

/** Why a generation is replaced. */
export type ReplaceReason = 'crash' | 'dependency' | 'file change' | 'configuration' | 'reload' | 'upgrade'

/** With these something is new. */
const ASKED_FOR: ReadonlySet<string> = new Set(['file change', 'configuration', 'reload', 'upgrade'])

/** Whether earlier crashes say nothing about what a plugin is from now on, for that reason. */
export const beginsAnew = (restarts: Restarts, reason: ReplaceReason | 'start'): boolean =>
  reason === 'file change' ? restarts.pardoned : ASKED_FOR.has(reason)

/** What changes with the next generation; what is left out stays. */
export interface Change {
  source?: PluginSource
  /** The configuration as given to the kernel, before defaults. */
  config?: object
  /** Nothing but another plugin that it depends on, which crashed and came back. */
  after?: string
}

/** What a change may be carried out together with: others that wait. */
export interface Partners {
  /** Those that come up whatever happens, in that order; the plugin itself is among them. */
  readonly order: readonly string[]
  /** All others whose changes wait: part of it where one that is takes what they have. */
  readonly others: ReadonlyMap<string, { instance: PluginInstance; change: Change }>
  /** Told of each other that has taken over with it. */
  joined(plugin: string): void
}

/** A generation that comes up beside its predecessor. */
interface Heir {
  instance: PluginInstance
  old: Generation
  change: Change
  next: Generation | undefined
  /** Lets others do something to the plugin again. */
  release: (() => void) | undefined
}

export type Replacement = KernelEvents['plugin:replaced']

/** Why a generation is made, as the audit log says it, and among whom it takes over; undefined where it has no predecessor. */
export interface Birth {
  reason: ReplaceReason | 'start'
  succession?: Succession
}

export interface ReplacerOptions {
  /** Makes the next generation, not started. */
  make(instance: PluginInstance, change: Change, birth: Birth): Promise<Generation>
  /** The next one serves, with that change. `began`: when its start did, of `performance.now()`. */
  started(instance: PluginInstance, change: Change, began: number): void
  /** It was not replaced. */
  fault(instance: PluginInstance, generation: number, error: Error): void
  emit(event: 'plugin:replaced', replacement: Replacement): void
  /** Makes changes of services of which nobody hears before all are made. */
  together(make: () => void): void
}

export class Replacer {
  readonly #options: ReplacerOptions

  constructor(options: ReplacerOptions) {
    this.#options = options
  }

  /**
   * The plugin's next generation takes over from `old`, together with its partners. Rejects where one of them does not come up: then none
   * takes over.
   */
  async replace(
    instance: PluginInstance,
    old: Generation,
    change: Change,
    reason: ReplaceReason,
    attempt: Attempt,
    partners?: Partners,
  ): Promise<Replacement> {
    const first = heirOf(instance, old, change)
    const { signal } = attempt
    const began = performance.now()
    const succession = new Succession(partners?.others)
    const heirs: Heir[] = []
    const enter = async (name: string): Promise<void> => {
      succession.enter(name)
      const heir = name === first.instance.name ? first : await partnerOf(partners, name, attempt)
      if (heir) heirs.push(heir)
    }
    /** Whose fault it is when something fails. */
    let active: { heir: Heir; generation?: Generation } = { heir: first }
    try {
      for (const name of partners?.order ?? [first.instance.name]) await enter(name)
      for (const heir of heirs) {
        active = { heir }
        await this.#comeUp(heir, { reason, succession }, signal)
        for (const name of succession.wanted) await enter(name)
      }
      for (const heir of heirs) await this.#handState(heir, signal, (generation) => (active = { heir, generation }))
      const leaving = leavingOf(heirs)
      for (const heir of heirs) {
        const { next: generation } = heir
        if (generation === undefined) continue
        active = { heir, generation }
        // While others came up it may have died, and an outsider may have taken what it found free. From here to the end of the take-over
        // nothing else runs.
        if (generation.fault) throw generation.fault
        generation.gateway.assertMayTakeOver(leaving)
      }
    } catch (error) {
      await attempt.judge()
      const { heir, generation } = active
      await undo(heirs, reasonOf(error), signal.aborted ? undefined : generation)
      // Another is tried by itself, too: that tells its fault.
      const fault = heir === first ? (error as Error) : partnerFailed(first.instance.name, heir.instance.name, error)
      // Of a restart it is told with what comes next; to be stopped is no fault.
      if (reason !== 'crash' && !signal.aborted)
        this.#options.fault(first.instance, (heir === first && generation?.number) || first.instance.newest, fault)
      throw fault
    }
    attempt.keep()
    const replacement = await this.#takeOver(heirs, first, reason, began)
    for (const { instance } of heirs) if (instance !== first.instance) partners?.joined(instance.name)
    return replacement
  }

  async #comeUp(heir: Heir, birth: Birth, signal: AbortSignal): Promise<void> {
    const { instance, change } = heir
    assertGoesOn(instance.name, signal)
    heir.next = await this.#options.make(instance, change, birth)
    await heir.next.start(signal)
  }

  /** What the old generation leaves to the next, where both know how. `active` is told who is at work. */
  async #handState({ old, next }: Heir, signal: AbortSignal, active: (generation: Generation) => unknown): Promise<void> {
    if (!next || !old.alive || !old.has('snapshot') || !next.has('restore')) return
    active(old)
    const state = await this.#lastStateOf(old, signal)
    active(next)
    await next.restore(state, signal)
  }

  async #takeOver(heirs: readonly Heir[], first: Heir, reason: ReplaceReason, began: number): Promise<Replacement> {
    const leaving = leavingOf(heirs)
    const moved = new Map<Heir, number>()
    // In one turn: no event and no call falls between the generations.
    this.#options.together(() => {
      for (const heir of heirs) {
        const { instance, old, next, change } = heir
        if (!next) continue
        // Not before: of one that crashed and whose change fails, the restart is still to come.
        instance.restarts.cancel()
        moved.set(heir, next.gateway.takeOver(old.gateway, leaving))
        instance.enter(next)
        if (beginsAnew(instance.restarts, reason)) instance.restarts.forget(change.source !== undefined)
        this.#options.started(instance, change, began)
      }
    })
    const ms = performance.now() - began
    const replacements = heirs.map(async (heir): Promise<Replacement> => {
      const { instance, old, next, release } = heir
      const left = await instance.retire(old, `replaced: ${reason}`)
      const to = next?.number ?? old.number
      const replacement: Replacement = { name: instance.name, from: old.number, to, reason, ms, moved: moved.get(heir) ?? 0, left }
      this.#options.emit('plugin:replaced', replacement)
      release?.()
      return replacement
    })
    await Promise.all(replacements)
    return replacements[heirs.indexOf(first)] as Promise<Replacement>
  }

  /** The old generation finishes what it has in hand, then its state is what the new one starts from. */
  async #lastStateOf(old: Generation, signal: AbortSignal): Promise<unknown> {
    old.gateway.pause()
    await old.drainEvents(signal)
    return old.snapshot(signal)
  }
}

const leavingOf = (heirs: readonly Heir[]): readonly Gateway[] => heirs.map(({ old }) => old.gateway)

const heirOf = (instance: PluginInstance, old: Generation, change: Change, release?: () => void): Heir => ({
  instance,
  old,
  change,
  next: undefined,
  release,
})

/** One whose change waits, with the plugin held for it; undefined for one that does not run: it has nothing that anybody could take. */
const partnerOf = async (partners: Partners | undefined, name: string, attempt: Attempt): Promise<Heir | undefined> => {
  const partner = partners?.others.get(name)
  if (partner === undefined) return undefined
  const { instance, change } = partner
  const leave = instance.takePart(attempt)
  try {
    const letGo = await instance.hold(attempt.signal)
    const release = (): void => {
      leave()
      letGo()
    }
    const old = instance.generation
    if (old?.alive) return heirOf(instance, old, change, release)
    release()
    return undefined
  } catch {
    leave()
    throw interrupted(name, 'as it waited to be replaced', attempt.signal)
  }
}

/** None of them takes over, for that reason: each predecessor goes on. `failed`: whose fault it is. */
const undo = async (heirs: readonly Heir[], reason: string, failed: Generation | undefined): Promise<void> => {
  for (const { old, next, release } of heirs) {
    await next?.discard(reason, next === failed)
    if (old.alive) old.gateway.resume()
    release?.()
  }
}

/** The error of a plugin that was not replaced because its change goes together with that of another, which failed. */
const partnerFailed = (name: string, partner: string, cause: unknown): PlugbayError =>
  new PlugbayError(
    'DEPENDENCY_FAILED',
    `Plugin '${name}' was not replaced: its change goes together with that of '${partner}', which failed. ${reasonOf(cause)}`,
    { plugin: name, cause, details: { root: partner, together: true } },
  )
