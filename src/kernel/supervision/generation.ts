/** One run of one plugin: its place, the conversation with it, what it owns, and the phases of its life, each with its time limit. */
import { mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { isObject, shown } from '../../arguments.js'
import { type ErrorCode, PlugbayError } from '../../errors.js'
import type { PermissionSet } from '../../permission-set.js'
import type { RecordedCpu } from '../../sandbox/cpu-profile.js'
import { outlasts, PATIENCE } from '../../sandbox/host/patience.js'
import { LogBudget } from '../../sandbox/log/log-budget.js'
import { lineOf } from '../../sandbox/log/log-line.js'
import { outputLevel } from '../../sandbox/log/output-level.js'
import { type Grants, hasNet } from '../../sandbox/permissions/grants.js'
import type { Breach, Exit, PluginHost } from '../../sandbox/plugin-host.js'
import type { GuestVerbs, HealthReport, Hook, LogLevel } from '../../sandbox/protocol.js'
import { Conversation, type RequestOptions } from '../../sandbox/rpc.js'
import { type Leftover, Scope } from '../../scope.js'
import type { Stripped } from '../../strip-types.js'
import { isOwn, reasonOf } from '../../wire-error.js'
import { Gateway } from '../gateway/gateway.js'
import { assertGoesOn, interrupted } from '../lifecycle/interrupted.js'
import { keepAlive } from '../lifecycle/keep-alive.js'
import { Lifecycle, type PluginState, type Transition } from '../lifecycle/lifecycle.js'
import type { Guilt } from '../limits/guilt.js'
import { limitError } from '../limits/limit-error.js'
import type { Excess } from '../limits/quota.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { Readable } from '../modules/readable.js'
import type { EffectiveLimits } from '../options/options.js'
import type { Plane } from '../services/plane.js'
import type { Succession } from '../services/succession.js'
import type { TaskOwner } from '../tasks/task-pool.js'
import type { TaskPools } from '../tasks/task-pools.js'
import { explainShortage } from '../text/system-limit.js'
import { crashError, ownEnd } from './crash-error.js'
import type { Inspection } from './inspection.js'
import { type Phase, phaseFault, timeoutOf } from './phases.js'

export interface GenerationOptions {
  source: PluginSource
  number: number
  config: object
  limits: EffectiveLimits
  dataDir: string
  /** Where profiles of plugins that break a limit are kept. */
  profiles: string
  /** Its author looks into it. */
  inspection: Inspection | undefined
  permissions: PermissionSet
  host: PluginHost
  plane: Plane
  tasks: TaskPools
  /** Starts beside a predecessor, and stands aside until it takes over. */
  succession: Succession | undefined
  /** The kernel's own copy of `plugbay/plugin`, a file: URL. */
  pluginModule: string
  needsHooks: boolean
  stripped: Stripped
  /** What its place lets it reach; undefined: whatever the process may. */
  grants: Grants | undefined
  /** See `LoadRequest`. */
  packages: readonly string[]
  moved(transition: Transition): void
  log(level: LogLevel, message: string, fields: unknown): void
  /** It did what it has no permission for. */
  denied(error: PlugbayError): void
  /** As in {@link Gateway}. */
  used: ((resource: string, action: string) => void) | undefined
  /** Whether such an end of its place is the plugin's own will. */
  endsWell(exit: Exit): boolean
  /** The place ended by itself, or broke a limit. Told once, in the same turn in which it was noticed. */
  crashed(exit: Exit, lost: number): void
  /** The place, or a thread of its tasks, was to end and does not. */
  stuck(gone: Promise<unknown>): void
}

/** With these a request fails whose line has ended. */
const LINE_ENDED: ReadonlySet<ErrorCode> = new Set(['CHANNEL_CLOSED', 'PROTOCOL', 'PLUGIN_CRASHED'])

/** Events that may be under way to one subscription of a plugin; the rest waits in the kernel. */
const IN_FLIGHT = 1_024

/** More than a guest's own second: what it lets pass in time may come here in one batch. */
const LOG_SECONDS = 4

export class Generation {
  readonly name: string
  readonly number: number
  readonly source: PluginSource
  readonly limits: EffectiveLimits
  readonly scope: Scope
  readonly gateway: Gateway
  readonly lifecycle: Lifecycle
  readonly host: PluginHost
  /** Milliseconds each phase of the start took. */
  readonly phases: Partial<Record<Phase, number>> = {}
  config: object
  readonly #options: GenerationOptions
  readonly #logBudget: LogBudget
  readonly #taskOwner: TaskOwner
  #conversation: Conversation | undefined
  #hooks: ReadonlySet<Hook> = new Set()
  #ending = false
  #dead: PlugbayError | undefined
  #closed: Promise<Leftover[]> | undefined

  constructor(options: GenerationOptions) {
    const { source, number, limits, host, plane } = options
    this.#options = options
    this.#logBudget = new LogBudget(LOG_SECONDS, (message) => options.log('warn', message, undefined))
    this.name = source.name
    this.number = number
    this.source = source
    this.limits = limits
    this.host = host
    this.config = options.config
    this.scope = new Scope(`${this.name}#${number}`)
    this.lifecycle = new Lifecycle(this.name, 'resolved', options.moved)
    this.gateway = new Gateway({
      plugin: this.name,
      plane,
      scope: this.scope,
      permissions: options.permissions,
      inFlight: IN_FLIGHT,
      limits,
      succession: options.succession,
      log: (level, message, fields) => this.#log(level, message, fields),
      runTask: (task, given, signal, claim) =>
        options.tasks.run(this.#taskOwner, task, given, AbortSignal.any([signal, this.scope.signal]), claim),
      denied: options.denied,
      breached: (excess) => this.#breached(excess),
      used: options.used,
      ended: (reason) => this.#lineEnded(reason),
    })
    this.#taskOwner = {
      label: this.scope.label,
      generation: number,
      source,
      // The tasks of a plugin in a process run in the kernel's: they are held as a thread's.
      grants: host.kind === 'inline' ? undefined : options.grants,
      assertOpen: () => this.gateway.rights.assert('tasks', 'use'),
      packages: options.packages,
      learning: options.permissions.granted.learning === true,
      memory: limits.memory,
      log: (level, message) => this.#log(level, message, undefined),
      denied: (resource, action, times) => this.gateway.rights.deniedThere(resource, action, times),
      used: (resource, action) => this.gateway.rights.usedThere(resource, action),
      fault: options.denied,
      stuck: options.stuck,
      beyond: host.kind === 'process',
    }
    this.scope.own('task pool', () => options.tasks.close(this.scope.label))
    // From here on, whether it comes to a start or not: a thread was taken for it.
    this.scope.own('place', () => host.kill('the generation ended'))
  }

  get state(): PluginState {
    return this.lifecycle.state
  }

  get alive(): boolean {
    return this.#dead === undefined && this.#closed === undefined && this.#conversation !== undefined
  }

  has(hook: Hook): boolean {
    return this.#hooks.has(hook)
  }

  /**
   * Loads, initializes and starts the plugin. What fails is undone completely before this rejects; once `signal` is aborted, with
   * PLUGIN_STOPPED.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { dataDir, host, inspection } = this.#options
    try {
      assertGoesOn(this.name, signal)
      this.lifecycle.move('initializing', 'start')
      this.#options.tasks.expect(this.#options.source.tasks)
      host.onOutput = (stream, text) => this.#log(outputLevel(stream, text), text.replace(/\n$/, ''), undefined)
      host.onStuck = () => this.#options.stuck(host.exited)
      // At a breakpoint it gets nothing done, and a debugger holds on to memory.
      if (inspection === undefined) host.watch?.(this.limits, (breach) => this.#breached(breach))
      try {
        mkdirSync(dataDir, { recursive: true })
      } catch (error) {
        throw (await import('./data-folder.js')).dataFolderFault(this.name, dataDir, error)
      }
      const channel = await host.start(this.scope.signal).catch(explainShortage(this.name))
      this.#conversation = this.gateway.conversation = new Conversation(channel, this.gateway, `plugin '${this.name}'`)
      void host.exited.then((exit) => this.#exited(exit))
      if (inspection !== undefined) await this.#inspected(inspection, signal)
      // Its guest meets no other request of this shape.
      const { hooks } = (await this.#run('load', this.#loadRequest(), { transfer: [], signal })) as GuestVerbs['load']['answers']
      this.#hooks = new Set(hooks)
      if (this.has('initialize')) await this.#run('initialize', undefined, { signal })
      this.lifecycle.move('starting', 'start')
      await this.#run('start', undefined, { signal })
      this.lifecycle.move('running', 'start')
    } catch (error) {
      await this.#undo('it did not start', reasonOf(error), !signal.aborted)
      throw error
    }
  }

  /** It came up and does not take over, for that reason: nothing of it is left. `failed`: by its own fault. */
  async discard(reason: string, failed: boolean): Promise<void> {
    const what = 'it did not take over'
    // One that did not come up, or died meanwhile, has told so.
    if (this.state === 'running') await this.#undo(what, reason, failed)
    else await this.close(what)
  }

  async #undo(what: string, reason: string, failed: boolean): Promise<void> {
    this.#ending = true
    this.lifecycle.moveIfPossible(failed ? 'failed' : 'stopping', reason)
    await this.close(what)
    if (!failed) this.lifecycle.moveIfPossible('stopped', reason)
  }

  #loadRequest(): GuestVerbs['load']['asks'] {
    const { source, number, config, dataDir, permissions, host, pluginModule, needsHooks, stripped, grants, packages, inspection } =
      this.#options
    return {
      name: this.name,
      version: source.version,
      generation: number,
      entry: pathToFileURL(source.entry).href,
      root: source.root,
      packages,
      inline: host.kind === 'inline',
      needsHooks,
      stripped,
      // Inline there is no gate: it would close the kernel's own doors.
      grants: host.kind === 'inline' ? undefined : grants,
      offline: host.tier === 'process+sandbox' && grants !== undefined && !hasNet(grants),
      config,
      dataDir,
      permissions: permissions.granted,
      tasks: Object.keys(source.tasks),
      window: this.limits.window,
      message: this.limits.message,
      subscriptions: this.limits.subscriptions,
      pluginModule,
      ...(inspection?.waits && { waitForDebugger: true }),
    }
  }

  async #inspected(inspection: Inspection, signal: AbortSignal): Promise<void> {
    const own = (await this.#run('inspect', undefined, { signal })) as GuestVerbs['inspect']['answers']
    const { url, end } = inspection.lead(own.url)
    this.scope.own('inspector', end)
    const waits = inspection.waits ? ' It waits for a debugger before its first line.' : ''
    this.#options.log(
      'info',
      `Its inspector listens at ${url} (chrome://inspect finds it at localhost:${inspection.port}).${waits}`,
      undefined,
    )
  }

  #log(level: LogLevel, message: string, fields: unknown): void {
    const line = lineOf(message, fields)
    if (this.#logBudget.takes(line.size)) this.#options.log(level, line.message, line.fields)
  }

  /** One phase: asked of the guest, timed, limited, its failure told as the plugin's. */
  async #run(phase: Phase, body?: unknown, options?: RequestOptions): Promise<unknown> {
    const timeout = timeoutOf(phase, this.limits)
    const began = performance.now()
    try {
      if (this.#dead) throw this.#dead
      if (this.#conversation === undefined)
        throw new PlugbayError('PLUGIN_STOPPED', `Plugin '${this.name}' has no place to run '${phase}' in.`, { plugin: this.name })
      const answer = await keepAlive(this.#conversation.request(phase, body, { ...options, timeout }))
      // It may have died as soon as it had answered.
      if (this.fault) throw this.fault
      return answer
    } catch (error) {
      throw await this.#phaseError(phase, performance.now() - began, error, options?.signal)
    } finally {
      this.phases[phase] = performance.now() - began
    }
  }

  async #phaseError(phase: Phase, elapsed: number, error: unknown, signal: AbortSignal | undefined): Promise<PlugbayError> {
    // It is dead: that is why the phase failed, whatever the phase says.
    if (this.#dead) return this.#dead
    if (signal?.aborted) return interrupted(this.name, `during ${phase}`, signal)
    if (!isOwn(error) || !LINE_ENDED.has(error.code)) return phaseFault(this, phase, elapsed, error)
    const exit = await this.#ownEnd(signal)
    if (signal?.aborted) return interrupted(this.name, `during ${phase}`, signal)
    if (exit !== undefined) return crashError(this.name, exit, `during ${phase}`)
    const details = { phase, generation: this.number, elapsed: Math.round(elapsed) }
    return new PlugbayError('PLUGIN_STOPPED', `Plugin '${this.name}' was stopped during ${phase}.`, {
      plugin: this.name,
      cause: error,
      details,
    })
  }

  /** Inline it may read whatever the application may. */
  get readable(): Readable {
    return this.host.kind === 'inline' ? undefined : [...this.#options.permissions.names('fs', 'read'), ...this.#options.packages]
  }

  /**
   * How its place ended, which may take a while to be told, and is not of one that native code holds; undefined where it is to stop, or
   * comes to be meanwhile.
   */
  async #ownEnd(signal: AbortSignal | undefined): Promise<Exit | undefined> {
    if (this.#ending) return undefined
    const { lag = 0, exited } = this.host
    const stopped = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
    let exit: Exit = { expected: false }
    const told = exited.then((how) => (exit = how))
    await outlasts(Promise.race([told, stopped]), lag + PATIENCE)
    return this.#ending ? undefined : exit
  }

  /** The channel closed, was abused, or what came over it could not be dealt with: then the place is of no use any more. */
  #lineEnded(reason: PlugbayError): void {
    if (this.#ending || this.#dead) return
    if (reason.code !== 'PROTOCOL' && reason.code !== 'INTERNAL') {
      void this.#abandoned()
      return
    }
    this.#quarantine(reason, { expected: false, error: reason })
    void this.host.kill(reason.message)
  }

  /** Nobody is at the other end: it has ended and says how, or is ended. */
  async #abandoned(): Promise<void> {
    const { lag, exited } = this.host
    if (lag !== undefined && !(await outlasts(exited, lag))) return
    await this.host.kill('its channel closed')
    // What native code holds does not end: it is over all the same.
    this.#exited({ expected: false })
  }

  #breached(breach: Breach | Excess): void {
    if (!this.#minds(breach)) return
    const profile = 'profile' in breach ? breach.profile : undefined
    if (profile === undefined) this.#condemn(breach)
    else void this.#blame(profile).then((guilt) => this.#minds(breach) && this.#condemn(breach, guilt))
  }

  /** Where it comes up, the limits of its phases say how long that may take. */
  #minds({ limit }: Breach | Excess): boolean {
    const timed = limit === 'hang' || limit === 'cpu'
    return !this.#ending && !this.#dead && !(timed && (this.state === 'initializing' || this.state === 'starting'))
  }

  async #blame(profile: RecordedCpu): Promise<Guilt> {
    const { guiltOf } = await import('../limits/guilt.js')
    return guiltOf(profile, this.source, this.number, this.#options.profiles)
  }

  #condemn(breach: Breach | Excess, guilt?: Guilt): void {
    const error = limitError(this.name, this.number, this.host.kind, breach, guilt)
    this.#quarantine(error, { expected: false, error })
    void this.host.kill(error.message)
  }

  #exited(exit: Exit): void {
    if (this.#ending || this.#dead) return
    const running = this.state === 'running'
    const well = running && this.#options.endsWell(exit)
    this.#quarantine(
      well ? ownEnd(this.name) : crashError(this.name, exit, running ? 'while it was running' : `while it was ${this.state}`),
      exit,
    )
  }

  /**
   * Routes and calls under way go in this very turn, whenever its thread may end; what it had taken and not finished is lost, and counted.
   */
  #quarantine(why: PlugbayError, exit: Exit): void {
    this.#dead = why
    this.#conversation?.close(why)
    const lost = this.gateway.bury(why)
    if (this.state !== 'running') return
    this.#fell(why, lost)
    this.#options.crashed(exit, lost)
  }

  #fell(why: PlugbayError, lost: number): void {
    if (why.code !== 'PLUGIN_STOPPED') return this.lifecycle.move('failed', why.message)
    this.lifecycle.move('stopping', why.message)
    this.lifecycle.move('stopped', why.message)
    const events = lost === 0 ? '' : ` Events that it had in hand are lost: ${lost}.`
    this.#options.log('info', why.message + events, undefined)
  }

  /** Why the place is gone, when it ended by itself. */
  get fault(): PlugbayError | undefined {
    return this.#dead
  }

  async health(): Promise<HealthReport> {
    const report = await this.#run('health')
    if (isObject(report) && typeof (report as Partial<HealthReport>).healthy === 'boolean') return report as HealthReport
    throw new PlugbayError(
      'PLUGIN_STATE',
      `Plugin '${this.name}' answers health with ${shown(report)}. Give an object such as { healthy: true }.`,
      { plugin: this.name },
    )
  }

  /** As `start`, this and the three that follow end with PLUGIN_STOPPED once `signal` is aborted. */
  async updateConfig(config: object, signal: AbortSignal): Promise<void> {
    await this.#run('updateConfig', { config }, { signal })
    this.config = config
  }

  /** Resolves when the events it has are handled and, once its routes are gone, its callers have their answers. */
  async drainEvents(signal: AbortSignal): Promise<void> {
    await this.#run('drain', { lines: false }, { signal })
  }

  async snapshot(signal: AbortSignal): Promise<unknown> {
    return this.#run('snapshot', undefined, { signal })
  }

  async restore(state: unknown, signal: AbortSignal): Promise<void> {
    await this.#run('restore', { state }, { signal })
  }

  /**
   * Takes the routes away, lets it finish, calls its stop, ends its place. Returns what could not be undone; the stop's own failure among
   * it.
   */
  async stop(reason: string): Promise<Leftover[]> {
    if (this.#closed) return this.#closed
    const leftovers: Leftover[] = []
    if (this.alive && this.state === 'running') {
      this.lifecycle.move('stopping', reason)
      await this.#empty(leftovers)
      for (const phase of ['drain', 'stop'] as const) {
        try {
          await this.#run(phase, { lines: true })
        } catch (error) {
          leftovers.push({ label: `${this.name}#${this.number}/${phase}`, error })
        }
      }
    }
    this.#ending = true
    leftovers.push(...(await this.close(reason)))
    this.lifecycle.moveIfPossible('stopped', reason)
    return leftovers
  }

  /** Lets the events it was promised reach it, within its time to stop. */
  async #empty(leftovers: Leftover[]): Promise<void> {
    const limit = new AbortController()
    const timeout = this.limits.stopTimeout
    const late = delay(timeout, true, { signal: limit.signal }).catch(() => false)
    const lost = await Promise.race([this.gateway.detach().then(() => false), late])
    limit.abort()
    if (!lost) return
    const queued = this.gateway.subscriptions.reduce((sum, { stats }) => sum + stats.queued + stats.inFlight, 0)
    const error = new PlugbayError(
      'PLUGIN_TIMEOUT',
      `Plugin '${this.name}' did not handle ${queued} events in the ${timeout} ms it has to stop (limits.stopTimeout).`,
      {
        plugin: this.name,
        details: { queued, limit: 'stopTimeout', allowed: timeout },
      },
    )
    leftovers.push({ label: `${this.name}#${this.number}/events`, error })
  }

  /** Ends the place now and undoes all that the generation acquired. Idempotent. */
  close(reason: string): Promise<Leftover[]> {
    this.#closed ??= (async () => {
      this.#ending = true
      this.#conversation?.close(new PlugbayError('PLUGIN_STOPPED', `Plugin '${this.name}' has stopped: ${reason}.`, { plugin: this.name }))
      return this.scope.close()
    })()
    return this.#closed
  }
}
