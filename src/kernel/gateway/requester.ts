/**
 * Requests over HTTP, made in a thread of their plugin's own: what a server answers is parsed where its socket is, for as long as the
 * server likes, and holds nobody else there.
 */
import { MessageChannel, Worker } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { isLarge } from '../../sandbox/conversation/at-once.js'
import { HARD_HEAP_MB } from '../../sandbox/host/standby.js'
import type { Breach, PlaceLimits } from '../../sandbox/plugin-host.js'
import type { KernelVerbs } from '../../sandbox/protocol.js'
import { newCells, type Pulse } from '../../sandbox/pulse.js'
import { shortageOf } from '../../sandbox/shortage.js'
import { watchdog } from '../../sandbox/watch/watchdog.js'
import { WatchedThread } from '../../sandbox/watch/watched-thread.js'
import { fromWire, reasonOf, type WireError } from '../../wire-error.js'
import { systemLimit } from '../text/system-limit.js'

type FetchRequest = KernelVerbs['fetch']['asks']
type FetchAnswer = KernelVerbs['fetch']['answers']

/** One request, and no other that it leads to. */
export interface Exchange extends Pick<FetchRequest, 'url' | 'method' | 'headers' | 'body'> {
  /** An answer that leads elsewhere is of interest for that alone. */
  follows: boolean
}

export type Exchanged =
  | Pick<FetchAnswer, 'status' | 'statusText' | 'headers' | 'body'>
  /** It leads elsewhere; `body`: what was sent, for who sends it there. */
  | { status: number; location: string; body: FetchRequest['body'] }

/** What the kernel's thread says, of the request of that number. */
export type ToThread = ['send', number: number, exchange: Exchange] | ['cancel' | 'enter', number: number]

/** What the thread says: it wants to hold so many bytes of an answer in all; it has the answer; it has none. */
export type FromThread =
  | ['grow', number: number, bytes: number]
  | ['done', number: number, exchanged: Exchanged]
  | ['failed', number: number, error: WireError]

interface UnderWay {
  grow(bytes: number): Promise<void>
  settle(error: unknown, exchanged?: Exchanged): void
  /** Why no more of its answer is wanted. */
  refused?: unknown
}

/** Milliseconds that a thread is kept with nothing under way: longer than its connections are kept for the next request. */
const IDLE = 10_000
/** Of all that is under way at once, which is bounded, and as much again for what becomes of it in the thread. */
const MEMORY = 512
/** Milliseconds: what as many requests at once as there may be bring in one turn takes less, also of a server that means harm. */
const HANG = 10_000
const MAJOR = Number.parseInt(process.versions.node, 10)
/**
 * What the application has told Node of networks: a thread has options of its own, but for those of the whole process, which it may not be
 * given.
 */
const OF_NETWORKS = [
  /^--(dns-result-order|max-http-header-size|network-family-autoselection-attempt-timeout)=/,
  /^--(insecure-http-parser|(no-)?network-family-autoselection|tls-(min|max)-v1\.\d|use-env-proxy)$/,
  ...(MAJOR < 24 ? [] : [/^--use-system-ca$/]),
]

const SCRIPT = new URL('./request-thread.js', import.meta.url)

export interface RequesterOptions {
  plugin: string
  /** Share of one core. */
  cpu: number
  /** Milliseconds in which the thread may get nothing done. */
  hang?: number
  /** What the thread runs. */
  script?: URL
}

export class Requester {
  readonly #plugin: string
  readonly #limits: PlaceLimits
  readonly #script: URL
  readonly #underWay = new Map<number, UnderWay>()
  #worker: Worker | undefined
  #leave: () => void = () => {}
  #idle: NodeJS.Timeout | undefined
  #last = 0
  #closed = false

  constructor({ plugin, cpu, hang = HANG, script = SCRIPT }: RequesterOptions) {
    this.#plugin = plugin
    this.#limits = { memory: MEMORY, cpu, hang }
    this.#script = script
  }

  /**
   * Rejects as `fetch` does, with what `grow` rejects with, or with the error of the thread that ended. `grow`: resolves when there is room
   * for so many bytes of the answer in all. What is cancelled settles when the thread has let go of it. A large body is moved there.
   */
  make(exchange: Exchange, grow: UnderWay['grow'], signal: AbortSignal): Promise<Exchanged> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (this.#closed) return Promise.reject(this.#stopped())
    clearTimeout(this.#idle)
    const number = ++this.#last
    return new Promise((resolve, reject) => {
      const cancel = (): void => this.#say(['cancel', number])
      const settle: UnderWay['settle'] = (error, exchanged) => {
        this.#underWay.delete(number)
        signal.removeEventListener('abort', cancel)
        this.#rest()
        if (signal.aborted) reject(signal.reason as Error)
        else if (exchanged === undefined) reject(error)
        else resolve(exchanged)
      }
      this.#underWay.set(number, { grow, settle })
      signal.addEventListener('abort', cancel, { once: true })
      try {
        this.#worker ??= this.#made()
      } catch (error) {
        return settle(this.#why(error))
      }
      try {
        this.#say(['send', number, exchange], exchange.body instanceof Uint8Array && isLarge(exchange.body) ? [exchange.body.buffer] : [])
      } catch (error) {
        settle(error)
      }
    })
  }

  /** Ends all that is under way. */
  close(): void {
    this.#closed = true
    this.#end(this.#stopped())
  }

  #made(): Worker {
    const { port1: asks, port2: port } = new MessageChannel()
    const cells = newCells()
    const worker = new Worker(this.#script, {
      execArgv: process.execArgv.filter((option) => OF_NETWORKS.some((pattern) => pattern.test(option))),
      workerData: { cells, port } satisfies Pulse,
      transferList: [port],
      resourceLimits: { maxOldGenerationSizeMb: HARD_HEAP_MB },
    })
    /** Of a thread that was ended, nothing is heard. */
    const ended = (error: Error): void => {
      if (worker === this.#worker) this.#end(error)
    }
    worker.on('message', (said: FromThread) => worker === this.#worker && this.#hear(said))
    worker.on('error', (error) => ended(this.#why(error)))
    worker.on('exit', (code) => ended(this.#died(`exited with code ${code}`)))
    const breached = (breach: Breach): void => ended(this.#over(breach))
    const unwatch = watchdog.watch((at, pages) => new WatchedThread({ worker, cells, asks }, this.#limits, breached, at, pages))
    this.#leave = () => {
      unwatch()
      asks.close()
      void worker.terminate()
    }
    // The plugin's own place keeps the process, if it is to.
    asks.unref()
    worker.unref()
    return worker
  }

  #hear(said: FromThread): void {
    const [verb, number, what] = said
    const asked = this.#underWay.get(number)
    if (verb === 'grow')
      asked?.grow(what).then(
        () => this.#say(['enter', number]),
        (error: unknown) => {
          asked.refused = error
          this.#say(['cancel', number])
        },
      )
    else if (verb === 'done') asked?.settle(undefined, what)
    else asked?.settle(asked.refused ?? fromWire(what))
  }

  #say(word: ToThread, moved: readonly ArrayBuffer[] = []): void {
    this.#worker?.postMessage(word, moved)
  }

  #rest(): void {
    if (this.#underWay.size === 0 && this.#worker !== undefined) this.#idle = setTimeout(() => this.#end(), IDLE).unref()
  }

  #end(why?: Error): void {
    clearTimeout(this.#idle)
    this.#leave()
    this.#leave = () => {}
    this.#worker = undefined
    for (const { settle } of this.#underWay.values()) settle(why)
  }

  // ── why there is no answer ───────────────────────────────────────────────────────────────────────────────────────

  #stopped(): PlugbayError {
    const plugin = this.#plugin
    return new PlugbayError('PLUGIN_STOPPED', `Plugin '${plugin}' stopped while a request of it through ctx.fetch was under way.`, {
      plugin,
    })
  }

  /** There is no thread for it, or it ended by an error. */
  #why(error: unknown): PlugbayError {
    const plugin = this.#plugin
    const shortage = shortageOf(error)
    return shortage === undefined
      ? this.#died(reasonOf(error), error)
      : systemLimit(plugin, shortage, error, `No thread was made for requests of plugin '${plugin}' through ctx.fetch`)
  }

  #died(how: string, cause?: unknown): PlugbayError {
    const plugin = this.#plugin
    return new PlugbayError(
      'INTERNAL',
      `The thread for requests of plugin '${plugin}' through ctx.fetch ended, and what was under way there with it: ${how}. The next request has another; make these again where that does no harm.`,
      { plugin, cause },
    )
  }

  #over({ limit, allowed, observed }: Breach): PlugbayError {
    const plugin = this.#plugin
    const took = {
      memory: `took ${observed} MB, of ${allowed} that it may take`,
      hang: `got nothing done for ${observed} ms, of ${allowed} that it may`,
      cpu: `took ${observed} of a core over seconds, also with a lower priority; the limit is ${allowed} (limits.cpu)`,
    }[limit]
    return new PlugbayError(
      'PLUGIN_LIMIT',
      `The thread for requests of plugin '${plugin}' through ctx.fetch ${took}, and was ended with all that was under way there. ` +
        "Ask for less at once, and look at how the servers answer: in pieces of a few bytes, or without an end. Or run the plugin where it may use 'node:https' itself.",
      { plugin, details: { limit, allowed, observed } },
    )
  }
}
