/** Keeps plugins running: starts and stops them, and replaces a generation by the next for whatever reason there is. */
import { PlugbayError } from '../../errors.js'
import type { Exit } from '../../sandbox/plugin-host.js'
import type { Leftover } from '../../scope.js'
import { counted } from '../../sentence.js'
import { codeOf, isOwn, reasonOf } from '../../wire-error.js'
import type { Gateway } from '../gateway/gateway.js'
import type { Attempt } from '../lifecycle/attempt.js'
import { interrupted } from '../lifecycle/interrupted.js'
import type { KernelEvents } from '../lifecycle/kernel-events.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { Succession } from '../services/succession.js'
import type { Generation } from './generation.js'
import type { PluginInstance } from './plugin-instance.js'

/** Why a generation is replaced. */
export type ReplaceReason = 'crash' | 'dependency' | 'file change' | 'configuration' | 'reload' | 'upgrade'

/** With these something is new: earlier crashes say nothing about what runs now. */
const ASKED_FOR: ReadonlySet<ReplaceReason> = new Set(['file change', 'configuration', 'reload', 'upgrade'])

/** What changes with the next generation; what is left out stays. */
export interface Change {
  source?: PluginSource
  /** The configuration as given to the kernel, before defaults. */
  config?: object
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

/** Told of a generation whose place ended by itself, or broke a limit; `lost`: events it had taken and not handled. */
export type Crashed = (generation: Generation, exit: Exit, lost: number) => void

/** Why a generation is made, as the audit log says it, and among whom it takes over; undefined where it has no predecessor. */
export interface Birth {
  reason: ReplaceReason | 'start'
  succession?: Succession
}

export interface SupervisorOptions {
  /** Makes the next generation, not started. Rejects when its configuration or its place is not to be had. */
  make(instance: PluginInstance, change: Change, birth: Birth, crashed: Crashed): Promise<Generation>
  emit<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void
  /** Makes changes of services of which nobody hears before all are made. */
  together(make: () => void): void
  /** The change has been carried out: it holds for later generations too. */
  adopt(instance: PluginInstance, change: Change): void
  /** Whether it runs in a thread that nobody but its manifest or the defaults asked for. */
  demotable(instance: PluginInstance): boolean
  /** It runs again after a crash. */
  cameBack(instance: PluginInstance): void
  /** It failed, and is not started again. */
  givenUp(instance: PluginInstance): void
}

export class Supervisor {
  readonly #options: SupervisorOptions

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Starts a plugin that does not run. Rejects with what kept it from starting, or with PLUGIN_STOPPED once the attempt has ended; nothing of it is left then. */
  start(instance: PluginInstance, attempt: Attempt): Promise<void> {
    return instance.inTurn(async () => {
      if (!instance.running) await this.#start(instance, attempt)
    })
  }

  async #start(instance: PluginInstance, attempt: Attempt): Promise<void> {
    const { signal } = attempt
    instance.restarts.cancel()
    const began = performance.now()
    try {
      assertGoesOn(instance, signal)
      instance.rest('resolved', 'start')
      const next = await this.#options.make(instance, {}, { reason: 'start' }, this.#crashed(instance))
      instance.enter(next)
      await next.start(signal)
      this.#started(instance, {}, began)
    } catch (error) {
      await attempt.judge()
      // To be stopped is no fault of its own.
      const failed = !signal.aborted
      instance.notStarted(error as Error, performance.now() - began, failed ? 'failed' : 'stopped')
      if (failed) this.#fault(instance, instance.newest, error as Error)
      throw error
    }
  }

  #fault(instance: PluginInstance, generation: number, error: Error, more: { lost?: number; restartIn?: number } = {}): void {
    instance.remember({ at: Date.now(), code: codeOf(error), message: reasonOf(error), generation })
    this.#options.emit('plugin:fault', { name: instance.name, generation, error, ...more })
  }

  #started(instance: PluginInstance, change: Change, began: number): void {
    instance.started(performance.now() - began)
    this.#options.adopt(instance, change)
  }

  /**
   * Replaces the generation by the next: it starts beside the old one, takes over state, queues and lines, and the old one
   * stops. If it does not come up, the old one was never touched, and this rejects. What it goes together with is replaced in the same turn, or not at all. A plugin
   * that was stopped meanwhile stays so: the change holds for its next start.
   */
  replace(
    instance: PluginInstance,
    reason: ReplaceReason,
    change: Change = {},
    partners?: Partners,
    attempt?: Attempt,
  ): Promise<Replacement | undefined> {
    const act = (attempt: Attempt): Promise<Replacement | undefined> =>
      instance.inTurn(async () => {
        const old = instance.generation
        if (old === undefined) {
          this.#options.adopt(instance, change)
          return undefined
        }
        return this.#replace(heirOf(instance, old, change), reason, attempt, partners)
      })
    return instance.attempt(act, attempt)
  }

  async #replace(first: Heir, reason: ReplaceReason, attempt: Attempt, partners?: Partners): Promise<Replacement> {
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
        // While others came up it may have died, and an outsider may have taken what it found free. From here to the end of the take-over nothing else runs.
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
        this.#fault(first.instance, (heir === first && generation?.number) || first.instance.newest, fault)
      throw fault
    }
    attempt.keep()
    const replacement = await this.#takeOver(heirs, first, reason, began)
    for (const { instance } of heirs) if (instance !== first.instance) partners?.joined(instance.name)
    return replacement
  }

  async #comeUp(heir: Heir, birth: Birth, signal: AbortSignal): Promise<void> {
    const { instance, change } = heir
    assertGoesOn(instance, signal)
    heir.next = await this.#options.make(instance, change, birth, this.#crashed(instance))
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
        if (ASKED_FOR.has(reason)) instance.restarts.forget()
        this.#started(instance, change, began)
      }
    })
    const ms = performance.now() - began
    const replacements = heirs.map(async (heir): Promise<Replacement> => {
      const { instance, old, next, release } = heir
      const left = labels(await instance.retire(old, `replaced: ${reason}`))
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

  /** Stops a plugin and leaves nothing of it; what is coming up of it ends at once. Returns what could not be undone. */
  stop(instance: PluginInstance, reason: string): Promise<string[]> {
    instance.restarts.cancel()
    instance.interrupt(reason)
    return instance.inTurn(async () => {
      instance.restarts.cancel()
      const { generation } = instance
      if (generation === undefined) return []
      const leftovers = await generation.stop(reason)
      instance.leave()
      return labels(leftovers)
    })
  }

  // ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #crashed(instance: PluginInstance): Crashed {
    return (generation, exit, lost) => {
      const error = generation.fault ?? new PlugbayError('PLUGIN_CRASHED', `Plugin '${instance.name}' crashed.`, { plugin: instance.name })
      instance.exited(exit, error.message)
      if (error.code === 'PLUGIN_STOPPED') return this.#done(instance, generation)
      instance.fell(error)
      // A generation that was being retired may crash as it likes.
      if (instance.generation !== generation) this.#fault(instance, generation.number, error, { lost })
      else this.#ended(instance, generation.number, error, lost)
    }
  }

  /** It ended by its own will, as its policy has it: it stays stopped, and who needs it goes on. */
  #done(instance: PluginInstance, generation: Generation): void {
    void instance.inTurn(async () => {
      if (instance.generation !== generation) return
      await this.#shelve(instance, generation)
    })
  }

  /** It ended, or its restart failed: the policy says what comes next. */
  #ended(instance: PluginInstance, generation: number, error: Error, lost?: number): void {
    const { restarts } = instance
    const { max, within } = restarts.policy
    const demoted = this.#options.demotable(instance) && restarts.fellInThread()
    const verdict = restarts.ended()
    const { restartIn } = verdict
    if (restartIn !== undefined) restarts.schedule(() => void this.#restart(instance), restartIn)
    this.#fault(instance, generation, error, { ...(lost === undefined ? {} : { lost }), ...(restartIn === undefined ? {} : { restartIn }) })
    if (demoted) this.#demoted(instance, generation, error)
    if (verdict.restartIn !== undefined) return
    const { crashes } = verdict
    if (crashes === undefined) return this.#giveUp(instance, error)
    this.#giveUp(
      instance,
      new PlugbayError(
        'PLUGIN_CRASH_LOOP',
        `Plugin '${instance.name}' crashed ${counted(crashes, 'time')} within ${within} ms; its policy allows ${counted(max, 'restart')} (restart.max). It stays stopped until it is reloaded. The last crash: ${error.message}`,
        { plugin: instance.name, cause: error, details: { crashes, max, within } },
      ),
    )
  }

  #demoted(instance: PluginInstance, generation: number, error: Error): void {
    const { name, restarts } = instance
    const { after = 0, within = 0 } = restarts.policy.demote ?? {}
    const reason =
      `Plugin '${name}' had ${counted(after, 'fault')} within ${within} ms in its thread (restart.demote): it runs in a process from its next start on, ` +
      `until its files change or it is reloaded. The last fault: ${error.message}`
    instance.remember({ at: Date.now(), code: undefined, message: reason, generation })
    this.#options.emit('plugin:demoted', { name, generation, from: 'thread', to: 'process', reason })
  }

  async #restart(instance: PluginInstance): Promise<void> {
    try {
      const restarted = await instance.attempt((attempt) => instance.inTurn(() => this.#restartNow(instance, attempt)))
      if (restarted) this.#options.cameBack(instance)
    } catch (error) {
      if (instance.generation === undefined) this.#fault(instance, instance.newest, error as Error)
      else this.#ended(instance, instance.newest, error as Error)
    }
  }

  async #restartNow(instance: PluginInstance, attempt: Attempt): Promise<boolean> {
    const { restarts, generation: dead } = instance
    restarts.cancel()
    // Stopped or replaced meanwhile: there is nothing to restart.
    if (dead === undefined || dead.alive) return false
    restarts.begin()
    try {
      await this.#replace(heirOf(instance, dead, {}), 'crash', attempt)
      return true
    } catch (error) {
      if (!attempt.signal.aborted) throw error
      // It waits on: its stop, which comes next, ends that, too.
      restarts.schedule(() => void this.#restart(instance), restarts.policy.backoff.initial)
      return false
    }
  }

  #giveUp(instance: PluginInstance, error: Error): void {
    const { generation } = instance
    void instance.inTurn(async () => {
      if (generation === undefined || instance.generation !== generation) return
      await this.#shelve(instance, generation)
      instance.fell(error)
      // A crash that is not answered by a restart has been told as such.
      if (isOwn(error) && error.code === 'PLUGIN_CRASH_LOOP') this.#fault(instance, instance.newest, error)
      this.#options.givenUp(instance)
    })
  }

  async #shelve(instance: PluginInstance, generation: Generation): Promise<void> {
    await generation.close('it is not restarted')
    instance.leave()
    instance.shelve()
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

/** Throws PLUGIN_STOPPED where it is to be stopped. */
const assertGoesOn = ({ name }: PluginInstance, signal: AbortSignal): void => {
  if (signal.aborted) throw interrupted(name, 'before it was started', signal)
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

const labels = (leftovers: readonly Leftover[]): string[] => leftovers.map(({ label, error }) => `${label}: ${reasonOf(error)}`)
