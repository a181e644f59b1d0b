/**
 * Tells what happens to the kernel and its plugins: to the log, the audit log, the embedder's listeners, and whoever listens on the bus.
 */
import type { EventBus } from '../../bus/event-bus.js'
import { isOwn, toWire } from '../../wire-error.js'
import type { Audit } from '../audit/audit.js'
import { KernelEmitter, type KernelEventHandlers, type KernelEvents } from '../lifecycle/kernel-events.js'
import type { Logger } from '../options/options.js'
import { brief, briefError } from './brief-error.js'
import { StartDenials } from './start-denials.js'

export class Announcer {
  readonly #log: Logger
  readonly #audit: Audit | undefined
  readonly #bus: EventBus
  readonly #lastEnd: (plugin: string) => string | undefined
  readonly #emitter: KernelEmitter
  /** Faults that have been told. */
  readonly #told = new WeakSet<Error>()
  readonly #denials = new StartDenials()

  /** What an operator should see of each in the log, and the one place that writes a fault there. */
  readonly #write: KernelEventHandlers = {
    'plugin:state': ({ name, generation, to }) => {
      if (to === 'initializing') this.#denials.began(startOf(name, generation))
      else if (to === 'running') this.#writeDenials(name, generation)
    },
    'plugin:fault': ({ name, generation, error }) => {
      if (isOwn(error) && error.code === 'PERMISSION_DENIED' && this.#denials.keep(startOf(name, generation), error)) return
      this.#writeDenials(name, generation, error)
      this.#writeFault(name, generation, error)
    },
    'plugin:replaced': ({ name, from, to, reason, ms }) => {
      const took = `in ${ms.toFixed(1)} ms`
      const line =
        reason === 'crash'
          ? `Restarted after a crash of generation ${from}, as generation ${to} ${took}. The crash: ${this.#lastEnd(name)}`
          : `Replaced generation ${from} by ${to} ${took}: ${reason}.`
      this.#log.info({ plugin: name, generation: to }, line)
    },
    'plugin:demoted': ({ name, generation, reason }) => this.#log.warn({ plugin: name, generation }, reason),
    'plugin:stuck': ({ name, generation }) =>
      this.#log.error(
        { plugin: name, generation },
        `A thread of plugin '${name}' does not end: a native call holds it, which nothing can interrupt. It has no part in the system any more; end the process with kernel.exit().`,
      ),
    'kernel:state': () => {},
  }

  /** `lastEnd`: how a plugin's place last ended by itself. */
  constructor(log: Logger, audit: Audit | undefined, bus: EventBus, lastEnd: (plugin: string) => string | undefined) {
    this.#log = log
    this.#audit = audit
    this.#bus = bus
    this.#lastEnd = lastEnd
    this.#emitter = new KernelEmitter((event, error) => log.error({ err: error }, `A listener of '${event}' threw.`))
  }

  /** Returns the undo. A listener that throws harms nobody else. */
  on<E extends keyof KernelEvents>(event: E, listener: (payload: KernelEvents[E]) => unknown): () => void {
    return this.#emitter.on(event, listener)
  }

  tell<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    if ('error' in payload) {
      // Whoever meets a failure on its way up may tell it: it is told once.
      if (this.#told.has(payload.error)) return
      this.#told.add(payload.error)
      const error = briefError(payload.error)
      if (error !== payload.error) return this.#tell(event, { ...payload, error })
    }
    this.#tell(event, payload)
  }

  #tell<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    this.#write[event](payload)
    this.#audit?.told(event, payload)
    if ('reason' in payload && payload.reason.length > brief(payload.reason).length) {
      this.#publish(event, { ...payload, reason: brief(payload.reason) })
    } else this.#publish(event, payload)
  }

  #publish<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    this.#emitter.emit(event, payload)
    // What the kernel does itself is no event of a plugin's life.
    if (event === 'kernel:state') return
    const data = 'error' in payload ? { ...payload, error: toWire(payload.error) } : payload
    void this.#bus.publish(`kernel.${event.replace(':', '.')}`, data as never).catch(() => {})
  }

  #writeDenials(name: string, generation: number, failure?: Error): void {
    for (const denial of this.#denials.ended(startOf(name, generation), failure)) this.#writeFault(name, generation, denial)
  }

  #writeFault(plugin: string, generation: number, error: Error): void {
    this.#log.error({ plugin, generation, err: error }, error.message)
  }
}

const startOf = (plugin: string, generation: number): string => `${plugin}#${generation}`
