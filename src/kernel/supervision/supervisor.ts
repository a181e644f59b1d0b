/**
 * Keeps plugins running: starts and stops them, has a generation replaced for whatever reason there is, and answers crashes as their
 * policies say.
 */
import { PlugbayError } from '../../errors.js'
import type { Exit } from '../../sandbox/plugin-host.js'
import { counted } from '../../sentence.js'
import { isOwn } from '../../wire-error.js'
import type { Attempt } from '../lifecycle/attempt.js'
import { assertGoesOn } from '../lifecycle/interrupted.js'
import type { KernelEvents } from '../lifecycle/kernel-events.js'
import type { Generation } from './generation.js'
import { labelsOf } from './leftovers.js'
import type { PluginInstance } from './plugin-instance.js'
import { type Birth, beginsAnew, type Change, type Partners, type Replacement, type ReplaceReason, Replacer } from './replacer.js'

/** Told of a generation whose place ended by itself, or broke a limit; `lost`: events it had taken and not handled. */
export type Crashed = (generation: Generation, exit: Exit, lost: number) => void

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
  readonly #replacer: Replacer

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#replacer = new Replacer({
      make: (instance, change, birth) => options.make(instance, change, birth, this.#crashed(instance)),
      started: (instance, change, began) => this.#started(instance, change, began),
      fault: (instance, generation, error) => this.#fault(instance, generation, error),
      emit: (event, replacement) => options.emit(event, replacement),
      together: (make) => options.together(make),
    })
  }

  /**
   * Starts a plugin that does not run. Rejects with what kept it from starting, or with PLUGIN_STOPPED once the attempt has ended; nothing
   * of it is left then.
   */
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
      assertGoesOn(instance.name, signal)
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
    this.#options.emit('plugin:fault', { name: instance.name, generation, error, ...more })
  }

  #started(instance: PluginInstance, change: Change, began: number): void {
    instance.started(performance.now() - began)
    this.#options.adopt(instance, change)
  }

  /**
   * Replaces the generation by the next: it starts beside the old one, takes over state, queues and lines, and the old one
   * stops. If it does not come up, the old one was never touched, and this rejects. What it goes together with is replaced in the same
   * turn, or not at all. A plugin that was stopped meanwhile stays so: the change holds for its next start.
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
          if (beginsAnew(instance.restarts, reason)) instance.restarts.forget(change.source !== undefined)
          this.#options.adopt(instance, change)
          return undefined
        }
        return this.#replacer.replace(instance, old, change, reason, attempt, partners)
      })
    return instance.attempt(act, attempt)
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
      return labelsOf(leftovers)
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
      await this.#replacer.replace(instance, dead, {}, 'crash', attempt)
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
