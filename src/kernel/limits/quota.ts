/**
 * How much of the kernel's thread one plugin may take beside events, calls and lines of the log, and how much it may have there at a time.
 */
import { type Limiter, limiter } from '../../limiter.js'
import { AT_ONCE, type AtOnce } from '../../sandbox/conversation/at-once.js'
import { overLimit } from '../../sandbox/conversation/over-limit.js'
import { TokenBucket } from '../../sandbox/token-bucket.js'
import type { EffectiveLimits } from '../options/options.js'

/**
 * For how long a plugin that asked for nothing may ask at its rate at once: in its start it may take all that its other limits let it have.
 */
const SECONDS = 4
/** What a request costs beside a notice: an answer, and mostly a line or an error. */
export const REQUEST = 10
/** Methods of a service that cost as much as a notice, each time they are told of: those of a large one cost more than the line to it. */
const METHODS = 20
/** What it costs to open so many lines to a service of so many methods. */
export const costOfLines = (lines: number, methods: number): number => lines * (REQUEST + methods / METHODS)
/** It is warned when so much of that is left. */
const WARN_AT = 0.25

/**
 * What is provided, replaced or withdrawn is told to each that uses or watches it: so many ranges of one service may be used by one plugin,
 * and so many watches be on it.
 */
const OF_ONE = 32

/** A limit that a plugin went past although its own end knows it, or that has no other answer. */
export type Excess = {
  allowed: number
  observed: number
} & (
  | { limit: 'requests' | 'subscriptions' }
  | { limit: 'overlap' /** Of the event that its patterns match in too many ways. */; topic: string }
)

export interface QuotaOptions {
  plugin: string
  limits: Pick<EffectiveLimits, 'requests' | 'subscriptions' | 'services'>
  warn(message: string): void
  /** The plugin is to be contained, in this turn. */
  breached(excess: Excess): void
}

export class Quota {
  readonly #options: QuotaOptions
  readonly #bucket: TokenBucket
  /** What takes its time, and nobody has cancelled. */
  readonly #wanted = { file: 0, fetch: 0, 'large file': 0, 'large fetch': 0, task: 0, 'large task': 0 }
  readonly #places = Object.fromEntries(Object.entries(AT_ONCE).map(([kind, most]) => [kind, limiter(most)])) as Record<AtOnce, Limiter>
  #warned = false

  constructor(options: QuotaOptions) {
    this.#options = options
    this.#bucket = new TokenBucket(options.limits.requests, SECONDS)
  }

  /** Counts one notice, or a request. False: it was one too many, and the plugin has been contained. */
  spend(cost = 1): boolean {
    const bucket = this.#bucket
    const { rate } = bucket
    if (!bucket.take(cost)) {
      this.#options.breached({ limit: 'requests', allowed: rate, observed: bucket.taken })
      return false
    }
    if (bucket.reserve < WARN_AT && !this.#warned) {
      this.#warned = true
      this.#options.warn(
        `This plugin asks the kernel for more than ${rate} things a second beside events and calls (limits.requests); if it goes on it is ended. ` +
          'Look for a loop that subscribes, or uses or watches a service, again and again.',
      )
    }
    return true
  }

  /**
   * Whether one more subscription is within the limit; false: the plugin has been contained. What has ended counts until its events are
   * handled.
   */
  holdsSubscription(held: number): boolean {
    const { subscriptions: allowed } = this.#options.limits
    // Its own end refuses earlier, and does not see what is still on its way to it.
    if (held < 2 * allowed) return true
    this.#options.breached({ limit: 'subscriptions', allowed, observed: held + 1 })
    return false
  }

  /** Throws PLUGIN_LIMIT when `held` is as much as it may have. `what`: what it wants; `has`: what it has already. */
  assertService(held: number, what: string, has: string, mend: string): void {
    const { plugin, limits } = this.#options
    if (held >= limits.services)
      throw overLimit(plugin, what, 'limits.services', limits.services, `${has} ${held} already`, `${mend}, or raise the limit.`)
  }

  /** The same of one service: `held` are its ranges that it uses, or its watches on it. */
  assertOfOne(held: number, what: string, has: string, mend: string): void {
    if (held >= OF_ONE) throw overLimit(this.#options.plugin, what, 'of one service', OF_ONE, `${has} ${held} already`, `${mend}.`)
  }

  /**
   * Does what takes its time, unless as much is under way already: its own end waits before that, so nobody who does gets to read this.
   * What is cancelled, by `signal`, has its place until it has ended; its own end does not know when that is, so what comes instead waits
   * here. `large`: it brings much.
   */
  async underWay<T>(verb: 'file' | 'fetch' | 'task', act: () => Promise<T>, signal: AbortSignal, large = false): Promise<T> {
    const wanted = this.#wanted
    const kinds: readonly AtOnce[] = large ? [verb, `large ${verb}`] : [verb]
    const full = kinds.find((kind) => wanted[kind] >= AT_ONCE[kind])
    if (full !== undefined) {
      this.spend(REQUEST)
      throw overLimit(
        this.#options.plugin,
        `ask for another ${full}`,
        `${full} at once`,
        AT_ONCE[full],
        `has ${wanted[full]} under way`,
        'Wait for some.',
      )
    }
    for (const kind of kinds) wanted[kind]++
    let over = false
    const leave = (): void => {
      if (!over) for (const kind of kinds) wanted[kind]--
      over = true
    }
    signal.addEventListener('abort', leave, { once: true })
    const begin = async (): Promise<T> => {
      signal.throwIfAborted()
      return act()
    }
    try {
      return await kinds.reduce((inner, kind) => () => this.#places[kind](inner, signal), begin)()
    } catch (error) {
      // What fails at once is never too much at a time.
      this.spend(REQUEST)
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
    }
  }
}
