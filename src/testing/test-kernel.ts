/**
 * A kernel under test, with what it published, logged and failed over. Of the kernel it imports the types alone: `plugbay/testing` loads
 * this file.
 */
import { argumentInvalid, milliseconds, type OptionChecks, optionsFault } from '../arguments.js'
import type { Event } from '../bus/event.js'
import type { Bus } from '../bus/event-bus.js'
import type { EventOf } from '../bus/typed-events.js'
import { PlugbayError } from '../errors.js'
import type { Kernel } from '../kernel/kernel.js'
import type { KernelServices } from '../kernel/kernel-services.js'
import type { BootReport } from '../kernel/reports/boot-report.js'
import { didYouMean } from '../nearest.js'
import { assertPattern, matches } from '../topic.js'

export interface ExpectEventOptions<E> {
  /** Only an event it accepts will do. */
  where?: ((event: E) => unknown) | undefined
  /** Milliseconds to wait for one that has not been published yet. Default 2000. */
  timeout?: number | undefined
}

/** One line that a plugin or the kernel logged. */
export interface LoggedLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  fields: Record<string, unknown>
}

const EXPECT_OPTIONS: OptionChecks = {
  where: (value) => (typeof value === 'function' ? undefined : 'Give a function of the event.'),
  timeout: milliseconds,
}

interface Expectation {
  pattern: string
  accepts(event: Event): boolean
  met(event: Event): void
}

const isOfKernel = ({ type }: Event): boolean => type.startsWith('kernel.')

const WAIT = 2_000
/** A failure lists at most so many events, the newest. */
const LISTED = 20

/** A started kernel under test. */
export class TestKernel implements AsyncDisposable {
  readonly kernel: Kernel
  readonly bus: Bus
  readonly services: KernelServices
  /** The folder that is removed at the end; each plugin has `<dataDir>/<name>`. */
  readonly dataDir: string
  /** All that was logged so far, in order, at any level. */
  readonly logged: readonly LoggedLine[]
  readonly #events: Event[] = []
  /** Events that have met an expectation. */
  readonly #met = new Set<Event>()
  readonly #faults: { what: string; error: unknown }[] = []
  readonly #expectations = new Set<Expectation>()
  readonly #folder: string
  #report: BootReport | undefined
  #stopped: Promise<void> | undefined

  /** Use {@link createTestKernel}. */
  constructor(kernel: Kernel, folder: string, dataDir: string, logged: readonly LoggedLine[]) {
    this.kernel = kernel
    this.bus = kernel.bus
    this.services = kernel.services
    this.dataDir = dataDir
    this.logged = logged
    this.#folder = folder
    kernel.bus.subscribe('**', (event) => this.#take(event))
    kernel.on('plugin:fault', ({ name, generation, error }) =>
      this.#faults.push({ what: `plugin '${name}', generation ${generation}`, error }),
    )
  }

  /** All events published so far, in order, without those of the kernel itself (`kernel.**`). */
  get published(): Event[] {
    return this.#events.filter((event) => !isOfKernel(event))
  }

  /** What `kernel.start()` told. */
  get report(): BootReport {
    if (this.#report === undefined) throw new PlugbayError('KERNEL_STATE', 'The kernel under test has not started yet.')
    return this.#report
  }

  async start(): Promise<void> {
    this.#report = await this.kernel.start()
  }

  #take(event: Event): void {
    this.#events.push(event)
    if (event.type === 'kernel.handler.failed') {
      const { plugin, pattern, topic, error } = event.data as { plugin: string; pattern: string; topic: string; error: unknown }
      this.#faults.push({ what: `the handler of '${plugin}' for '${pattern}', at an event on '${topic}'`, error })
    }
    for (const expectation of [...this.#expectations]) {
      if (!matches(expectation.pattern, event.type) || !expectation.accepts(event)) continue
      this.#met.add(event)
      expectation.met(event)
      break
    }
  }

  /**
   * Resolves with the first event that fits and has met no expectation yet: one published already (since the boot began), or the next. So
   * two expectations of one pattern take two events. Rejects with an AssertionError after `timeout` ms, which says what was published
   * instead; with PATTERN_INVALID or OPTIONS_INVALID; or with what `where` throws.
   */
  async expectEvent<const Pattern extends string>(
    pattern: Pattern,
    options: ExpectEventOptions<EventOf<Pattern>> = {},
  ): Promise<EventOf<Pattern>> {
    assertPattern(pattern)
    const fault = optionsFault(options, EXPECT_OPTIONS)
    if (fault !== undefined) throw argumentInvalid(`expectEvent('${pattern}')`, fault)
    const { where = () => true, timeout = WAIT } = options
    const accepts = (event: Event): boolean => Boolean(where(event as EventOf<Pattern>))
    const there = this.#events.find((event) => !this.#met.has(event) && matches(pattern, event.type) && accepts(event))
    if (there !== undefined) {
      this.#met.add(there)
      return there as EventOf<Pattern>
    }
    return new Promise((resolve, reject) => {
      const expectation: Expectation = {
        pattern,
        accepts: (event) => {
          try {
            return accepts(event)
          } catch (error) {
            end()
            reject(error)
            return false
          }
        },
        met: (event) => {
          end()
          resolve(event as EventOf<Pattern>)
        },
      }
      const timer = realTimeout(() => {
        end()
        reject(assertionError(this.#unmet(pattern, timeout), 'expectEvent'))
      }, timeout)
      const end = (): void => {
        realClear(timer)
        this.#expectations.delete(expectation)
      }
      this.#expectations.add(expectation)
    })
  }

  #unmet(pattern: string, timeout: number): string {
    const seen = pattern.startsWith('kernel') ? this.#events : this.published
    const fitting = seen.filter(({ type }) => matches(pattern, type))
    const met = fitting.filter((event) => this.#met.has(event)).length
    const but =
      fitting.length === met
        ? 'met earlier expectations'
        : met === 0
          ? 'is refused by `where`'
          : 'met earlier expectations or is refused by `where`'
    const lines: string[] = []
    if (fitting.length > 0) lines.push(`No further event on '${pattern}' within ${timeout} ms: what came ${but}.`, ...listed(fitting))
    else {
      lines.push(`No event on '${pattern}' within ${timeout} ms.${didYouMean(pattern, new Set(seen.map(({ type }) => type)))}`)
      lines.push(...(seen.length > 0 ? ['Published were:', ...listed(seen)] : ['Nothing was published at all.']))
    }
    if (this.#faults.length > 0) lines.push('These faults may be why:', ...this.#faultLines())
    return lines.join('\n')
  }

  #faultLines(): string[] {
    return this.#faults.map(({ what, error }) => `  ${what}: ${messageOf(error)}`)
  }

  /** Throws an AssertionError that lists every crash, failed replacement and failed handler so far. */
  expectNoFaults(): void {
    if (this.#faults.length === 0) return
    const message = `Expected no faults, but there ${this.#faults.length === 1 ? 'was one' : `were ${this.#faults.length}`}:\n${this.#faultLines().join('\n')}`
    throw assertionError(message, 'expectNoFaults')
  }

  /** Stops the kernel and removes its folder. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    try {
      await this.kernel.stop()
    } finally {
      const { rm } = await import('node:fs/promises')
      await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

// An expectation's own patience is real time, also while the clock is faked.
const { setTimeout: realTimeout, clearTimeout: realClear } = globalThis

// Only what fails needs these: they are loaded then.

const assertionError = (message: string, operator: string): Error => {
  const { AssertionError } = process.getBuiltinModule('node:assert')
  return new AssertionError({ message, operator })
}

const listed = (events: readonly Event[]): string[] => {
  const lines = events.slice(-LISTED).map(({ type, source, data }) => `  ${type} from ${source}: ${shown(data)}`)
  return events.length > LISTED ? [`  (${events.length - LISTED} earlier ones)`, ...lines] : lines
}

const shown = (data: unknown): string => {
  let text: string | undefined
  try {
    text = JSON.stringify(data, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  } catch {
    // a circle
  }
  text ??= String(data)
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}

const messageOf = (error: unknown): string => {
  if (typeof error !== 'object' || error === null || !('message' in error)) return String(error)
  const code = 'code' in error ? `${String(error.code)}: ` : ''
  return `${code}${String(error.message)}`
}
