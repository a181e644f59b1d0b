/** How often the watchdog looks at what rests. Its clock and what the process has computed are set here. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Watched, watchdog } from '#src/sandbox/watchdog.js'

let computed = 0

const place = (resting = true): Watched & { looks: boolean[] } => {
  const looks: boolean[] = []
  return { resting, used: 0, silent: false, looks, look: (_at, _memory, _pages, still) => void looks.push(still) }
}

/** Lets `rounds` of the watchdog pass, `pause` ms apart, and the process compute so many ms between two of them. */
const pass = (rounds: number, pause: number, ms: number): void => {
  for (let n = 0; n < rounds; n++) {
    computed += ms
    vi.advanceTimersByTime(pause)
  }
}

beforeEach(() => {
  computed = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(process, 'cpuUsage').mockImplementation(() => ({ user: computed * 1_000, system: 0 }))
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('looks at all that rest thirteen times a second while somebody computes, and at each a third as often while nobody does', () => {
  const places = [place(), place(), place()]
  const undos = places.map((each) => watchdog.watch(() => each))
  pass(1, 75, 50)
  for (const { looks } of places) looks.length = 0

  pass(12, 75, 50)
  for (const { looks } of places) expect(looks).toEqual(Array(12).fill(false))
  for (const { looks } of places) looks.length = 0

  pass(12, 75, 0.5)
  for (const { looks } of places) expect(looks.length).toBeGreaterThanOrEqual(4)
  // A round in which the memory of the process was found changed looks at all.
  expect(places.reduce((sum, { looks }) => sum + looks.length, 0)).toBeLessThan(36)
  for (const { looks } of places) expect(looks).toEqual(looks.map(() => true))
  for (const undo of undos) undo()
})

test('looks at what does something forty times a second, whatever the process computes', () => {
  const busy = place(false)
  const idle = place()
  const undos = [busy, idle].map((each) => watchdog.watch(() => each))
  pass(1, 75, 0)
  for (const { looks } of [busy, idle]) looks.length = 0
  pass(30, 25, 0)
  expect(busy.looks).toHaveLength(30)
  expect(idle.looks.length).toBeGreaterThanOrEqual(10)
  for (const undo of undos) undo()
})
