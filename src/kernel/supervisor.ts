/** Keeps plugins running: starts and stops them, and replaces a generation by the next for whatever reason there is. */
import { PlugbayError } from '../errors.js'
import type { Exit } from '../sandbox/plugin-host.js'
import type { Leftover } from '../scope.js'
import { codeOf, reasonOf } from '../wire-error.js'
import type { Generation } from './generation.js'
import type { KernelEvents } from './kernel-events.js'
import type { PluginSource } from './manifest.js'
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

export type Replacement = KernelEvents['plugin:replaced']

/** Told of a generation whose place ended by itself, or broke a limit; `lost`: events it had taken and not handled. */
export type Crashed = (generation: Generation, exit: Exit, lost: number) => void

export interface SupervisorOptions {
  /** Makes the next generation, not started: for which reason, the audit log says. Rejects when its configuration or its place is not to be had. */
  make(instance: PluginInstance, change: Change, reason: ReplaceReason | 'start', crashed: Crashed): Promise<Generation>
  emit<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void
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

  /** Starts a plugin that does not run. Rejects with what kept it from starting; nothing of it is left then. */
  start(instance: PluginInstance, change: Change = {}): Promise<void> {
    return instance.inTurn(async () => {
      if (!instance.running) await this.#start(instance, change)
    })
  }

  async #start(instance: PluginInstance, change: Change): Promise<Generation> {
    this.#forgetRetry(instance)
    const began = performance.now()
    try {
      instance.rest('resolved', 'start')
      const next = await this.#options.make(instance, change, 'start', this.#crashed(instance))
      instance.generation = next
      await next.start()
      this.#started(instance, change, began)
      return next
    } catch (error) {
      instance.leave()
      instance.startMs = performance.now() - began
      instance.error = error as Error
      instance.rest('failed', reasonOf(error))
      this.#fault(instance, instance.newest, error as Error)
      throw error
    }
  }

  #fault(instance: PluginInstance, generation: number, error: Error, more: { lost?: number; restartIn?: number } = {}): void {
    instance.remember({ at: Date.now(), code: codeOf(error), message: reasonOf(error), generation })
    this.#options.emit('plugin:fault', { name: instance.name, generation, error, ...more })
  }

  #started(instance: PluginInstance, change: Change, began: number): void {
    instance.error = undefined
    instance.startMs = performance.now() - began
    instance.record.up()
    this.#options.adopt(instance, change)
  }

  /**
   * Replaces the generation by the next: it starts beside the old one, takes over state, queues and lines, and the old one
   * stops. If it does not come up, the old one was never touched, and this rejects. A plugin that was stopped meanwhile stays so: the change
   * holds for its next start.
   */
  replace(instance: PluginInstance, reason: ReplaceReason, change: Change = {}): Promise<Replacement | undefined> {
    return instance.inTurn(async () => {
      const old = instance.generation
      if (old === undefined) {
        this.#options.adopt(instance, change)
        return undefined
      }
      return this.#replace(instance, old, reason, change)
    })
  }

  async #replace(instance: PluginInstance, old: Generation, reason: ReplaceReason, change: Change): Promise<Replacement> {
    this.#forgetRetry(instance)
    const began = performance.now()
    let next: Generation | undefined
    /** Whose fault it is when something fails. */
    let active: Generation | undefined
    try {
      next = await this.#options.make(instance, change, reason, this.#crashed(instance))
      active = next
      await next.start()
      if (old.alive && old.has('snapshot') && next.has('restore')) {
        active = old
        const state = await this.#lastStateOf(old)
        active = next
        await next.restore(state)
      }
    } catch (error) {
      await next?.close('it did not come up')
      if (old.alive) old.gateway.resume()
      // Of a restart it is told with what comes next.
      if (reason !== 'crash') this.#fault(instance, active?.number ?? instance.newest, error as Error)
      throw error
    }
    // From here to the end of the turn nothing else runs: no event and no call falls between the two generations.
    const moved = next.gateway.takeOver(old.gateway)
    instance.generation = next
    if (ASKED_FOR.has(reason)) instance.record.forget()
    this.#started(instance, change, began)
    const ms = performance.now() - began
    const left = await this.#retire(old, reason)
    const replacement: Replacement = { name: instance.name, from: old.number, to: next.number, reason, ms, moved, left }
    this.#options.emit('plugin:replaced', replacement)
    return replacement
  }

  /** The old generation finishes what it has in hand, then its state is what the new one starts from. */
  async #lastStateOf(old: Generation): Promise<unknown> {
    old.gateway.pause()
    await old.drainEvents()
    return old.snapshot()
  }

  async #retire(old: Generation, reason: string): Promise<string[]> {
    return labels(await (old.alive ? old.stop(`replaced: ${reason}`) : old.close(`replaced: ${reason}`)))
  }

  /** Stops a plugin and leaves nothing of it. Returns what could not be undone. */
  stop(instance: PluginInstance, reason: string): Promise<string[]> {
    this.#forgetRetry(instance)
    return instance.inTurn(async () => {
      this.#forgetRetry(instance)
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
      instance.error = error
      instance.lastExit = { at: Date.now(), ...(exit.code === undefined ? {} : { code: exit.code }), reason: error.message }
      // A generation that was being retired may crash as it likes.
      if (instance.generation !== generation) this.#fault(instance, generation.number, error, { lost })
      else this.#ended(instance, generation.number, exit.error !== undefined || exit.code !== 0, error, lost)
    }
  }

  /** It ended, or its restart failed: the policy says what comes next. */
  #ended(instance: PluginInstance, generation: number, faulty: boolean, error: Error, lost?: number): void {
    const { max, within } = instance.restart
    const demoted = faulty && this.#options.demotable(instance) && instance.demotion.fault(instance.restart)
    // Faults in its thread say nothing about it in a process.
    if (demoted) instance.record.forget()
    const verdict = instance.record.ended(instance.restart, faulty)
    const { restartIn } = verdict
    this.#fault(instance, generation, error, { ...(lost === undefined ? {} : { lost }), ...(restartIn === undefined ? {} : { restartIn }) })
    if (demoted) this.#demoted(instance, generation, error)
    if (restartIn !== undefined) {
      instance.retry = setTimeout(() => void this.#restart(instance), restartIn)
      return
    }
    const { crashes } = verdict
    if (crashes === undefined) return this.#giveUp(instance, error, faulty)
    this.#giveUp(
      instance,
      new PlugbayError(
        'PLUGIN_CRASH_LOOP',
        `Plugin '${instance.name}' crashed ${times(crashes, 'time')} within ${within} ms; its policy allows ${times(max, 'restart')} (restart.max). It stays stopped until it is reloaded. The last crash: ${error.message}`,
        { plugin: instance.name, cause: error, details: { crashes, max, within } },
      ),
      faulty,
    )
  }

  #demoted(instance: PluginInstance, generation: number, error: Error): void {
    const { name, restart } = instance
    const { after = 0, within = 0 } = restart.demote ?? {}
    const reason =
      `Plugin '${name}' had ${times(after, 'fault')} within ${within} ms in its thread (restart.demote): it runs in a process from its next start on, ` +
      `until its files change or it is reloaded. The last fault: ${error.message}`
    instance.remember({ at: Date.now(), code: undefined, message: reason, generation })
    this.#options.emit('plugin:demoted', { name, generation, from: 'thread', to: 'process', reason })
  }

  async #restart(instance: PluginInstance): Promise<void> {
    try {
      const restarted = await instance.inTurn(async () => {
        const dead = instance.generation
        // Stopped or replaced meanwhile: there is nothing to restart.
        if (dead === undefined || dead.alive) return false
        instance.restarts++
        await this.#replace(instance, dead, 'crash', {})
        return true
      })
      if (restarted) this.#options.cameBack(instance)
    } catch (error) {
      if (instance.generation === undefined) this.#fault(instance, instance.newest, error as Error)
      else this.#ended(instance, instance.newest, true, error as Error)
    }
  }

  #giveUp(instance: PluginInstance, error: Error, faulty: boolean): void {
    const { generation } = instance
    void instance.inTurn(async () => {
      if (generation === undefined || instance.generation !== generation) return
      await generation.close('it is not restarted')
      instance.leave()
      instance.error = error
      instance.shelved = true
      // A crash that is not answered by a restart has been told as such.
      if (PlugbayError.is(error) && error.code === 'PLUGIN_CRASH_LOOP') this.#fault(instance, instance.newest, error)
      if (faulty) this.#options.givenUp(instance)
    })
  }

  #forgetRetry(instance: PluginInstance): void {
    clearTimeout(instance.retry)
    instance.retry = undefined
  }
}

const times = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
const labels = (leftovers: readonly Leftover[]): string[] => leftovers.map(({ label, error }) => `${label}: ${reasonOf(error)}`)
