/** When what was written in this thread leaves it: at the end of the turn, or a little later together with what the next turns bring. */
import { now } from '../clock.js'

/*
 * Posting to a thread that sleeps costs its sender 10 to 30 us, as much as fifty events. So what goes on turn after turn waits for more,
 * and the longer the more threads there are to post to: a tenth of the time or so is spent on waking them then. What comes after a pause
 * leaves at once.
 */

/** Milliseconds that writers wait, each. */
const GATHER = 0.2
/** Milliseconds, however many they are. */
const LONGEST = 2

/** One whose frames wait to leave. */
export interface Writer {
  /** It has frames that others wait for: they leave at the end of the turn. */
  readonly urgent: boolean
  /** Sends them. */
  leave(): void
}

let waiting: Writer[] = []
let planned = false
/** Something was written since the last look. */
let written = false
let departedAt = 0
/** When the first of those that wait was told to; 0: none was. */
let heldSince = 0

/** To be called for each frame: `writer` will be told to leave, unless it `waits` for that already. */
export const depart = (writer: Writer, waits: boolean): void => {
  written = true
  if (waits) return
  waiting.push(writer)
  if (planned) return
  planned = true
  endOfTurn(turnEnded)
}

/** A writer has sent something. Returns the time. */
export const departed = (): number => (departedAt = now())

/** Callbacks run when this turn and all promises it resolved are done; later than a microtask, sooner than any I/O. */
const endOfTurn = (callback: () => void): void => queueMicrotask(() => process.nextTick(callback))

/** Everything leaves at once: for a place that ends. */
export const departAll = (): void => {
  planned = false
  heldSince = 0
  const writers = waiting
  waiting = []
  for (const writer of writers) writer.leave()
}

const turnEnded = (): void => {
  if (waiting.some(({ urgent }) => urgent)) {
    const writers = waiting
    waiting = writers.filter(({ urgent }) => !urgent)
    for (const writer of writers) if (writer.urgent) writer.leave()
  }
  const pause = Math.min(LONGEST, GATHER * waiting.length)
  const at = now()
  // Who sends without a pause, such as one that calls and calls, has nobody else wait for longer.
  if (!written || at - departedAt >= pause || (heldSince !== 0 && at - heldSince >= pause)) {
    departAll()
    return
  }
  if (heldSince === 0) heldSince = at
  written = false
  setImmediate(turnEnded)
}
