/** A plugin in its place: answers the kernel's verbs by calling the plugin's functions with its context. */
import { PlugbayError } from '../../errors.js'
import { EventIds } from '../../event-ids.js'
import { didYouMean } from '../../nearest.js'
import { reasonOf, toWire, type WireError } from '../../wire-error.js'
import type { Call } from '../conversation/call.js'
import type { Body, Meta } from '../conversation/frames.js'
import { takenOf } from '../conversation/held-answer.js'
import type { Party } from '../conversation/party.js'
import { discard, isSealed, open, type Sealed } from '../conversation/sealed.js'
import type { Opened } from '../lines/used-services.js'
import { LogBudget } from '../log/log-budget.js'
import { lineOf } from '../log/log-line.js'
import type { Connection, GuestVerbs, Hook, KernelNotices, LoadRequest, LogLevel, ServiceChange } from '../protocol.js'
import type { Conversation } from '../rpc.js'
import { cloneSize } from '../values/clone-size.js'
import { GuestBus } from './guest-bus.js'
import { GuestPermissions } from './guest-permissions.js'
import { GuestServices } from './guest-services.js'
import { guestTasks } from './guest-tasks.js'
import { openInspector, waitForDebugger } from './inspector.js'
import { asMeant, crossing } from './log-fields.js'
import { mediatedFetch, mediatedFiles } from './mediated.js'
import { ownLoad } from './own-load.js'

type Hooks = Partial<Record<Hook, (ctx: unknown, argument?: unknown) => unknown>>

/** Bytes of a report on a plugin's health. */
const HEALTH_LIMIT = 64 * 1_024

const HOOKS: readonly Hook[] = ['initialize', 'start', 'stop', 'health', 'updateConfig', 'snapshot', 'restore']

/** Prepares the place for a plugin's modules before the first of them is imported. */
export type Prepare = (request: LoadRequest) => unknown

export class PluginRuntime implements Party {
  plugin: string | undefined
  readonly #prepare: Prepare
  readonly #ended: () => void
  readonly #beyond: boolean
  readonly #abort = new AbortController()
  #conversation: Conversation | undefined
  #hooks: Hooks = {}
  #context: Record<string, unknown> = {}
  #bus: GuestBus | undefined
  #services: GuestServices | undefined
  #ids = new EventIds('')
  /** Here, so that a flood costs the kernel nothing; the kernel has its own count. */
  readonly #logBudget = new LogBudget(1, (message) => this.#conversation?.notify('log', ['warn', message], undefined))

  /** `beyond`: it is in another process than the kernel. */
  constructor(prepare: Prepare, ended: () => void, beyond = false) {
    this.#prepare = prepare
    this.#beyond = beyond
    this.#ended = ended
  }

  /** The conversation with the kernel: set once, right after it was made with this party. */
  set conversation(conversation: Conversation) {
    this.#conversation = conversation
  }

  request(call: Call, body: unknown): unknown {
    switch (call.verb as keyof GuestVerbs) {
      case 'inspect':
        return openInspector()
      case 'load':
        return this.#load(body as LoadRequest)
      case 'initialize':
        return this.#hooks.initialize?.(this.#context, this.#context['config'])
      case 'start':
        return this.#start()
      case 'drain':
        return this.#drain((body as GuestVerbs['drain']['asks']).lines)
      case 'stop':
        return this.#stop()
      case 'health':
        return this.#health()
      case 'updateConfig':
        return this.#updateConfig((body as GuestVerbs['updateConfig']['asks']).config)
      case 'snapshot':
        return this.#hooks.snapshot?.(this.#context)
      case 'restore':
        return this.#hooks.restore?.(this.#context, (body as GuestVerbs['restore']['asks']).state)
      case 'sync':
        return
      default:
        throw new PlugbayError('VERB_UNKNOWN', `The guest of plugin '${this.plugin}' does not know the verb '${call.verb}'.`)
    }
  }

  notice(verb: string, metas: readonly Meta[], body: Body, number: number): void {
    switch (verb) {
      case 'event': {
        const [route, prefix, type, source, time] = metas as KernelNotices['event']
        if (prefix !== this.#ids.prefix) this.#ids = new EventIds(prefix)
        this.#bus?.received(route, this.#ids.of(number), type, source, time, body)
        break
      }
      case 'joined':
        this.#bus?.joined(metas[0] as number, metas[1] as number)
        break
      case 'accepted':
        this.#bus?.accepted(metas[0] as number)
        break
      case 'connect':
        this.#services?.connect(metas[0] as number, metas[1] as string, body.open() as Connection)
        break
      case 'rebind':
        this.#services?.rebind(metas[0] as number, metas[2] as string, body.open() as Connection)
        break
      case 'gone':
        this.#services?.gone(metas[0] as number, metas[1] as boolean, body.open() as WireError)
        break
      case 'changed':
        this.#services?.changed(metas[0] as number, metas[1] as ServiceChange, metas[2] as string)
        break
      default:
    }
  }

  /** The replies of the kernel that are more than data: a line to a service, and what a task answers where that is large. */
  unbox(metas: readonly Meta[], body: unknown): unknown {
    return isSealed(this.#take(metas) ?? metas) ? open(body as Sealed) : body
  }

  dropped(metas: readonly Meta[], body: unknown): void {
    const rest = this.#take(metas)
    if (isSealed(rest ?? metas)) discard(body as Sealed)
    else if (rest === undefined) this.#services?.keep(body as Opened)
  }

  /** Of an answer that the kernel holds until it is told that it came, what else is said of it. */
  #take(metas: readonly Meta[]): readonly Meta[] | undefined {
    const held = takenOf(metas)
    if (held !== undefined) this.#conversation?.notify('taken', held.taken)
    return held?.rest
  }

  ended(): void {
    this.#close()
    this.#ended()
  }

  async #load(request: LoadRequest): Promise<GuestVerbs['load']['answers']> {
    const { name, entry } = request
    this.plugin = name
    await this.#prepare(request)
    let module: Record<string, unknown>
    const stopWaiting = request.waitForDebugger ? waitForDebugger(entry) : undefined
    try {
      module = (await import(request.inline ? ownLoad(entry) : entry)) as Record<string, unknown>
    } catch (error) {
      throw new PlugbayError('PLUGIN_LOAD', `Plugin '${name}' could not be loaded: ${reasonOf(error)}`, { plugin: name, cause: error })
    } finally {
      stopWaiting?.()
    }
    this.#hooks = await hooksOf(name, module)
    this.#context = this.#makeContext(request)
    const others = otherFunctions(module['default'] as object)
    if (others.length > 0) await this.#warnOfSlips(name, others)
    return { hooks: HOOKS.filter((hook) => this.#hooks[hook] !== undefined) }
  }

  #makeContext(request: LoadRequest): Record<string, unknown> {
    const { name, version, config, dataDir, permissions: granted, generation, tasks } = request
    const conversation = this.#conversation as Conversation
    const permissions = new GuestPermissions(conversation, name, granted)
    const bus = (this.#bus = new GuestBus(conversation, name, request, permissions))
    const services = (this.#services = new GuestServices(conversation, name, permissions, bus))
    const log = (level: LogLevel) => (message: unknown, fields?: unknown) => this.log(level, ...asMeant(message, fields))
    return {
      name,
      version,
      generation,
      config: deepFreeze(config),
      dataDir,
      signal: this.#abort.signal,
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      bus: { publish: bus.publish.bind(bus), subscribe: bus.subscribe.bind(bus) },
      services: { provide: services.provide.bind(services), use: services.use.bind(services), watch: services.watch.bind(services) },
      fs: mediatedFiles(conversation),
      fetch: mediatedFetch(conversation),
      permissions: { has: permissions.has.bind(permissions) },
      tasks: guestTasks(conversation, name, tasks, this.#beyond),
    }
  }

  /** A function that is misspelt beside others that are not would never be called, and nobody would know. */
  async #warnOfSlips(name: string, functions: readonly string[]): Promise<void> {
    const { misspeltHooks } = await import('./misspelt-hook.js')
    const missing = HOOKS.filter((hook) => this.#hooks[hook] === undefined)
    for (const sentence of misspeltHooks(name, functions, missing)) this.log('warn', sentence)
  }

  /**
   * Fields that cannot cross, or cannot even be read, cost neither the line nor the other fields. It is measured here, as a clone: that is
   * what crosses.
   */
  log(level: LogLevel, message: string, fields?: unknown): void {
    if (this.#logBudget.drops(message.length)) return
    const given = fields instanceof Error ? { error: toWire(fields) } : fields
    for (const crosses of [() => given, () => crossing(given), () => undefined]) {
      try {
        const line = lineOf(message, structuredClone(crosses()))
        if (this.#logBudget.takes(line.size)) this.#conversation?.notify('log', [level, line.message], line.fields)
        return
      } catch {
        // Less of them crosses.
      }
    }
  }

  async #start(): Promise<void> {
    await this.#hooks.start?.(this.#context)
    await this.#services?.settled()
  }

  async #drain(lines: boolean): Promise<void> {
    await Promise.all([this.#bus?.drain(), lines ? this.#services?.drain() : undefined])
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new DOMException(`Plugin '${this.plugin}' is stopping.`, 'AbortError'))
    await this.#hooks.stop?.(this.#context)
  }

  async #health(): Promise<GuestVerbs['health']['answers']> {
    const report = ((await this.#hooks.health?.(this.#context)) as GuestVerbs['health']['answers'] | undefined) ?? { healthy: true }
    if (cloneSize(report, HEALTH_LIMIT) <= HEALTH_LIMIT) return report
    return { healthy: report.healthy, omitted: `more than ${HEALTH_LIMIT} bytes of the report` }
  }

  async #updateConfig(config: unknown): Promise<void> {
    const frozen = deepFreeze(config)
    await this.#hooks.updateConfig?.(this.#context, frozen)
    this.#context['config'] = frozen
  }

  #close(): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(new DOMException(`Plugin '${this.plugin}' has ended.`, 'AbortError'))
    this.#bus?.close()
    this.#services?.close()
  }
}

const hooksOf = async (name: string, module: Record<string, unknown>): Promise<Hooks> => {
  const exported = module['default']
  const fail = (why: string): never => {
    throw new PlugbayError(
      'PLUGIN_SHAPE',
      `Plugin '${name}' ${why}. Its default export must be an object with at least one of ${HOOKS.join(', ')}: definePlugin({ async start(ctx) { … } }).`,
      { plugin: name },
    )
  }
  if (typeof exported !== 'object' || exported === null) {
    return fail(
      exported === undefined
        ? 'has no default export'
        : `exports ${exported === null ? 'null' : `a ${typeof exported}`} by default, not an object`,
    )
  }
  const hooks: Hooks = {}
  for (const hook of HOOKS) {
    const member = (exported as Record<string, unknown>)[hook]
    if (member === undefined) continue
    if (typeof member !== 'function') return fail(`has a '${hook}' that is no function`)
    hooks[hook] = (...args) => Reflect.apply(member, exported, args) as unknown
  }
  if (Object.keys(hooks).length === 0) {
    const keys = Object.keys(exported)
    const hints = keys.map((key) => didYouMean(key, HOOKS)).filter(Boolean)
    return fail(`has none of the functions of a plugin${keys.length > 0 ? ` (it has: ${keys.join(', ')}.${hints.join('')})` : ''}`)
  }
  return hooks
}

/** Without asking a getter. */
const otherFunctions = (exported: object): string[] =>
  Object.keys(exported).filter(
    (key) => !HOOKS.includes(key as Hook) && typeof Object.getOwnPropertyDescriptor(exported, key)?.value === 'function',
  )

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
