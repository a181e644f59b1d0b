/** `plugbay/testing`: a real kernel around the plugins under test, in a folder of its own, with expectations; and a clock that stands still. */
import { AssertionError } from 'node:assert'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import minVersion from 'semver/ranges/min-version.js'
import { argumentInvalid, milliseconds, type OptionChecks, optionsFault } from './arguments.js'
import type { Event } from './bus/event.js'
import type { Bus } from './bus/event-bus.js'
import type { EventOf } from './bus/typed-events.js'
import { type ErrorCode, PlugbayError } from './errors.js'
import type { BootReport } from './kernel/boot-report.js'
import { composeKernel } from './kernel/composition-root.js'
import { discover } from './kernel/discovery.js'
import type { Kernel } from './kernel/kernel.js'
import type { KernelServices } from './kernel/kernel-services.js'
import type { KernelOptions, Logger } from './kernel/options.js'
import { didYouMean } from './nearest.js'
import { assertPattern, matches } from './topic.js'

export interface TestKernelOptions
  extends Pick<KernelOptions, 'base' | 'config' | 'configDir' | 'env' | 'name' | 'watch' | 'maxConcurrency' | 'roles' | 'grants'> {
  /** The plugins under test: their paths (or `file:` URLs), or folders of plugins. Relative to `base` (default: the current folder). */
  plugins?: string | URL | readonly (string | URL)[] | undefined
  /**
   * Where plugins run whose manifest does not say. Default: `inline`, in the thread of the test: quick, and a debugger stops in them.
   * `thread` is what production has: structured cloning between plugins happens in both.
   */
  isolation?: 'inline' | 'thread' | undefined
  /**
   * Services by name that the kernel provides in place of plugins, each an object with methods, as version 1.0.0. Where a
   * plugin under test depends on a plugin of that name that is not among `plugins`, an empty one stands in for it.
   */
  services?: Record<string, object> | undefined
  /** Limits for the plugins whose manifests do not say. */
  limits?: NonNullable<KernelOptions['defaults']>['limits'] | undefined
  /** True: a plugin that does not start is left out, as in production. Default: `createTestKernel` rejects with its error. */
  mayFail?: boolean | undefined
}

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
    const fault = optionsFault(options, EXPECT_OPTIONS, didYouMean)
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
        reject(new AssertionError({ message: this.#unmet(pattern, timeout), operator: 'expectEvent' }))
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
    throw new AssertionError({ message, operator: 'expectNoFaults' })
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
      await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

// An expectation's own patience is real time, also while the clock is faked.
const { setTimeout: realTimeout, clearTimeout: realClear } = globalThis

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

const collector = (lines: LoggedLine[]): Logger => {
  const at =
    (level: LoggedLine['level']) =>
    (fields: Record<string, unknown>, message = '') =>
      void lines.push({ level, message, fields })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Empty plugins for those that the ones under test depend on, where a stubbed service has that name. Returns where they are. */
const standIns = async (folder: string, places: readonly string[], base: string, stubs: ReadonlySet<string>): Promise<string[]> => {
  const { found } = discover(places, base)
  const wanted = new Map<string, string>()
  for (const { manifest } of found) for (const [name, range] of Object.entries(manifest.dependencies)) wanted.set(name, range)
  for (const { name } of found) wanted.delete(name)
  const made: string[] = []
  for (const [name, range] of wanted) {
    if (!stubs.has(name)) continue
    const path = join(folder, 'stand-ins', name)
    await mkdir(path, { recursive: true })
    const version = minVersion(range)?.version ?? '1.0.0'
    await writeFile(
      join(path, 'plugin.json'),
      JSON.stringify({ name, version, description: 'Stands in for a plugin whose service is a stub.' }),
    )
    await writeFile(join(path, 'index.mjs'), 'export default { start() {} }\n')
    made.push(path)
  }
  return made
}

/**
 * Makes and starts a kernel for a test: the real one, with a temporary `dataDir`, its lines kept in `logged` instead of printed, and stubs in
 * the place of services the plugins need. Stop it at the end, or declare it with `await using`.
 *
 * Rejects with the error of the first plugin that does not start (unless `mayFail`), and as `createKernel` does.
 *
 * ```ts
 * const test = await createTestKernel({ plugins: ['./plugins/hello'] })
 * await test.bus.publish('user.login', { userId: '1' })
 * await test.expectEvent('user.welcome', { where: (event) => event.data.userId === '1' })
 * await test.stop()
 * ```
 */
export const createTestKernel = async (options: TestKernelOptions = {}): Promise<TestKernel> => {
  const { plugins = [], isolation = 'inline', services = {}, limits, mayFail = false, base = process.cwd(), ...rest } = options
  const folder = await mkdtemp(join(tmpdir(), 'plugbay-test-'))
  const dataDir = join(folder, 'data')
  const lines: LoggedLine[] = []
  let test: TestKernel | undefined
  try {
    const places = [plugins].flat().map((place) => (place instanceof URL ? fileURLToPath(place) : resolve(base, place)))
    const stood = await standIns(folder, places, base, new Set(Object.keys(services)))
    const kernel = await composeKernel({
      ...rest,
      base,
      plugins: [...places, ...stood],
      dataDir,
      defaults: { isolation, ...(limits === undefined ? {} : { limits }) },
      standby: isolation === 'thread' ? 1 : 0,
      logger: collector(lines),
    })
    test = new TestKernel(kernel, folder, dataDir, lines)
    for (const [name, service] of Object.entries(services)) test.services.provide(name, service)
    await test.start()
    if (!mayFail) throwFirstFailure(test)
    return test
  } catch (error) {
    await (test?.stop() ?? rm(folder, { recursive: true, force: true }))
    throw error
  }
}

/** The first that failed by itself: those that need it fail for its sake. */
const throwFirstFailure = ({ report, logged }: TestKernel): void => {
  const failed = report.plugins.filter(({ error }) => error !== undefined)
  const first = failed.find(({ error }) => error?.code !== 'DEPENDENCY_FAILED') ?? failed[0]
  if (first?.error === undefined) return
  // The log has the error itself, with its cause and that one's stack.
  const line = logged.find(({ message, fields }) => message === first.error?.message && PlugbayError.is(fields['err']))
  const whole = line?.fields['err']
  throw PlugbayError.is(whole) ? whole : new PlugbayError(first.error.code as ErrorCode, first.error.message, { plugin: first.name })
}

export interface FakeClockOptions {
  /** What the clock shows at first. Default: the epoch. */
  now?: Date | number | undefined
}

/** Time that only moves when it is told to. */
export interface FakeClock extends Disposable {
  /** What `Date.now()` gives. */
  readonly now: number
  /**
   * Lets `ms` milliseconds pass: every timer due by then fires, each at its own time, in order. After each the event loop turns a few times, so
   * that promises settle, events travel, and timers made meanwhile are heeded.
   */
  advance(ms: number): Promise<void>
  /** Gives the real clock back. Idempotent. */
  restore(): void
}

/** How often the event loop turns between two moments: an event to a plugin and its answer take a few. */
const TURNS = 10

/** When a timer fires next, and for an interval, how long after that again. */
interface Due {
  at: number
  every: number | undefined
}

/** Notes when timers are due, as mock.timers does not tell, and shows at each the end of the tick instead of its own time. */
const noteTimers = (): { next(until: number): number | undefined } => {
  const timers = new Map<unknown, Due>()
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis
  const noted = <Set extends typeof setTimeout | typeof setInterval>(set: Set, repeats: boolean): Set => {
    const setNoted = (callback: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): unknown => {
      const wait = Math.max(1, Number(ms) || 1)
      const timer: unknown = set(callback, wait, ...args)
      timers.set(timer, { at: Date.now() + wait, every: repeats ? wait : undefined })
      return timer
    }
    return setNoted as unknown as Set
  }
  const forgetting =
    (clear: typeof clearTimeout): typeof clearTimeout =>
    (timer) => {
      timers.delete(timer)
      clear(timer)
    }
  Object.assign(globalThis, {
    setTimeout: noted(setTimeout, false),
    setInterval: noted(setInterval, true),
    clearTimeout: forgetting(clearTimeout),
    clearInterval: forgetting(clearInterval),
  })
  return {
    next(until) {
      const now = Date.now()
      let next: number | undefined
      for (const [timer, due] of timers) {
        if (due.every !== undefined) due.at += Math.max(0, Math.ceil((now + 1 - due.at) / due.every)) * due.every
        else if (due.at <= now) timers.delete(timer)
        if (due.at > now && due.at <= until && (next === undefined || due.at < next)) next = due.at
      }
      return next
    },
  }
}

/**
 * Stops time for this thread: `setTimeout`, `setInterval`, their `clear…`, and `Date` follow the clock from now on. Made of `mock.timers` of
 * node:test (which Node 20 calls experimental, in a warning); one at a time.
 *
 * It does not cover: plugins in threads (`isolation: 'inline'` it must be), `setImmediate`, `process.nextTick`, `performance.now()`,
 * `process.hrtime()`, `AbortSignal.timeout()`, and functions imported by name from `node:timers` or `node:timers/promises`. The kernel's own deadlines of calls and
 * phases lie on the faked timers too: a call that is under way while the clock moves past its deadline times out.
 */
export const fakeClock = ({ now = 0 }: FakeClockOptions = {}): FakeClock => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Number(now) })
  const timers = noteTimers()
  let restored = false
  const settle = async (): Promise<void> => {
    for (let i = 0; i < TURNS; i++) await turn()
  }
  const moveTo = async (time: number): Promise<void> => {
    mock.timers.tick(time - Date.now())
    await settle()
  }
  const restore = (): void => {
    if (!restored) mock.timers.reset()
    restored = true
  }
  return {
    get now() {
      return Date.now()
    },
    async advance(ms) {
      await settle()
      const end = Date.now() + ms
      for (let next = timers.next(end); next !== undefined && !restored; next = timers.next(end)) await moveTo(next)
      if (!restored) await moveTo(end)
    },
    restore,
    [Symbol.dispose]: restore,
  }
}
