/** Brings what runs in line with what should run: stops what may no longer, starts what now can, in the order of the dependencies. */
import { PlugbayError } from '../../errors.js'
import { type Limiter, limiter } from '../../limiter.js'
import { reasonOf } from '../../wire-error.js'
import { Attempt } from '../lifecycle/attempt.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { takenService } from '../services/taken-service.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'
import type { Supervisor } from '../supervision/supervisor.js'
import { dependencyFailed, type GraphNode, type Plan, plan } from './dependency-graph.js'

/** As it is, or as it would be by another source. */
const nodeOf = (instance: PluginInstance, source = instance.source): GraphNode => ({
  ...source.manifest,
  name: source.name,
  version: source.version,
  enabled: instance.enabledAs(source),
})

const NOTHING: ReadonlyMap<string, PluginSource> = new Map()

/**
 * One round. `begun`: it waits for the starts that it begins itself, and not for those of the rounds before, which may go on still. Nor
 * does it wait any more where `own` has ended.
 */
export type Round = (reason: string, wait?: 'all' | 'begun', own?: OwnStart) => Promise<void>

/** The start of that plugin is what the attempt comes to. */
export interface OwnStart {
  instance: PluginInstance
  attempt: Attempt
}

/** What somebody has done here, alone until its starts are all that it waits for. */
interface Turn {
  /** Its place among all that was asked for. */
  number: number
  /** Lets the next one begin. */
  pass(): void
  own?: OwnStart | undefined
}

/** A plugin that a round starts, or that waits for what it needs. */
interface Start {
  done: Promise<void>
  /** Where that has ended, it will not run by this. */
  attempt: Attempt
}

/** So often in a row a newer save ends the start of a plugin. One that writes its own files as it starts would never come up otherwise. */
const MOST_PUT_OFF = 10

export class Reconciler {
  readonly #instances: ReadonlyMap<string, PluginInstance>
  readonly #supervisor: Supervisor
  readonly #limit: Limiter
  readonly #isProvided: (service: string, version: string) => boolean
  #plan: Plan = plan([])
  #round: Promise<unknown> = Promise.resolve()
  #closed = false
  /** How often somebody had something done here, and up to which of these nobody keeps the others waiting for starts. */
  #asked = 0
  #hurried = 0
  /** The newest of these that is no attempt of its own: it may need what starts before it. */
  #needy = 0
  /** Those that wait for nothing but starts. */
  readonly #waiting = new Set<Turn>()
  /** What is being started, in whichever round. */
  readonly #starts = new Map<PluginInstance, Start>()
  /** Plugins that are about to be stopped, with what had been asked for by then: none of that begins to start them. */
  readonly #interrupted = new WeakMap<PluginInstance, number>()
  /** Plugins whose start was ended by a newer save of theirs, or of what they need: the round that this brings starts them. */
  readonly #putOff = new Set<PluginInstance>()
  /** How often in a row that was so. */
  readonly #timesPutOff = new WeakMap<PluginInstance, number>()
  /** Told when none of them is to wait any more. */
  readonly #resumed: (() => void)[] = []
  /** Where files are watched: whether those of a plugin are others than what was read, and will be tried. */
  changedSince: ((plugin: string, began: number) => Promise<boolean>) | undefined
  /** Called after each round: what was not possible may be so now. */
  onRound: (() => void) | undefined

  constructor(
    instances: ReadonlyMap<string, PluginInstance>,
    supervisor: Supervisor,
    maxConcurrency: number,
    isProvided: (service: string, version: string) => boolean,
  ) {
    this.#instances = instances
    this.#supervisor = supervisor
    this.#limit = limiter(maxConcurrency)
    this.#isProvided = isProvided
  }

  /** The plan of the last round. */
  get plan(): Plan {
    return this.#plan
  }

  /** Whether nothing is started any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** What the plan would be if the sources of these plugins, by name, were others. */
  planWith(changed: ReadonlyMap<string, PluginSource>): Plan {
    return plan(Array.from(this.#instances.values(), (instance) => nodeOf(instance, changed.get(instance.name))))
  }

  /**
   * One round, after those already asked for; in it `again` is tried though it failed before, be it in the round that is under way. Rejects
   * with KERNEL_STATE once everything was stopped.
   */
  reconcile(reason: string, again?: PluginInstance, attempt?: Attempt): Promise<void> {
    return this.inTurn((round) => {
      again?.unshelve()
      return round(reason, 'all', again && attempt && { instance: again, attempt })
    }, attempt)
  }

  /**
   * Does something after all that was asked for before, and alone: what it finds holds until it is done, but for the rounds it asks for
   * itself. Otherwise one starts again what the other has just stopped. Where something is to be stopped, that comes while a round waits
   * for its starts. A round rejects with KERNEL_STATE once everything was stopped. `attempt`: what it is part of.
   */
  inTurn<T>(act: (round: Round) => Promise<T>, attempt?: Attempt): Promise<T> {
    const number = ++this.#asked
    if (attempt === undefined) {
      this.#needy = number
      for (const start of this.#starts.values()) start.attempt.keep()
    }
    const before = this.#round
    let done: Promise<T> | undefined
    this.#round = new Promise((pass) => {
      done = before.then(() => act((reason, wait, own) => this.#run(reason, { number, pass: () => pass(undefined), own }, wait)))
      done.then(pass, pass)
    })
    return done as Promise<T>
  }

  async #run(reason: string, turn: Turn, wait: 'all' | 'begun' = 'all'): Promise<void> {
    if (this.#closed)
      throw new PlugbayError(
        'KERNEL_STATE',
        'The kernel was stopped meanwhile: it starts nothing any more. Make a new one with createKernel().',
      )
    const before = this.#plan
    const next = (this.#plan = this.planWith(NOTHING))
    for (const [at, wave] of next.waves.entries()) for (const name of wave) this.#instances.get(name)?.joinWave(at)
    await this.#stopOthers(before, next, reason)
    for (const [name, error] of next.excluded) this.#instances.get(name)?.keepDown(error)
    this.#unshelve()
    const starts = this.#startAll(next, turn)
    this.#resume(...this.#putOff)
    await this.#passing(turn, Promise.all(starts[wait]))
    this.onRound?.()
  }

  /** Waits for starts, and lets the next turn begin meanwhile once somebody is to be stopped. */
  async #passing(turn: Turn, starts: Promise<unknown>): Promise<void> {
    this.#waiting.add(turn)
    this.#hurry()
    await (turn.own ? Promise.race([starts, endOf(turn.own.attempt)]) : starts)
    this.#waiting.delete(turn)
  }

  /** From now on nobody who has asked for something keeps others waiting for starts. */
  #hurryAll(): void {
    this.#hurried = this.#asked
    this.#hurry()
  }

  #hurry(): void {
    for (const { number, pass } of this.#waiting) if (number <= this.#hurried) pass()
  }

  /** Who had what another's start failed over may be gone by now. One that crashed and comes back keeps what it had. */
  #unshelve(): void {
    for (const instance of this.#instances.values()) {
      const taken = instance.shelved ? takenService(instance.error, instance.name) : undefined
      if (taken === undefined || this.#isProvided(taken.name, taken.version)) continue
      if (this.#instances.get(taken.provider)?.generation?.alive !== false) instance.unshelve()
    }
  }

  /** Dependents go before what they depend on, as the plan under which they started has it. */
  async #stopOthers(before: Plan, next: Plan, reason: string): Promise<void> {
    const staying = new Set(next.order)
    const order = [...before.order, ...[...this.#instances.keys()].filter((name) => !before.order.includes(name))].reverse()
    for (const name of order) {
      const instance = this.#instances.get(name)
      if (instance === undefined || staying.has(name)) continue
      if (instance.generation !== undefined || this.#starts.has(instance)) {
        const error = next.excluded.get(name)
        await this.#supervisor.stop(instance, error?.message ?? (instance.enabled ? reason : 'it was disabled'))
      }
      // Also where its start has ended by itself meanwhile, as it was interrupted.
      if (!instance.enabled) instance.rest('disabled', reason)
    }
  }

  /** Begins all starts that are to be. Returns those, and with them those that were under way. */
  #startAll({ order, dependenciesOf }: Plan, turn: Turn): { all: Promise<void>[]; begun: Promise<void>[] } {
    const starts = new Map<string, Promise<void>>()
    const begun: Promise<void>[] = []
    // In start order: what a plugin depends on has its promise before the plugin asks for it.
    for (const name of order) {
      const instance = this.#instances.get(name)
      if (instance === undefined) continue
      const underWay = this.#starts.get(instance)
      if (underWay?.attempt.signal.aborted === false) {
        starts.set(name, underWay.done)
        continue
      }
      if (instance.generation !== undefined || instance.shelved || this.#isInterrupted(instance, turn)) continue
      const needed = dependenciesOf(name).flatMap((dependency) => starts.get(dependency) ?? [])
      const done = this.#begin(instance, needed, turn)
      starts.set(name, done)
      begun.push(done)
    }
    return { all: [...starts.values()], begun }
  }

  #begin(instance: PluginInstance, needed: readonly Promise<void>[], turn: Turn): Promise<void> {
    const { number, own } = turn
    const act = async (attempt: Attempt): Promise<void> => {
      const done = Promise.all(needed).then(() => this.#startOne(instance, turn, attempt))
      const start: Start = { done, attempt }
      this.#starts.set(instance, start)
      await done
      if (this.#starts.get(instance) === start) this.#starts.delete(instance)
    }
    const attempt = own?.instance === instance ? own.attempt : this.#attemptOf(instance)
    if (number <= this.#needy || this.#timesPutOffOf(instance) >= MOST_PUT_OFF) attempt.keep()
    return instance.attempt(act, attempt)
  }

  #attemptOf({ name }: PluginInstance): Attempt {
    const { changedSince } = this
    return new Attempt(changedSince && ((began) => changedSince(name, began)))
  }

  /** Whether it is to be stopped by what was asked for later. */
  #isInterrupted(instance: PluginInstance, { number }: Turn): boolean {
    return (this.#interrupted.get(instance) ?? 0) >= number
  }

  async #startOne(instance: PluginInstance, turn: Turn, attempt: Attempt): Promise<void> {
    await this.#tryOne(instance, attempt)
    this.#timesPutOff.set(instance, attempt.outdated ? this.#timesPutOffOf(instance) + 1 : 0)
    if (!attempt.outdated || this.#isInterrupted(instance, turn)) return
    this.#putOff.add(instance)
    // What its newer save brings comes while others are still starting.
    this.#hurryAll()
  }

  #timesPutOffOf(instance: PluginInstance): number {
    return this.#timesPutOff.get(instance) ?? 0
  }

  async #tryOne(instance: PluginInstance, attempt: Attempt): Promise<void> {
    const { name } = instance
    const { signal } = attempt
    const failed = await this.#lacking(instance, signal)
    if (signal.aborted) return
    if (failed && this.#putOff.has(failed)) {
      this.#putOff.add(instance)
      return attempt.end(`'${failed.name}', which it depends on, is started anew`)
    }
    if (failed) {
      const root = rootOf(failed)
      instance.keepDown(dependencyFailed(name, root.name, root.cause))
      return
    }
    try {
      await this.#limit(() => this.#supervisor.start(instance, attempt), signal)
    } catch {
      // The instance keeps the error; explain and the boot report tell it. One that was to stop is for the round that comes with its stop.
      if (!signal.aborted) instance.shelve()
    }
  }

  /** What it needs and does not run. Waits for what is being started anew. */
  async #lacking({ source }: PluginInstance, signal: AbortSignal): Promise<PluginInstance | undefined> {
    const required = Object.keys(source.manifest.dependencies).flatMap((dependency) => this.#instances.get(dependency) ?? [])
    for (;;) {
      const lacking = required.filter(({ running }) => !running)
      const starts = lacking.flatMap((dependency) => this.#starts.get(dependency)?.done ?? [])
      if (signal.aborted || starts.length === 0) return lacking[0]
      await Promise.all(starts)
    }
  }

  /** What a newer save made of a plugin is not to be had: where its start was ended for that, it has failed by it. */
  async refuse(instance: PluginInstance, error: Error): Promise<void> {
    const start = this.#starts.get(instance)
    // Its place may take a while to end.
    if (start?.attempt.outdated) await start.done
    if (!this.#putOff.has(instance)) return
    instance.keepDown(error)
    instance.shelve()
    // Those that need it are to know.
    await this.reconcile(`what was saved of '${instance.name}' was refused`, undefined, new Attempt()).catch(() => {})
  }

  /** Resolves when no start is under way, and none is put off. */
  async settled(): Promise<void> {
    for (;;) {
      await Promise.all(Array.from(this.#starts.values(), ({ done }) => done))
      if (this.#starts.size === 0 && this.#putOff.size === 0) return
      if (this.#starts.size === 0) await new Promise<void>((resume) => this.#resumed.push(resume))
    }
  }

  #resume(...instances: readonly PluginInstance[]): void {
    for (const instance of instances) this.#putOff.delete(instance)
    if (this.#putOff.size === 0) for (const resume of this.#resumed.splice(0)) resume()
  }

  /**
   * Stops a plugin after those that depend on it, has it forgotten, and does a round, where the one that has the name in its turn is meant.
   * Returns what could not be undone. There is no other way out of here: whatever was about to start it has ended by then, and nothing
   * begins to.
   */
  remove(
    name: string,
    reason: string,
    isMeant: (instance: PluginInstance) => boolean,
    forget: (instance: PluginInstance) => void,
  ): Promise<string[]> {
    const meant = (): PluginInstance | undefined => {
      const instance = this.#instances.get(name)
      return instance && isMeant(instance) ? instance : undefined
    }
    const act = async (): Promise<string[]> => {
      const left: string[] = []
      const removed = meant()
      if (removed === undefined) return left
      for (const gone of [...this.#plan.dependentsOf(name), name]) {
        const instance = this.#instances.get(gone)
        if (instance) left.push(...(await this.#supervisor.stop(instance, reason)))
      }
      forget(removed)
      return left
    }
    return meant() ? this.inTurnEnding(name, reason, act) : this.#beforeRound(reason, act)
  }

  /**
   * Replaces those that need a plugin which came back, in start order. One whose next generation does not come up stays as it is; that is
   * told as its fault.
   */
  replaceDependents(name: string): Promise<void> {
    return this.inTurn(async () => {
      for (const dependent of this.#plan.dependentsOf(name).reverse()) {
        const instance = this.#instances.get(dependent)
        if (this.#closed || !instance) continue
        await this.#supervisor.replace(instance, 'dependency', { after: name }).catch(() => {})
      }
    })
  }

  /** Stops those that need a plugin which is not coming back, the last started first. They start again with it. */
  stopDependents(name: string): Promise<void> {
    return this.inTurn(async () => {
      const root = this.#instances.get(name)
      for (const dependent of this.#plan.dependentsOf(name)) {
        const instance = this.#instances.get(dependent)
        // It may have been started again, or stopped, before this round.
        if (this.#closed || !root || root.running || instance?.generation === undefined) continue
        const error = dependencyFailed(dependent, name, root.error)
        await this.#supervisor.stop(instance, error.message)
        instance.keepDown(error)
      }
    })
  }

  /**
   * Does in turn what stops a plugin, and those that depend on it: what is coming up of them ends at once, and no turn before that waits
   * for other starts. `act` may find that there is nothing to stop any more: what ended for that comes up again by the round that follows.
   */
  inTurnEnding<T>(name: string, reason: string, act: () => Promise<T>): Promise<T> {
    this.#hurryAll()
    for (const each of [name, ...this.#plan.dependentsOf(name)]) {
      const instance = this.#instances.get(each)
      if (instance) this.#interrupt(instance, reason)
    }
    return this.#beforeRound(reason, act)
  }

  #beforeRound<T>(reason: string, act: () => Promise<T>): Promise<T> {
    return this.inTurn(async (round) => {
      try {
        return await act()
      } finally {
        if (!this.#closed) await round(reason, 'begun')
      }
    })
  }

  #interrupt(instance: PluginInstance, reason: string): void {
    this.#interrupted.set(instance, this.#asked)
    this.#resume(instance)
    instance.interrupt(reason)
  }

  /** From now on nothing is started, and what is coming up ends. */
  close(reason: string): void {
    this.#closed = true
    for (const instance of this.#instances.values()) this.#interrupt(instance, reason)
  }

  /** Stops everything in reverse order, wave by wave, for good. Returns what could not be undone. Called after `close`. */
  stopAll(reason: string): Promise<string[]> {
    return this.inTurn(() => this.#stopAll(reason))
  }

  async #stopAll(reason: string): Promise<string[]> {
    const left: string[] = []
    const planned = new Set(this.#plan.order)
    const others = [...this.#instances.keys()].filter((name) => !planned.has(name))
    for (const wave of [...this.#plan.waves, others].reverse()) {
      const stopped = wave.map(async (name) => {
        const instance = this.#instances.get(name)
        if (instance) left.push(...(await this.#supervisor.stop(instance, reason)))
      })
      await Promise.all(stopped)
    }
    return left
  }
}

const endOf = ({ signal }: Attempt): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })

/** The plugin whose own failure is behind the failure of this one. */
const rootOf = (instance: PluginInstance): { name: string; cause: unknown } => {
  const { error } = instance
  const details = (error as { details?: { root?: unknown } } | undefined)?.details
  if (typeof details?.root === 'string') return { name: details.root, cause: error?.cause ?? error }
  return { name: instance.name, cause: error ?? reasonOf(`it is ${instance.state}`) }
}
