/** A plugin as the kernel knows it, across its generations. */

import { brief } from '../announcing/brief-error.js'
import { Attempt } from '../lifecycle/attempt.js'
import { Lifecycle, type PluginState, type Transition } from '../lifecycle/lifecycle.js'
import type { PluginSource } from '../manifest/manifest.js'
import type { EffectiveRestart } from '../options/options.js'
import { Demotion } from './demotion.js'
import type { Generation } from './generation.js'
import { RestartPace } from './restart-pace.js'
import { RestartRecord } from './restart-record.js'

/** One fault of a plugin: a crash, a start or a replacement that failed, the end of its restarts; or what came of faults: that it was demoted. */
export interface FaultRecord {
  /** Milliseconds since 1970. */
  at: number
  code: string | undefined
  message: string
  generation: number
}

/** Faults that are remembered of each plugin. */
const MAX_HISTORY = 20

export class PluginInstance {
  readonly name: string
  source: PluginSource
  restart: EffectiveRestart
  /** The generation that serves, or served last and has not been given up. */
  generation: Generation | undefined
  /** Generations that have been replaced, and finish what they have in hand. */
  readonly retiring = new Set<Generation>()
  /** Number of the newest generation. */
  newest = 0
  /** What last ended it or kept it from running, also when it runs again. */
  lastError: Error | undefined
  /** Restarts after crashes, in all, and what the next one depends on. */
  restarts = 0
  readonly record = new RestartRecord()
  readonly pace = new RestartPace()
  readonly demotion = new Demotion()
  /** The newest faults, the oldest first. */
  history: FaultRecord[] = []
  lastExit: { at: number; code?: number; reason: string } | undefined
  /** Threads of earlier generations that native code keeps from ending. */
  stuckThreads = 0
  wave: number | undefined
  /** Milliseconds from the first to the last phase of the newest start. */
  startMs: number | undefined
  /** Its start failed, it was given up, or it ended by its own will: it waits for a change, not for the next round. */
  shelved = false
  /** A restart that waits for its time. */
  retry: NodeJS.Timeout | undefined
  /** What was asked for and is not what its manifest says: a plugin that was disabled stays so, one that was enabled until its manifest enables it, too. */
  #overruled: boolean | undefined
  #error: Error | undefined
  #idle: Lifecycle
  /** What brings something of it up, or changes it, or waits to. */
  readonly #attempts = new Set<Attempt>()
  readonly #moved: (transition: Transition) => void
  #turn: Promise<unknown> = Promise.resolve()

  constructor(source: PluginSource, restart: EffectiveRestart, moved: (generation: number, transition: Transition) => void) {
    this.name = source.name
    this.source = source
    this.restart = restart
    this.#moved = (transition) => moved(this.newest, transition)
    this.#idle = new Lifecycle(source.name, 'discovered', this.#moved)
  }

  /** Why it does not run, when it does not. */
  get error(): Error | undefined {
    return this.#error
  }

  set error(error: Error | undefined) {
    this.#error = error
    if (error) this.lastError = error
  }

  get enabled(): boolean {
    return this.enabledAs(this.source)
  }

  /** Whether it would be enabled if it were what `source` says. */
  enabledAs({ manifest }: PluginSource): boolean {
    return this.#overruled ?? manifest.enabled
  }

  enable(): void {
    this.#overruled = this.source.manifest.enabled ? undefined : true
  }

  disable(): void {
    this.#overruled = false
  }

  /** From now on it is what `source` says. */
  become(source: PluginSource): void {
    this.source = source
    if (this.#overruled && source.manifest.enabled) this.#overruled = undefined
  }

  remember(fault: FaultRecord): void {
    this.history = [...this.history, { ...fault, message: brief(fault.message) }].slice(-MAX_HISTORY)
  }

  get state(): PluginState {
    return this.generation?.state ?? this.#idle.state
  }

  get running(): boolean {
    return this.generation?.state === 'running'
  }

  /** Lets go of the generation: the plugin is in the state in which that ended. */
  leave(): void {
    if (this.generation) this.#idle = new Lifecycle(this.name, this.generation.state, this.#moved)
    this.generation = undefined
  }

  /** Moves a plugin that has no generation; a move that makes no sense is none. */
  rest(to: PluginState, reason: string): void {
    if (this.generation === undefined) this.#idle.moveIfPossible(to, reason)
  }

  /** Does one thing at a time to the plugin: starts, stops and replacements never overlap. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act, act)
    this.#turn = done.catch(() => {})
    return done
  }

  /** Waits for its turn, and keeps it until what this resolves with is called. Rejects with the signal's reason when that is aborted first. */
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
