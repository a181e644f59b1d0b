/** A clock that stands still: time for timers and dates, which a test moves. */
import { argumentInvalid, type OptionChecks, optionsFault, shown } from '../arguments.js'

export interface FakeClockOptions {
  /** What the clock shows at first. Default: the epoch. */
  now?: Date | number | undefined
}

/** Time that only moves when it is told to. */
export interface FakeClock extends Disposable {
  /** What `Date.now()` gives. */
  readonly now: number
  /**
   * Lets `ms` milliseconds pass: every timer due by then fires, each at its own time, in order. After each the event loop turns a few
   * times, so that promises settle, events travel, and timers made meanwhile are heeded. Rejects with OPTIONS_INVALID for what is no time,
   * and once the clock is restored.
   */
  advance(ms: number): Promise<void>
  /** Gives the real clock back. Idempotent. */
  restore(): void
}

/** How often the event loop turns between two moments: an event to a plugin and its answer take a few. */
const TURNS = 10

const CLOCK_OPTIONS: OptionChecks = {
  now: (value) =>
    Number.isFinite(value instanceof Date ? value.getTime() : value) ? undefined : 'Give a Date, or milliseconds since 1970.',
}

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
 * Stops time for this thread: `setTimeout`, `setInterval`, their `clear…`, and `Date` follow the clock from now on. Made of `mock.timers`
 * of node:test (which Node 20 calls experimental, in a warning); one at a time.
 *
 * It does not cover: plugins in threads (`isolation: 'inline'` it must be), `setImmediate`, `process.nextTick`, `performance.now()`,
 * `process.hrtime()`, `AbortSignal.timeout()`, and functions imported by name from `node:timers` or `node:timers/promises`. The kernel's
 * own deadlines of calls and phases lie on the faked timers too: a call that is under way while the clock moves past its deadline times
 * out.
 *
 * Throws OPTIONS_INVALID, also where time stands still already.
 */
export const fakeClock = (options: FakeClockOptions = {}): FakeClock => {
  const fault = optionsFault(options, CLOCK_OPTIONS)
  if (fault !== undefined) throw argumentInvalid('fakeClock()', fault)
  // Here, not above: `plugbay/testing` loads this file, and that module is many.
  const { mock } = process.getBuiltinModule('node:test')
  try {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Number(options.now ?? 0) })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_INVALID_STATE') throw error
    throw argumentInvalid(
      'fakeClock()',
      'was called while time stands still already. Call restore() of the clock before, or let that one advance.',
    )
  }
  const timers = noteTimers()
  let restored = false
  const settle = async (): Promise<void> => {
    for (let i = 0; i < TURNS; i++) await new Promise(setImmediate)
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
      if (!(Number.isFinite(ms) && ms >= 0))
        throw argumentInvalid('advance()', `was given ${shown(ms)} for the time. Give milliseconds, from 0 on.`)
      if (restored)
        throw argumentInvalid(
          'advance()',
          'was called on a clock that is restored: time goes by itself again. Make a new one with fakeClock().',
        )
      await settle()
      const end = Date.now() + ms
      for (let next = timers.next(end); next !== undefined && !restored; next = timers.next(end)) await moveTo(next)
      if (!restored) await moveTo(end)
    },
    restore,
    [Symbol.dispose]: restore,
  }
}
