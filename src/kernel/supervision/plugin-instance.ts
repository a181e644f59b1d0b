/** A plugin as the kernel knows it, across its generations. */
import type { Exit } from '../../sandbox/plugin-host.js'
import { reasonOf } from '../../wire-error.js'
import { brief } from '../announcing/brief-error.js'
import { Attempt } from '../lifecycle/attempt.js'
import { Lifecycle, type PluginState, type Transition } from '../lifecycle/lifecycle.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { EffectiveRestart } from '../options/options.js'
import type { Generation } from './generation.js'
import { labelsOf } from './leftovers.js'
import { Restarts } from './restarts.js'
import { StuckThreads } from './stuck-threads.js'

/**
 * One fault of a plugin: a crash, a start or a replacement that failed, the end of its restarts; or what came of faults: that it was
 * demoted.
 */
export interface FaultRecord {
  /** Milliseconds since 1970. */
  at: number
  code: string | undefined
  message: string
  generation: number
}

/** How a generation last ended by itself. */
export interface LastExit {
  /** Milliseconds since 1970. */
  at: number
  code?: number
  reason: string
}

/** Faults that are remembered of each plugin. */
const MAX_HISTORY = 20

export class PluginInstance {
  readonly name: string
  readonly restarts: Restarts
  /** Threads of earlier generations that native code keeps from ending. */
  readonly stuckThreads = new StuckThreads()
  #source: PluginSource
  #generation: Generation | undefined
  readonly #retiring = new Set<Generation>()
  #newest = 0
  #error: Error | undefined
  #lastError: Error | undefined
  #lastExit: LastExit | undefined
  #history: readonly FaultRecord[] = []
  #wave: number | undefined
  #startMs: number | undefined
  #shelved = false
  /**
   * What was asked for and is not what its manifest says: a plugin that was disabled stays so, one that was enabled until its manifest
   * enables it, too.
   */
  #overruled: boolean | undefined
  #idle: Lifecycle
  /** What brings something of it up, or changes it, or waits to. */
  readonly #attempts = new Set<Attempt>()
  readonly #moved: (transition: Transition) => void
  #turn: Promise<unknown> = Promise.resolve()

  constructor(source: PluginSource, restart: EffectiveRestart, moved: (generation: number, transition: Transition) => void) {
    this.name = source.name
    this.restarts = new Restarts(restart)
    this.#source = source
    this.#moved = (transition) => moved(this.#newest, transition)
    this.#idle = new Lifecycle(source.name, 'discovered', this.#moved)
  }

  // ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────────

  get source(): PluginSource {
    return this.#source
  }

  get enabled(): boolean {
    return this.enabledAs(this.#source)
  }

  /** Whether it would be enabled if it were what `source` says. */
  enabledAs({ manifest }: PluginSource): boolean {
    return this.#overruled ?? manifest.enabled
  }

  enable(): void {
    this.#overruled = this.#source.manifest.enabled ? undefined : true
    this.unshelve()
  }

  disable(): void {
    this.#overruled = false
  }

  /** From now on it is what `source` says. */
  become(source: PluginSource, restart: EffectiveRestart): void {
    this.#source = source
    if (this.#overruled && source.manifest.enabled) this.#overruled = undefined
    this.restarts.renew(restart)
  }

  /** Its place in the newest plan that it was in. */
  get wave(): number | undefined {
    return this.#wave
  }

  joinWave(wave: number): void {
    this.#wave = wave
  }

  // ── its generations ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The generation that serves, or served last and has not been given up. */
  get generation(): Generation | undefined {
    return this.#generation
  }

  /** Generations that have been replaced, and finish what they have in hand. */
  get retiring(): ReadonlySet<Generation> {
    return this.#retiring
  }

  /** Number of the newest generation. */
  get newest(): number {
    return this.#newest
  }

  get state(): PluginState {
    return this.#generation?.state ?? this.#idle.state
  }

  get running(): boolean {
    return this.#generation?.state === 'running'
  }

  /** Milliseconds from the first to the last phase of the newest start. */
  get startMs(): number | undefined {
    return this.#startMs
  }

  /** The number of one that is made now. */
  nextNumber(): number {
    return ++this.#newest
  }

  /** Takes that generation: the plugin is in the state in which that is. */
  enter(generation: Generation): void {
    this.#generation = generation
  }

  /** Lets go of the generation: the plugin is in the state in which that ended. */
  leave(): void {
    if (this.#generation) this.#idle = new Lifecycle(this.name, this.#generation.state, this.#moved)
    this.#generation = undefined
  }

  /** Moves a plugin that has no generation; a move that makes no sense is none. */
  rest(to: PluginState, reason: string): void {
    if (this.#generation === undefined) this.#idle.moveIfPossible(to, reason)
  }

  /** One that was replaced finishes what it has in hand, and ends. Returns what could not be undone. */
  async retire(old: Generation, reason: string): Promise<string[]> {
    this.#retiring.add(old)
    const left = await (old.alive ? old.stop(reason) : old.close(reason))
    this.#retiring.delete(old)
    return labelsOf(left)
  }

  // ── how it fares ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Why it does not run, when it does not. */
  get error(): Error | undefined {
    return this.#error
  }

  /** What last ended it or kept it from running, also when it runs again. */
  get lastError(): Error | undefined {
    return this.#lastError
  }

  get lastExit(): LastExit | undefined {
    return this.#lastExit
  }

  /** The newest faults, the oldest first. */
  get history(): readonly FaultRecord[] {
    return this.#history
  }

  /** Its start failed, it was given up, or it ended by its own will: it waits for a change, not for the next round. */
  get shelved(): boolean {
    return this.#shelved
  }

  /** Its generation came up within `ms`. */
  started(ms: number): void {
    this.#error = undefined
    this.#startMs = ms
    this.restarts.up()
  }

  /** It did not, after `ms`: it failed, or was stopped. */
  notStarted(error: Error, ms: number, to: 'failed' | 'stopped'): void {
    this.leave()
    this.#startMs = ms
    this.fell(error)
    this.rest(to, reasonOf(error))
  }

  /** A generation of it ended by itself. */
  exited({ code }: Exit, reason: string): void {
    this.#lastExit = { at: Date.now(), ...(code === undefined ? {} : { code }), reason }
  }

  /** That ended it, or it was given up for that. */
  fell(error: Error): void {
    this.#error = error
    this.#lastError = error
  }

  /** It does not come to run, whatever it does itself: that keeps it from it. */
  keepDown(error: Error): void {
    this.fell(error)
    this.rest('failed', error.message)
  }

  shelve(): void {
    this.#shelved = true
  }

  /** Something has changed: the next round tries it again. */
  unshelve(): void {
    this.#shelved = false
  }

  remember(fault: Omit<FaultRecord, 'at'>): void {
    this.#history = [...this.#history, { at: Date.now(), ...fault, message: brief(fault.message) }].slice(-MAX_HISTORY)
  }

  // ── what is done to it ───────────────────────────────────────────────────────────────────────────────────────────

  /** Does one thing at a time to the plugin: starts, stops and replacements never overlap. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act, act)
    this.#turn = done.catch(() => {})
    return done
  }

  /**
   * Waits for its turn, and keeps it until what this resolves with is called. Rejects with the signal's reason when that is aborted first.
   */
  hold(signal: AbortSignal): Promise<() => void> {
    return new Promise((held, given) => {
      const giveUp = (): void => given(signal.reason)
      if (signal.aborted) return giveUp()
      signal.addEventListener('abort', giveUp)
      void this.inTurn(async () => {
        signal.removeEventListener('abort', giveUp)
        if (!signal.aborted) await new Promise<void>((release) => held(release))
      })
    })
  }

  /** Does what a stop of the plugin is not to wait for: the attempt is ended then, with the reason. */
  async attempt<T>(act: (attempt: Attempt) => Promise<T>, attempt = new Attempt()): Promise<T> {
    const leave = this.takePart(attempt)
    try {
      return await act(attempt)
    } finally {
      leave()
    }
  }

  /** The attempt of another concerns this plugin, too. Returns the undo. */
  takePart(attempt: Attempt): () => void {
    this.#attempts.add(attempt)
    return () => void this.#attempts.delete(attempt)
  }

  takesPart(attempt: Attempt): boolean {
    return this.#attempts.has(attempt)
  }

  /** What concerns it and can still be ended by a newer save. */
  get openAttempts(): Attempt[] {
    return [...this.#attempts].filter(({ open }) => open)
  }

  /** It is to stop: all that was attempted until now ends. */
  interrupt(reason: string): void {
    for (const attempt of this.#attempts) attempt.end(reason)
  }
}
